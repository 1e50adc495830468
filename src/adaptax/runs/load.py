"""What a run has learned, read from its directory."""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import jax

from adaptax.core.algorithm import first_state, leaf_that_is_not_finite
from adaptax.core.arguments import in_words
from adaptax.core.errors import CheckpointError, UseError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.runs import checkpoints, validations
from adaptax.runs.directory import read_recipe
from adaptax.runs.parameters import Parameters, holds_parameters_only

Which = Literal["auto", "last", "best"]
"""A checkpoint: the best by validation tasks, the last, or ("auto") the best if the run was to select by them."""


def load_agent(
    directory: Path,
    on_message: Callable[[str], None] = warnings.warn,
    *,
    checkpoint: Which = "auto",
    problem: str | None = None,
    algorithm: str | None = None,
) -> TrainedAgent:
    """The agent that a run has trained, with all its seeds; it is called by its algorithm's name.

    For arguments and errors, see `read_agent`.
    """
    return read_agent(directory, on_message, checkpoint=checkpoint, problem=problem, algorithm=algorithm)[0]


def read_agent(
    directory: Path,
    on_message: Callable[[str], None] = warnings.warn,
    *,
    checkpoint: Which = "auto",
    problem: str | None = None,
    algorithm: str | None = None,
) -> tuple[TrainedAgent, int]:
    """The agent that a run has trained, and the number of updates behind it.

    Args:
        directory: The run's directory.
        on_message: Called with a line if a damaged checkpoint is passed over, training is not finished, or it is not
            the last checkpoint that is used.
        checkpoint: Which checkpoint.
        problem: The run's problem, if it is your own (MODULE:NAME): a run has nothing imported that you do not name.
        algorithm: The run's algorithm, if it is your own.

    Raises:
        CheckpointError: if there is no checkpoint, or none is good; if θ in it is NaN or infinite; if the best is
            wanted, and it is not known.
        UseError: if it is not said which checkpoint.
    """
    if checkpoint not in get_args(Which):
        raise UseError(
            f"load_agent(checkpoint): expected one of {', '.join(get_args(Which))}, found {in_words(checkpoint)}; "
            "nothing was read"
        )
    recipe, options = read_recipe(directory, problem=problem, algorithm=algorithm)
    learner, seen = recipe.build()
    num_seeds: int = options["seeds"]
    like = jax.eval_shape(lambda: first_state(learner, seen, jax.random.key(0), num_seeds))
    if holds_parameters_only(directory):
        like = Parameters(like.meta)
    if checkpoint == "auto":
        checkpoint = "best" if options["select_on"] == "validation" else "last"
    only = None if checkpoint == "last" else _best(directory, on_message)
    planned = getattr(learner, "num_updates", 0)
    complete = functools.partial(recipe.complete, planned_before=options["planned_before"])
    found = checkpoints.newest(directory, like, recipe.about(options), on_message, complete, only=only, at_most=planned)
    if bad := leaf_that_is_not_finite(found.state.meta):
        raise CheckpointError(
            f"{directory}: expected finite numbers in checkpoint {found.update}, found NaN or infinity in leaf {bad}. "
            "Nothing was changed; delete that checkpoint to use the one before"
        )
    reached = found.update if only is None else max(checkpoints.updates_in(directory))
    if reached < planned:
        on_message(
            f"{directory}: training is not finished: {reached} of {planned} updates. "
            f"To go on: adaptax train --resume {directory}"
        )
    return TrainedAgent(learner, seen, found.state.meta, num_seeds, name=recipe.algorithm), found.update


def _best(directory: Path, on_message: Callable[[str], None]) -> int:
    """Update of the best checkpoint by validation tasks."""
    best = validations.best_of(directory, validations.read(directory))
    if best is None:
        raise CheckpointError(
            f"{directory}: no checkpoint of it was chosen by validation (train with --select-on validation), so the "
            "best is not known. Nothing was changed; use the last: --checkpoint last"
        )
    on_message(
        f"{directory}: using checkpoint {best.update}, the best on validation tasks ({best.mean:.4g} in a trial)"
    )
    return best.update
