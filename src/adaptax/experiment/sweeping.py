"""Sweeps: many choices of settings, trained in as few programs as can be, and the best by validation tasks."""

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import AdaptaxError, if_installed
from adaptax.core.notebook import html_table, text_table
from adaptax.core.precision import in_single_precision
from adaptax.core.types import ENV_STEPS
from adaptax.experiment.progress import OnMessage, OnProgress, ignore, log
from adaptax.experiment.recipes import recipe_for
from adaptax.experiment.results import kept
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_choice import Standing, ranked, unfinished, write_results
from adaptax.experiment.sweep_options import SweepOptions, share_of
from adaptax.experiment.sweep_plan import Cell, SweepPlan, Values, read_plan, words_of
from adaptax.experiment.sweep_processes import in_processes
from adaptax.experiment.sweep_running import batches_of, inside_of, run_batches
from adaptax.experiment.sweep_study import cells_of_study, run_study
from adaptax.registry.encoders import register_encoder
from adaptax.registry.presets import DEFAULT
from adaptax.reports.sweep_tables import rows_of
from adaptax.runs.directory import METRICS, create_directory
from adaptax.runs.metrics_log import SPLIT

PICTURE = "sweep.png"
_LARGEST = 500_000_000
"""Bytes of a run's metrics, at most, for a curve."""


@dataclasses.dataclass(frozen=True, repr=False)
class Sweep:
    """A sweep, as far as it is.

    Attributes:
        plan: What is tried.
        directory: Where it is.
        standings: The choices, the best first; those that are not finished are left out.
        waiting: Choices that are not finished: others are at work on them, or it was stopped.
        stopped: Whether it was stopped early.
    """

    plan: SweepPlan
    directory: Path
    standings: Sequence[Standing]
    waiting: Sequence[Cell] = ()
    stopped: bool = False

    @property
    def best(self) -> Standing | None:
        """The best choice by validation tasks; None: there is none."""
        first = self.standings[0] if self.standings else None
        return None if first is None or first.record.figures is None else first

    def commands(self) -> list[str]:
        """What evaluates the best choice on test tasks, and what trains it alone; nothing if there is none."""
        if self.best is None:
            return []
        where = shlex.quote(str(self.directory / self.best.cell.name))
        options = self.plan.options
        words = words_of(self.plan.recipe_of(self.best.cell), self.plan.preset)
        seeds = [*(["--seed", str(options.seed)] if options.seed else []), "--seeds", str(options.seeds)]
        return [f"adaptax evaluate {where}", f"adaptax train {shlex.join([*words, *seeds])}"]

    def to_json(self) -> dict[str, Any]:
        """As `adaptax sweep --json` prints it, and as it stands in results.json."""
        return {
            "directory": str(self.directory),
            "split": "validation",
            "seeds": self.plan.options.seeds,
            "best": None if self.best is None else self.best.cell.name,
            "cells": {one.cell.name: one.to_json(self.directory) for one in self.standings},
            "waiting": [cell.name for cell in self.waiting],
            "commands": self.commands(),
        }

    def __repr__(self) -> str:
        return text_table(self.title, *rows_of(self))

    def _repr_html_(self) -> str:
        return html_table(self.title, *rows_of(self))

    @property
    def title(self) -> str:
        """What was tried, in a line."""
        return f"{self.plan.recipe.title()}: {', '.join(self.plan.swept)}"


@in_single_precision
def sweep(
    algorithm: Any,
    problem: Any,
    swept: Mapping[str, Sequence[Any] | Values],
    *,
    preset: str = DEFAULT,
    options: SweepOptions | None = None,
    directory: str | Path | None = None,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    stop: StopSignal | None = None,
    **changes: Any,
) -> Sweep:
    """Train every combination of some settings, and rank them by validation tasks, as `adaptax sweep` does.

    Settings that are numbers inside the program are swept in one program, the others in one after the other. Test tasks
    are not touched: evaluate the best one afterwards.

        sweep("rl2", "bandit", {"learning_rate": [1e-3, 3e-3, 1e-2]}, seeds=3)

    Args:
        algorithm: Its name, its settings, MODULE:NAME or the class of your own.
        problem: The same; of your own, the function that makes it.
        swept: Values of each setting, by its name; or a `Range`, of which Optuna chooses (`optuna=N`).
        preset: Name of settings for this algorithm on this problem.
        options: How.
        directory: Where it is written; by default the first free runs/sweep-ALGORITHM-PROBLEM-N. One that holds the
            same sweep is gone on with.
        on_progress: Called after each chunk of updates, and during evaluations.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        stop: Says when to stop early; what is done is kept, and `resume_sweep` goes on.
        changes: Other settings and options by name: `num_updates=100`, `seeds=3`.

    Raises:
        ConfigError: if a setting or a value is not what it must be; nothing was written.
        OutputError: if the directory holds another sweep, or cannot be written to.
        ResourceError: if memory or disk is not enough.
        MissingPackageError: if Optuna is to choose and is not installed.
    """
    recipe, chosen = recipe_for(algorithm, problem, options or SweepOptions(), preset, changes)
    values: dict[str, Any] = {name: tuple(x) if isinstance(x, list | tuple) else x for name, x in swept.items()}
    assert isinstance(chosen, SweepOptions)
    plan = SweepPlan(recipe, values, chosen, preset)
    plan.check()
    place = chosen.out if directory is None else Path(directory)
    root = create_directory(place, f"sweep-{recipe.algorithm}-{recipe.problem}", fresh=True)
    around = Surroundings(on_progress, on_message, stop or StopSignal())
    return run_plan(plan, root, around, share=share_of(chosen.part), processes=chosen.processes)


@in_single_precision
def resume_sweep(
    directory: str | Path,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    stop: StopSignal | None = None,
    problem: str | None = None,
    algorithm: str | None = None,
    encoder: str | None = None,
    part: str | None = None,
) -> Sweep:
    """Go on with a sweep that was stopped or killed; what is finished is kept.

    Args:
        directory: The sweep's.
        on_progress: As for `sweep`.
        on_message: As for `sweep`.
        stop: As for `sweep`.
        problem: The problem, if it is your own (MODULE:NAME): a sweep has nothing imported that you do not name.
        algorithm: The algorithm, if it is your own.
        encoder: The encoder, if it is your own.
        part: "K/N": only the K-th of N equal parts; None: all.

    Raises:
        CheckpointError: if there is no sweep, or it cannot be gone on with.
        OutputError: if the directory cannot be written to.
    """
    if encoder is not None:
        register_encoder(encoder)
    plan = read_plan(Path(directory), problem=problem, algorithm=algorithm)
    around = Surroundings(on_progress, on_message, stop or StopSignal())
    return run_plan(plan, Path(directory), around, share=share_of(part))


def run_plan(
    plan: SweepPlan, root: Path, surroundings: Surroundings, *, share: tuple[int, int] = (1, 1), processes: int = 1
) -> Sweep:
    """Do what a plan says, or this process's share of it, in its directory.

    Args:
        plan: What to do.
        root: The sweep's directory.
        surroundings: Whom to tell, and whom to ask.
        share: K and N: only the K-th of N equal parts.
        processes: Processes here that share it.
    """
    plan.write(root)
    surroundings.stop.at_once = f"stopped; to go on: adaptax sweep --resume {root}"
    if processes > 1:
        stopped = in_processes(plan, root, processes, surroundings)
        cells = known_cells(plan, root)
    elif plan.options.optuna:
        cells, stopped = run_study(plan, root, surroundings)
    else:
        cells, inside = plan.cells, inside_of(plan, root)
        batches = batches_of(cells, inside, plan.options.at_once, plan.options.parts)
        k, n = share
        stopped = run_batches(plan, batches[k - 1 :: n], inside, root, surroundings)
    return concluded(plan, root, cells, surroundings, stopped=stopped)


def known_cells(plan: SweepPlan, root: Path) -> list[Cell]:
    """The cells of a sweep, as far as they are known: Optuna's are in the study."""
    return cells_of_study(plan, root) if plan.options.optuna else plan.cells


def concluded(
    plan: SweepPlan, root: Path, cells: Sequence[Cell], surroundings: Surroundings, *, stopped: bool = False
) -> Sweep:
    """The sweep as far as it is; if all of it is finished, the results and the picture are written."""
    waiting = unfinished(root, cells)
    names = {cell.name for cell in waiting}
    found = Sweep(plan, root, ranked(root, [c for c in cells if c.name not in names]), waiting, stopped=stopped)
    if waiting or stopped or found.best is None:
        return found
    with kept(found, root):
        write_results(root, found.to_json())
    try:
        with if_installed(PICTURE, surroundings.on_message):
            from adaptax.reports.sweep_figures import plot_sweep

            plot_sweep(root / PICTURE, found, {one.cell.name: _curve(root / one.cell.name) for one in found.standings})
    except AdaptaxError as error:
        surroundings.on_message(f"warning: {error}")
    return found


def _curve(directory: Path) -> list[tuple[float, float]]:
    """Environment steps and return of each update of a run, as far as its metrics can be read."""
    try:
        lines = atomic_files.read(directory / METRICS, _LARGEST).decode().splitlines()
        rows = [row for row in map(json.loads, lines) if SPLIT not in row]
        return [(float(row[ENV_STEPS]), float(row["return"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
