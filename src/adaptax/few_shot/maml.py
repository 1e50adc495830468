"""Model-agnostic meta-learning for anything with a differentiable loss: `maml_train` and `adapt`.

    min_θ Σ_i L_i(φ_i^N)   with   φ_i^0 = θ,   φ_i^{k+1} = φ_i^k − α ∇L_i(φ_i^k)

(Finn et al. 2017, arXiv 1703.03400, algorithms 1 and 2), differentiated *through* the inner steps, whichever inner
optimiser takes them (`adaptax.optimization.inner_optimizers`, or any of optax). A task is any object with a loss.

A model may have a state s beside its parameters (batch statistics, say), which losses read and change. Each task is
entered with the s of the outer loop; each inner step leaves it as its support loss returns it; the query loss after the
last inner step reads that, and what it returns is the task's. The outer loop goes on with the mean over the step's
tasks (of what is no floating-point number, such as a count: with that of the first task). Within a task the
meta-gradient goes through s; it never goes through an outer step. `docs/few_shot.md` shows how.

Keys: outer step n has `fold_in(key, n)`; a task of it that, with "task" and the task's number folded in; a loss in it
that, with its purpose ("support_loss", "query_loss") and the number of inner steps done folded in.

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
from adaptax.core.splits import fold_in_name
from adaptax.few_shot.inner_loop import Found, Method, Start, inner_optimizer_of
from adaptax.few_shot.losses import LossTask, state_of
from adaptax.few_shot.tasks import Source, sources
from adaptax.optimization.inner_optax import Optax, check_derivative
from adaptax.optimization.inner_optimizers import InnerOptimizer

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
        inner_optimizer: Takes the inner steps, instead of plain gradient descent: one of optax, such as
            `optax.adam(1e-2)`, or `adaptax.optimization.inner_optimizers.MetaSGD(0.01)`, say. What it remembers
            (moments, momentum) is fresh in each task. Its derivative is finite where a gradient is 0: see
            `adaptax.optimization.inner_optax`.
        first_order: Take inner gradients for constants (FOMAML; Finn et al. 2017, section 5.2), and the state that
            inner steps leave too.
        tasks_per_step: How many tasks make an outer step: of a sampler, 25 if not given; of a sequence, all if not
            given, otherwise a random choice without replacement, for which all its tasks must be stackable.
        outer_loss: What the outer loop descends: the query loss after the "last" inner step (MAML), the "mean" of those
            after each inner step, 1 to N, which makes a model that is good after any number of steps, or their sum with
            N weights that are given (multi-step loss; Antoniou et al. 2019, arXiv 1810.09502, section 4).
        checkpoint: Compute inner steps once more in the backward pass instead of keeping what they computed: memory
            then grows by the parameters alone with each inner step.
    """

    inner_lr: float | None = None
    inner_optimizer: InnerOptimizer | optax.GradientTransformation | None = None
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
        state: The model's state, such as its batch statistics; None if it has none.
    """

    model: Any
    learned: PyTree[Array]
    inner_optimizer: InnerOptimizer
    history: History
    state: Any = None

    def adapt(self, task: Any, steps: int, *, key: Key[Array, ""] | None = None) -> Any:
        """`adapt(model, task, steps)` with the inner optimiser as it was trained, and with the model's state if any."""
        return adapt(
            self.model,
            task,
            steps,
            inner_optimizer=self.inner_optimizer,
            learned=self.learned,
            state=self.state,
            key=key,
        )


def adapt(
    model: Any,
    task: LossTask | Any,
    steps: int,
    lr: float | Float[Array, ""] | None = None,
    *,
    inner_optimizer: InnerOptimizer | optax.GradientTransformation | None = None,
    learned: PyTree[Array] = None,
    first_order: bool = False,
    checkpoint: bool = False,
    state: Any = None,
    key: Key[Array, ""] | None = None,
) -> Any:
    """Adapt a model to a task: `steps` inner steps on the task's `support_loss`, or else its `loss`.

    It is a pure function, which leaves `model` as it is and may be differentiated, mapped and compiled; wrap it in
    `jax.jit` (or `equinox.filter_jit`) to adapt to many tasks.

    Args:
        model: Any pytree; its floating-point arrays are adapted.
        task: What to adapt to (see `LossTask`).
        steps: Inner steps N; 0 returns the model.
        lr: Inner learning rate α of plain gradient descent, 0.01 if not given.
        inner_optimizer: Takes the inner steps, instead of plain gradient descent; may be one of optax.
        learned: What that optimiser learned in meta-training, `MetaTrained.learned`.
        first_order: If the result is differentiated, take inner gradients for constants.
        checkpoint: If it is, compute inner steps once more in the backward pass, instead of keeping what they computed.
        state: The model's state, for losses that ask for one.
        key: What this task's random numbers follow from, for losses that ask for a key.

    Returns:
        The adapted model; if there is a state, that and the state after the last inner step.

    Raises:
        TypeError: `task` has no loss or `model` nothing to adapt.
        ValueError: A loss is no scalar, arguments contradict each other, or a loss asks for what is not given.
    """
    _check_count("steps", steps)
    parameters, static = _split(model)
    method = Method(inner_optimizer_of(lr, inner_optimizer, "lr"), steps, first_order, checkpoint)
    if learned is None and jax.tree.leaves(method.optimizer.init(parameters)):
        raise ValueError(
            f"adapt: {type(inner_optimizer).__name__} adapts with what it learned in meta-training; pass "
            "learned=trained.learned, or call trained.adapt(task, steps) on the result of maml_train"
        )
    start = Start(parameters, learned, state_of(state), key)
    adapted, after, _ = method.adapted(start, static, task, "task", lambda *_: None)
    adapted = eqx.combine(adapted, static)
    return adapted if state is None else (adapted, after)


def maml_train(
    model: Any,
    optimizer: optax.GradientTransformation,
    tasks: Sequence[Any] | Callable[[Key[Array, ""]], Any],
    inner_steps: int,
    outer_steps: int,
    options: MAMLOptions | None = None,
    *,
    state: Any = None,
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
        state: The model's first state, such as the batch statistics that `eqx.nn.make_with_state` returns beside the
            model: any pytree of arrays. Losses with a parameter `state` get it, and return (loss, state). After an
            outer step with a loss or gradient that is not finite it is what it was before.
        key: What sampled and chosen tasks follow from, and the keys of losses that have a parameter `key` (for
            dropout, say); `jax.random.key(0)` if not given.
        on_progress: Called about a hundred times, with the outer steps done and the history of the losses up to there.
        **changes: Fields of `MAMLOptions` that are otherwise than in `options`: `inner_lr=0.3`, say.

    Returns:
        The trained model, with its state, what the inner optimiser learned and the history of the losses.

    Raises:
        TypeError: A task has no loss, or an argument is of the wrong kind.
        ValueError: A loss is no scalar, an argument is out of range, arguments contradict each other, or the derivative
            of an inner optimiser of optax is not finite where gradients are 0.
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
    inner = inner_optimizer_of(options.inner_lr, options.inner_optimizer, "inner_lr")
    weights = _weights(options.outer_loss, inner_steps)
    method = Method(inner, inner_steps, options.first_order, options.checkpoint, weights)
    if options.tasks_per_step is not None:
        _check_count("tasks_per_step", options.tasks_per_step, at_least=1)
    drawn = sources(tasks, options.tasks_per_step)
    parameters, static = _split(model)
    parameters = jax.tree.map(jnp.asarray, parameters)
    if isinstance(inner, Optax):
        check_derivative(inner.transformation, parameters)
    meta, state = {"model": parameters, "learned": inner.init(parameters)}, state_of(state)
    with jax.numpy_dtype_promotion("standard"):
        opt_state = optimizer.init(meta)
    run = _program(method, static, drawn, optimizer, jax.random.key(0) if key is None else key)
    (meta, _, state), history = _train((meta, opt_state, state), run, outer_steps, on_progress)
    return MetaTrained(eqx.combine(meta["model"], static), meta["learned"], inner, history, state)


def _program(
    method: Method, static: Any, drawn: list[Source], optimizer: optax.GradientTransformation, key: Array
) -> Callable[[Any, int, int], Any]:
    """The compiled outer loop: from state and history after `start` steps to those after `stop` steps."""
    total = sum(source.size for source in drawn)

    def objective(meta: Any, state: Any, data: list[Any], key: Array) -> tuple[Array, Found]:
        found, task_key = [], fold_in_name(key, "task")
        for source, arrays in zip(drawn, data, strict=True):

            def of_task(number: Array, element: Any, source: Source = source, arrays: Any = arrays) -> Any:
                start = Start(meta["model"], meta["learned"], state, jax.random.fold_in(task_key, number))
                return method.objective(start, static, source.build(arrays, element), source.name)

            found.append(jax.vmap(of_task, axis_size=source.size)(*source.draw(arrays, key)))
        value, joined = jax.tree.map(lambda *xs: _mean(xs, total), *found)
        return value, joined

    def outer_step(number: Array, carry: Any, data: list[Any], key: Array) -> Any:
        (meta, opt_state, state), history = carry
        step_key = jax.random.fold_in(key, number)
        gradient_of = jax.value_and_grad(objective, has_aux=True)
        (_, found), gradient = gradient_of(meta, state, data, step_key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = optimizer.update(gradient, opt_state, meta)
            meta = optax.apply_updates(meta, updates)
        if state is not None:  # one task that diverged would be in all later states
            sound = jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves((gradient, found[:2]))]).all()
            state = jax.tree.map(lambda new, old: jnp.where(sound, new, old), found.state, state)
        losses = History(found.before, found.after)
        return (meta, opt_state, state), jax.tree.map(lambda all_, x: all_.at[number].set(x), history, losses)

    def run(carry: Any, start: Array, stop: Array, data: list[Any], key: Array) -> Any:
        return jax.lax.fori_loop(start, stop, lambda n, c: outer_step(n, c, data, key), carry)

    program, data = jax.jit(run), [source.data for source in drawn]
    return lambda carry, start, stop: program(carry, np.int32(start), np.int32(stop), data, key)


def _mean(of_groups: Sequence[Array], total: int) -> Array:
    """Over the tasks of all groups, leaves `[task, ...]`; of what is no floating-point number the first task's."""
    if not jnp.issubdtype(of_groups[0].dtype, jnp.inexact):
        return of_groups[0][0]
    sums = [jnp.sum(x, 0) for x in of_groups]
    return sum(sums[1:], sums[0]) / total


def _train(
    state: Any, run: Callable[..., Any], outer_steps: int, on_progress: OnProgress | None
) -> tuple[Any, History]:
    """Run the program, in pieces of one length; return its last state, and what each step was like."""
    losses: Any = History(*(jnp.zeros((outer_steps,)) for _ in History._fields))  # type: ignore[arg-type]
    piece = max(1, -(-outer_steps // PIECES))
    for start in range(0, outer_steps, piece):
        done = min(start + piece, outer_steps)
        state, losses = run((state, losses), start, done)
        history = History(*(np.asarray(x[:done]) for x in losses))
        _check_finite(state[0], history)
        if on_progress is not None:
            on_progress(done, history)
    return state, History(*(np.asarray(x) for x in losses))


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
    """What of a model is trained, and the rest: the places of a state too, which may hold its first values."""
    parameters, static = eqx.partition(model, _is_trained, is_leaf=lambda x: isinstance(x, eqx.nn.StateIndex))
    if not jax.tree.leaves(parameters):
        raise TypeError(f"model has nothing to train: expected floating-point arrays, found {type(model).__name__}")
    return parameters, static


def _weights(outer_loss: Any, steps: int) -> tuple[float, ...] | None:
    """Of the query loss after each inner step; None for the last one alone."""
    if isinstance(outer_loss, str) and outer_loss in ("last", "mean"):
        return (1 / steps,) * steps if outer_loss == "mean" and steps else None
    if isinstance(outer_loss, str) or len(outer_loss) != steps or not steps:
        raise ValueError(
            f'outer_loss must be "last", "mean" or {steps} weights, one per inner step; found {outer_loss!r}'
        )
    return tuple(float(weight) for weight in outer_loss)


def _check_count(name: str, value: Any, at_least: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number; found {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}; found {value}")
