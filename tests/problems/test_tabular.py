"""Random tabular MDPs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from adaptax.problems import tabular_mdp
from adaptax.problems.tabular import TabularTask
from tests.claims.oracles import best_of_all_policies


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_is_the_best_of_all_policies(seed):
    family = tabular_mdp(num_states=2, num_actions=3, horizon=3).test
    task = family.sample(jax.random.key(seed))
    assert float(family.oracle(task)) == pytest.approx(best_of_all_policies(task, 3), rel=1e-5)


def test_the_oracle_by_hand():
    # Action 1 of state 0 costs 1 and leads to state 1, where every step earns 2.
    move = [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]
    task = TabularTask(jnp.asarray([[0.5, -1.0], [2.0, 2.0]]), jnp.asarray(move))
    values = [float(tabular_mdp(2, 2, horizon).test.oracle(task)) for horizon in (1, 2, 3)]
    assert values == [0.5, 1.0, 3.0]


@pytest.mark.compiles
def test_means_and_transitions_are_as_published():
    tasks = jax.vmap(tabular_mdp(4, 3).train.sample)(jax.random.split(jax.random.key(0), 256))
    assert stats.kstest(np.asarray(tasks.rewards).ravel(), "norm", (1, 1)).pvalue > 6e-5
    np.testing.assert_allclose(np.asarray(tasks.transitions).sum(-1), 1, rtol=1e-5)
    # Each entry of a flat Dirichlet of 4 is Beta(1, 3); entries of a row depend on each other, rows do not.
    assert stats.kstest(np.asarray(tasks.transitions)[..., 0].ravel(), "beta", (1, 3)).pvalue > 6e-5


@pytest.mark.compiles
def test_transitions_of_shifted_tasks_are_nearer_to_deterministic():
    family = tabular_mdp(5, 3).shifted
    tasks = jax.jit(jax.vmap(family.sample))(jax.random.split(jax.random.key(0), 512))
    transitions = np.asarray(tasks.transitions, float)
    assert np.all(np.isfinite(transitions))
    np.testing.assert_allclose(transitions.sum(-1), 1, rtol=1e-5)
    # Each entry of a Dirichlet(.1) of 5 is Beta(.1, .4); entries of a row depend on each other, rows do not.
    for state in (0, 4):
        assert stats.kstest(transitions[..., state].ravel(), "beta", (0.1, 0.4)).pvalue > 6e-5
    # Two entries covary by −α² / (α₀² (α₀ + 1)), α₀ = .5; their product has mean α² / (α₀ (α₀ + 1)).
    products = transitions[..., 1] * transitions[..., 2]
    assert abs(products.mean() - 0.01 / 0.75) < 4 * products.std() / products.size**0.5
    assert stats.kstest(np.asarray(tasks.rewards).ravel(), "norm", (1, 1)).pvalue > 6e-5


@pytest.mark.compiles
@pytest.mark.parametrize(("split", "likeliest"), [("train", 0.29), ("shifted", 0.67)])
def test_how_likely_the_likeliest_transition_is(split, likeliest):
    tasks = jax.jit(jax.vmap(getattr(tabular_mdp(), split).sample))(jax.random.split(jax.random.key(0), 512))
    largest = np.asarray(tasks.transitions).max(-1).ravel()
    assert abs(largest.mean() - likeliest) < 0.005 + 4 * largest.std() / largest.size**0.5


def test_the_oracle_of_shifted_tasks_is_the_best_of_all_policies():
    family = tabular_mdp(num_states=2, num_actions=3, horizon=3).shifted
    task = family.sample(jax.random.key(0))
    assert float(family.oracle(task)) == pytest.approx(best_of_all_policies(task, 3), rel=1e-5)


def test_steps_follow_the_tables():
    env = tabular_mdp(3, 2).env
    row = jnp.asarray([0.2, 0.0, 0.8])
    task = TabularTask(jnp.asarray([[0.0, 0.0], [0.0, 5.0], [0.0, 0.0]]), jnp.tile(row, (3, 2, 1)))
    keys = jax.random.split(jax.random.key(1), 4096)
    step = jax.vmap(lambda key: env.step(jnp.asarray(1, jnp.int32), jnp.asarray(1), task, key))(keys)
    frequency = np.bincount(np.asarray(step.observation), minlength=3) / 4096
    assert frequency[1] == 0
    assert abs(frequency[0] - 0.2) < 4 * (0.16 / 4096) ** 0.5
    assert stats.kstest(np.asarray(step.reward), "norm", (5, 1)).pvalue > 6e-5


def test_E20_where_a_step_leads_does_not_depend_on_the_luck_of_its_reward():
    # With one key for both, each by itself would be as published, and the luckier steps lead to the later state.
    env = tabular_mdp(2, 1).env
    task = TabularTask(jnp.zeros((2, 1)), jnp.full((2, 1, 2), 0.5))
    keys = jax.random.split(jax.random.key(1), 4096)
    step = jax.vmap(lambda key: env.step(jnp.asarray(0, jnp.int32), jnp.asarray(0), task, key))(keys)
    table = np.histogram2d(np.asarray(step.reward) > 0, np.asarray(step.observation), bins=2)[0]
    assert stats.chi2_contingency(table).pvalue > 6e-5


def test_rounding_never_leads_out_of_the_state_space():
    env = tabular_mdp(3, 2).env
    task = TabularTask(jnp.zeros((3, 2)), jnp.full((3, 2, 3), 0.3))
    keys = jax.random.split(jax.random.key(1), 1024)
    step = jax.vmap(lambda key: env.step(jnp.asarray(0, jnp.int32), jnp.asarray(0), task, key))(keys)
    frequency = np.bincount(np.asarray(step.observation), minlength=3) / 1024
    assert len(frequency) == 3
    assert abs(frequency[2] - 0.4) < 4 * (0.24 / 1024) ** 0.5


def test_every_episode_starts_in_state_0():
    problem = tabular_mdp()
    state, observation = problem.env.reset(problem.test.sample(jax.random.key(0)), jax.random.key(1))
    assert (int(state), int(observation)) == (0, 0)
    assert (problem.episodes, problem.trial_steps) == (10, 100)
