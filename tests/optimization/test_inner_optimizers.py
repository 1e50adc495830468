import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.optimization.inner_optimizers import SGD, MetaSGD, descend

PARAMETERS = {"w": jnp.asarray([1.0, -2.0]), "b": jnp.asarray(0.5)}
GRADIENT = {"w": jnp.asarray([4.0, 0.5]), "b": jnp.asarray(-1.0)}


START = jnp.asarray(0)
"""What a gradient-descent optimiser remembers as it enters a task: that it has made no step."""


def loss(parameters):
    """½ (4 w₀² + ½ w₁²) − b; its gradient is (4 w₀, ½ w₁) and −1."""
    return 0.5 * jnp.sum(jnp.asarray([4.0, 0.5]) * parameters["w"] ** 2) - parameters["b"]


def test_sgd_is_theta_minus_lr_times_gradient():
    optimizer = SGD(0.25)
    assert optimizer.init(PARAMETERS) is None
    start = optimizer.start(None, PARAMETERS)
    new, state = optimizer.step(None, start, PARAMETERS, GRADIENT, jnp.asarray(0.0))
    assert (int(start), int(state)) == (0, 1)
    np.testing.assert_array_equal(new["w"], [0.0, -2.125])
    np.testing.assert_array_equal(new["b"], 0.75)


def test_sgd_learning_rate_may_be_traced():
    step = lambda lr: SGD(lr).step(None, START, PARAMETERS, GRADIENT, jnp.asarray(0.0))[0]["w"][0]  # noqa: E731
    assert float(jax.jit(jax.grad(step))(0.25)) == -4.0


def test_meta_sgd_starts_with_one_rate_for_every_weight():
    learned = MetaSGD(0.125).init(PARAMETERS)
    assert jax.tree.structure(learned) == jax.tree.structure(PARAMETERS)
    np.testing.assert_array_equal(learned["w"], [0.125, 0.125])
    np.testing.assert_array_equal(learned["b"], 0.125)


def test_meta_sgd_steps_each_weight_at_its_own_rate():
    learned = {"w": jnp.asarray([0.5, -2.0]), "b": jnp.asarray(0.0)}
    new, state = MetaSGD(0.125).step(learned, START, PARAMETERS, GRADIENT, jnp.asarray(0.0))
    assert int(state) == 1
    np.testing.assert_array_equal(new["w"], [-1.0, -1.0])
    np.testing.assert_array_equal(new["b"], 0.5)


@pytest.mark.parametrize("optimizer", [SGD(0.25, decay=0.5), MetaSGD(0.25, decay=0.5)])
def test_steps_shrink_by_the_decay(optimizer):
    learned = optimizer.init(PARAMETERS)
    state, steps = optimizer.start(learned, PARAMETERS), []
    for _ in range(3):
        new, state = optimizer.step(learned, state, PARAMETERS, GRADIENT, jnp.asarray(0.0))
        steps.append(PARAMETERS["w"] - new["w"])
    np.testing.assert_array_equal(steps[1], 0.5 * steps[0])
    np.testing.assert_array_equal(steps[2], 0.25 * steps[0])


def test_meta_sgd_derivative_by_a_rate_is_minus_the_gradient():
    by_rate = jax.grad(lambda learned: MetaSGD(0.1).step(learned, START, PARAMETERS, GRADIENT, 0.0)[0]["w"].sum())
    np.testing.assert_array_equal(by_rate(PARAMETERS)["w"], [-4.0, -0.5])


def test_descend_returns_the_loss_before_and_changes_nothing_in_place():
    before = jax.tree.map(np.array, PARAMETERS)
    new, state, value = descend(SGD(0.5), None, START, PARAMETERS, loss)
    assert int(state) == 1
    assert float(value) == 0.5 * (4.0 + 0.5 * 4.0) - 0.5
    np.testing.assert_array_equal(new["w"], [-1.0, -1.5])
    np.testing.assert_array_equal(new["b"], 1.0)
    jax.tree.map(np.testing.assert_array_equal, PARAMETERS, before)


@pytest.mark.parametrize(("first_order", "expected"), [(False, [-1.0, 0.75]), (True, [1.0, 1.0])])
def test_E2_descend_differentiates_to_one_minus_lr_times_hessian(first_order, expected):
    new = lambda w: descend(SGD(0.5), None, START, {**PARAMETERS, "w": w}, loss, first_order=first_order)[0]["w"]  # noqa: E731
    np.testing.assert_array_equal(jnp.diag(jax.jacobian(new)(PARAMETERS["w"])), expected)


def test_descend_gives_the_optimiser_the_loss_and_its_memory():
    class Counts:
        def start(self, learned, parameters):
            return 0

        def step(self, learned, state, parameters, gradient, loss):
            return jax.tree.map(lambda p: p * learned + loss, parameters), state + 1

    new, state, value = descend(Counts(), 2.0, 6, PARAMETERS, loss)
    assert state == 7
    np.testing.assert_array_equal(new["b"], 1.0 + value)
