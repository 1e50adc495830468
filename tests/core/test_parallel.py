import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import PartitionSpec

from adaptax import problems
from adaptax.algorithms import RL2
from adaptax.core import parallel
from adaptax.core.algorithm import init
from adaptax.training.loop import chunk_of_updates
from tests.claims.shard import CASES, measure_apart


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
    assert parallel.gather(x) is x
    function = lambda x: x  # noqa: E731
    assert parallel.over_devices(function, 1) is function


def test_number_of_devices():
    counts = jax.jit(parallel.over_devices(lambda x: x * parallel.num_devices(), 2))(jnp.ones(()))
    assert counts == 2


def test_what_devices_share_is_gathered_again():
    x = {"x": jnp.arange(8), "y": jnp.arange(8.0)[None] * 10, "nothing": jnp.zeros((8, 3, 0))}

    def together(x):
        share = {"x": parallel.local(x["x"]), "y": parallel.local(x["y"][0])[None]}
        nothing = parallel.gather(parallel.local(x["nothing"]))  # a bandit's observations
        return {"x": parallel.gather(share["x"]), "y": parallel.gather(share["y"], 1), "nothing": nothing}

    gathered = _per_device(together)(x)
    for device in range(2):
        np.testing.assert_array_equal(gathered["x"][device], x["x"])
        np.testing.assert_array_equal(gathered["y"][device], x["y"])
        assert gathered["nothing"][device].shape == (8, 3, 0)


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


def test_means_of_all_leaves_travel_together():
    def means(x):
        share = parallel.local(x)
        tree = {"a": share.sum(), "b": jnp.outer(share, share), "c": {"half": share[0].astype(jnp.float16)}}
        return parallel.mean(tree)

    found = _per_device(means)(jnp.arange(4.0))
    np.testing.assert_array_equal(found["a"], [3.0, 3.0])
    np.testing.assert_array_equal(found["b"][0], (np.outer([0, 1], [0, 1]) + np.outer([2, 3], [2, 3])) / 2)
    np.testing.assert_array_equal(found["c"]["half"], [1.0, 1.0])
    text = _per_device(means).lower(jnp.arange(4.0)).compile().as_text()
    assert text.count(" all-reduce(") == 2  # one for each type


def _depths(jaxpr, depth=0):
    """At how many loops' depth each collective is."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name.startswith("psum"):
            found.append(depth)
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: isinstance(x, (Jaxpr, ClosedJaxpr))
        ):
            if isinstance(inner, (Jaxpr, ClosedJaxpr)):
                deeper = depth + (equation.primitive.name in ("scan", "while"))
                found += _depths(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner, deeper)
    return found


@pytest.mark.compiles
def test_an_update_has_one_collective_for_a_gradient_and_none_inside_the_backward_pass():
    algorithm = RL2(memory_size=8, critic_size=8, num_tasks=8, num_minibatches=2, num_updates=4)
    problem = problems.bernoulli_bandit(num_arms=3, num_pulls=6)
    state = init(algorithm, problem, seed=0)
    function = chunk_of_updates(algorithm, problem, 2, devices=2)
    depths = _depths(jax.make_jaxpr(function)(state).jaxpr)
    # The chunk's loop is 1 deep, that over minibatches 2, and those over time in collecting and learning 2 and 3.
    assert depths.count(2) == 1, "one gradient for each minibatch"
    assert max(depths) == 2, "none in a loop over time"
    compiled = jax.jit(function).lower(state).compile().as_text()
    assert compiled.count(" all-reduce(") <= len(depths) <= 8


@pytest.mark.nightly
def test_four_devices_do_the_work_of_one():
    for name, figures in measure_apart(0, 10, tuple(CASES), devices=4).items():
        assert figures["per update"] < 1e-6, name
        assert figures["together"] < max(1e-5, 10 * figures["last bit"]), name
        assert figures["moved"] > 1e-4, name


def test_gradients_are_joined_once():
    def gradient(weight):
        x = parallel.local(jnp.arange(4.0))
        return parallel.mean(jax.grad(lambda w: jnp.mean(w * x))(weight))

    assert jax.jit(parallel.over_devices(gradient, 2))(jnp.ones(())) == 1.5


def test_uneven_shares_are_refused():
    message = r"num_tasks=6 does not divide into num_minibatches=2 × 2 devices.*multiple of 4"
    with pytest.raises(ValueError, match=message):
        jax.jit(parallel.over_devices(lambda x: parallel.local(x, 2), 2))(jnp.arange(6))


@pytest.mark.parametrize("groups", [1, 2])
def test_what_was_shared_is_gathered_in_its_order(groups):
    tasks = {"number": jnp.arange(8), "pairs": jnp.arange(16.0).reshape(8, 2)}

    def there_and_back(tasks):
        return parallel.gather(parallel.local(tasks, groups), groups=groups)

    found = jax.jit(parallel.over_devices(there_and_back, 2))(tasks)
    for name, expected in tasks.items():
        np.testing.assert_array_equal(found[name], expected)
    assert parallel.gather(tasks) is tasks
