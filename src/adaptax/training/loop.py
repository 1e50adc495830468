"""The one training loop, for all algorithms: `jit(scan(update, chunk))`.

The device runs a chunk of updates as one program; between chunks the host gets the metrics of each update and may
log, evaluate or save. All state is in `TrainState`. An update that would put NaN or infinity into it is not taken, and
training ends: what was good stays good, and can be saved and looked into.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from adaptax.core import parallel
from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.meta_learner import check_declared
from adaptax.core.problem import Problem
from adaptax.core.types import ENV_STEPS, Metrics, TrainState

CHUNK = 10
"""Updates between two looks of the host, at most."""


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


def chunk_length(num_updates: int, at_most: int) -> int:
    """The largest divisor of `num_updates` that is at most `at_most`: all chunks run the same program."""
    return max(n for n in range(1, min(at_most, num_updates) + 1) if num_updates % n == 0)


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
    since: int = 0,
    on_compiled: Callable[[Any], None] = lambda program: None,
    on_chunk: Callable[[Progress], bool] = lambda progress: False,
) -> TrainState:
    """Do updates until there are `num_updates`, or until `on_chunk` says so, and return the state after them.

    Args:
        algorithm: What to train.
        problem: Where.
        state: Where to start; it is donated, so do not use it afterwards.
        num_updates: How many updates there are to be.
        num_seeds: Seeds that are trained side by side; `state` has a leading seed axis if more than one.
        devices: Devices to split the tasks of an update over, those of other processes included.
        chunk: Updates between two calls of `on_chunk`, at most.
        done: Updates that `state` has behind it: after a whole number of chunks, as `on_chunk` sees it.
        since: Updates that there were when it was decided how many there are to be: chunks are counted from there.
        on_compiled: Called with the compiled program, which knows how much memory it needs, before it runs.
        on_chunk: Called after every chunk; training stops if it returns True.

    Raises:
        TypeError: if a meta-learner does not declare what it must, or reports no "return".
        DivergenceError: if a leaf of the state, or a metric, becomes NaN or infinite. It carries the state before that
            update; `on_chunk` is not called for its chunk.
    """
    check_declared(algorithm)
    length = chunk_length(num_updates - since, chunk)
    if done < since or (done - since) % length:
        after = f"{since} and a multiple of {length}" if since else f"a multiple of {length}"
        raise UseError(f"train(done): expected {after}, the length of a chunk; found {done}")

    run = chunk_of_updates(algorithm, problem, length, num_seeds, devices)
    state = parallel.everywhere(state, devices)
    program = jax.jit(run, donate_argnums=0).lower(state).compile()
    on_compiled(program)
    begin = time.monotonic()
    for so_far in range(done + length, num_updates + 1, length):
        state, (metrics, finite) = program(state)
        host, finite = jax.device_get((metrics, finite))
        if not all(np.all(good) for good in jax.tree.leaves(finite)):
            raise _divergence(so_far - length, finite, parallel.here(state))
        by_seed = {name: np.asarray(values).reshape(length, -1) for name, values in host.items()}
        if on_chunk(Progress(so_far, by_seed, time.monotonic() - begin, parallel.here(state))):
            break
    return parallel.here(state)


def chunk_of_updates(
    algorithm: Algorithm, problem: Problem, length: int, num_seeds: int = 1, devices: int = 1
) -> Callable[[TrainState], tuple[TrainState, Any]]:
    """The program that the training loop runs, from a state to one `length` updates later, and what is told of them."""

    def run(state: TrainState) -> tuple[TrainState, Any]:
        return jax.lax.scan(
            lambda state, _: sound_update(algorithm, problem, state, num_seeds), state, None, length=length
        )

    run_on_devices: Callable[[TrainState], tuple[TrainState, Any]] = parallel.over_devices(run, devices)
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
