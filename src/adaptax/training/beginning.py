"""The state before the first update, and the program that trains from it, compiled side by side."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from adaptax.core.algorithm import Algorithm, first_program, run_first
from adaptax.core.meta_learner import check_declared
from adaptax.core.problem import Problem
from adaptax.core.types import TrainState
from adaptax.training.loop import lower


def begin(
    algorithm: Algorithm,
    problem: Problem,
    *,
    seed: int,
    num_seeds: int = 1,
    devices: int = 1,
    on_shapes: Callable[[TrainState], None] = lambda shapes: None,
) -> tuple[TrainState, Callable[[], Any]]:
    """Return the state before the first update, as `init` does, and what waits for the program that `train` runs.

    That program is compiled by a thread meanwhile, and still when this returns: it takes the longer of the two.

    Args:
        algorithm: What is to be trained.
        problem: Where.
        seed: As of `init`.
        num_seeds: As of `init`.
        devices: Devices of this process to split the tasks of an update over.
        on_shapes: Called with the shapes and types of the state's leaves before there is anything of it, and before
            anything is compiled; it may refuse.

    Raises:
        DivergenceError: if a leaf of the state is NaN or infinite.
    """
    check_declared(algorithm)
    key = jax.random.key(seed)
    # Traced here and not by the threads: what JAX is told by context managers is told to one thread alone.
    program, options = first_program(algorithm, problem, num_seeds)
    shapes = jax.eval_shape(program, key)
    on_shapes(shapes)
    pool = ThreadPoolExecutor(2, thread_name_prefix="compiling")
    first = pool.submit(program.lower(key).compile, options)
    training = pool.submit(lower(algorithm, problem, shapes, num_seeds, devices).compile)
    pool.shutdown(wait=False)
    return run_first(first.result(), key), training.result
