"""Train for the cells of a table, beside a paper's figures or untrained agents; finished cells are kept."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import AdaptaxError, CheckpointError
from adaptax.core.notebook import html_table, text_table
from adaptax.core.precision import in_single_precision
from adaptax.evaluation.statistics import stderr
from adaptax.experiment import learning
from adaptax.experiment.evaluation import assess
from adaptax.experiment.options import ReproduceOptions, TrainOptions
from adaptax.experiment.progress import OnMessage, OnProgress, ignore, log
from adaptax.experiment.recipes import options_for, options_of
from adaptax.experiment.results import kept
from adaptax.experiment.run import Run
from adaptax.experiment.session import TrainSession
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.tables import asked_for
from adaptax.experiment.tracebacks import tracebacks_into
from adaptax.registry.learning_table import Row
from adaptax.registry.paper_tables import Cell, Table
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import PROBLEMS, TRAINABLE
from adaptax.runs.directory import CONFIG, claim, create_directory, read_recipe, set_aside, write_json
from adaptax.runs.recipe import Recipe

RESULT = "cell.json"
_LARGEST = 1_000_000
"""Bytes of that file, at most."""


@dataclasses.dataclass(frozen=True, repr=False)
class Reproduction:
    """A published table, as far as it was reproduced.

    Attributes:
        name: Of the table.
        title: What it is.
        cells: By cell: "mean", "stderr", "interval", "published" and more, as `adaptax reproduce --json` prints them.
        directory: Where finished cells are kept.
        stopped: Whether it was stopped early; the same call goes on.
    """

    name: str
    title: str
    cells: Mapping[str, dict[str, Any]]
    directory: Path
    stopped: bool = False

    def rows(self) -> list[tuple[str, str, str]]:
        """A row for each cell: what was measured, and what was published."""
        return [
            (cell, f"{found['mean']:.2f} ± {found['stderr']:.2f}", f"{found['published']}")
            for cell, found in self.cells.items()
        ]

    def __repr__(self) -> str:
        return text_table(self.title, ("cell", "here ± s.e.", "published"), self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.title, ("cell", "here ± s.e.", "published"), self.rows())


@in_single_precision
def reproduce(
    name: str,
    options: ReproduceOptions | None = None,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    stop: StopSignal | None = None,
    **changes: Any,
) -> Reproduction:
    """Train for the cells of a published table, as `adaptax reproduce` does; nothing is printed.

    Args:
        name: Of the table (`adaptax list`).
        options: How.
        on_progress: Called after each chunk of updates, and during evaluations.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        stop: Says when to stop early; what is finished is kept, and the same call goes on.
        changes: Single options by name, as in `cells="10x5", seed=1`.

    Raises:
        ConfigError: if there is no such table or cell, or an option is not what it must be.
        OutputError: if the directory cannot be written to, or a cell is being trained by another process. If a cell was
            finished and could not be written down, the reproduction so far, with that cell, is its `result`.
        ResourceError: the same, as the disk is full.
    """
    options = options_for(options or ReproduceOptions(), changes)
    table, cells, place = asked_for(name, options)
    out = create_directory(place, name)
    surroundings = Surroundings(on_progress, on_message, stop or StopSignal())
    results: dict[str, dict[str, Any]] = {}
    for cell in cells:
        try:
            found = finish(table, cell, options, out / cell, surroundings)
        except AdaptaxError as error:
            if error.result is not None:  # of this cell; to be shown with those before
                error.result = Reproduction(name, table.summary, {**results, cell: error.result}, out, stopped=True)
            raise
        if found is None:
            return Reproduction(name, table.summary, results, out, stopped=True)
        results[cell] = found
    return Reproduction(name, table.summary, results, out)


def recipe_for_cell(table: Table, cell: Cell | Row) -> Recipe:
    """What to train for a cell."""
    if isinstance(cell, Row):
        return Recipe(cell.algorithm, cell.problem, *settings_for(cell.algorithm, cell.problem))
    algorithm, problem = TRAINABLE[table.algorithm].settings, PROBLEMS[table.problem].settings
    assert algorithm is not None
    assert problem is not None
    return Recipe(table.algorithm, table.problem, algorithm(**cell.algorithm), problem(**cell.problem))


def finish(
    table: Table, name: str, options: ReproduceOptions, directory: Path, surroundings: Surroundings
) -> dict[str, Any] | None:
    """A cell's result: the one that is kept if it was trained with the same settings, or a new one; None if stopped.

    Raises:
        OutputError: if it cannot be written down; it has the cell's result as its `result`.
        ResourceError: the same, as the disk is full.
    """
    cell = table.cells[name]
    recipe = recipe_for_cell(table, cell)
    seeds, tasks = (cell.seeds, cell.tasks) if isinstance(cell, Row) else (1, table.tasks)
    tasks = options.tasks or tasks
    asked = {"recipe": recipe.to_json(), "seed": options.seed, "tasks": tasks}
    asked |= {"seeds": seeds} if isinstance(cell, Row) else {"policy": "sample"} if cell.explore else {}
    with contextlib.ExitStack() as held:
        result = _kept(directory / RESULT, asked, recipe)
        if result is None:
            create_directory(directory, name, fresh=False)
            held.enter_context(claim(directory, fresh=False))
            result = _kept(directory / RESULT, asked, recipe)  # another process may have finished it just now
        if result is not None:
            surroundings.on_message(f"{name}: finished before, kept ({directory})")
            return result
        surroundings.on_message(f"{name}:")
        started_with = _begun(recipe, options, directory)
        if started_with is None and os.path.lexists(directory / CONFIG):
            aside = set_aside(directory)
            surroundings.on_message(f"an earlier training with other settings was moved to {aside}")
            held.close()
            create_directory(directory, name, fresh=False)
            held.enter_context(claim(directory, fresh=True))
        held.enter_context(tracebacks_into(directory))
        chosen = TrainOptions(seed=options.seed, seeds=seeds) if started_with is None else options_of(started_with)
        session = TrainSession(recipe, chosen, directory, surroundings, started_with, preset="reproduce")
        with session.trackers:
            run = session.run()
        if run.stopped:
            return None
        how = (run, tasks, options.seed, surroundings)
        result = learning.measured(cell, *how) if isinstance(cell, Row) else _measured(cell, *how)
        with kept(result, directory / RESULT):
            write_json(directory / RESULT, {"asked": asked, "result": result})
    return result


def _kept(path: Path, asked: Mapping[str, Any], recipe: Recipe) -> dict[str, Any] | None:
    """The result of a finished cell, if it is what is asked for.

    Raises:
        CheckpointError: if what is there is not what was written.
    """
    try:
        content = json.loads(atomic_files.read(path, _LARGEST).decode())
        was_asked, result = dict(content["asked"]), content["result"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _unusable(path, "no finished cell") from None
    if not _is_result(result):
        raise _unusable(path, "no figures")
    return dict(result) if {**was_asked, "recipe": recipe.complete(was_asked.get("recipe"))} == asked else None


def _is_result(found: Any) -> bool:
    """Whether it has the figures that are shown."""
    if not isinstance(found, dict) or not isinstance(found.get("interval"), list) or len(found["interval"]) != 2:
        return False
    measured = (*(found.get(name) for name in ("mean", "stderr", "seconds")), *found["interval"])
    known = [x for x in (found.get("published"), found.get("ceiling")) if x is not None]
    return all(type(x) in (int, float) and abs(x) < 1e300 for x in (*measured, *known))


def _unusable(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: is not what was written ({reason}). Nothing was changed; restore the file, or move it away to have "
        "the cell evaluated again"
    )


def _measured(cell: Cell, run: Run, num_tasks: int, seed: int, surroundings: Surroundings) -> dict[str, Any]:
    """Evaluate the agent of a cell, and those beside it, in the same tasks."""
    results = assess(
        run.recipe,
        run.agent,
        num_tasks=num_tasks,
        seed=seed,
        against=cell.against,
        explore=cell.explore,
        surroundings=surroundings,
    ).results
    own = results[run.recipe.algorithm]
    summary = own.summary
    beside = {
        name: {
            "mean": results[name].summary.mean,
            "difference": float((own.scores - results[name].scores).mean()),
            "stderr": stderr(own.scores - results[name].scores),
        }
        for name in cell.against
    }
    return {
        "beside": beside,
        "policy": "sample" if cell.explore else "mode",
        "mean": summary.mean,
        "stderr": summary.stderr,
        "interval": list(summary.interval),
        "published": cell.published,
        "ceiling": cell.ceiling,
        "ceiling_is": cell.ceiling_is,
        "seconds": run.seconds,
        "directory": str(run.directory),
    }


def _begun(recipe: Recipe, options: ReproduceOptions, directory: Path) -> dict[str, Any] | None:
    """The options of a training of the same cell that was stopped; None if there is none."""
    try:
        found, started_with = read_recipe(directory)
    except CheckpointError:
        return None
    same = found == recipe and started_with["seed"] == options.seed and not os.path.lexists(directory / RESULT)
    # One that began from another's parameters, or had another plan meanwhile, is not what the table is of.
    same = same and not started_with["from_"] and not started_with["planned_before"]
    return started_with if same else None
