"""Another number of updates for a run that there is: `adaptax train --resume DIR --num-updates N`."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptax.core.errors import ConfigError, OutputError, unwritten
from adaptax.experiment.progress import OnMessage
from adaptax.registry.registry import FROM_SCRATCH
from adaptax.runs.checkpoints import updates_in
from adaptax.runs.directory import first_free, save_config
from adaptax.runs.recipe import UPDATES, Recipe
from adaptax.runs.trackers.tracker import accept_trackers

EVALUATED = ("evaluation.json", "returns.npz", "adaptation.png", "paths.png")
"""What an evaluation leaves behind in the run's directory: it is of the agent as it was then."""


def replanned(
    recipe: Recipe, started_with: dict[str, Any], directory: Path, num_updates: int | None, on_message: OnMessage
) -> tuple[Recipe, dict[str, Any]]:
    """Write down another number of updates for a run in a claimed directory; return what `read_recipe` does.

    The files of an evaluation are put aside first, then the new plan is written, as one file: whatever dies meanwhile,
    the run has either plan, and can be gone on with.

    Args:
        recipe: What the run trains.
        started_with: Its options.
        directory: Where it is.
        num_updates: How many updates it is to have; None: as many as before.
        on_message: Called with lines for a person.

    Raises:
        ConfigError: if there is nothing to train, or it has made more updates already.
        OutputError: if it cannot be written down.
    """
    planned = getattr(recipe.algorithm_settings, UPDATES, None)
    if num_updates is None or num_updates == planned:
        return recipe, started_with
    if recipe.algorithm in FROM_SCRATCH or planned is None:
        raise ConfigError(f"--num-updates: {recipe.algorithm} learns every task from nothing, so there are no updates")
    made = max((update for update in updates_in(directory) if update <= planned), default=0)
    if num_updates < made:
        raise ConfigError(
            f"--num-updates: expected at least {made}, as {directory} has so many updates behind it; found "
            f"{num_updates}. Nothing was changed"
        )
    settings = dataclasses.replace(recipe.algorithm_settings, **{UPDATES: num_updates})
    new = dataclasses.replace(recipe, algorithm_settings=settings)
    settings.check_problem(new.problem_settings)
    before = (*(started_with["planned_before"] or ()), planned)
    written = {**started_with, "planned_before": before, "planned_at": made}
    moved: dict[Path, Path] = {}
    try:
        _put_aside(directory, made, moved)
        save_config(directory, new, written)
    except OSError as error:
        _put_back(moved)
        raise OutputError(
            f"{directory}: the new number of updates cannot be written down ({error.strerror or error}); the run is as "
            "it was. See to it, then repeat the command"
        ) from error
    if moved:
        names, (aside, *_) = ", ".join(old.name for old in moved), moved.values()
        on_message(f"{directory}: {names}, of the agent as it was, moved to {aside.parent.name}")
    on_message(
        f"{directory}: {num_updates} updates instead of {planned}. Where a learning rate or an entropy cost falls to 0 "
        f"over them, from update {made} on it is as if {num_updates} had been planned from the beginning"
    )
    return new, written


def logged_to(
    recipe: Recipe, started_with: dict[str, Any], directory: Path, log: Sequence[str] | None
) -> dict[str, Any]:
    """Write down where else a run in a claimed directory is logged from here on; return its options.

    Args:
        recipe: What the run trains.
        started_with: Its options.
        directory: Where it is.
        log: Names of trackers; None: those that it had.

    Raises:
        MissingPackageError: if the package of one is not installed; nothing was changed.
        OutputError: if it cannot be written down.
    """
    before = started_with["log"] or ()
    accept_trackers(before if log is None else log)
    if log is None or tuple(log) == before:
        return started_with
    written = {**started_with, "log": tuple(log)}
    try:
        save_config(directory, recipe, written)
    except OSError as error:
        raise unwritten(directory, error, "The run is as it was. See to it, then repeat the command") from error
    return written


def _put_aside(directory: Path, made: int, moved: dict[Path, Path]) -> None:
    """Move what an evaluation left into a folder of its own, if there is anything; `moved` says from where to where."""
    there = [name for name in EVALUATED if os.path.lexists(directory / name)]
    if not there:
        return
    stem = f"evaluation-of-update-{made}"
    aside = first_free(directory / f"{stem}{'' if n == 1 else f'-{n}'}" for n in itertools.count(1))
    aside.mkdir()
    for name in there:
        os.rename(directory / name, aside / name)
        moved[directory / name] = aside / name


def _put_back(moved: dict[Path, Path]) -> None:
    """Undo it, as far as that can be done."""
    with contextlib.suppress(OSError):
        for old, new in moved.items():
            os.rename(new, old)
        for folder in {new.parent for new in moved.values()}:
            folder.rmdir()
