"""PPO from nothing, in one task."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.ppo import PPO, epochs, normalized
from adaptax.core.rollout import run_trial
from adaptax.core.types import AgentState, replace
from tests.algorithms.standard_rl.test_actor_critic import (
    SPACES,
    numpy_advantages,
    random_learner,
    random_lesson,
    random_trajectory,
)
from tests.sample_problems import clockwork, program, quick_jit, same

KEY = jax.random.key(0)
SMALL = {"hidden_size": 4, "streams": 2, "max_gradient_norm": 1e6, "num_epochs": 1, "num_minibatches": 1}


def own_trajectory(learner):
    """A window that the learner has acted in itself."""
    trajectory = random_trajectory()
    act = quick_jit(lambda policy: policy.log_prob(trajectory.timestep.observation, trajectory.action))
    return replace(trajectory, aux={"log_prob": act(learner.network.policy)})


def adapter(agent):
    return quick_jit(lambda state, trajectory, key: agent.adapt(SPACES, state, trajectory, key))


def test_advantages_are_normalised_over_what_happened():
    batch = quick_jit(normalized)(random_lesson())
    seen = np.asarray(batch.advantage)[np.asarray(batch.valid)]
    np.testing.assert_allclose([seen.mean(), seen.std()], [0, 1], atol=1e-6)
    assert (batch.advantage[~batch.valid] == 0).all()


@pytest.mark.compiles
def test_the_first_epoch_goes_along_the_gradient_of_an_actor_critic():
    # At the old policy the ratio is 1, so nothing is clipped, and ∇ρ A is A ∇ log π: A2C's, on normalised advantages.
    ppo = PPO(**SMALL, discount=0.9, gae_lambda=0.7, entropy_cost=0.1)
    learner = random_learner(ppo)
    trajectory = own_trajectory(learner)
    values_of = program(learner.values)
    values, bootstraps = (
        np.asarray(values_of(x), np.float64) for x in (trajectory.timestep.observation, trajectory.next_observation)
    )
    raw = numpy_advantages(trajectory, values, bootstraps, False, discount=0.9, gae_lambda=0.7)
    valid = np.asarray(trajectory.valid)
    returns = learner.returns.observe(jnp.asarray((raw + values)[valid], jnp.float32))
    advantage = jnp.asarray((raw - raw[valid].mean()) / raw[valid].std() * valid, jnp.float32)
    target = jnp.asarray((raw + values - float(returns.mean)) / float(returns.std), jnp.float32)

    def loss(network):
        """A2C's, on plain numbers."""
        policy = network.policy(trajectory.timestep.observation)
        error = target - network.critic(trajectory.timestep.observation)
        gain = policy.log_prob(trajectory.action) * advantage + 0.1 * policy.entropy()
        return jnp.sum(jnp.where(trajectory.valid, 0.5 * error**2 - gain, 0.0)) / float(valid.sum())

    slope = quick_jit(jax.grad(loss))(learner.network)
    stepped = adapter(ppo)(AgentState(learner, None), trajectory, KEY).adapted
    moments = optax.tree.get(stepped.opt_state, "mu")
    for moment, g in zip(jax.tree.leaves(moments), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(10 * moment, g, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(stepped.returns.mean, returns.mean, rtol=1e-5)


@pytest.mark.compiles
def test_steps_are_shuffled_into_minibatches():
    # In one batch their order does not matter; in three it does, and each epoch makes three steps.
    learner = random_learner(PPO(**SMALL))
    trajectory = own_trajectory(learner)

    def improved(agent):
        adapt = adapter(agent)
        return [adapt(AgentState(learner, None), trajectory, jax.random.key(i)).adapted for i in range(2)]

    first, other = improved(PPO(**SMALL))
    for a, b in zip(jax.tree.leaves(first.network), jax.tree.leaves(other.network), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    first, other = improved(PPO(**SMALL | {"num_minibatches": 3, "num_epochs": 2}))
    assert not same(first.network, other.network)
    assert optax.tree.get(first.opt_state, "count") == 6


@pytest.mark.compiles
def test_a_policy_that_has_gone_too_far_is_not_pushed_further():
    # One action of positive advantage, twice as likely as when it was done: beyond 1 + ε there is no more to gain.
    ppo = PPO(**SMALL, entropy_cost=0.0)
    learner = random_learner(ppo)
    trajectory = own_trajectory(learner)
    old = trajectory.aux["log_prob"] - np.log(2)
    trajectory = replace(trajectory, aux={"log_prob": old})
    batch = quick_jit(lambda x: actor_critic.make_batch(ppo, x, trajectory, discount=0.9, gae_lambda=1.0))(learner)
    good = dataclasses.replace(batch, advantage=jnp.asarray(batch.valid, jnp.float32))

    @quick_jit
    def policy_slope(batch):
        returns, optimizer = learner.returns, actor_critic.adam(ppo)
        steps = jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), batch)
        stepped = epochs(ppo, optimizer, learner, returns, steps, 0)[0]
        return jax.tree.leaves(optax.tree.get(stepped.opt_state, "mu").policy)

    assert all((x == 0).all() for x in policy_slope(good))
    bad = dataclasses.replace(good, advantage=-good.advantage)
    assert any((x != 0).any() for x in policy_slope(bad))


@dataclasses.dataclass(frozen=True)
class Paid(PPO):
    """Learns from rewards in another currency."""

    factor: float = 1.0

    def adapt(self, meta, agent, trajectory, key):
        return super().adapt(meta, agent, replace(trajectory, reward=self.factor * trajectory.reward), key)


@pytest.mark.compiles
def test_E13_scale_of_rewards_changes_nothing():
    # A power of two is exact in floating point, so every action is the same; a factor of 1000 is so up to rounding.
    problem = clockwork(horizon=3, episodes=40, num_actions=3)
    task = problem.test.sample(KEY)

    def trial(factor):
        learner = Paid(**SMALL | {"num_minibatches": 2, "num_epochs": 3}, learning_rate=0.1, factor=factor)
        trajectory = run_trial(learner, problem, learner.describe(problem), task, jax.random.key(1))
        return trajectory.action, trajectory.aux["log_prob"]

    actions, log_probs = quick_jit(jax.vmap(trial))(jnp.asarray([1.0, 1024.0, 1000.0]))
    np.testing.assert_array_equal(actions[0], actions[1])
    np.testing.assert_allclose(log_probs[0], log_probs[1], rtol=1e-6)
    np.testing.assert_allclose(log_probs[0, :9], log_probs[2, :9], rtol=1e-3)
    assert np.ptp(np.asarray(log_probs)) > 0.1  # it learns
