import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from adaptax import parallel


def _per_device(function):
    """Run on two devices and stack what each returns."""
    mesh = jax.sharding.Mesh(jax.devices()[:2], (parallel.AXIS,))
    stacked = lambda x: jax.tree.map(lambda y: y[None], function(x))  # noqa: E731
    spec = PartitionSpec(parallel.AXIS)
    return jax.jit(jax.shard_map(stacked, mesh=mesh, in_specs=PartitionSpec(), out_specs=spec, check_vma=False))


def test_tests_have_two_devices():
    assert len(jax.devices()) == 2


def test_on_one_device_everything_is_the_identity():
    x = {"a": jnp.arange(6.0)}
    assert parallel.num_devices() == 1
    assert parallel.mean(x) is x
    assert parallel.local(x, 3) is x
    function = lambda x: x  # noqa: E731
    assert parallel.over_devices(function, 1) is function


def test_number_of_devices():
    counts = jax.jit(parallel.over_devices(lambda x: x * parallel.num_devices(), 2))(jnp.ones(()))
    assert counts == 2


@pytest.mark.parametrize(
    ("groups", "shares"),
    [(1, [[0, 1, 2, 3], [4, 5, 6, 7]]), (2, [[0, 1, 4, 5], [2, 3, 6, 7]]), (4, [[0, 2, 4, 6], [1, 3, 5, 7]])],
)
def test_every_group_is_split_evenly(groups, shares):
    x = jnp.arange(8)
    local = _per_device(lambda x: parallel.local({"x": x, "y": x[:, None] * 10}, groups))(x)
    np.testing.assert_array_equal(local["x"], shares)
    np.testing.assert_array_equal(local["y"][..., 0], 10 * np.asarray(shares))


def test_E20_devices_have_different_keys():
    keys = jax.random.split(jax.random.key(0), (8, 2))
    draws = _per_device(lambda keys: jax.vmap(jax.random.uniform)(parallel.local(keys)[:, 0]))(keys)
    assert len(np.unique(draws)) == 8


def test_mean_joins_devices():
    means = _per_device(lambda x: parallel.mean({"x": parallel.local(x).sum()}))(jnp.arange(4.0))
    np.testing.assert_array_equal(means["x"], [3.0, 3.0])  # (0 + 1 and 2 + 3) / 2, on both


def test_gradients_are_joined_once():
    def gradient(weight):
        x = parallel.local(jnp.arange(4.0))
        return parallel.mean(jax.grad(lambda w: jnp.mean(w * x))(weight))

    assert jax.jit(parallel.over_devices(gradient, 2))(jnp.ones(())) == 1.5


def test_uneven_shares_are_refused():
    message = r"num_tasks=6 does not divide into num_minibatches=2 × 2 devices.*multiple of 4"
    with pytest.raises(ValueError, match=message):
        jax.jit(parallel.over_devices(lambda x: parallel.local(x, 2), 2))(jnp.arange(6))
