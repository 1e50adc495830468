"""Bernoulli bandits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from adaptax.problems import bernoulli_bandit
from adaptax.problems.bandit import BernoulliArms


def test_an_arm_pays_one_with_its_own_probability():
    env = bernoulli_bandit(3, 1).env
    task = BernoulliArms(jnp.asarray([0.0, 0.3, 1.0]))
    keys = jax.random.split(jax.random.key(0), 4096)
    pull = jax.jit(jax.vmap(lambda arm, key: env.step(None, arm, task, key).reward, (None, 0)))
    rewards = [np.asarray(pull(jnp.asarray(arm), keys)) for arm in range(3)]
    assert set(rewards[1]) == {0.0, 1.0}
    assert rewards[0].max() == 0
    assert rewards[2].min() == 1
    assert abs(rewards[1].mean() - 0.3) < 4 * (0.3 * 0.7 / 4096) ** 0.5


def test_a_pull_is_an_episode_without_state_or_observation():
    problem = bernoulli_bandit(3, 8)
    assert problem.episodes == problem.trial_steps == 8
    state, observation = problem.env.reset(None, jax.random.key(0))
    assert state is None
    assert observation.shape == (0,)
    task = problem.test.sample(jax.random.key(0))
    assert bool(problem.env.step(None, jnp.asarray(0), task, jax.random.key(1)).terminated)


def test_success_probabilities_are_uniform():
    family = bernoulli_bandit(4, 1).train
    p = np.asarray(jax.vmap(family.sample)(jax.random.split(jax.random.key(3), 1024)).probabilities).ravel()
    counts = np.histogram(p, 10, (0, 1))[0]
    # Chi-square with 9 degrees of freedom: mean 9, variance 18.
    assert ((counts - 409.6) ** 2 / 409.6).sum() < 9 + 4 * 18**0.5


def test_all_arms_of_shifted_tasks_are_poor():
    family = bernoulli_bandit(4, 1).shifted
    tasks = jax.vmap(family.sample)(jax.random.split(jax.random.key(3), 1024))
    p = np.asarray(tasks.probabilities, float)
    assert p.max() < 0.3 + 1e-6
    assert stats.kstest(p.ravel() / 0.3, "uniform").pvalue > 6e-5  # four standard errors
    np.testing.assert_array_equal(jax.vmap(family.oracle)(tasks), p.max(1))


def test_the_oracle_pulls_the_best_arm():
    oracle = bernoulli_bandit(3, 1).test.oracle(BernoulliArms(jnp.asarray([0.2, 0.7, 0.4])))
    assert oracle == jnp.asarray(0.7)


def test_the_optimum_is_known_for_one_arm_and_for_two():
    assert bernoulli_bandit(1, 3).optimum == (0.5, 0.5, 0.5)
    assert sum(bernoulli_bandit(2, 2).optimum) == pytest.approx(13 / 12)
    assert bernoulli_bandit(2, 51).optimum is None
    assert bernoulli_bandit(3, 2).optimum is None
