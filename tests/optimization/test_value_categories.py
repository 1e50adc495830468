"""Values as categories: what is there and back again, and losses by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.optimization.value_categories import ValueCategories, symexp, symlog

FIVE = ValueCategories(5, math.e**2 - 1)  # symlog: −2, −1, 0, 1, 2


def test_symlog_by_hand_and_back():
    x = jnp.asarray([0.0, math.e - 1, -(math.e**3 - 1)])
    np.testing.assert_allclose(symlog(x), [0, 1, -3], rtol=1e-6)
    np.testing.assert_allclose(symexp(symlog(x)), x, rtol=1e-5)


def test_bins_are_even_on_the_scale_of_logarithms_and_the_middle_is_0():
    np.testing.assert_allclose(FIVE.values, [1 - math.e**2, 1 - math.e, 0, math.e - 1, math.e**2 - 1], rtol=1e-6)
    assert ValueCategories(101, 100.0).values[50] == 0.0


def test_weights_by_hand():
    # A quarter of the way from 0 to e − 1; a bin's own value; beyond the last.
    weights = FIVE.two_hot(jnp.asarray([0.25 * (math.e - 1), 1 - math.e, 1e9, -1e9]))
    expected = [[0, 0, 0.75, 0.25, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]
    np.testing.assert_allclose(weights, expected, atol=1e-6)


@pytest.mark.parametrize("categories", [FIVE, ValueCategories(101, 100.0), ValueCategories(3, 1.0)])
def test_values_are_there_and_back_again(categories):
    bound = categories.values[-1]
    values = jnp.asarray(np.random.default_rng(0).uniform(-bound, bound, 200), jnp.float32)
    weights = categories.two_hot(values)
    np.testing.assert_allclose(jnp.sum(weights, -1), 1, rtol=1e-6)
    assert (np.count_nonzero(np.asarray(weights), axis=-1) <= 2).all()
    back = categories.mean(jnp.log(jnp.maximum(weights, 1e-30)))
    np.testing.assert_allclose(back, values, rtol=1e-4, atol=1e-4 * bound)


def test_equal_logits_stand_for_0():
    np.testing.assert_allclose(ValueCategories(101, 100.0).mean(jnp.zeros((2, 101))), 0, atol=1e-4)


def test_the_loss_by_hand_and_its_gradient():
    logits, target = jnp.log(jnp.asarray([0.1, 0.2, 0.4, 0.2, 0.1])), jnp.asarray(0.25 * (math.e - 1))
    expected = -(0.75 * math.log(0.4) + 0.25 * math.log(0.2))
    np.testing.assert_allclose(FIVE.loss(logits, target), expected, rtol=1e-6)
    slope = jax.grad(FIVE.loss)(logits, target)
    np.testing.assert_allclose(slope, [0.1, 0.2, 0.4 - 0.75, 0.2 - 0.25, 0.1], atol=1e-6)
    assert jax.grad(FIVE.loss, 1)(logits, target) == 0.0


def test_what_it_learns_is_the_mean_of_targets():
    # The cross-entropy is least where categories are the mean of the targets' weights.
    targets = jnp.asarray([0.5, 3.0, -1.0])
    weights = jnp.mean(FIVE.two_hot(targets), 0)
    np.testing.assert_allclose(FIVE.mean(jnp.log(weights)), jnp.mean(targets), rtol=1e-5)
