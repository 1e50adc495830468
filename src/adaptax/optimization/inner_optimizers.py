"""Inner optimisers: how a learner's parameters φ follow from a gradient, in a way that can be differentiated.

An inner optimiser is a frozen dataclass of hyper-parameters with three pure functions. What the outer loop learns about
it (a learning rate per weight, say) is a pytree of its own, kept beside the initial parameters; what it remembers from
one step to the next stays with the parameters that it changes.

    learned = optimizer.init(parameters)                     # once, outer
    state = optimizer.start(learned, parameters)             # at the start of each task
    parameters, state = optimizer.step(learned, state, parameters, gradient, loss)
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

Parameters = TypeVar("Parameters")


class InnerOptimizer(Protocol):
    """What changes parameters within a task. `adaptax.optimization.inner_optax.Optax` makes one of any of optax."""

    def init(self, parameters: PyTree[Array]) -> PyTree[Array]:
        """What the outer loop learns about this optimiser, at the start of meta-training; may be None."""

    def start(self, learned: PyTree[Array], parameters: PyTree[Array]) -> PyTree[Array]:
        """The optimiser's memory as it enters a task; may be None."""

    def step(
        self,
        learned: PyTree[Array],
        state: PyTree[Array],
        parameters: Parameters,
        gradient: Parameters,
        loss: Float[Array, ""],
    ) -> tuple[Parameters, PyTree[Array]]:
        """One inner step; returns φ after it, and what the optimiser remembers for the next."""


@dataclasses.dataclass(frozen=True)
class SGD:
    """φ' = φ − α ∇L(φ) (Finn et al. 2017, arXiv 1703.03400, equation 1).

    Attributes:
        learning_rate: α.
        decay: Factor on α from each step to the next.
    """

    learning_rate: float | Float[Array, ""]
    decay: float | Float[Array, ""] = 1.0

    def init(self, parameters: PyTree[Array]) -> None:
        """No parameters: α and its decay are given, not learned."""

    def start(self, learned: None, parameters: PyTree[Array]) -> Int[Array, ""]:
        """The number of inner steps done so far, 0."""
        return jnp.asarray(0)

    def step(
        self,
        learned: None,
        state: Int[Array, ""],
        parameters: Parameters,
        gradient: Parameters,
        loss: Float[Array, ""],
    ) -> tuple[Parameters, Int[Array, ""]]:
        """One step down the gradient, by α times the decay so far; returns φ and the number of steps done."""
        rate = jnp.asarray(self.learning_rate * self.decay ** _as_exponent(self.decay, state))
        return jax.tree.map(lambda p, g: p - rate.astype(p.dtype) * g, parameters, gradient), state + 1


@dataclasses.dataclass(frozen=True)
class MetaSGD:
    """φ' = φ − α ∘ ∇L(φ), where α has the shape of φ and is learned (Li et al. 2017, arXiv 1707.09835, equation 2).

    Rates may become negative, as in the paper: a direction in which a gradient misleads is better walked backwards.

    Attributes:
        learning_rate: Every entry of α at the start of meta-training.
        decay: Factor on α from each step to the next.
    """

    learning_rate: float | Float[Array, ""]
    decay: float | Float[Array, ""] = 1.0

    def init(self, parameters: Parameters) -> Parameters:
        """α."""
        return jax.tree.map(lambda p: jnp.full_like(p, self.learning_rate), parameters)

    def start(self, learned: PyTree[Array], parameters: PyTree[Array]) -> Int[Array, ""]:
        """The number of inner steps done so far, 0."""
        return jnp.asarray(0)

    def step(
        self,
        learned: Parameters,
        state: Int[Array, ""],
        parameters: Parameters,
        gradient: Parameters,
        loss: Float[Array, ""],
    ) -> tuple[Parameters, Int[Array, ""]]:
        """One step down the gradient, each weight at its own rate."""
        factor = jnp.asarray(self.decay ** _as_exponent(self.decay, state))

        def step(p: Array, rate: Array, g: Array) -> Array:
            return p - factor.astype(p.dtype) * rate * g

        return jax.tree.map(step, parameters, learned, gradient), state + 1


def _as_exponent(base: float | Array, steps: Int[Array, ""]) -> Array:
    """A number of steps in the type of what is raised to it: a state that was saved has integers of one size."""
    return jnp.asarray(steps, jnp.result_type(base))


def descend(
    optimizer: InnerOptimizer,
    learned: PyTree[Array],
    state: PyTree[Array],
    parameters: Parameters,
    loss: Callable[[Parameters], Any],
    *,
    first_order: bool = False,
    has_aux: bool = False,
) -> tuple[Parameters, PyTree[Any], Any]:
    """One inner step on `loss`; return the new parameters, the optimiser's memory, and what `loss` said before it.

    With `has_aux`, `loss` returns the loss and something beside it, as for `jax.value_and_grad`.

    Nothing is changed in place. Differentiating through it gives second derivatives of `loss`, unless `first_order`:
    then the gradient counts as a constant (FOMAML: Finn et al. 2017, section 5.2).
    """
    found, gradient = jax.value_and_grad(loss, has_aux=has_aux)(parameters)
    value = found[0] if has_aux else found
    if first_order:
        value, gradient = jax.lax.stop_gradient((value, gradient))
    parameters, state = optimizer.step(learned, state, parameters, gradient, value)
    return parameters, state, (value, found[1]) if has_aux else value
