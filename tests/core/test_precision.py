import jax
import jax.numpy as jnp

from adaptax.core.precision import in_single_precision


@in_single_precision
def halves(x, *, times=1):
    """Half of it, so many times."""
    return jnp.asarray(x) / 2.0**times


def test_what_is_computed_inside_is_in_single_precision_in_a_64_bit_program_too():
    with jax.enable_x64(True):
        assert jnp.asarray(1.0).dtype == jnp.float64
        assert halves(3.0, times=2).dtype == jnp.float32
        assert jnp.asarray(1.0).dtype == jnp.float64
    assert halves(3.0).dtype == jnp.float32


def test_it_is_the_same_function_to_its_callers():
    assert halves.__doc__ == "Half of it, so many times."
    assert float(halves(3.0, times=2)) == 0.75
