"""Model-agnostic meta-learning for anything with a differentiable loss: `maml_train` and `adapt`.

    min_θ Σ_i L_i(φ_i^N)   with   φ_i^0 = θ,   φ_i^{k+1} = φ_i^k − α ∇L_i(φ_i^k)

(Finn et al. 2017, arXiv 1703.03400, algorithms 1 and 2), differentiated *through* the inner steps, whichever inner
optimiser takes them (`adaptax.optimization.inner_optimizers`). A task is any object with `loss(model)`.

Differences from the paper: the loss is averaged over the tasks of an outer step, not summed; the outer optimiser is any
of optax.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.errors import AdaptaxError
from adaptax.few_shot.tasks import LossTask, Source, loss_of, sources
from adaptax.optimization.inner_optimizers import SGD, InnerOptimizer, descend

LEARNING_RATE = 0.01
"""α where none is given: the sinusoids' (Finn et al. 2017, section 5.1)."""

PIECES = 100
"""The outer loop runs in so many pieces at most: after each the model must be finite, and `on_progress` is called."""


class History(NamedTuple):
    """The mean query loss over the tasks of each outer step, `[outer_steps]`.

    Attributes:
        before: Of the model as it was then, unadapted.
        after: Of the adapted models, after `inner_steps` steps.
    """

    before: np.ndarray
    after: np.ndarray


OnProgress = Callable[[int, History], None]
"""Called with the number of outer steps done, and the history up to there."""


@dataclasses.dataclass(frozen=True)
class MAMLOptions:
    """How `maml_train` trains.

    Attributes:
        inner_lr: α of plain gradient descent, 0.01 if not given.
        inner_optimizer: Takes the inner steps, instead of plain gradient descent;
            `adaptax.optimization.inner_optimizers.MetaSGD(0.01)`, say.
        first_order: Take inner gradients for constants (FOMAML; Finn et al. 2017, section 5.2).
        tasks_per_step: How many tasks make an outer step: of a sampler, 25 if not given; of a sequence, all if not
            given, otherwise a random choice without replacement, for which all its tasks must be stackable.
        outer_loss: What the outer loop descends: the query loss after the "last" inner step (MAML), the "mean" of those
            after each inner step, 1 to N, which makes a model that is good after any number of steps, or their sum with
            N weights that are given (multi-step loss; Antoniou et al. 2019, arXiv 1810.09502, section 4).
        checkpoint: Compute inner steps once more in the backward pass instead of keeping what they computed: memory
            then grows by the parameters alone with each inner step.
    """

    inner_lr: float | None = None
    inner_optimizer: InnerOptimizer | None = None
    first_order: bool = False
    tasks_per_step: int | None = None
    outer_loss: Literal["last", "mean"] | Sequence[float] = "last"
    checkpoint: bool = False


@dataclasses.dataclass(frozen=True)
class MetaTrained:
    """What `maml_train` returns.

    Attributes:
        model: θ, the meta-trained model.
        learned: What the inner optimiser learned beside it (Meta-SGD's rates, say); None if it learns nothing.
        inner_optimizer: The inner optimiser that `model` was trained for.
        history: What each outer step was like.
    """

    model: Any
    learned: PyTree[Array]
    inner_optimizer: InnerOptimizer
    history: History

    def adapt(self, task: Any, steps: int) -> Any:
        """`adapt(model, task, steps)` with the inner optimiser as it was trained."""
        return adapt(self.model, task, steps, inner_optimizer=self.inner_optimizer, learned=self.learned)


def adapt(
    model: Any,
    task: LossTask | Any,
    steps: int,
    lr: float | Float[Array, ""] | None = None,
    *,
    inner_optimizer: InnerOptimizer | None = None,
    learned: PyTree[Array] = None,
    first_order: bool = False,
    checkpoint: bool = False,
) -> Any:
    """Adapt a model to a task: `steps` inner steps on the task's `support_loss`, or else its `loss`.

    It is a pure function, which leaves `model` as it is and may be differentiated, mapped and compiled; wrap it in
    `jax.jit` (or `equinox.filter_jit`) to adapt to many tasks.

    Args:
        model: Any pytree; its floating-point arrays are adapted.
        task: What to adapt to (see `LossTask`).
        steps: Inner steps N; 0 returns the model.
        lr: Inner learning rate α of plain gradient descent, 0.01 if not given.
        inner_optimizer: Takes the inner steps, instead of plain gradient descent.
        learned: What that optimiser learned in meta-training, `MetaTrained.learned`.
        first_order: If the result is differentiated, take inner gradients for constants.
        checkpoint: If it is, compute inner steps once more in the backward pass, instead of keeping what they computed.

    Raises:
        TypeError: `task` has no loss or `model` nothing to adapt.
        ValueError: A loss is no scalar, or arguments contradict each other.
    """
    _check_count("steps", steps)
    parameters, static = _split(model)
    method = _Method(_inner_optimizer(lr, inner_optimizer, "lr"), steps, first_order, checkpoint)
    if learned is None and jax.tree.leaves(method.optimizer.init(parameters)):
        raise ValueError(
            f"adapt: {type(inner_optimizer).__name__} adapts with what it learned in meta-training; pass "
            "learned=trained.learned, or call trained.adapt(task, steps) on the result of maml_train"
        )
    adapted, _ = method.adapted(parameters, learned, static, task, "task", lambda _: None)
    return eqx.combine(adapted, static)


def maml_train(
    model: Any,
    optimizer: optax.GradientTransformation,
    tasks: Sequence[Any] | Callable[[Key[Array, ""]], Any],
    inner_steps: int,
    outer_steps: int,
    options: MAMLOptions | None = None,
    *,
    key: Key[Array, ""] | None = None,
    on_progress: OnProgress | None = None,
    **changes: Any,
) -> MetaTrained:
    """Train a model so that a few gradient steps on a new task suffice (MAML; Finn et al. 2017, algorithm 1).

    The whole of it is one compiled program. Tasks that are pytrees of one structure (Equinox modules with arrays of the
    same shapes; what is not an array must be equal) are stacked and run side by side; others, such as objects of plain
    Python classes, are unrolled in the same program, with the same result and a longer compilation. No argument is
    changed.

    Args:
        model: Any pytree, such as an Equinox module; its floating-point arrays are trained, all else is kept.
        optimizer: The outer optimiser. Where the inner optimiser learns something, it gets a dictionary of two parts,
            "model" and "learned", so that `optax.partition` can treat them apart; otherwise "learned" is None.
        tasks: Either a sequence of tasks (see `LossTask`) or a sampler: a function from a key to a task, which is asked
            for `tasks_per_step` fresh tasks at each outer step.
        inner_steps: N; with 0 the model is trained on all tasks at once, without adaptation.
        outer_steps: How often the outer optimiser steps.
        options: How, if not as `MAMLOptions()` says.
        key: What sampled and chosen tasks follow from, `jax.random.key(0)` if not given.
        on_progress: Called about a hundred times, with the outer steps done and the history of the losses up to there.
        **changes: Fields of `MAMLOptions` that are otherwise than in `options`: `inner_lr=0.3`, say.

    Returns:
        The trained model, with what the inner optimiser learned and the history of the losses.

    Raises:
        TypeError: A task has no loss, or an argument is of the wrong kind.
        ValueError: A loss is no scalar, an argument is out of range, or arguments contradict each other.
        AdaptaxError: The model is no longer finite; the message says since which outer step.

    Examples:
        >>> import equinox as eqx, jax, optax
        >>> from adaptax.few_shot.maml import adapt, maml_train
        >>> class Line(eqx.Module):
        ...     slope: jax.Array
        ...     def loss(self, model):
        ...         x = jax.numpy.linspace(-1.0, 1.0, 5)
        ...         return ((model["w"] * x + model["b"] - self.slope * x - 3.0) ** 2).mean()
        >>> lines = [Line(jax.numpy.asarray(slope)) for slope in (-1.0, 1.0)]
        >>> model = {"w": jax.numpy.zeros(()), "b": jax.numpy.zeros(())}
        >>> trained = maml_train(model, optax.adam(0.1), lines, 1, 200, inner_lr=0.3)
        >>> new = Line(jax.numpy.asarray(0.5))
        >>> [round(float(new.loss(m)), 2) for m in (trained.model, adapt(trained.model, new, 1, 0.3))]
        [0.13, 0.06]
    """
    _check_count("inner_steps", inner_steps)
    _check_count("outer_steps", outer_steps)
    if not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise TypeError(f"maml_train: optimizer must be one of optax, such as optax.adam(1e-3); found {optimizer!r}")
    options = _changed(options or MAMLOptions(), changes)
    inner = _inner_optimizer(options.inner_lr, options.inner_optimizer, "inner_lr")
    weights = _weights(options.outer_loss, inner_steps)
    method = _Method(inner, inner_steps, options.first_order, options.checkpoint, weights)
    if options.tasks_per_step is not None:
        _check_count("tasks_per_step", options.tasks_per_step, at_least=1)
    drawn = sources(tasks, options.tasks_per_step)
    parameters, static = _split(model)
    parameters = jax.tree.map(jnp.asarray, parameters)
    meta = {"model": parameters, "learned": inner.init(parameters)}
    with jax.numpy_dtype_promotion("standard"):
        opt_state = optimizer.init(meta)
    run = _program(method, static, drawn, optimizer, jax.random.key(0) if key is None else key)
    meta, history = _train((meta, opt_state), run, outer_steps, on_progress)
    return MetaTrained(eqx.combine(meta["model"], static), meta["learned"], inner, history)


@dataclasses.dataclass(frozen=True)
class _Method:
    """How one task is learned, and what the outer loop wants of it."""

    optimizer: InnerOptimizer
    steps: int
    first_order: bool = False
    checkpoint: bool = False
    weights: tuple[float, ...] | None = None  # of the query loss after each step; None: after the last

    def adapted(
        self, parameters: Any, learned: Any, static: Any, task: Any, name: str, score: Callable[[Any], Any]
    ) -> tuple[Any, Any]:
        """φ^N, and the `score` of each of φ^1 … φ^N."""
        optimizer, first_order = self._of_task(task, name)
        loss = loss_of(task, "support_loss", static, name)

        def step(carry: Any, _: None) -> tuple[Any, Any]:
            carry = descend(optimizer, learned, carry[1], carry[0], loss, first_order=first_order)[:2]
            return carry, score(carry[0])

        carry, scores = (parameters, optimizer.start(learned, parameters)), []
        if self.checkpoint:  # a scan, since XLA may well do what is recomputed in unrolled steps all at once
            carry, stacked = jax.lax.scan(jax.checkpoint(step, prevent_cse=False), carry, None, length=self.steps)
            return carry[0], stacked
        for _ in range(self.steps):
            carry, each = step(carry, None)
            scores.append(each)
        return carry[0], jax.tree.map(lambda *xs: jnp.stack(xs), *scores) if scores else None

    def objective(self, meta: Any, static: Any, task: Any, name: str) -> tuple[Array, tuple[Array, Array]]:
        """What the outer loop descends, and the query loss before and after the inner steps."""
        loss = loss_of(task, "query_loss", static, name)
        score = loss if self.weights else lambda _: None
        parameters, scores = self.adapted(meta["model"], meta["learned"], static, task, name, score)
        after = scores[-1] if self.weights else loss(parameters)
        objective = jnp.sum(jnp.asarray(self.weights, scores.dtype) * scores) if self.weights else after
        return objective, (loss(meta["model"]), after)

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


def _program(
    method: _Method, static: Any, drawn: list[Source], optimizer: optax.GradientTransformation, key: Array
) -> Callable[[Any, int, int], Any]:
    """The compiled outer loop: from state and history after `start` steps to those after `stop` steps."""
    total = sum(source.size for source in drawn)

    def objective(meta: Any, data: list[Any], key: Array) -> tuple[Array, tuple[Array, Array]]:
        sums = []
        for source, arrays in zip(drawn, data, strict=True):

            def of_task(element: Any, source: Source = source, arrays: Any = arrays) -> Any:
                return method.objective(meta, static, source.build(arrays, element), source.name)

            values = jax.vmap(of_task, axis_size=source.size)(source.draw(arrays, key))
            sums.append(jax.tree.map(lambda x: jnp.sum(x, 0), values))
        return jax.tree.map(lambda *xs: sum(xs[1:], xs[0]) / total, *sums)

    def outer_step(number: Array, carry: Any, data: list[Any], key: Array) -> Any:
        (meta, opt_state), history = carry
        step_key = jax.random.fold_in(key, number)
        (_, losses), gradient = jax.value_and_grad(objective, has_aux=True)(meta, data, step_key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = optimizer.update(gradient, opt_state, meta)
            meta = optax.apply_updates(meta, updates)
        return (meta, opt_state), jax.tree.map(lambda all_, x: all_.at[number].set(x), history, losses)

    def run(carry: Any, start: Array, stop: Array, data: list[Any], key: Array) -> Any:
        return jax.lax.fori_loop(start, stop, lambda n, c: outer_step(n, c, data, key), carry)

    program, data = jax.jit(run), [source.data for source in drawn]
    return lambda carry, start, stop: program(carry, np.int32(start), np.int32(stop), data, key)


def _train(
    state: Any, run: Callable[..., Any], outer_steps: int, on_progress: OnProgress | None
) -> tuple[Any, History]:
    """Run the program, in pieces of one length."""
    losses: Any = jnp.zeros((outer_steps,)), jnp.zeros((outer_steps,))
    piece = max(1, -(-outer_steps // PIECES))
    for start in range(0, outer_steps, piece):
        done = min(start + piece, outer_steps)
        state, losses = run((state, losses), start, done)
        history = History(*(np.asarray(x[:done]) for x in losses))
        _check_finite(state[0], history)
        if on_progress is not None:
            on_progress(done, history)
    return state[0], History(*(np.asarray(x) for x in losses))


def _check_finite(meta: Any, history: History) -> None:
    if all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(meta)):
        return
    bad = np.flatnonzero(~np.isfinite(history.before) | ~np.isfinite(history.after))
    step = int(bad[0]) if bad.size else len(history.after) - 1
    raise AdaptaxError(
        f"maml_train: the model is no longer finite. At outer step {step} (counted from 0) the query loss was "
        f"{history.before[step]:.4g} before and {history.after[step]:.4g} after adaptation. Expected finite losses and "
        "gradients. Lower the inner or the outer learning rate, clip gradients (optax.clip_by_global_norm), or skip "
        "such steps (optax.apply_if_finite)"
    )


def _changed(options: MAMLOptions, changes: dict[str, Any]) -> MAMLOptions:
    """Settings with some of them otherwise."""
    if "progress" in changes:
        warnings.warn("maml_train: progress has no effect; pass on_progress", DeprecationWarning, stacklevel=3)
        changes = {name: value for name, value in changes.items() if name != "progress"}
    known = [field.name for field in dataclasses.fields(MAMLOptions)]
    for name in changes:
        if name not in known:
            raise TypeError(f"maml_train: expected options among {', '.join(known)}; found {name}")
    return dataclasses.replace(options, **changes)


def _is_trained(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def _split(model: Any) -> tuple[Any, Any]:
    """What of a model is trained, and the rest."""
    parameters, static = eqx.partition(model, _is_trained)
    if not jax.tree.leaves(parameters):
        raise TypeError(f"model has nothing to train: expected floating-point arrays, found {type(model).__name__}")
    return parameters, static


def _inner_optimizer(lr: Any, inner_optimizer: InnerOptimizer | None, name: str) -> InnerOptimizer:
    if inner_optimizer is None:
        return SGD(_rate(LEARNING_RATE if lr is None else lr))
    if lr is not None:
        raise ValueError(f"{name} and inner_optimizer cannot both be given; give {name} to the inner optimiser")
    return inner_optimizer


def _weights(outer_loss: Any, steps: int) -> tuple[float, ...] | None:
    """Of the query loss after each inner step; None for the last one alone."""
    if isinstance(outer_loss, str) and outer_loss in ("last", "mean"):
        return (1 / steps,) * steps if outer_loss == "mean" and steps else None
    if isinstance(outer_loss, str) or len(outer_loss) != steps or not steps:
        raise ValueError(
            f'outer_loss must be "last", "mean" or {steps} weights, one per inner step; found {outer_loss!r}'
        )
    return tuple(float(weight) for weight in outer_loss)


def _rate(lr: Any) -> Any:
    """A number of NumPy as one of Python, which takes on the precision of what it is multiplied with."""
    return float(lr) if isinstance(lr, int | float | np.number) else lr


def _check_count(name: str, value: Any, at_least: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number; found {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}; found {value}")
