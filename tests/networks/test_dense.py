"""Dense layers: the numbers of `x @ w` and of its derivatives, and no large array transposed on the way."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from adaptax.networks.dense import NARROW, backward_p, dense, forward_p, outer_p, tanh

X, W, Y, WIDE = (5, 3), (3, 4), (5, 4), (5, NARROW + 2)


def arrays(*shapes):
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return tuple(jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))


@pytest.mark.parametrize("batch", [(), (5,), (2, 0), (2, 5), (2, 5, 7)])
def test_forward_is_the_product(batch):
    for outputs in (1, 4):
        x, w = arrays((*batch, 3), (3, outputs))
        np.testing.assert_array_equal(dense(x, w), x @ w)


@pytest.mark.parametrize(("bind", "expected", "shapes"), [
    (forward_p, lambda x, w: x @ w, (X, W)),
    (backward_p, lambda y, w: y @ w.T, (Y, W)),
    (outer_p, lambda x, y: x.T @ y, (X, Y)),
    (outer_p, lambda y, x: y.T @ x, (Y, X)),
    (outer_p, lambda x, y: x.T @ y, (WIDE, X)),
    (outer_p, lambda y, x: y.T @ x, (X, WIDE)),
])  # fmt: skip
@pytest.mark.compiles
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 0), (-1, 1)])
def test_each_operation_and_its_derivatives_with_up_to_three_axes_of_tasks(bind, expected, shapes, axes):
    with jax.enable_x64(True):
        size = 6
        batched = [
            shape if axis is None else _with_axis(shape, axis, size) for shape, axis in zip(shapes, axes, strict=True)
        ]
        ours = jax.vmap(lambda a, b: bind.bind(a, b, tasks=0), axes)
        theirs = jax.vmap(expected, axes)
        _same_up_to_second_order(ours, theirs, arrays(*batched))
        deeper = [(2, *shape) for shape in batched]
        _same_up_to_second_order(jax.vmap(ours), jax.vmap(theirs), arrays(*deeper))
        deepest = [(3, *shape) for shape in deeper]
        _same_up_to_second_order(jax.vmap(jax.vmap(ours)), jax.vmap(jax.vmap(theirs)), arrays(*deepest))
        _same_up_to_second_order(jax.vmap(ours, (0, None)), jax.vmap(theirs, (0, None)), arrays(deeper[0], batched[1]))


def _with_axis(shape, axis, size):
    position = axis % (len(shape) + 1)
    return (*shape[:position], size, *shape[position:])


def _same_up_to_second_order(ours, theirs, primals):
    tangents = jax.tree.map(lambda x: jnp.cos(3 * x), primals)

    def everything(function):
        value = lambda *p: jnp.sum(jnp.sin(function(*p)))  # noqa: E731
        gradient = jax.grad(value, (0, 1))
        found, moved = jax.jvp(gradient, primals, tangents)
        _, tangent_map = jax.linearize(gradient, *primals)
        pulled = jax.linear_transpose(lambda v: tangent_map(*v), primals)(moved)
        return function(*primals), found, moved, pulled

    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)  # noqa: E731
    jax.tree.map(close, jax.jit(everything, static_argnums=0)(ours), jax.jit(everything, static_argnums=0)(theirs))


def test_numbers_of_two_types():
    x, w = jnp.arange(6.0).reshape(2, 3), jnp.ones((3, 2))
    with jax.numpy_dtype_promotion("standard"):
        half = dense(x.astype(jnp.bfloat16), w)
    both = dense(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))
    assert half.dtype == jnp.float32
    assert both.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half, x @ w)
    np.testing.assert_array_equal(both, x @ w)


@pytest.mark.compiles
@pytest.mark.parametrize("x", [-20.0, -9.0, -1.0, 0.0, 0.3, 2.0, 8.5, 20.0])
def test_tanh_has_its_derivatives_also_where_it_is_flat(x):
    with jax.enable_x64(True):
        expected = [np.tanh(x), np.cosh(x) ** -2, -2 * np.tanh(x) * np.cosh(x) ** -2]
        third = (4 * np.sinh(x) ** 2 - 2) / np.cosh(x) ** 4
        x = jnp.asarray(x)
        found = [tanh(x), jax.grad(tanh)(x), jax.grad(jax.grad(tanh))(x)]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-14)
        np.testing.assert_allclose(jax.grad(jax.grad(jax.grad(tanh)))(x), third, rtol=1e-6, atol=1e-14)
        np.testing.assert_allclose(jax.jacfwd(jax.grad(tanh))(x), expected[2], rtol=1e-6, atol=1e-14)


@pytest.mark.compiles
def test_a_product_with_the_fisher_matrix_through_a_gradient_transposes_no_samples():
    tasks, samples, sizes = 3, 50, (4, 16, 16, 2)
    x, *weights = arrays((tasks, samples, sizes[0]), *itertools.pairwise(sizes))

    def adapted(product, weights):
        def network(weights, x):
            for w in weights[:-1]:
                x = tanh(product(x, w))
            return product(x, weights[-1])

        def one(x):
            gradient = jax.grad(lambda w: jnp.mean(network(w, x) ** 2))(weights)
            return network([w - 0.1 * g for w, g in zip(weights, gradient, strict=True)], x)

        return jax.vmap(one)(x)

    def transposed(product):
        def fisher(weights):
            _, tangent_map = jax.linearize(lambda w: adapted(product, w), weights)
            return jax.linear_transpose(tangent_map, weights)(tangent_map(weights))[0]

        equations = jax.make_jaxpr(fisher)(weights).jaxpr.eqns
        moved = [e.invars[0].aval for e in _all(equations) if e.primitive.name == "transpose"]
        return sum(samples in aval.shape for aval in moved), fisher(weights)

    none, ours = transposed(dense)
    several, theirs = transposed(jnp.matmul)
    assert none == 0
    assert several > 0
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), ours, theirs)


def _all(equations):
    for equation in equations:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _all(inner.eqns)
