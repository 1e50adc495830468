import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core import parallel
from adaptax.optimization.moments import Moments, no_moments
from tests.sample_problems import quick_jit

RNG = np.random.default_rng(0)
SAMPLES = (RNG.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 5, -3]).astype(np.float32)


def test_moments_of_nothing_normalise_nothing():
    nothing = no_moments((3,))
    np.testing.assert_array_equal(nothing.mean, np.zeros(3))
    np.testing.assert_array_equal(nothing.std, np.ones(3))


def test_batches_join_to_the_moments_of_all():
    moments = no_moments((3,))
    for part in np.split(SAMPLES, [7]):
        moments = moments.observe(jnp.asarray(part))
    assert moments.count == 60
    np.testing.assert_allclose(moments.mean, SAMPLES.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moments.variance, SAMPLES.var(0), rtol=1e-4)
    np.testing.assert_allclose(moments.std, SAMPLES.std(0), rtol=1e-4)


def test_scalars():
    moments = no_moments().observe(jnp.asarray([1.0, 2.0, 6.0]))
    np.testing.assert_allclose([moments.mean, moments.variance], [3.0, 14 / 3], rtol=1e-6)


def test_weight_zero_leaves_out():
    weight = jnp.asarray(RNG.random(60) < 0.5, jnp.float32)
    x = jnp.where(weight[:, None] > 0, jnp.asarray(SAMPLES), 1e6)
    moments = no_moments((3,)).observe(jnp.asarray(SAMPLES[:10])).observe(x, weight)
    expected = np.concatenate([SAMPLES[:10], SAMPLES[np.asarray(weight) > 0]])
    assert moments.count == len(expected)
    np.testing.assert_allclose(moments.mean, expected.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moments.variance, expected.var(0), rtol=1e-4)


def test_a_batch_without_weight_changes_nothing():
    before = no_moments().observe(jnp.asarray([1.0, 3.0]))
    after = before.observe(jnp.asarray([7.0, 8.0]), jnp.zeros(2))
    np.testing.assert_array_equal([after.count, after.mean, after.variance], [2, 2, 1])


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
def test_constant_has_deviation_one(value):
    moments = no_moments().observe(jnp.full(77, value)).observe(jnp.full(5, value))
    assert moments.std == 1.0


def test_std_has_a_finite_gradient_at_a_constant():
    gradient = jax.grad(lambda v: Moments(jnp.ones(()), jnp.ones(()), v).std)(jnp.zeros(()))
    assert jnp.isfinite(gradient)


@pytest.mark.parametrize("weighted", [False, True])
def test_two_devices_agree_with_one(weighted):
    weight = jnp.asarray(RNG.random(60) < 0.4, jnp.float32) if weighted else None
    start = no_moments((3,)).observe(jnp.asarray(SAMPLES[:5]) + 1)

    def observe(x):
        x, w = parallel.local((x, jnp.ones(60) if weight is None else weight))
        return start.observe(x, w if weighted else None)

    one = quick_jit(observe)(jnp.asarray(SAMPLES))
    two = quick_jit(parallel.over_devices(observe, 2))(jnp.asarray(SAMPLES))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
