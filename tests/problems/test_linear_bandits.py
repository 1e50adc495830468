import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from adaptax.problems import linear_bandit
from adaptax.problems.linear_bandits import LinearReward, conjugate_posterior, optimal_rewards

RNG = np.random.default_rng(0)


def test_the_posterior_of_one_number_by_hand():
    # σ = 2, actions 1 and −1/2, rewards 3 and 4: precision 1 + (1 + ¼)/4 = 21/16, weighted mean (3 − 2)/4 = 1/4.
    mean, covariance = conjugate_posterior(np.asarray([[1.0], [-0.5]]), np.asarray([3.0, 4.0]), 2.0)
    np.testing.assert_allclose(covariance, [[16 / 21]])
    np.testing.assert_allclose(mean, [4 / 21])


def test_the_posterior_one_pull_after_the_other():
    # Sherman and Morrison's formula, a Kalman filter's step, from N(0, I).
    features, rewards, noise = RNG.normal(size=(7, 3)), RNG.normal(size=7), 0.7
    mean, covariance = np.zeros(3), np.eye(3)
    for x, r in zip(features, rewards, strict=True):
        gain = covariance @ x / (noise**2 + x @ covariance @ x)
        mean, covariance = mean + gain * (r - x @ mean), covariance - np.outer(gain, x @ covariance)
    found = conjugate_posterior(features, rewards, noise)
    np.testing.assert_allclose(found[0], mean, atol=1e-12)
    np.testing.assert_allclose(found[1], covariance, atol=1e-12)


def test_the_posterior_of_nothing_is_the_prior():
    mean, covariance = conjugate_posterior(np.zeros((0, 2)), np.zeros(0), 1.0)
    np.testing.assert_array_equal(mean, np.zeros(2))
    np.testing.assert_array_equal(covariance, np.eye(2))


def test_rewards_are_linear_in_the_action():
    env = linear_bandit(2, 1, noise=0.5).env
    task = LinearReward(jnp.asarray([1.0, -2.0]))
    state, seen = env.reset(task, jax.random.key(0))
    assert seen.shape == (0,)
    keys = jax.random.split(jax.random.key(1), 4096)
    rewards = jax.vmap(lambda key: env.step(state, jnp.asarray([0.5, 1.0]), task, key).reward)(keys)
    assert stats.kstest(np.asarray(rewards), "norm", (-1.5, 0.5)).pvalue > 6e-5  # four standard errors
    beyond = linear_bandit(1, 1, noise=0.0).env
    assert beyond.step(state, jnp.asarray([7.0]), LinearReward(jnp.asarray([3.0])), keys[0]).reward == 3.0


@pytest.mark.parametrize("contexts", ["axes", "sphere"])
def test_contexts_are_directions_and_are_multiplied_with_the_action(contexts):
    env = linear_bandit(3, 1, noise=0.0, contexts=contexts).env
    task = LinearReward(jnp.asarray([1.0, -2.0, 4.0]))
    keys = jax.random.split(jax.random.key(1), 500)
    states, seen = jax.vmap(lambda key: env.reset(task, key))(keys)
    np.testing.assert_array_equal(states, seen)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1, rtol=1e-5)
    assert np.abs(np.mean(seen, 0) - (1 / 3 if contexts == "axes" else 0)).max() < 4 * 0.5 / 500**0.5
    rewards = jax.vmap(lambda state: env.step(state, jnp.asarray([-0.5]), task, keys[0]).reward)(states)
    np.testing.assert_allclose(rewards, -0.5 * np.asarray(seen) @ np.asarray(task.weights), atol=1e-5)


@pytest.mark.parametrize(
    ("dimension", "contexts", "expected"),
    [(2, "none", 3.0), (2, "axes", 1.5), (2, "sphere", math.sqrt(5) * 2 / math.pi), (1, "sphere", 1.0)],
)
def test_oracles_by_hand(dimension, contexts, expected):
    # On a circle the mean of |cos| is 2/π.
    task = LinearReward(jnp.asarray([1.0, -2.0][:dimension]))
    np.testing.assert_allclose(linear_bandit(dimension, 1, contexts=contexts).test.oracle(task), expected, rtol=1e-6)


@pytest.mark.parametrize(("dimension", "contexts"), [(1, "none"), (3, "axes")])
def test_the_optimum_is_what_acting_by_the_exact_posterior_earns(dimension, contexts):
    pulls, noise, trials = 6, 0.8, 40_000
    problem = linear_bandit(dimension, pulls, noise=noise, contexts=contexts)
    weights = RNG.normal(size=(trials, dimension))
    precision, weighted = np.ones((trials, dimension)), np.zeros((trials, dimension))
    for pull in range(pulls):
        axis = RNG.integers(dimension, size=trials)
        rows = np.arange(trials)
        action = np.where(weighted[rows, axis] >= 0, 1.0, -1.0)
        earned = action * weights[rows, axis]
        observed = earned + noise * RNG.normal(size=trials)
        precision[rows, axis] += 1 / noise**2
        weighted[rows, axis] += action * observed / noise**2
        assert abs(earned.mean() - problem.optimum[pull]) < 4 * earned.std() / trials**0.5
    assert problem.optimum == optimal_rewards(dimension, pulls, noise)


def test_there_is_no_optimum_where_none_is_known():
    assert linear_bandit(2, 3).optimum is None
    assert linear_bandit(2, 3, contexts="sphere").optimum is None


def test_the_first_pull_knows_nothing_and_the_last_nearly_all():
    optimum = linear_bandit(1, 1000).optimum
    assert optimum[0] == 0
    assert abs(optimum[-1] - math.sqrt(2 / math.pi)) < 1e-3


def test_what_is_none_is_refused():
    with pytest.raises(ValueError, match=r"contexts.*'cube'"):
        linear_bandit(contexts="cube")
    with pytest.raises(ValueError, match=r"noise.*-1"):
        linear_bandit(noise=-1.0)
