"""How one task is learned: the inner loop of `maml_train` and `adapt`, and what the outer loop wants of it."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from adaptax.few_shot.losses import loss_of
from adaptax.optimization.inner_optax import Optax
from adaptax.optimization.inner_optimizers import SGD, InnerOptimizer, descend

LEARNING_RATE = 0.01
"""α where none is given: the sinusoids' (Finn et al. 2017, section 5.1)."""


class Start(NamedTuple):
    """What a task is entered with.

    Attributes:
        parameters: θ.
        learned: What the inner optimiser learned.
        state: The model's; None if it has none.
        key: The task's own; None if there is none.
    """

    parameters: PyTree[Array]
    learned: PyTree[Array]
    state: PyTree[Array] = None
    key: Any = None


class Found(NamedTuple):
    """What a task makes of it.

    Attributes:
        before: Query loss of θ.
        after: Query loss of φ^N.
        state: The model's, after the last query loss.
    """

    before: Array
    after: Array
    state: PyTree[Array]


@dataclasses.dataclass(frozen=True)
class Method:
    """How a task is learned.

    Attributes:
        optimizer: Takes the inner steps.
        steps: N.
        first_order: Take inner gradients, and the state that inner steps leave, for constants.
        checkpoint: Compute inner steps once more in the backward pass.
        weights: Of the query loss after each step; None: after the last alone.
    """

    optimizer: InnerOptimizer
    steps: int
    first_order: bool = False
    checkpoint: bool = False
    weights: tuple[float, ...] | None = None

    def adapted(
        self, start: Start, static: Any, task: Any, name: str, score: Callable[[Any, Any, Any], Any]
    ) -> tuple[Any, Any, Any]:
        """φ^N, the state with it, and the `score` of each of φ^1 … φ^N, each with its state and number."""
        optimizer, first_order = self._of_task(task, name)
        loss = loss_of(task, "support_loss", static, name)

        def step(carry: Any, number: int | Array) -> tuple[Any, Any]:
            parameters, memory, state = carry
            parameters, memory, (_, state) = descend(
                optimizer, start.learned, memory, parameters, lambda p: loss(p, state, start.key, number),
                first_order=first_order, has_aux=True,
            )  # fmt: skip
            state = jax.lax.stop_gradient(state) if first_order else state
            return (parameters, memory, state), score(parameters, state, number + 1)

        carry, scores = (start.parameters, optimizer.start(start.learned, start.parameters), start.state), []
        if self.checkpoint:  # a scan, since XLA may well do what is recomputed in unrolled steps all at once
            carry, stacked = jax.lax.scan(jax.checkpoint(step, prevent_cse=False), carry, jnp.arange(self.steps))
            return carry[0], carry[2], stacked
        for number in range(self.steps):
            carry, each = step(carry, number)
            scores.append(each)
        return carry[0], carry[2], jax.tree.map(lambda *xs: jnp.stack(xs), *scores) if scores else None

    def objective(self, start: Start, static: Any, task: Any, name: str) -> tuple[Array, Found]:
        """What the outer loop descends, and what else comes of the task."""
        loss = loss_of(task, "query_loss", static, name)
        if start.state is not None and not any(
            "state" in each.asks for each in (loss, loss_of(task, "support_loss", static, name))
        ):
            raise ValueError(
                f"{name}: expected a loss with a parameter `state`, since state= was given; found none. Nothing was "
                "trained: write loss(model, state), which returns (loss, state), or leave state= out"
            )

        def query(parameters: Any, state: Any, number: int | Array) -> tuple[Array, Any]:
            return loss(parameters, state, start.key, number)

        def score(parameters: Any, state: Any, number: int | Array) -> Any:
            return query(parameters, state, number)[0] if self.weights else None

        parameters, state, scores = self.adapted(start, static, task, name, score)
        if self.weights and state is None:
            after = scores[-1]
        else:
            after, state = query(parameters, state, self.steps)
        objective = jnp.sum(jnp.asarray(self.weights, scores.dtype) * scores) if self.weights else after
        return objective, Found(query(start.parameters, start.state, 0)[0], after, state)

    def _of_task(self, task: Any, name: str) -> tuple[InnerOptimizer, bool]:
        """The inner optimiser and order for `task`, which may have its own."""
        first_order, lr = getattr(task, "first_order", None), getattr(task, "inner_lr", None)
        if not isinstance(first_order, bool | None):
            raise TypeError(
                f"{name}.first_order must be True, False or None, the same on each call; found {first_order!r}"
            )
        if lr is not None and not isinstance(self.optimizer, SGD):
            raise ValueError(
                f"{name} has an inner_lr, which {type(self.optimizer).__name__} does not use; set it to None"
            )
        optimizer = self.optimizer if lr is None else SGD(_rate(lr))
        return optimizer, self.first_order if first_order is None else first_order


def inner_optimizer_of(
    lr: Any, inner_optimizer: InnerOptimizer | optax.GradientTransformation | None, name: str
) -> InnerOptimizer:
    """The inner optimiser that is meant: one that is given, one of optax, or gradient descent at rate `lr`."""
    if inner_optimizer is None:
        return SGD(_rate(LEARNING_RATE if lr is None else lr))
    if lr is not None:
        raise ValueError(f"{name} and inner_optimizer cannot both be given; give {name} to the inner optimiser")
    if isinstance(inner_optimizer, optax.GradientTransformation):
        return Optax(inner_optimizer)
    if all(callable(getattr(inner_optimizer, part, None)) for part in ("init", "start", "step")):
        return inner_optimizer
    raise TypeError(
        "inner_optimizer must be one of optax, such as optax.adam(1e-2), or have init, start and step as those of "
        f"adaptax.optimization.inner_optimizers have; found {inner_optimizer!r}"
    )


def _rate(lr: Any) -> Any:
    """A number of NumPy as one of Python, which takes on the precision of what it is multiplied with."""
    return float(lr) if isinstance(lr, int | float | np.number) else lr
