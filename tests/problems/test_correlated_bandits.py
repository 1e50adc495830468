"""Bandits with p₂ = 1 − p₁."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from adaptax.problems import bernoulli_bandit, correlated_bandit


def probabilities(problem, split="train", num_tasks=512):
    keys = jax.random.split(jax.random.key(0), num_tasks)
    return np.asarray(jax.vmap(getattr(problem, split).sample)(keys).probabilities)


@pytest.mark.parametrize(("variant", "low"), [("easy", 0.1), ("medium", 0.25), ("hard", 0.4)])
def test_the_finite_variants_have_two_tasks_with_equal_chances(variant, low):
    problem = correlated_bandit(variant, 5)
    assert problem.train.finite == 2
    p = probabilities(problem)
    np.testing.assert_allclose(np.unique(p, axis=0), [[low, 1 - low], [1 - low, low]], rtol=1e-6)
    assert abs((p[:, 0] < 0.5).mean() - 0.5) < 4 * 0.5 / 512**0.5


def test_the_uniform_variant_has_complementary_arms():
    p = probabilities(correlated_bandit("uniform", 5), "test")
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert abs(p[:, 0].mean() - 0.5) < 4 * (1 / 12 / 512) ** 0.5
    assert abs(p[:, 0].var() - 1 / 12) < 4 * (1 / 180 / 512) ** 0.5


def test_the_control_has_independent_arms():
    problem = correlated_bandit("independent", 5)
    independent = bernoulli_bandit(2, 5)
    assert problem == dataclasses.replace(independent, shifted=problem.shifted, shift=problem.shift)
    p = probabilities(problem)
    assert abs(np.corrcoef(p.T)[0, 1]) < 4 / 512**0.5


@pytest.mark.parametrize("variant", ["uniform", "easy", "medium", "hard"])
def test_shifted_arms_are_independent(variant):
    p = probabilities(correlated_bandit(variant, 5), "shifted")
    assert abs(np.corrcoef(p.T)[0, 1]) < 4 / 512**0.5
    assert stats.kstest(p.ravel(), "uniform").pvalue > 6e-5  # four standard errors


def test_the_controls_shifted_arms_are_correlated():
    p = probabilities(correlated_bandit("independent", 5), "shifted")
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert stats.kstest(p[:, 0], "uniform").pvalue > 6e-5


def test_the_oracle_knows_the_better_arm():
    family = correlated_bandit("easy", 5).test
    assert family.oracle(family.draw(jax.random.key(0))) == jnp.asarray(0.9)


def brute_force(prior, num_pulls):
    """Best expected return by full expectimax over histories; `prior` is a list of (p1, weight)."""

    def value(beliefs, left):
        if left == 0:
            return 0.0
        best = -1.0
        for arm in range(2):
            total = 0.0
            for reward in range(2):
                chances = [p if arm == 0 else 1 - p for p, _ in beliefs]
                after = [(p, w * (c if reward else 1 - c)) for (p, w), c in zip(beliefs, chances, strict=True)]
                mass = sum(w for _, w in after)
                total += reward * mass + value(after, left - 1)
            best = max(best, total)
        return best

    return value(prior, num_pulls)


@pytest.mark.parametrize(("variant", "low"), [("easy", 0.1), ("medium", 0.25), ("hard", 0.4)])
def test_the_optimum_is_that_of_expectimax_over_all_histories(variant, low):
    for num_pulls in (1, 2, 4):
        optimum = correlated_bandit(variant, num_pulls).optimum
        assert sum(optimum) == pytest.approx(brute_force([(low, 0.5), (1 - low, 0.5)], num_pulls), abs=1e-12)


def test_the_uniform_optimum_by_hand():
    # After the first pull the better arm has posterior mean 2/3; after two, 3/4 or (with chance 1/3) 1/2.
    np.testing.assert_allclose(correlated_bandit("uniform", 3).optimum, [1 / 2, 2 / 3, 2 / 3], rtol=1e-12)
    # U[0, 1] as a fine mixture of midpoints.
    midpoints = [((i + 0.5) / 200, 1 / 200) for i in range(200)]
    assert sum(correlated_bandit("uniform", 4).optimum) == pytest.approx(brute_force(midpoints, 4), abs=1e-4)


def test_an_unknown_variant_is_refused_by_name():
    with pytest.raises(ValueError, match=r"uniform, easy, medium, hard, independent, got 'eazy'"):
        correlated_bandit("eazy")
