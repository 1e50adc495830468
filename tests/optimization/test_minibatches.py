import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.core import parallel
from adaptax.optimization import minibatches
from tests.sample_problems import quick_jit


def _numpy_adam(gradients, *, rate, num_steps, max_norm, b1=0.9, b2=0.999, eps=1e-5):
    """Adam (Kingma & Ba 2015, algorithm 1) with clipping and a cosine schedule; returns the updates."""
    m = v = np.zeros(len(gradients[0]))
    updates = []
    for k, raw in enumerate(gradients):
        gradient = raw * min(1.0, max_norm / np.linalg.norm(raw))
        m = b1 * m + (1 - b1) * gradient
        v = b2 * v + (1 - b2) * gradient**2
        m_hat, v_hat = m / (1 - b1 ** (k + 1)), v / (1 - b2 ** (k + 1))
        updates.append(-rate * 0.5 * (1 + np.cos(np.pi * k / num_steps)) * m_hat / (np.sqrt(v_hat) + eps))
    return np.asarray(updates)


@jax.numpy_dtype_promotion("standard")
def _updates(optimizer, gradients):
    def step(state, gradient):
        updates, state = optimizer.update(gradient, state)
        return state, updates

    return quick_jit(lambda g: jax.lax.scan(step, optimizer.init(g[0]), g)[1])(jnp.asarray(gradients, jnp.float32))


@pytest.mark.parametrize("b2", [0.999, 0.9])
def test_adam_against_numpy(b2):
    gradients = np.random.default_rng(0).normal(size=(6, 3)) * np.asarray([[0.1], [3], [0.5], [10], [1], [0.2]])
    updates = _updates(minibatches.adam(0.01, 6, max_gradient_norm=1.0, b2=b2), gradients)
    expected = _numpy_adam(gradients, rate=0.01, num_steps=6, max_norm=1.0, b2=b2)
    np.testing.assert_allclose(updates, expected, rtol=1e-4, atol=1e-7)


def test_learning_rate_falls_to_zero_along_a_cosine():
    # With a constant gradient, Adam's step is the learning rate (up to ε).
    sizes = -_updates(minibatches.adam(0.01, 4, max_gradient_norm=9.0), np.ones((6, 1)))[:, 0]
    np.testing.assert_allclose(sizes[:4], 0.01 * 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4)), rtol=1e-4)
    np.testing.assert_allclose(sizes[4:], 0, atol=1e-9)


def _squared_error(parameters, minibatch):
    (x, y) = minibatch
    error = jnp.mean((parameters - x - y[:, 0]) ** 2)
    return error, {"error": error, "first": x[0]}


def _descend(x, *, num_epochs, num_minibatches):
    batch = (x, jnp.zeros((1, x.shape[0])).T)
    optimizer = optax.sgd(0.25)
    return minibatches.minibatch_epochs(
        _squared_error,
        optimizer,
        jnp.zeros(()),
        optimizer.init(jnp.zeros(())),
        batch,
        (0, 0),
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )


def test_minibatches_by_hand():
    # p ← p − ¼·2·(p − mean of the minibatch): half of the way to each minibatch's mean, 1 then 3, twice.
    parameters, _, metrics = quick_jit(lambda x: _descend(x, num_epochs=2, num_minibatches=2))(
        jnp.asarray([0.0, 2.0, 2.0, 4.0])
    )
    assert parameters == 2.1875  # 0 → 0.5 → 1.75 → 1.375 → 2.1875
    gradients = [2 * (0 - 1), 2 * (0.5 - 3), 2 * (1.75 - 1), 2 * (1.375 - 3)]
    np.testing.assert_allclose(metrics["gradient_norm"], np.abs(gradients).mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["first"], 1.0)  # consecutive slices: 0, 2, 0, 2


def test_E14_time_is_never_cut_or_shuffled():
    trajectory = jnp.arange(24.0).reshape(3, 8)  # [time, task]
    tasks = jnp.arange(8.0)

    def loss(parameters, minibatch):
        trajectory, tasks = minibatch
        assert trajectory.shape == (3, 4)
        assert tasks.shape == (4,)
        order = jnp.all(trajectory == 8 * jnp.arange(3.0)[:, None] + tasks[None])
        return parameters * 0, {"in_order": order.astype(jnp.float32), "task": tasks[0]}

    optimizer = optax.sgd(1.0)
    _, _, metrics = minibatches.minibatch_epochs(
        loss,
        optimizer,
        jnp.zeros(()),
        optimizer.init(jnp.zeros(())),
        (trajectory, tasks),
        (1, 0),
        num_epochs=3,
        num_minibatches=2,
    )
    assert metrics["in_order"] == 1.0
    assert metrics["task"] == 2.0  # the mean of 0 and 4


def test_two_devices_agree_with_one():
    x = jnp.asarray([0.0, 2.0, 5.0, 4.0, -3.0, 1.0, 0.5, 8.0])

    def run(x):
        return _descend(parallel.local(x, 2), num_epochs=2, num_minibatches=2)

    one = jax.jit(run)(x)
    two = jax.jit(parallel.over_devices(run, 2))(x)
    np.testing.assert_allclose(one[0], two[0], rtol=1e-6)
    np.testing.assert_allclose(one[2]["gradient_norm"], two[2]["gradient_norm"], rtol=1e-6)


def test_minibatches_must_divide_the_tasks():
    with pytest.raises(ValueError, match="num_minibatches=3 does not divide the 4 tasks"):
        _descend(jnp.zeros(4), num_epochs=1, num_minibatches=3)
