"""Surrogates by hand; their expected second derivatives are in tests/claims/test_sampling.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.gradient.settings import Estimator
from adaptax.optimization.estimators import (
    ESTIMATORS,
    dice,
    loaded_dice,
    low_variance_curvature,
    magic_box,
    policy_gradient,
)

LOG_PROBS = jnp.log(jnp.asarray([[0.5, 0.2], [0.25, 0.7], [0.8, 0.1]]))
OLD = jnp.log(jnp.asarray([[0.25, 0.2], [0.5, 0.7], [0.8, 0.2]]))
ADVANTAGES = jnp.asarray([[1.0, -2.0], [3.0, 0.5], [-1.0, 2.0]])


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("gae_lambda", [1.0, 0.3])
def test_all_have_the_policy_gradient_where_the_policy_acted(name, gae_lambda):
    total = lambda x: jnp.sum(ESTIMATORS[name](x, LOG_PROBS, ADVANTAGES, gae_lambda))  # noqa: E731
    np.testing.assert_allclose(jax.grad(total)(LOG_PROBS), ADVANTAGES, rtol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1), (3, 5)])
def test_E1c_the_magic_box_is_one_and_has_the_derivatives_of_its_argument(shape):
    x = 10 * jax.random.normal(jax.random.key(0), shape)
    np.testing.assert_array_equal(magic_box(x), np.ones(shape))
    square = lambda x: magic_box(x**2)  # noqa: E731
    np.testing.assert_allclose(jax.grad(lambda x: square(x).sum())(x), 2 * x, rtol=1e-6)
    second = jax.vmap(jax.grad(jax.grad(square)))(x.ravel())
    np.testing.assert_allclose(second, 2 + 4 * x.ravel() ** 2, rtol=1e-5)  # □'' = x'' + x'²


def test_E1_second_derivatives_written_out():
    # Of Σ_t surrogate_t by log π_t and log π_u, one episode of three steps:
    #   policy-gradient  0;   LVC  A_t where t = u;
    #   dice             each reward's weight is a product over the steps before it, so min(t, u) pays: A_max(t, u).
    log_probs, advantages = LOG_PROBS[:, 0], ADVANTAGES[:, 0]

    def hessian(estimator, *gae_lambda):
        return jax.hessian(lambda x: jnp.sum(estimator(x, log_probs, advantages, *gae_lambda)))(log_probs)

    np.testing.assert_array_equal(hessian(policy_gradient), np.zeros((3, 3)))
    np.testing.assert_allclose(hessian(low_variance_curvature), np.diag(advantages), rtol=1e-6)
    a = np.asarray(advantages)
    later = np.asarray([[a[0], a[1], a[2]], [a[1], a[1], a[2]], [a[2], a[2], a[2]]])
    np.testing.assert_allclose(hessian(dice), later, rtol=1e-6)
    np.testing.assert_allclose(hessian(loaded_dice, 1.0), later, rtol=1e-6)
    discount = np.asarray([[1, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 1]])
    np.testing.assert_allclose(hessian(loaded_dice, 0.5), later * discount, rtol=1e-6)


@pytest.mark.compiles
def test_dice_is_the_papers_up_to_a_constant():
    # Foerster et al.'s Σ_t □(Σ_{t' ≤ t} log π_t') r_t, against rewards to go as advantages: same derivatives.
    rewards = ADVANTAGES
    to_go = jnp.cumsum(rewards[::-1], 0)[::-1]
    papers = lambda x: jnp.sum(magic_box(jnp.cumsum(x, 0)) * rewards)  # noqa: E731
    ours = lambda x: jnp.sum(dice(x, LOG_PROBS, to_go))  # noqa: E731
    assert ours(LOG_PROBS) == 0
    np.testing.assert_allclose(papers(LOG_PROBS), rewards.sum(), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(ours)(LOG_PROBS), jax.grad(papers)(LOG_PROBS), rtol=1e-5)
    np.testing.assert_allclose(jax.hessian(ours)(LOG_PROBS), jax.hessian(papers)(LOG_PROBS), rtol=1e-5, atol=1e-6)


def test_lvc_corrects_for_who_acted():
    found = low_variance_curvature(LOG_PROBS, OLD, ADVANTAGES)
    np.testing.assert_allclose(found, np.asarray([[2, 1], [0.5, 1], [1, 0.5]]) * ADVANTAGES, rtol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("name", ESTIMATORS)
def test_steps_that_did_not_happen_have_no_part(name):
    # Steps after an early end have log-probability and advantage 0.
    padded = lambda x: jnp.concatenate([x, jnp.zeros((2, 2))])  # noqa: E731
    short = lambda x: jnp.sum(ESTIMATORS[name](x, OLD, ADVANTAGES, 0.7))  # noqa: E731
    long = lambda x: jnp.sum(ESTIMATORS[name](padded(x), padded(OLD), padded(ADVANTAGES), 0.7))  # noqa: E731
    np.testing.assert_allclose(long(LOG_PROBS), short(LOG_PROBS), rtol=1e-6)
    np.testing.assert_allclose(jax.hessian(long)(LOG_PROBS), jax.hessian(short)(LOG_PROBS), rtol=1e-6)


def test_estimators_of_the_settings_are_those_that_there_are():
    assert set(Estimator.__args__) == set(ESTIMATORS)
