"""A2C: on its own experience and on another policy's, time limits, and the scale of rewards."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.algorithms.standard_rl.a2c import A2C
from adaptax.algorithms.standard_rl.actor_critic import ActorCriticState, Spaces
from adaptax.core.rollout import run_trial
from adaptax.core.spaces import Box, Discrete
from adaptax.core.types import AgentState, TimeStep, Transition, replace
from adaptax.networks.distributions import Categorical
from adaptax.optimization.moments import Moments
from tests.sample_problems import odd_bandit, quick_jit

KEY = jax.random.key(0)
NOTHING = Spaces(Box((0,)), Discrete(2))
LINEAR = A2C(num_layers=0, entropy_cost=0.0, max_gradient_norm=1e6, learning_rate=0.05)
"""On a bandit its policy is softmax(bias), and its value is one number."""
REWARDS = np.asarray([3.0, -1.0])


def agent_on(logits, value=0.5):
    """A learner on a two-armed bandit; its value is that of the returns' mean."""
    state = quick_jit(lambda: LINEAR.begin(NOTHING, KEY))()
    learner: ActorCriticState = state.adapted
    bias = lambda network: network.policy.head.layer.bias  # noqa: E731
    network = eqx.tree_at(bias, learner.network, jnp.asarray(logits, jnp.float32))
    returns = Moments(jnp.asarray(4.0), jnp.asarray(value), jnp.asarray(2.0))
    return AgentState(ActorCriticState(network, learner.opt_state, returns), None)


def pulls(actions, behaviour):
    """A window of one step in several streams: an arm each, by a policy with these probabilities."""
    action = jnp.asarray(actions, jnp.int32)[None]
    reward = jnp.asarray(REWARDS[np.asarray(actions)], jnp.float32)[None]
    none, yes = jnp.zeros((1, len(actions), 0)), jnp.ones(action.shape, bool)
    aux = {"log_prob": jnp.log(jnp.asarray(behaviour, jnp.float32))[action]}
    return Transition(TimeStep(none, action, reward, yes), action, reward, yes, ~yes, none, aux, yes)


def policy_slope(algorithm, logits, window):
    """Gradient of the objective in the logits, in units of reward: what Adam's first moment is a tenth of."""
    adapt = quick_jit(lambda state, window: algorithm.adapt(NOTHING, state, window, KEY))
    learner = adapt(agent_on(logits), window).adapted
    moment = optax.tree.get(learner.opt_state, "mu").policy.head.layer.bias
    return -10 * np.asarray(moment) * float(learner.returns.std)


def test_experience_of_another_policy_gives_the_gradient_of_ones_own():
    # π = (3/4, 1/4) and μ = (1/4, 3/4): four streams are their exact expectations.
    logits = np.log([0.75, 0.25])
    own = policy_slope(A2C(**dataclasses.asdict(LINEAR)), logits, pulls([0, 0, 0, 1], [0.75, 0.25]))
    free = dataclasses.replace(LINEAR, max_ratio=10.0)
    others = policy_slope(free, logits, pulls([0, 1, 1, 1], [0.25, 0.75]))
    # dJ/dz = π₀ π₁ (r₀ − r₁) (1, −1), whatever the baseline is.
    exact = 0.75 * 0.25 * 4 * np.asarray([1, -1])
    np.testing.assert_allclose(own, exact, rtol=1e-5)
    np.testing.assert_allclose(others, exact, rtol=1e-5)


def test_weights_are_cut_off():
    # By hand: ρ = min(1, π/μ) = 1 for arm 0 (instead of 3) and 1/3 for arm 1; A = ρ (r − V) with V = ½;
    # ∇ log π(0) = (1/4, −1/4), ∇ log π(1) = (−3/4, 3/4); μ = (1/4, 3/4).
    slope = policy_slope(LINEAR, np.log([0.75, 0.25]), pulls([0, 1, 1, 1], [0.25, 0.75]))
    expected = 0.25 * 1 * 2.5 * np.asarray([0.25, -0.25]) + 0.75 / 3 * -1.5 * np.asarray([-0.75, 0.75])
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


@pytest.mark.compiles
def test_on_its_own_experience_the_cut_changes_nothing():
    problem = odd_bandit(3, 200, scale=2.0)
    task = problem.test.sample(KEY)
    learner = A2C(hidden_size=4, streams=4, num_steps=5, learning_rate=0.1)

    def trial(ratio):
        agent = dataclasses.replace(learner, max_ratio=ratio)
        return run_trial(agent, problem, agent.describe(problem), task, KEY).aux["log_prob"]

    cut, free = map(quick_jit(trial), jnp.asarray([1.0, 1e6]))
    # The same log-probabilities, computed in batches of other shapes, differ by rounding.
    np.testing.assert_allclose(cut, free, rtol=1e-4)
    assert np.ptp(np.asarray(cut)) > 0.1  # it learns


HORIZON, DISCOUNT = 4, 0.8


def endless(first):
    """Two steps of an episode of four, one-hot states, reward 1; the limit leads to where it began."""
    state = jnp.arange(first, first + 2, dtype=jnp.int32)[:, None]
    one, no = jnp.ones((2, 1)), jnp.zeros((2, 1), bool)
    aux = {"log_prob": jnp.zeros((2, 1))}
    action, after = jnp.zeros((2, 1), jnp.int32), (state + 1) % HORIZON
    return Transition(TimeStep(state, action, one, no), action, one, no, state == HORIZON - 1, after, aux, ~no)


@pytest.mark.parametrize("time_limits", ["bootstrap", "end"])
def test_E11_a_time_limit_is_not_termination(time_limits):
    # 1 + γ + γ² + … = 1/(1 − γ) = 5 if the limit only stops the experience; (1 − γⁿ)/(1 − γ) with n steps left if it
    # ends the task. Windows end in the middle of the episode, which must not matter.
    learner = dataclasses.replace(
        LINEAR, discount=DISCOUNT, gae_lambda=0.9, time_limits=time_limits, num_steps=2, learning_rate=0.01
    )
    meta = Spaces(Discrete(HORIZON), Discrete(1))  # whoever has no choice is on-policy

    def episode(state, _):
        for first in (0, 2):
            state = learner.adapt(meta, state, endless(first), KEY)
        return state, None

    learned = quick_jit(lambda: jax.lax.scan(episode, learner.begin(meta, KEY), None, length=3000)[0])()
    values = learned.adapted.values(jnp.arange(HORIZON, dtype=jnp.int32))
    left = np.arange(HORIZON, 0, -1)
    expected = np.full(4, 5.0) if time_limits == "bootstrap" else (1 - DISCOUNT**left) / (1 - DISCOUNT)
    np.testing.assert_allclose(values, expected, rtol=0.01)


@dataclasses.dataclass(frozen=True)
class Paid(A2C):
    """Learns from rewards in another currency."""

    factor: float = 1.0

    def adapt(self, meta, agent, trajectory, key):
        return super().adapt(meta, agent, replace(trajectory, reward=self.factor * trajectory.reward), key)


@pytest.mark.compiles
def test_E13_scale_of_rewards_changes_nothing():
    # A power of two is exact in floating point, so every action is the same; a factor of 1000 is so up to rounding.
    problem = odd_bandit(3, 200)
    task = problem.test.sample(KEY)

    def trial(factor):
        learner = Paid(hidden_size=4, streams=4, num_steps=5, learning_rate=0.1, factor=factor)
        trajectory = run_trial(learner, problem, learner.describe(problem), task, jax.random.key(1))
        return trajectory.action, trajectory.aux["log_prob"]

    actions, log_probs = quick_jit(jax.vmap(trial))(jnp.asarray([1.0, 1024.0, 1000.0]))
    np.testing.assert_array_equal(actions[0], actions[1])
    np.testing.assert_allclose(log_probs[0], log_probs[1], rtol=1e-6)
    np.testing.assert_allclose(log_probs[0, :10], log_probs[2, :10], rtol=1e-3)
    assert np.ptp(np.asarray(log_probs)) > 0.1  # it learns


def test_its_policy_is_what_it_says():
    policy = agent_on(np.log([0.75, 0.25])).adapted.network.policy(jnp.zeros(0))
    assert isinstance(policy, Categorical)
    np.testing.assert_allclose(jnp.exp(policy.log_probs()), [0.75, 0.25], rtol=1e-6)
