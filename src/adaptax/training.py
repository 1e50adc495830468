"""The one training loop, for all algorithms: `jit(scan(update, chunk))`.

The device runs a chunk of updates as one program; between chunks the host gets the metrics of each update and may
log, evaluate or save. All state is in `TrainState`.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from adaptax import parallel
from adaptax.algorithm import Algorithm
from adaptax.envs.base import Problem
from adaptax.types import TrainState


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


def chunk_length(num_updates: int, at_most: int) -> int:
    """The largest divisor of `num_updates` that is at most `at_most`: all chunks run the same program."""
    return max(n for n in range(1, min(at_most, num_updates) + 1) if num_updates % n == 0)


def init(algorithm: Algorithm, problem: Problem, *, seed: int, num_seeds: int = 1) -> TrainState:
    """The state before the first update; with `num_seeds` > 1, leaves have a leading seed axis."""
    root = jax.random.key(seed)
    if num_seeds == 1:
        return jax.jit(lambda key: algorithm.init(problem, key))(root)
    return jax.jit(jax.vmap(lambda key: algorithm.init(problem, key)))(jax.random.split(root, num_seeds))


def train(
    algorithm: Algorithm,
    problem: Problem,
    state: TrainState,
    *,
    num_updates: int,
    num_seeds: int = 1,
    devices: int = 1,
    chunk: int = 10,
    on_chunk: Callable[[Progress], bool] = lambda progress: False,
) -> TrainState:
    """Do `num_updates` updates, or fewer if `on_chunk` says so, and return the state after them.

    Args:
        algorithm: What to train.
        problem: Where.
        state: Where to start; it is donated, so do not use it afterwards.
        num_updates: How many updates.
        num_seeds: Seeds that are trained side by side; `state` has a leading seed axis if more than one.
        devices: Devices to split the tasks of an update over.
        chunk: Updates between two calls of `on_chunk`, at most.
        on_chunk: Called after every chunk; training stops if it returns True.
    """
    update = lambda state: algorithm.update(problem, state)  # noqa: E731
    step = jax.vmap(update) if num_seeds > 1 else update
    length = chunk_length(num_updates, chunk)

    def run(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        return jax.lax.scan(lambda state, _: step(state), state, None, length=length)

    program = jax.jit(parallel.over_devices(run, devices), donate_argnums=0).lower(state).compile()
    begin = time.monotonic()
    for done in range(length, num_updates + 1, length):
        state, metrics = program(state)
        host: dict[str, Any] = jax.device_get(metrics)
        by_seed = {name: np.asarray(values).reshape(length, -1) for name, values in host.items()}
        if on_chunk(Progress(done, by_seed, time.monotonic() - begin, state)):
            break
    return state


def num_parameters(tree: Any) -> int:
    """Number of floating-point numbers in a pytree."""
    return sum(x.size for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating))
