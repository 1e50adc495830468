"""REINFORCE against the exact policy gradient of MDPs whose every trajectory can be written down."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.algorithms import Reinforce
from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.actor_critic import ActorCriticState
from adaptax.core.types import AgentState, TimeStep, Transition
from adaptax.optimization.moments import Moments
from tests.claims.enumeration import HORIZON, STATES, all_paths, noise_like, tiny_problem
from tests.sample_problems import program, quick_jit

LEARNER = Reinforce(
    hidden_size=3, num_layers=1, discount=1.0, entropy_cost=0.0, max_gradient_norm=1e9, time_limits="end"
)
PROBLEM = tiny_problem()
META = LEARNER.describe(PROBLEM)


def random_learner(key):
    """A policy that is far from uniform, a critic that is far from right, and returns in units of 3."""
    shapes = jax.eval_shape(lambda key: actor_critic.build(LEARNER, META, key), key)
    network = noise_like(shapes, 1.0, key)
    number = jnp.asarray
    returns = Moments(number(100.0), number(0.7), number(9.0))
    return ActorCriticState(network, actor_critic.adam(LEARNER).init(network), returns)


def exact_return(policy, task):
    """J by backward induction: no trajectory is enumerated here."""
    chosen = jnp.exp(policy(jnp.arange(STATES, dtype=jnp.int32)).log_probs())
    value = jnp.zeros(STATES, chosen.dtype)
    for _ in range(HORIZON):
        value = jnp.sum(chosen * (task.rewards + task.transitions @ value), -1)
    return value[0]


def window(learner, task):
    """Every trajectory in a stream of its own, and its chance times the number of trajectories."""
    paths = all_paths()
    log_probs = learner.network.policy(jnp.arange(STATES, dtype=jnp.int32)).log_probs()
    moves = task.transitions[paths.states[:-1], paths.actions[:-1], paths.states[1:]]
    chances = jnp.exp(jnp.sum(log_probs[paths.states, paths.actions], 0)) * jnp.prod(moves, 0)
    time = jnp.broadcast_to(jnp.arange(HORIZON)[:, None], paths.actions.shape)
    no, reward = jnp.zeros_like(time, bool), task.rewards[paths.states, paths.actions]
    timestep = TimeStep(paths.states, paths.actions, jnp.zeros_like(reward), time == 0)
    aux = {"log_prob": log_probs[paths.states, paths.actions]}
    last = time == HORIZON - 1
    return Transition(timestep, paths.actions, reward, no, last, paths.states, aux, ~no), paths.number * chances


def slopes(learner, stepped, task):
    """Gradient of the objective that a step went along, from Adam's first moment; and ∇J of a mean over steps."""
    moment = optax.tree.get(stepped.opt_state, "mu").policy
    exact = quick_jit(jax.grad(exact_return))(learner.network.policy, task)
    scale = HORIZON * np.asarray(stepped.returns.std)
    return jax.tree.map(lambda x: -10 * np.asarray(x), moment), jax.tree.map(lambda x: np.asarray(x) / scale, exact)


def assert_same_gradient(found, exact):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert max(np.abs(x).max() for x in jax.tree.leaves(exact)) > 0.01


@pytest.mark.compiles
@pytest.mark.parametrize("seed", range(2))
def test_its_expected_step_is_the_policy_gradient(seed):
    # With rewards times their chance, a mean over all trajectories is an expectation. There is no baseline yet.
    with jax.enable_x64(True):
        key, task_key = jax.random.split(jax.random.key(seed))
        task, learner = PROBLEM.train.draw(task_key), random_learner(key)
        silent = jax.tree.map(jnp.zeros_like, learner.network.critic)
        learner = dataclasses.replace(learner, network=dataclasses.replace(learner.network, critic=silent))
        learner = dataclasses.replace(learner, returns=dataclasses.replace(learner.returns, mean=jnp.zeros(())))
        experience, weights = program(window)(learner, task)
        experience = dataclasses.replace(experience, reward=experience.reward * weights[None])
        adapt = quick_jit(lambda agent: LEARNER.adapt(META, agent, experience, key))
        stepped = adapt(AgentState(learner, None)).adapted
        assert_same_gradient(*slopes(learner, stepped, task))


@pytest.mark.compiles
def test_a_baseline_changes_no_expectation():
    # Here V is anything but 0, and each trajectory's lesson counts with its chance.
    with jax.enable_x64(True):
        key, task_key = jax.random.split(jax.random.key(0))
        task, learner = PROBLEM.train.draw(task_key), random_learner(key)
        experience, weights = program(window)(learner, task)

        def step(learner):
            batch = actor_critic.make_batch(LEARNER, learner, experience, discount=1.0, gae_lambda=1.0)
            batch = dataclasses.replace(batch, advantage=batch.advantage * weights[None])
            return actor_critic.descend(actor_critic.adam(LEARNER), learner, learner.returns, batch, entropy_cost=0.0)

        values = learner.values(jnp.arange(STATES, dtype=jnp.int32))
        assert np.ptp(np.asarray(values)) > 0.5
        assert_same_gradient(*slopes(learner, quick_jit(step)(learner), task))


@pytest.mark.compiles
def test_returns_go_on_after_a_time_limit_by_what_v_says():
    # γ = ½, V = 8 everywhere: G₁ = r₁ + 4, G₀ = r₀ + G₁/2; with "end" there is nothing after the limit.
    rewards = jnp.asarray([[1.0], [2.0]])
    state = jnp.zeros((2, 1), jnp.int32)
    no = jnp.zeros((2, 1), bool)
    last = jnp.asarray([[False], [True]])
    experience = Transition(TimeStep(state, state, rewards, no), state, rewards, no, last, state,
                            {"log_prob": jnp.zeros((2, 1))}, ~no)  # fmt: skip
    for time_limits, targets in (("bootstrap", [4.0, 6.0]), ("end", [2.0, 2.0])):
        learner = dataclasses.replace(LEARNER, discount=0.5, time_limits=time_limits)
        fresh = learner.begin(META, jax.random.key(0)).adapted
        fresh = dataclasses.replace(fresh, returns=Moments(jnp.asarray(1.0), jnp.asarray(8.0), jnp.asarray(0.0)))
        batch = actor_critic.make_batch(learner, fresh, experience, discount=0.5, gae_lambda=1.0)
        np.testing.assert_allclose(batch.target[:, 0], targets, rtol=1e-6)
