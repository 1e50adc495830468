"""The one training loop, for all algorithms: `jit(loop(update))`.

The device runs a chunk of updates as one program; between chunks the host gets the metrics of each update and may
log, evaluate or save. How many updates a chunk has is an argument of that program, so a run is bitwise the same
whatever its chunks. All state is in `TrainState`. An update that would put NaN or infinity into it is not taken, and
training ends: what was good stays good, and can be saved and looked into.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from adaptax.core import host_program, parallel
from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import DivergenceError
from adaptax.core.meta_learner import check_declared
from adaptax.core.problem import Problem
from adaptax.core.types import ENV_STEPS, Metrics, TrainState

CHUNK = 10
"""The host looks after each update whose number is a multiple of it, after the first, and after the last."""


class Progress(NamedTuple):
    """What the host sees after a chunk.

    Attributes:
        done: Updates done.
        metrics: By name, `[update in this chunk, seed]`.
        seconds: Since the first chunk began to run, compilation apart.
        state: The state after the chunk. It is given to the next chunk and gone then: copy what you keep.
    """

    done: int
    metrics: dict[str, np.ndarray]
    seconds: float
    state: TrainState

    def env_steps(self, nominal: int) -> list[int]:
        """Environment steps that were taken in each update of this chunk, by all seeds together.

        Args:
            nominal: How many there are where no episode ends early.
        """
        length = len(next(iter(self.metrics.values())))
        taken = self.metrics.get(ENV_STEPS)
        return [nominal] * length if taken is None else [int(x) for x in taken.sum(1, dtype=np.int64)]


def next_look(done: int, num_updates: int, chunk: int = CHUNK, *, first: bool = False) -> int:
    """The update after which the host looks next.

    Args:
        done: Updates that are done.
        num_updates: How many there are to be.
        chunk: Updates between two looks, at most.
        first: Whether nothing has run yet: then it looks after one, so that something is to be seen at once.
    """
    return min(done + 1 if first else (done // chunk + 1) * chunk, num_updates)


def train(
    algorithm: Algorithm,
    problem: Problem,
    state: TrainState,
    *,
    num_updates: int,
    num_seeds: int = 1,
    devices: int = 1,
    chunk: int = CHUNK,
    done: int = 0,
    program: Callable[[], Any] | None = None,
    on_compiled: Callable[[Any], None] = lambda program: None,
    on_chunk: Callable[[Progress], bool] = lambda progress: False,
) -> TrainState:
    """Do updates until there are `num_updates`, or until `on_chunk` says so, and return the state after them.

    Args:
        algorithm: What to train.
        problem: Where.
        state: Where to start. It stays as it is; with `program` it is given up to that, so do not use it afterwards.
        num_updates: How many updates there are to be.
        num_seeds: Seeds that are trained side by side; `state` has a leading seed axis if more than one.
        devices: Devices to split the tasks of an update over, those of other processes included.
        chunk: Updates between two calls of `on_chunk`, at most: it is called after multiples of it, after the first
            update that is done here, and after the last.
        done: Updates that `state` has behind it.
        program: Waits for the program of `lower`, compiled for this very work with chunks as they are by default;
            None: it is compiled here.
        on_compiled: Called with the compiled program, which knows how much memory it needs, before it runs.
        on_chunk: Called after every chunk; training stops if it returns True.

    Raises:
        TypeError: if a meta-learner does not declare what it must, or reports no "return".
        DivergenceError: if a leaf of the state, or a metric, becomes NaN or infinite. It carries the state before that
            update; `on_chunk` is not called for its chunk.
    """
    check_declared(algorithm)
    if program is None:  # whoever calls from Python may still hold the state, to compare with say
        state = jax.tree.map(jnp.copy, state)
    state = parallel.everywhere(state, devices)
    run = lower(algorithm, problem, state, num_seeds, devices, chunk).compile() if program is None else program()
    on_compiled(run)
    begin, start = time.monotonic(), done
    while done < num_updates:
        before, done = done, next_look(done, num_updates, chunk, first=done == start)
        length = done - before
        state, told = run(state, parallel.everywhere(jnp.asarray(length, jnp.int32), devices))
        metrics, finite = _first(length, jax.device_get(told))
        if not all(np.all(good) for good in jax.tree.leaves(finite)):
            raise _divergence(before, finite, parallel.here(state))
        by_seed = {name: values.reshape(length, -1) for name, values in metrics.items()}
        if on_chunk(Progress(done, by_seed, time.monotonic() - begin, parallel.here(state))):
            break
    return parallel.here(state)


def lower(
    algorithm: Algorithm, problem: Problem, state: Any, num_seeds: int = 1, devices: int = 1, chunk: int = CHUNK
) -> jax.stages.Lowered:
    """The program of `train`, to be compiled for a state or its shapes."""
    count = parallel.everywhere(jnp.asarray(1, jnp.int32), devices)
    run = chunk_of_updates(algorithm, problem, chunk, num_seeds, devices)
    return host_program.program(run, on_host=problem.env.on_host, donate_argnums=0).lower(state, count)


def chunk_of_updates(
    algorithm: Algorithm, problem: Problem, length: int = CHUNK, num_seeds: int = 1, devices: int = 1
) -> Callable[..., tuple[TrainState, Any]]:
    """The program that the training loop runs: from a state and a number of updates to the state after them.

    The number is `length` if it is not given, and at most that. Beside the state it returns what is told of each
    update, `[length, ...]`: as many as there were are filled.
    """
    return chunk_of(lambda state: sound_update(algorithm, problem, state, num_seeds), length, devices)


def chunk_of(
    update: Callable[[TrainState], tuple[TrainState, Any]], length: int, devices: int
) -> Callable[..., tuple[TrainState, Any]]:
    """The program of `chunk_of_updates` for any function that updates a state and tells of it."""
    # Jitted, so that it is traced once: for the shapes of what is told, and in the loop.
    update = jax.jit(update, inline=True)

    def run(state: TrainState, count: Any = length) -> tuple[TrainState, Any]:
        _, one = jax.eval_shape(update, state)

        def step(index: Array, carry: tuple[TrainState, Any]) -> tuple[TrainState, Any]:
            new, told = update(carry[0])
            return new, jax.tree.map(lambda all_, x: all_.at[index].set(x), carry[1], told)

        return jax.lax.fori_loop(
            0, count, step, (state, jax.tree.map(lambda x: jnp.zeros((length, *x.shape), x.dtype), one))
        )

    run_on_devices: Callable[..., tuple[TrainState, Any]] = parallel.over_devices(run, devices)
    return run_on_devices


def sound_update(
    algorithm: Algorithm, problem: Problem, state: TrainState, num_seeds: int = 1
) -> tuple[TrainState, tuple[Metrics, PyTree[Array]]]:
    """One update, which is taken only if all that comes of it is finite.

    Returns:
        The state, and the metrics with a flag for every metric and every leaf of the new state: whether it is finite.
    """

    def update(state: TrainState) -> tuple[TrainState, Metrics]:
        return algorithm.update(problem, state)

    new, metrics = (jax.vmap(update) if num_seeds > 1 else update)(state)
    finite = jax.tree.map(_is_finite, {"metrics": metrics, "state": new})
    sound = jnp.all(jnp.stack(jax.tree.leaves(finite)))
    # As one choice, not one for each leaf: a tenth of the time that it takes to compile.
    taken: TrainState = jax.lax.cond(sound, lambda new, old: new, lambda new, old: old, new, state)
    return taken, (metrics, finite)


def _first(count: int, told: Any) -> Any:
    return jax.tree.map(lambda x: np.asarray(x)[:count], told)


def _is_finite(x: Array) -> Array:
    return jnp.all(jnp.isfinite(x)) if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.asarray(True)


def _divergence(done: int, finite: PyTree[Array], state: TrainState) -> DivergenceError:
    """What to say of flags `[update in this chunk]`."""
    named = [(jax.tree_util.keystr(path), flags) for path, flags in jax.tree_util.tree_leaves_with_path(finite)]
    offset = min(int(np.argmin(flags)) for _, flags in named if not np.all(flags))
    bad = [_plain(name) for name, flags in named if not flags[offset]]
    first = [next((name for name in bad if name.startswith(kind)), "") for kind in ("metric ", "leaf ")]
    told = [name for name in first if name]
    error = DivergenceError(
        f"update {done + offset + 1}: {' and '.join(told)} became NaN or infinite"
        + (f", and {len(bad) - len(told)} more" if len(bad) > len(told) else "")
        + "; the update was not taken. Lower the learning rate, or the size of the network's first steps"
    )
    error.update, error.state = done + offset + 1, state
    return error


def _plain(path: str) -> str:
    """`['metrics']['return']` as "metric return"."""
    if path.startswith("['metrics']"):
        return "metric " + path.removeprefix("['metrics']['").removesuffix("']")
    return "leaf " + path.removeprefix("['state']")
