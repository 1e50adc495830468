"""Gaussian bandits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from adaptax.problems import gaussian_bandit
from adaptax.problems.gaussian_bandits import GaussianArms


def test_rewards_are_normal_around_the_arms_mean():
    env = gaussian_bandit(2, 1, noise=0.5).env
    task = GaussianArms(jnp.asarray([-1.0, 2.0]))
    keys = jax.random.split(jax.random.key(0), 4096)
    rewards = jax.vmap(lambda key: env.step(None, jnp.asarray(1), task, key).reward)(keys)
    assert stats.kstest(np.asarray(rewards), "norm", (2.0, 0.5)).pvalue > 6e-5  # four standard errors


def test_without_noise_a_reward_is_the_mean():
    env = gaussian_bandit(2, 1, noise=0.0).env
    step = env.step(None, jnp.asarray(0), GaussianArms(jnp.asarray([-1.0, 2.0])), jax.random.key(0))
    assert step.reward == -1
    assert bool(step.terminated)


def test_means_are_standard_normal_and_the_oracle_takes_the_highest():
    family = gaussian_bandit(5, 1).train
    tasks = jax.vmap(family.sample)(jax.random.split(jax.random.key(1), 1024))
    assert stats.kstest(np.asarray(tasks.means).ravel(), "norm").pvalue > 6e-5
    np.testing.assert_array_equal(jax.vmap(family.oracle)(tasks), np.asarray(tasks.means).max(1))
    # The expected maximum of 5 standard normals is 1.16296, its variance .4475.
    assert abs(np.asarray(tasks.means).max(1).mean() - 1.16296) < 4 * (0.4475 / 1024) ** 0.5


def test_means_of_shifted_tasks_are_three_times_as_far_apart():
    family = gaussian_bandit(5, 1).shifted
    tasks = jax.vmap(family.sample)(jax.random.split(jax.random.key(1), 1024))
    assert stats.kstest(np.asarray(tasks.means).ravel(), "norm", (0, 3)).pvalue > 6e-5
    np.testing.assert_array_equal(jax.vmap(family.oracle)(tasks), np.asarray(tasks.means).max(1))


def test_noise_cannot_be_negative():
    with pytest.raises(ValueError, match=r"noise.*-1"):
        gaussian_bandit(noise=-1.0)
