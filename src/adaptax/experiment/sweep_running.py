"""Cells of a sweep are trained and evaluated: in batches that are one program each, by one process or several.

Whoever trains a batch holds its cells' folders; what is finished is kept, and what another process holds is left to it.
"""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from adaptax.core import atomic_files
from adaptax.core.errors import DivergenceError, OutputError
from adaptax.experiment.session import TrainSession
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_batch import Batch, TooLargeError
from adaptax.experiment.sweep_cells import CellRecord, read_cell
from adaptax.experiment.sweep_choice import judge, unfinished
from adaptax.experiment.sweep_plan import Cell, Range, SweepPlan, example_of
from adaptax.experiment.tracebacks import tracebacks_into
from adaptax.registry.registry import FROM_SCRATCH
from adaptax.runs.directory import CONFIG, claim, create_directory, read_recipe, write_json
from adaptax.training.swept import numbers_inside

INSIDE = "inside.json"


def inside_of(plan: SweepPlan, root: Path) -> list[str]:
    """The swept settings that are numbers inside the program; found out once for all processes of a sweep."""
    numbers = [
        name
        for name, values in plan.swept.items()
        if isinstance(values, Range) or all(type(value) in (int, float) for value in values)
    ]
    path = root / INSIDE
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(path.read_text(encoding="ascii"))
        if isinstance(known, list) and set(known) <= set(numbers):
            return [name for name in numbers if name in known]
    if not numbers or plan.recipe.algorithm in FROM_SCRATCH:
        return []
    algorithm, problem = plan.recipe_of(Cell("", example_of(plan))).build()
    found = numbers_inside(algorithm, problem, numbers)
    with contextlib.suppress(OSError):
        write_json(path, found)
    return found


def batches_of(cells: Sequence[Cell], inside: Sequence[str], at_once: int, parts: int) -> list[list[Cell]]:
    """Cells by what is trained in one program: those that differ `inside` alone, in pieces.

    Args:
        cells: All.
        inside: The settings that are numbers inside the program.
        at_once: Cells in one program, at most; 0: any number.
        parts: Processes that are all to have something to do.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        outside = {name: repr(value) for name, value in cell.changes.items() if name not in inside}
        groups.setdefault(json.dumps(outside), []).append(cell)
    pieces = max(1, math.ceil(parts / len(groups))) if groups else 1
    found: list[list[Cell]] = []
    for group in groups.values():
        size = math.ceil(len(group) / pieces)
        size = min(size, at_once) if at_once else size
        size = math.ceil(len(group) / math.ceil(len(group) / size))  # as even as can be
        found += [group[begin : begin + size] for begin in range(0, len(group), size)]
    return found


def run_batches(
    plan: SweepPlan, batches: Sequence[Sequence[Cell]], inside: Sequence[str], root: Path, surroundings: Surroundings
) -> bool:
    """Train and evaluate cells, batch by batch; return whether it was stopped. What others are at is left to them."""
    for batch in batches:
        for cells in _as_before(batch, root):
            if not unfinished(root, cells):
                surroundings.on_message(f"{_names(cells)}: finished before, kept")
            elif run_batch(plan, cells, inside, root, surroundings):
                return True
    return False


def _as_before(batch: Sequence[Cell], root: Path) -> list[list[Cell]]:
    """A batch in the pieces in which it was begun, if it was: rounding depends on who is in a program."""
    records = {cell.name: read_cell(root / cell.name) for cell in batch}
    by_name = {cell.name: cell for cell in batch}
    pieces, placed = [], set[str]()
    for cell in batch:
        together = [name for name in records[cell.name].together if name in by_name]
        if together and cell.name not in placed:
            pieces.append([by_name[name] for name in together])
            placed |= set(together)
    rest = [cell for cell in batch if cell.name not in placed]
    return [*pieces, *([rest] if rest else [])]


def run_batch(
    plan: SweepPlan, cells: Sequence[Cell], inside: Sequence[str], root: Path, surroundings: Surroundings
) -> bool:
    """Train and evaluate cells together, or in halves if they do not fit; return whether it was stopped.

    Raises:
        OutputError: if a directory cannot be written to.
        ResourceError: if not even one of them fits into memory.
    """
    with _claimed(cells, root, surroundings.on_message) as free:
        if not free:
            return False
        if not unfinished(root, cells):  # another process has finished it just now
            return False
        try:
            with tracebacks_into(root):
                stopped = _trained(plan, cells, inside, root, surroundings)
        except TooLargeError:
            half = len(cells) // 2
            surroundings.on_message(f"{len(cells)} choices in one program do not fit into memory; in two halves")
            parts = [cells[:half], cells[half:]]
        else:
            surroundings.stop.at_once = f"stopped; to go on: adaptax sweep --resume {root}"  # no longer of a run
            if not stopped:
                good = [cell for cell in cells if read_cell(root / cell.name).diverged is None]
                todo = [cell for cell in good if read_cell(root / cell.name).figures is None]
                if todo:
                    judge(plan, todo, inside, root, surroundings)
            return stopped
    return any(run_batch(plan, part, inside, root, surroundings) for part in parts)


def _trained(
    plan: SweepPlan, cells: Sequence[Cell], inside: Sequence[str], root: Path, surroundings: Surroundings
) -> bool:
    """Train cells: several in one program, one as `adaptax train` does; return whether it was stopped."""
    if len(cells) > 1:
        return Batch(plan, cells, inside, root, surroundings).run()
    (cell,) = cells
    directory, recipe, options = root / cell.name, plan.recipe_of(cell), plan.options.training()
    started_with = None
    if os.path.lexists(directory / CONFIG):
        there, started_with = read_recipe(directory, problem=recipe.problem, algorithm=recipe.algorithm)
        if there != recipe:
            raise OutputError(f"{directory}: holds a run with other settings; nothing was changed. Move it away")
    record = CellRecord(together=(cell.name,))
    with atomic_files.explained(f"what is begun in {directory}"):
        record.write(directory)
    try:
        session = TrainSession(recipe, options, directory, surroundings, started_with, preset=plan.preset)
        with session.trackers:
            run = session.run()
    except DivergenceError as error:
        update = getattr(error.__cause__, "update", 0)
        where = f"update {update}" if update else "before the first update"
        with atomic_files.explained(f"what came of {directory}"):
            dataclasses.replace(record, diverged=where).write(directory)
        surroundings.on_message(f"{cell}: {error}. It is out")
        return False
    return run.stopped


@contextlib.contextmanager
def _claimed(cells: Sequence[Cell], root: Path, on_message: Callable[[str], None]) -> Iterator[bool]:
    """Keep the folders of cells from other processes; False: another one has one of them."""
    with contextlib.ExitStack() as held:
        try:
            for cell in cells:
                create_directory(root / cell.name, cell.name, fresh=False)
                held.enter_context(claim(root / cell.name, fresh=False))
        except OutputError as error:
            if ": in use by " not in str(error):
                raise
            on_message(f"{_names(cells)}: another process is at it; left to that")
            held.close()
            yield False
            return
        yield True


def _names(cells: Sequence[Cell]) -> str:
    return str(cells[0]) if len(cells) == 1 else f"{cells[0]} and {len(cells) - 1} more"
