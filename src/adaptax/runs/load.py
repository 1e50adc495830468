"""What a run has learned, read from its directory."""

import warnings
from collections.abc import Callable
from pathlib import Path

import jax

from adaptax.core.algorithm import first_state
from adaptax.core.trained_agent import TrainedAgent
from adaptax.runs import checkpoints
from adaptax.runs.directory import read_recipe


def load_agent(directory: Path, on_message: Callable[[str], None] = warnings.warn) -> TrainedAgent:
    """The agent that a run has trained, with all its seeds; it is called by its algorithm's name.

    Args:
        directory: The run's directory.
        on_message: Called with a line if a damaged checkpoint is passed over, or training is not finished.

    Raises:
        CheckpointError: if there is no checkpoint, or none is good.
    """
    recipe, options = read_recipe(directory)
    algorithm, problem = recipe.build()
    num_seeds = int(options.get("seeds", 1))
    like = jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0), num_seeds))
    found = checkpoints.newest(directory, like, recipe.about(options), on_message)
    planned = getattr(algorithm, "num_updates", 0)
    if found.update < planned:
        on_message(
            f"{directory}: training is not finished: {found.update} of {planned} updates. "
            f"To go on: adaptax train --resume {directory}"
        )
    return TrainedAgent(algorithm, problem, found.state.meta, num_seeds, name=recipe.algorithm)
