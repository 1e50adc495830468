import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.networks.context import ContextEncoder, ExactSum, Factors, in_one_order, kl_from_prior
from tests.sample_problems import quick_jit, same

RNG = np.random.default_rng(0)


def test_a_product_with_the_prior_by_hand():
    # Precisions 1 + 2 + 1 = 4; weighted means 6 + 2 = 8: N(2, 1/4).
    mean, variance = Factors(jnp.asarray([[2.0], [1.0]]), jnp.asarray([[6.0], [2.0]])).product()
    np.testing.assert_array_equal((mean, variance), ([2.0], [0.25]))


def test_the_product_of_nothing_is_the_prior():
    mean, variance = Factors(jnp.zeros((0, 3)), jnp.zeros((0, 3))).product()
    np.testing.assert_array_equal(mean, [0.0] * 3)
    np.testing.assert_array_equal(variance, [1.0] * 3)
    assert kl_from_prior(mean, variance) == 0.0


def test_the_divergence_from_the_prior_by_hand():
    # ½ (¼ + 4 − 1 − log ¼) + 0
    found = kl_from_prior(jnp.asarray([2.0, 0.0]), jnp.asarray([0.25, 1.0]))
    np.testing.assert_allclose(found, 0.5 * (3.25 + np.log(4)), rtol=1e-6)


def test_exact_sums_are_the_sums():
    numbers = np.round(RNG.normal(size=(1000, 2)) * 100 * 2**15) / 2**15
    found = ExactSum.zero(2).add(jnp.asarray(numbers, jnp.float32))
    exact = np.sum(np.asarray(jnp.asarray(numbers, jnp.float32), np.float64), 0)
    np.testing.assert_allclose(found.value, exact, atol=2.0**-15 * 1000, rtol=1e-6)
    assert ((np.asarray(found.part) >= 0) & (np.asarray(found.part) < 2**15)).all()


def test_exact_sums_hold_what_is_large_and_what_is_negative():
    many = jnp.full((2**16, 1), -(2.0**15))
    assert ExactSum.zero(1).add(many).value[0] == -(2.0**31)
    assert ExactSum.zero(1).add(jnp.asarray([[-0.25], [0.125]])).value[0] == -0.125


def test_exact_sums_do_not_depend_on_the_order_or_on_windows():
    numbers = jnp.asarray(RNG.normal(size=(300, 3)) * 10.0 ** RNG.integers(-3, 4, (300, 1)), jnp.float32)
    plain = {float(jnp.sum(numbers[RNG.permutation(300)][:, 0])) for _ in range(5)}
    at_once = ExactSum.zero(3).add(numbers)
    shuffled = numbers[RNG.permutation(300)]
    in_parts = ExactSum.zero(3).add(shuffled[:7]).add(shuffled[7:200]).add(shuffled[200:])
    assert same(at_once, in_parts)
    assert len(plain) > 1  # what it is for


def _posterior(encoder):
    def run(context, valid):
        factors = encoder(*in_one_order(context, valid))
        zero = ExactSum.zero(2)
        return zero.add(factors.precision), zero.add(factors.weighted)

    return quick_jit(run)


def test_permuted_context_changes_no_bit():
    encoder = ContextEncoder(5, (16, 16), 2, jax.random.key(0))
    run = _posterior(encoder)
    context = jnp.asarray(RNG.normal(size=(23, 5)), jnp.float32)
    valid = jnp.asarray(RNG.uniform(size=23) < 0.8)
    first = run(context, valid)
    assert float(jnp.abs(first[1].value).max()) > 0.1
    for _ in range(5):
        order = RNG.permutation(23)
        assert same(first, run(context[order], valid[order]))


def test_what_is_not_valid_says_nothing():
    encoder = ContextEncoder(5, (16,), 2, jax.random.key(0))
    context = jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32)
    valid = jnp.asarray([True, False, True, True, False, False])
    other = jnp.where(valid[:, None], context, 1e6)
    assert same(encoder(*in_one_order(context, valid)), encoder(*in_one_order(other, valid)))
    for x, y in zip(encoder(context, valid).product(), encoder(context[valid], valid[valid]).product(), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)


@pytest.mark.parametrize("number", [1, 4])
def test_one_order_keeps_all_steps(number):
    context = jnp.asarray(RNG.normal(size=(number, 3)), jnp.float32)
    ordered, valid = in_one_order(context, jnp.ones(number, bool))
    assert valid.all()
    np.testing.assert_array_equal(np.sort(ordered, 0), np.sort(context, 0))
