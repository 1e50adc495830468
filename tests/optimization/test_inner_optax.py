import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax.core.types import key_data
from adaptax.optimization.inner_optax import Optax, check_derivative, smallest
from adaptax.optimization.inner_optimizers import SGD, descend

PARAMETERS = {"w": jnp.asarray([1.0, -2.0, 0.0]), "b": jnp.asarray(0.5)}
GRADIENTS = [
    {"w": jnp.asarray([4.0, 0.0, -0.5]), "b": jnp.asarray(0.0)},
    {"w": jnp.asarray([0.0, 0.0, 0.25]), "b": jnp.asarray(-1.0)},
    {"w": jnp.asarray([-1.0, 0.0, 0.0]), "b": jnp.asarray(2.0)},
]
CLIPPED = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
TRANSFORMATIONS = {
    "adam": optax.adam(0.1),
    "amsgrad": optax.amsgrad(0.1),
    "nadamw": optax.nadamw(0.1),
    "adabelief": optax.adabelief(0.1),
    "rmsprop": optax.rmsprop(0.1),
    "adagrad": optax.adagrad(0.1),
    "lamb": optax.lamb(0.1),
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.1, momentum=0.9),
    "nesterov": optax.sgd(0.1, momentum=0.9, nesterov=True),
    "clipped": CLIPPED,
    "clipped blocks": optax.clip_by_block_rms(1.0),
    "clipped to parameters": optax.adaptive_grad_clip(0.1),
    "unit length": optax.normalize_by_update_norm(),
    "noise": optax.chain(optax.add_noise(0.1, 0.5, key=jax.random.key(0)), optax.scale(-0.1)),
    "schedule": optax.adam(optax.exponential_decay(0.1, 1, 0.5)),
    "hyper-parameters": optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    "on a plateau": optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau()),
}


def by_optax(transformation, gradients):
    with jax.numpy_dtype_promotion("standard"):
        parameters, state = PARAMETERS, transformation.init(PARAMETERS)
        transformation = optax.with_extra_args_support(transformation)
        for gradient in gradients:
            updates, state = transformation.update(gradient, state, parameters, value=jnp.asarray(1.0))
            parameters = optax.apply_updates(parameters, updates)
    return parameters, state


def by_us(optimizer, gradients, parameters=PARAMETERS):
    state = optimizer.start(None, parameters)
    for gradient in gradients:
        parameters, state = optimizer.step(None, state, parameters, gradient, jnp.asarray(1.0))
    return parameters, state


@pytest.mark.compiles
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_E2b_steps_are_optax_s_bit_for_bit_and_their_derivatives_finite_where_gradients_are_0(name):
    transformation = TRANSFORMATIONS[name]
    optimizer = Optax(transformation)
    assert optimizer.init(PARAMETERS) is None
    found = jax.jit(lambda g: by_us(optimizer, g))(GRADIENTS)
    expected = jax.jit(lambda g: by_optax(transformation, g))(GRADIENTS)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(key_data(x), key_data(y))

    def total(gradients, parameters):
        return sum(jnp.sum(x) for x in jax.tree.leaves(by_us(optimizer, gradients, parameters)[0]))

    zeros = [jax.tree.map(jnp.zeros_like, PARAMETERS)] * 3
    for gradients in (GRADIENTS, zeros):
        for x in jax.tree.leaves(jax.jit(jax.grad(total, (0, 1)))(gradients, PARAMETERS)):
            assert np.isfinite(x).all()
    check_derivative(transformation, PARAMETERS)


def test_E2b_optax_s_own_derivative_is_nan_there_so_that_the_test_above_can_fail():
    for name in ("adam", "clipped"):

        def total(gradient, name=name):
            return jnp.sum(by_optax(TRANSFORMATIONS[name], [gradient])[0]["w"])

        found = jax.grad(total)(jax.tree.map(jnp.zeros_like, PARAMETERS))["w"]
        assert np.isnan(found).all()


@pytest.mark.parametrize("g", [0.0, 1e-200, -1e-200, 1e-40, 1e-6, -0.3])
def test_E2b_adam_s_first_step_has_the_derivative_of_the_formula_at_0_next_to_it_and_far_from_it(g):
    # u(g) = −α g / (|g| + ε), so that u'(g) = −α ε / (|g| + ε)².
    with jax.enable_x64(True):
        optimizer = Optax(optax.adam(0.1, eps=1e-3))
        moved = lambda g: by_us(optimizer, [{"w": g}], {"w": jnp.asarray(1.0)})[0]["w"]  # noqa: E731
        assert float(jax.grad(moved)(jnp.asarray(g))) == pytest.approx(-0.1 * 1e-3 / (abs(g) + 1e-3) ** 2, rel=1e-9)


def test_E2b_a_second_step_has_the_derivative_of_the_formula_where_both_gradients_are_0():
    # There m = v = 0: only the numerator counts, m̂₂ = (0.9 · 0.1 g₁ + 0.1 g₂) / (1 − 0.9²), over ε.
    with jax.enable_x64(True):
        optimizer = Optax(optax.adam(0.1, eps=1e-3))

        def moved(first, second):
            start = {"w": jnp.asarray(1.0)}
            one, state = optimizer.step(None, optimizer.start(None, start), start, {"w": first}, 0.0)
            return (optimizer.step(None, state, one, {"w": second}, 0.0)[0]["w"] - one["w"]).sum()

        found = jax.grad(moved, (0, 1))(jnp.zeros(()), jnp.zeros(()))
        assert np.asarray(found) == pytest.approx([-0.1 * 0.09 / 0.19 / 1e-3, -0.1 * 0.1 / 0.19 / 1e-3], rel=1e-9)


def test_E2b_what_is_not_clipped_has_a_derivative_of_1_at_0():
    optimizer = Optax(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.5)))
    moved = lambda g: by_us(optimizer, [{"w": g}], {"w": jnp.ones(3)})[0]["w"]  # noqa: E731
    np.testing.assert_array_equal(jax.jacobian(moved)(jnp.zeros(3)), -0.5 * np.eye(3))


def test_plain_descent_by_optax_is_plain_descent():
    loss = lambda p: 0.5 * jnp.sum(p["w"] ** 2) - p["b"]  # noqa: E731
    found, _, value = descend(Optax(optax.sgd(0.25)), None, optax.sgd(0.25).init(PARAMETERS), PARAMETERS, loss)
    expected, _, same = descend(SGD(0.25), None, jnp.asarray(0), PARAMETERS, loss)
    assert value == same
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_rate_may_be_traced_and_differentiated():
    moved = lambda rate: by_us(Optax(optax.sgd(rate)), GRADIENTS[:1])[0]["w"][0]  # noqa: E731
    assert float(jax.jit(jax.grad(moved))(0.25)) == -4.0


def test_a_step_may_be_differentiated_twice():
    # u(g) = −α g / (|g| + ε): u'' = 2 α ε / (g + ε)³ for g > 0.
    with jax.enable_x64(True):
        optimizer = Optax(optax.adam(0.1, eps=1e-1))
        moved = lambda g: by_us(optimizer, [{"w": g}], {"w": jnp.asarray(1.0)})[0]["w"]  # noqa: E731
        assert float(jax.grad(jax.grad(moved))(0.3)) == pytest.approx(2 * 0.1 * 0.1 / 0.4**3, rel=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_squares_of_the_smallest_magnitude_are_normal_numbers(dtype):
    small = smallest(jnp.dtype(dtype))
    assert 1e-6 * small**2 > float(jnp.finfo(dtype).tiny)
    assert small < 1e-8 * float(jnp.finfo("float32").eps)


def test_E2b_a_derivative_that_is_not_finite_is_refused_with_what_to_do():
    def update(gradient, state, parameters=None):  # how far two gradients are apart, which is 0
        return jax.tree.map(lambda g: g / (jnp.sqrt((g - jnp.max(g)) ** 2) + 1e-8), gradient), state

    apart = optax.GradientTransformation(lambda parameters: optax.EmptyState(), update)
    with pytest.raises(ValueError, match=r"where a gradient is exactly 0.*found NaN or infinity.*eps_root=1e-8"):
        check_derivative(apart, PARAMETERS)
    half = jax.tree.map(lambda x: x.astype(jnp.float16), PARAMETERS)
    with pytest.raises(ValueError, match="where a gradient is exactly 0"):
        check_derivative(optax.adam(0.1), half)  # whose ε is 0 in half precision
