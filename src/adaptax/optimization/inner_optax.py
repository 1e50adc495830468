"""Any transformation of optax as an inner optimiser, with derivatives that are finite where a gradient is exactly 0.

Adam divides by √v, and clipping by a norm: the derivative of a square root at 0 is infinite, and ∞ · 0 is NaN. There is
nothing infinite in the step itself. Adam's first one is g / (|g| + ε), whose derivative at 0 is 1 / ε, and a gradient
that is shorter than the longest is not clipped, so that its derivative is 1. Units of ReLU that are off, weights that
nothing reads and losses at their minimum all have gradients of 0, and one NaN makes the whole meta-gradient NaN.

So a step's *value* is what optax computes, bit for bit, and its *derivative* is taken where every entry of gradient and
parameters that is smaller than `smallest(dtype)` (1e-16 in single precision) is replaced by that, which has a square
that is a normal number. It differs from the exact derivative by a factor of 1 + 1e-16 / ε or so.

What no such replacement helps (a transformation that divides by the root of a difference which is 0) is found by
`check_derivative`, before anything is trained.
"""

import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

Parameters = TypeVar("Parameters")
HEADROOM = 2.0**10
"""How far above the root of the smallest normal number: weights of 1e-6 on squares leave them normal too."""


def smallest(dtype: Any) -> float:
    """The least magnitude at which steps are differentiated: its square, times 1e-6, is a normal number of `dtype`."""
    info = jnp.finfo(dtype)
    found = HEADROOM * float(info.tiny) ** 0.5
    return found if found < float(info.eps) else float(info.tiny)  # half precision has no such number


@dataclasses.dataclass(frozen=True)
class Optax:
    """φ' = φ + u(∇L(φ)), where u is any transformation of optax; what it remembers is fresh in each task.

    Attributes:
        transformation: `optax.adam(1e-2)`, `optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9))`,
            ... One that reads the loss gets it as `value`.
    """

    transformation: optax.GradientTransformation

    def init(self, parameters: PyTree[Array]) -> None:
        """Nothing about it is learned."""

    def start(self, learned: None, parameters: PyTree[Array]) -> PyTree[Array]:
        """The transformation's own first state: no moments, no momentum."""
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            return self.transformation.init(parameters)

    def step(
        self,
        learned: None,
        state: PyTree[Array],
        parameters: Parameters,
        gradient: Parameters,
        loss: Float[Array, ""],
    ) -> tuple[Parameters, PyTree[Array]]:
        """One step; its derivative is finite where a gradient is 0 (see the module)."""

        def update(gradient: Parameters, parameters: Parameters) -> tuple[Parameters, PyTree[Array]]:
            with jax.numpy_dtype_promotion("standard"):
                return optax.with_extra_args_support(self.transformation).update(
                    gradient, state, parameters, value=loss
                )

        exact = jax.lax.stop_gradient(update(gradient, parameters))
        near = update(*jax.tree.map(_away_from_zero, (gradient, parameters)))
        updates, state = jax.tree.map(lambda x, y: _value_and_derivative(x, y) if _is_float(x) else x, exact, near)
        return optax.apply_updates(parameters, updates), state


def check_derivative(transformation: optax.GradientTransformation, parameters: PyTree[Array]) -> None:
    """Check that two steps have finite derivatives where all gradients are 0.

    Raises:
        ValueError: if they have not. The message says what to do.
    """
    optimizer = Optax(transformation)

    def moved(gradients: Any, parameters: Any) -> Array:
        state = optimizer.start(None, parameters)
        for gradient in gradients:
            parameters, state = optimizer.step(None, state, parameters, gradient, jnp.zeros(()))
        return jnp.stack([jnp.sum(p).real.astype(float) for p in jax.tree.leaves(parameters)]).sum()

    gradients = [jax.tree.map(jnp.zeros_like, parameters)] * 2
    found = jax.jit(jax.grad(moved, (0, 1)))(gradients, parameters)
    if all(bool(np.isfinite(x).all()) for x in jax.tree.leaves(found)):
        return
    raise ValueError(
        "inner_optimizer: where a gradient is exactly 0, the derivative of this optax transformation is expected to be "
        "finite, as meta-gradients go through it; found NaN or infinity. Nothing was trained. Often a square root or a "
        "norm is taken of what is 0: put something below the root, such as eps_root=1e-8 of optax.adam, or use another "
        "transformation"
    )


def _is_float(x: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(x), jnp.inexact))


def _away_from_zero(x: Array) -> Array:
    """`x`, but what is next to 0 moved away from it, with a derivative of 1 everywhere."""
    small = jnp.asarray(smallest(x.dtype), x.dtype)
    offset = jnp.where(jnp.abs(x) < jnp.abs(small), jnp.where(x.real < 0, -small, small), jnp.zeros_like(small))
    return x + jax.lax.stop_gradient(offset)


@jax.custom_jvp
def _value_and_derivative(value: Array, other: Array) -> Array:
    """The value of the one, with the derivative of the other."""
    return value


@_value_and_derivative.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _value_and_derivative(*primals), tangents[1]
