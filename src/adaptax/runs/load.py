"""What a run has learned, read from its directory."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from adaptax.core.algorithm import Algorithm, first_state
from adaptax.core.problem import Problem
from adaptax.runs import checkpoints
from adaptax.runs.directory import read_recipe


def load_meta(
    directory: Path,
    algorithm: Algorithm,
    problem: Problem,
    num_seeds: int = 1,
    say: Callable[[str], None] = warnings.warn,
) -> Any:
    """θ of a run, whose algorithm and problem these are; leaves have a leading seed axis if it has several seeds.

    Args:
        directory: The run's directory.
        algorithm: Its algorithm.
        problem: Its problem.
        num_seeds: Its trainings.
        say: Called with a line if a damaged checkpoint is passed over, or training is not finished.

    Raises:
        CheckpointError: if there is no checkpoint, or none is good.
    """
    recipe, options = read_recipe(directory)
    like = jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0), num_seeds))
    found = checkpoints.newest(directory, like, recipe.about(options), say, recipe.complete)
    planned = algorithm.num_updates
    if found.update < planned:
        say(
            f"{directory}: training is not finished: {found.update} of {planned} updates. "
            f"To go on: adaptax train --resume {directory}"
        )
    return found.state.meta
