import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.few_shot.sinusoids import Sinusoids, SinusoidTask, sinusoid_network

MANY = 4000


@pytest.fixture(scope="module")
def tasks():
    return jax.jit(jax.vmap(Sinusoids(5, 7)))(jax.random.split(jax.random.key(1), MANY))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("amplitude", 0.1, 5.0), ("phase", 0.0, np.pi), ("support_inputs", -5.0, 5.0), ("query_inputs", -5.0, 5.0)],
)
def test_what_is_drawn_is_uniform_in_the_paper_s_range(tasks, name, low, high):
    unit = (np.asarray(getattr(tasks, name), np.float64) - low) / (high - low)
    assert unit.min() > -1e-6
    assert unit.max() < 1 + 1e-6
    assert abs(unit.mean() - 1 / 2) < 4 * np.sqrt(1 / 12 / unit.size)
    assert abs((unit**2).mean() - 1 / 3) < 4 * np.sqrt(4 / 45 / unit.size)


def test_points_and_sinusoids_are_drawn_independently(tasks):
    columns = [tasks.amplitude, tasks.phase, *tasks.support_inputs.T, *tasks.query_inputs.T]
    correlations = np.corrcoef(np.asarray(columns, np.float64))
    assert correlations.shape == (14, 14)
    assert np.abs(correlations - np.eye(14)).max() < 5 / np.sqrt(MANY)  # the largest of 91


def test_targets_are_by_hand():
    task = SinusoidTask(jnp.asarray(2.0), jnp.asarray(np.pi / 2), jnp.zeros(1), jnp.zeros(1))
    np.testing.assert_allclose(task.targets(jnp.asarray([0.0, np.pi / 2, np.pi])), [-2.0, 0.0, 2.0], atol=1e-6)


def test_each_loss_is_the_mean_squared_error_at_its_own_points():
    at = jnp.asarray([np.pi / 2, -np.pi / 2])
    task = SinusoidTask(jnp.asarray(3.0), jnp.asarray(0.0), at, jnp.zeros(4))
    one = jnp.ones_like
    assert float(task.support_loss(one)) == pytest.approx((4 + 16) / 2, rel=1e-6)
    assert float(task.query_loss(one)) == pytest.approx(1.0, rel=1e-6)


def test_E21_different_keys_give_different_sinusoids(tasks):
    assert len({(float(a), float(p)) for a, p in zip(tasks.amplitude, tasks.phase, strict=True)}) == MANY


def test_the_network_is_40_40_with_relu(key):
    network = sinusoid_network(key)
    shapes = [x.shape for x in jax.tree.leaves(eqx.filter(network, eqx.is_array))]
    assert shapes == [(40, 1), (40,), (40, 40), (40,), (1, 40), (1,)]
    x = np.asarray([0.7], np.float32)
    hidden = x
    for layer in network.layers[:-1]:
        hidden = np.maximum(layer.weight @ hidden + layer.bias, 0.0)
    expected = network.layers[-1].weight @ hidden + network.layers[-1].bias
    np.testing.assert_allclose(network(x), expected, rtol=1e-5)
