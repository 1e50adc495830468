"""Dense layers whose derivatives of any order are fast: three products, each a derivative of the others.

    forward    y = x W           [..., inputs],  [inputs, outputs]  → [..., outputs]
    backward   x = y Wᵀ          [..., outputs], [inputs, outputs]  → [..., inputs]
    outer      W = Σ xᵀ y        [..., inputs],  [..., outputs]     → [inputs, outputs]

The gradient of a layer is made of the second and third, and a derivative of that gradient of all three. JAX derives a
product from the one before without a view on what comes of it: in the transpose of the tangent of a gradient, which is
what MAML and TRPO multiply with ten times in an update, half of the products have features before samples, and
what is done to each of their elements goes through memory in large steps. Here samples come first, always.

Axes of tasks that both operands have, which `jax.vmap` adds, lead.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

NARROW = 8
"""The outer product with so few outputs is made as that with as many inputs."""


def _forward(x: Array, w: Array, *, tasks: int) -> Array:
    lead = tuple(range(tasks))
    return jax.lax.dot_general(x, w, (((x.ndim - 1,), (tasks,)), (lead, lead)))


def _backward(y: Array, w: Array, *, tasks: int) -> Array:
    lead = tuple(range(tasks))
    return jax.lax.dot_general(y, w, (((y.ndim - 1,), (tasks + 1,)), (lead, lead)))


def _outer(x: Array, y: Array, *, tasks: int) -> Array:
    if y.shape[-1] <= NARROW < x.shape[-1]:
        # With two outputs, as an action's, XLA takes five times as long for xᵀ y as for yᵀ x. Stacked, since it would
        # turn a transpose of the latter into the former.
        turned = _outer(y, x, tasks=tasks)
        return jnp.stack([turned[..., index, :] for index in range(y.shape[-1])], -1)
    lead, samples = tuple(range(tasks)), math.prod(x.shape[tasks:-1])
    # XLA transposes, into a copy, what it is to sum over more than one axis.
    x, y = (a.reshape(*a.shape[:tasks], samples, a.shape[-1]) for a in (x, y))
    return jax.lax.dot_general(x, y, (((tasks,), (tasks,)), (lead, lead)))


def _primitive(function: Any, transpose_left: Any, transpose_right: Any, *, shares: bool) -> Primitive:
    """A bilinear operation of JAX's; `shares`: whether all tasks may have the same right operand, as weights."""
    primitive = Primitive("dense" + function.__name__)

    def with_one_axis(left: Array, right: Array, *, tasks: int) -> Array:
        """XLA's compiler aborts on some products with several axes of tasks, by the layout that it chose for them."""
        if tasks < 2:
            return function(left, right, tasks=tasks)
        axes = left.shape[:tasks]
        left, right = (x.reshape(math.prod(axes), *x.shape[tasks:]) for x in (left, right))
        result = function(left, right, tasks=1)
        return result.reshape(*axes, *result.shape[1:])

    def with_tasks(operands: Any, axes: Any, *, tasks: int) -> tuple[Array, int]:
        left, right = operands
        if shares and axes[1] is None:  # more samples
            return primitive.bind(jnp.moveaxis(left, axes[0], tasks), right, tasks=tasks), tasks
        size = next(x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None)
        left, right = (batching.bdim_at_front(x, axis, size) for x, axis in zip(operands, axes, strict=True))
        return primitive.bind(left, right, tasks=tasks + 1), 0

    def shape(left: Any, right: Any, *, tasks: int) -> Any:
        found = jax.eval_shape(partial(function, tasks=tasks), left, right)
        return jax.core.ShapedArray(found.shape, found.dtype)

    primitive.def_impl(jax.jit(with_one_axis, static_argnames="tasks"))
    primitive.def_abstract_eval(shape)
    mlir.register_lowering(primitive, mlir.lower_fun(with_one_axis, multiple_results=False))
    batching.primitive_batchers[primitive] = with_tasks
    ad.defbilinear(primitive, transpose_left, transpose_right)
    return primitive


# Each transpose is given the cotangent of the result, and both operands, of which the one that is asked for is unknown.
forward_p: Primitive = _primitive(
    _forward,
    lambda y, x, w, *, tasks: backward_p.bind(y, w, tasks=tasks),
    lambda y, x, w, *, tasks: outer_p.bind(x, y, tasks=tasks),
    shares=True,
)
backward_p: Primitive = _primitive(
    _backward,
    lambda x, y, w, *, tasks: forward_p.bind(x, w, tasks=tasks),
    lambda x, y, w, *, tasks: outer_p.bind(x, y, tasks=tasks),
    shares=True,
)
outer_p: Primitive = _primitive(
    _outer,
    lambda w, x, y, *, tasks: backward_p.bind(y, w, tasks=tasks),
    lambda w, x, y, *, tasks: forward_p.bind(x, w, tasks=tasks),
    shares=False,
)
DEFINITIONS: dict[str, Any] = {"dense_forward": _forward, "dense_backward": _backward, "dense_outer": _outer}
"""What the operations are made of, by their names, for whoever takes programs apart."""
OPERATIONS = frozenset(DEFINITIONS)


def dense(x: Float[Array, "*batch inputs"], weight: Float[Array, "inputs outputs"]) -> Float[Array, "*batch outputs"]:
    """`x @ weight`, of one type of numbers. Under `jax.shard_map`, derivatives need `check_vma=False`."""
    dtype = jnp.result_type(x, weight)
    return forward_p.bind(jnp.asarray(x, dtype), jnp.asarray(weight, dtype), tasks=0)


@jax.custom_jvp
def tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The hyperbolic tangent; derivatives keep it and its slope. JAX's keep it and 1 − y, and multiply twice."""
    return jnp.tanh(x)


@tanh.defjvp
def _tanh_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    y = tanh(*primals)
    return y, tangents[0] * _slope(y)


@jax.custom_jvp
def _slope(y: Array) -> Array:
    return (1 - y) * (1 + y)  # 1 − y² has no digits left where y is near 1


@_slope.defjvp
def _slope_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (y,), (moved,) = primals, tangents
    return _slope(y), -2 * (y * moved)
