"""Outer optimisers: how meta-parameters follow from a batch of tasks.

Each is a frozen dataclass with the gain per step that it maximises (`surrogate`), and `improve`, which does as much
with a batch as the method allows: one gradient step, PPO's epochs, or a trust-region step. `batch` has a leading task
axis; what is to be improved is an `Objective` of parameters and batch.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from adaptax.core import parallel
from adaptax.core.types import Metrics
from adaptax.networks.distributions import Distribution, kl_divergence
from adaptax.optimization import minibatches
from adaptax.optimization.losses import clipped_surrogate, masked_mean

Parameters = TypeVar("Parameters")
SHORTER = 0.8
"""A step that goes too far is shortened to this share of itself."""


class Outcome(NamedTuple):
    """What parameters come to on a batch.

    Attributes:
        loss: To be minimised.
        policies: Distributions that a trust region holds; the other optimisers do not look at them.
        valid: Which of their entries count.
        metrics: What to report.
    """

    loss: Float[Array, ""]
    policies: Distribution
    valid: Array
    metrics: Metrics


Objective = Callable[[Any, Any], Outcome]


def _descend(
    optimizer: optax.GradientTransformation,
    objective: Objective,
    parameters: Parameters,
    opt_state: PyTree[Array],
    batch: PyTree[Array],
    *,
    num_epochs: int = 1,
    num_minibatches: int = 1,
) -> tuple[Parameters, PyTree[Array], Metrics]:
    """Passes over a batch in minibatches of whole tasks, the first axis of its leaves."""

    def loss(parameters: PyTree[Array], part: PyTree[Array]) -> tuple[Float[Array, ""], Metrics]:
        outcome = objective(parameters, part[0])
        return outcome.loss, outcome.metrics

    return minibatches.minibatch_epochs(
        loss,
        optimizer,
        parameters,
        opt_state,
        (batch,),
        (0,),
        num_epochs=num_epochs,
        num_minibatches=num_minibatches,
    )


def importance_weighted(log_probs: Array, old_log_probs: Array, advantages: Array) -> Array:
    """π/π_old A per step: where the policies agree, its gradient is the policy gradient."""
    return jnp.exp(log_probs - old_log_probs) * advantages


@dataclasses.dataclass(frozen=True)
class Ascent:
    """One policy-gradient step (REINFORCE) per batch with an optax optimiser.

    Attributes:
        optimizer: Any optax optimiser; it is given the loss's gradient.
    """

    optimizer: optax.GradientTransformation

    surrogate = staticmethod(importance_weighted)

    def init(self, parameters: PyTree[Array]) -> PyTree[Array]:
        """The optimiser's state before the first step."""
        return self.optimizer.init(parameters)

    def improve(
        self, objective: Objective, parameters: Parameters, opt_state: PyTree[Array], batch: PyTree[Array]
    ) -> tuple[Parameters, PyTree[Array], Metrics]:
        """One step of the optimiser on the whole batch; returns parameters, its state and metrics."""
        return _descend(self.optimizer, objective, parameters, opt_state, batch)


@dataclasses.dataclass(frozen=True)
class PPOStep:
    """Several passes over a batch, with the gain clipped where the policy has moved far (arXiv 1707.06347).

    Attributes:
        optimizer: Any optax optimiser.
        clip: ε.
        num_epochs: Passes over the batch.
        num_minibatches: Minibatches of whole tasks in each pass.
    """

    optimizer: optax.GradientTransformation
    clip: float | Float[Array, ""] = 0.2
    num_epochs: int = 5
    num_minibatches: int = 1

    def surrogate(self, log_probs: Array, old_log_probs: Array, advantages: Array) -> Array:
        """Schulman et al. 2017, equation 7, per step."""
        return clipped_surrogate(log_probs, old_log_probs, advantages, self.clip)

    def init(self, parameters: PyTree[Array]) -> PyTree[Array]:
        """The optimiser's state before the first step."""
        return self.optimizer.init(parameters)

    def improve(
        self, objective: Objective, parameters: Parameters, opt_state: PyTree[Array], batch: PyTree[Array]
    ) -> tuple[Parameters, PyTree[Array], Metrics]:
        """All epochs of minibatches; returns parameters, the optimiser's state and metrics."""
        passes = {"num_epochs": self.num_epochs, "num_minibatches": self.num_minibatches}
        return _descend(self.optimizer, objective, parameters, opt_state, batch, **passes)


@dataclasses.dataclass(frozen=True)
class TRPO:
    """The natural-gradient step of the largest size that keeps the mean KL below δ (Schulman et al. 2015).

    arXiv 1502.05477, appendix C: conjugate gradients on the Fisher matrix of `policies`, a step to the boundary of the
    quadratic model of the KL, then shorter steps until the true KL is at most δ and the loss has fallen. If there is no
    such step, parameters stay as they are.

    The Fisher matrix is JᵀMJ with J the Jacobian of the distributions' parameters, and M their metric. So CG needs no
    third derivative, although the policies have been adapted; and J is linearised once, not in each iteration.

    Attributes:
        max_kl: δ, nats per step.
        cg_steps: Iterations of conjugate gradients.
        damping: Added to the Fisher matrix's diagonal.
        backtracks: How often the step is shortened, at most.
    """

    max_kl: float | Float[Array, ""] = 0.01
    cg_steps: int = 10
    damping: float = 1e-5
    backtracks: int = 15

    surrogate = staticmethod(importance_weighted)

    def init(self, parameters: PyTree[Array]) -> PyTree[Array]:
        """No state: each step depends on its own batch alone."""
        return ()

    def improve(
        self, objective: Objective, parameters: Parameters, opt_state: PyTree[Array], batch: PyTree[Array]
    ) -> tuple[Parameters, PyTree[Array], Metrics]:
        """One step; `opt_state` is nothing, and `objective`'s policies are those whose KL is held."""

        def both(parameters: Parameters) -> Any:
            outcome = objective(parameters, batch)
            return (outcome.loss, outcome.policies), (outcome.valid, outcome.metrics)

        # One linearisation for the gradient and the Fisher matrix: replays of inner loops are dear in time and memory.
        (before, old), tangents_of, (valid, metrics) = jax.linearize(both, parameters, has_aux=True)
        (gradient,) = jax.linear_transpose(lambda v: tangents_of(v)[0], parameters)(jnp.ones_like(before))
        before, gradient = parallel.mean((before, gradient))

        def tangent_map(vector: Parameters) -> Any:
            return tangents_of(vector)[1]

        cotangent_map = jax.linear_transpose(tangent_map, parameters)

        def divergence(new: Distribution) -> Array:
            return masked_mean(kl_divergence(old, new), valid)

        def fisher(vector: Parameters) -> Parameters:
            tangents = tangent_map(vector)
            cotangents = jax.jvp(jax.grad(divergence), (old,), (tangents,))[1]
            (product,) = cotangent_map(cotangents)
            return jax.tree.map(lambda f, v: f + self.damping * v, parallel.mean(product), vector)

        downhill = jax.tree.map(jnp.negative, gradient)
        direction, residual = conjugate_gradient(fisher, downhill, self.cg_steps)
        # F × direction is what the residual says: one more product would cost as much as an iteration.
        curvature = _dot(direction, jax.tree.map(jnp.subtract, downhill, residual))
        full = jnp.sqrt(2 * self.max_kl / jnp.maximum(curvature, 1e-30))

        def at(scale: Array) -> Any:
            return jax.tree.map(lambda p, d: p + scale * d, parameters, direction)

        def judge(scale: Array) -> tuple[Array, Array, Array]:
            """Whether the step is accepted, its KL, and the loss after it."""
            outcome = objective(at(scale), batch)
            kl, after = parallel.mean((divergence(outcome.policies), outcome.loss))
            return (kl <= self.max_kl) & (after < before), kl, after  # false if anything is NaN

        def shorten(search: Any) -> Any:
            number, scale, _ = search
            return number + 1, SHORTER * scale, judge(SHORTER * scale)

        def unfinished(search: Any) -> Array:
            return ~search[2][0] & (search[0] < self.backtracks)

        _, scale, (accepted, kl, after) = jax.lax.while_loop(unfinished, shorten, (jnp.asarray(0), full, judge(full)))
        scale = jnp.where(accepted, scale, 0.0)
        stepped = jax.tree.map(lambda p, d: jnp.where(accepted, p + scale * d, p), parameters, direction)
        metrics = {
            **metrics,
            "gradient_norm": optax.tree.norm(gradient),
            "kl": jnp.where(accepted, kl, 0.0),
            "accepted": accepted.astype(before.dtype),
            "improvement": jnp.where(accepted, before - after, 0.0),
        }
        return stepped, opt_state, metrics


def _dot(a: PyTree[Array], b: PyTree[Array]) -> Float[Array, ""]:
    return functools.reduce(jnp.add, jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)))


def conjugate_gradient(
    product: Callable[[Parameters], Parameters], target: Parameters, num_steps: int, tolerance: float = 1e-10
) -> tuple[Parameters, Parameters]:
    """Solve `product(x)` = `target` approximately, for a symmetric positive definite `product`.

    Returns:
        x, and the residual `target` − `product(x)`.
    """

    def add(a: Any, scale: Any, b: Any) -> Any:
        return jax.tree.map(lambda x, y: x + scale * y, a, b)

    def iterate(carry: Any, _: None) -> tuple[Any, None]:
        x, residual, direction, norm = carry
        image = product(direction)
        going = norm > tolerance
        step = jnp.where(going, norm / jnp.where(going, _dot(direction, image), 1.0), 0.0)
        x, residual = add(x, step, direction), add(residual, -step, image)
        after = _dot(residual, residual)
        direction = add(residual, jnp.where(going, after / jnp.where(going, norm, 1.0), 0.0), direction)
        return (x, residual, direction, after), None

    start = (jax.tree.map(jnp.zeros_like, target), target, target, _dot(target, target))
    x, residual, _, _ = jax.lax.scan(iterate, start, None, length=num_steps)[0]
    return x, residual


Outer: TypeAlias = Ascent | PPOStep | TRPO
