"""Draws follow the distributions that they are named after."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from adaptax.algorithms.classical.sampling import beta, dirichlet, gamma
from tests.sample_problems import quick_jit

DRAWS = 20_000


def test_gamma_follows_its_distribution_and_no_other(key):
    shapes = jnp.asarray([1.0, 1.5, 40.0])
    draws = np.asarray(quick_jit(jax.vmap(lambda key: gamma(key, shapes)))(jax.random.split(key, DRAWS)))
    for column, shape in zip(draws.T, (1.0, 1.5, 40.0), strict=True):
        assert scipy.stats.kstest(column, scipy.stats.gamma(shape).cdf).pvalue > 1e-4
        assert scipy.stats.kstest(column, scipy.stats.gamma(1.1 * shape).cdf).pvalue < 1e-4


def test_beta_follows_its_distribution(key):
    a, b = jnp.asarray([1.0, 3.0]), jnp.asarray([1.0, 7.0])
    draws = np.asarray(quick_jit(jax.vmap(lambda key: beta(key, a, b)))(jax.random.split(key, DRAWS)))
    for column, parameters in zip(draws.T, [(1, 1), (3, 7)], strict=True):
        assert scipy.stats.kstest(column, scipy.stats.beta(*parameters).cdf).pvalue > 1e-4


def test_dirichlet_has_beta_marginals_and_adds_to_one(key):
    concentration = jnp.asarray([[1.0, 2.0, 5.0], [1.0, 1.0, 1.0]])
    draws = np.asarray(quick_jit(jax.vmap(lambda key: dirichlet(key, concentration)))(jax.random.split(key, DRAWS)))
    np.testing.assert_allclose(draws.sum(-1), 1, rtol=1e-5)
    for row, column, parameters in [(0, 0, (1, 7)), (0, 2, (5, 3)), (1, 1, (1, 2))]:
        assert scipy.stats.kstest(draws[:, row, column], scipy.stats.beta(*parameters).cdf).pvalue > 1e-4
