"""An algorithm without an outer loop: its state never changes."""

import jax
import jax.numpy as jnp

from adaptax.algorithms.classical.bandit_agents import ThompsonSampling
from adaptax.algorithms.classical.random import Random
from adaptax.core.types import AgentState
from adaptax.problems.bandit import bernoulli_bandit


def test_the_only_state_is_what_it_was_told_and_updates_leave_it_alone(key):
    problem, agent = bernoulli_bandit(3, 4), ThompsonSampling()
    state = agent.init(problem, key)
    assert state.meta.num_arms == 3
    assert state.opt_state is None
    assert int(state.step) == 0
    assert state.key is key
    after, metrics = agent.update(problem, state)
    assert after is state
    assert metrics == {}


def test_adapting_is_the_identity_and_a_window_is_a_whole_trial(key):
    problem, agent = bernoulli_bandit(3, 4), Random()
    before = AgentState(None, jnp.arange(3))
    assert agent.adapt(agent.describe(problem), before, None, key) is before
    window = agent.window(problem)
    assert (window.num_envs, window.steps) == (1, 4)


def test_a_state_is_a_pytree_of_arrays(key):
    state = ThompsonSampling().init(bernoulli_bandit(3, 4), key)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
