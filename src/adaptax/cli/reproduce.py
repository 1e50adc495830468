"""`adaptax reproduce NAME`: train for the cells of a published table and print it beside the paper's figures."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptax.cli.options import parse
from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.core.settings import suggestion
from adaptax.experiment.options import ReproduceOptions, TrainOptions, log
from adaptax.experiment.signals import STOPPED
from adaptax.experiment.tracebacks import crashes_into
from adaptax.registry.paper_tables import TABLES, Cell, Table
from adaptax.registry.registry import PROBLEMS, TRAINABLE
from adaptax.runs.directory import CONFIG, claim, create_directory, read_recipe, write_json
from adaptax.runs.recipe import Recipe

RESULT = "cell.json"


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    listing = "\n".join(f"{name}: {table.summary}; cells {', '.join(table.cells)}" for name, table in TABLES.items())
    typed = parse(
        {"reproduce": ReproduceOptions()},
        arguments,
        program="adaptax reproduce",
        names={"NAME": f"NAME, one of {', '.join(TABLES)}"},
        description="Train for the cells of a published table; finished cells are kept and not trained again.\n"
        + listing,
    )
    options: ReproduceOptions = typed["reproduce"]
    (name,) = typed["names"]
    if name not in TABLES:
        raise ConfigError(f"NAME: expected one of {', '.join(TABLES)}; found '{name}'{suggestion(name, TABLES)}")
    table = TABLES[name]
    cells = cells_of(table, options.cells)
    out = create_directory(options.out or Path("runs") / f"{name}-seed{options.seed}", name)
    from adaptax.experiment.jax_setup import start_jax

    start_jax()
    results = {cell: finish(table, cell, options, out / cell) for cell in cells}
    report(name, table, results, as_json=options.json)
    return 0


def cells_of(table: Table, wanted: str) -> list[str]:
    """The cells that were asked for.

    Raises:
        ConfigError: if there is no such cell.
    """
    if wanted == "all":
        return list(table.cells)
    cells = [cell.strip().replace("×", "x") for cell in wanted.split(",") if cell.strip()]
    if not cells:
        raise ConfigError(f"--cells: expected some of {', '.join(table.cells)}; found '{wanted}'")
    for cell in cells:
        if cell not in table.cells:
            hint = suggestion(cell, table.cells)
            raise ConfigError(f"--cells: expected some of {', '.join(table.cells)}; found '{cell}'{hint}")
    return cells


def recipe_of(table: Table, cell: Cell) -> Recipe:
    """What to train for a cell."""
    algorithm, problem = TRAINABLE[table.algorithm].settings, PROBLEMS[table.problem].settings
    assert algorithm is not None
    assert problem is not None
    return Recipe(table.algorithm, table.problem, algorithm(**cell.algorithm), problem(**cell.problem))


def finish(table: Table, name: str, options: ReproduceOptions, directory: Path) -> dict[str, Any]:
    """Return a cell's result: the one that is kept if it was trained with the same settings, or a new one."""
    recipe = recipe_of(table, table.cells[name])
    asked = {"recipe": recipe.to_json(), "seed": options.seed, "tasks": options.tasks}
    try:
        kept = json.loads((directory / RESULT).read_text(encoding="utf-8"))
        if {**kept["asked"], "recipe": recipe.complete(kept["asked"]["recipe"])} == asked:
            log(f"{name}: finished before, kept ({directory})")
            return dict(kept["result"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no finished cell there
    return _train_cell(name, table.cells[name], recipe, options, directory, asked)


def _train_cell(
    name: str, cell: Cell, recipe: Recipe, options: ReproduceOptions, directory: Path, asked: dict[str, Any]
) -> dict[str, Any]:
    from adaptax.core.trained_agent import TrainedAgent
    from adaptax.experiment.evaluation import assess
    from adaptax.experiment.training import meta_train

    log(f"{name}:")
    started_with = _begun(recipe, options, directory)
    if started_with is None:
        _make_room(directory)
        directory = create_directory(directory, name)
    with claim(directory, fresh=started_with is None), crashes_into(directory):
        trained = meta_train(recipe, TrainOptions(seed=options.seed), directory, "reproduce", started_with)
    if trained.stopped:
        log("stopped; all is saved. To go on, type the same command again")
        raise SystemExit(STOPPED)
    assessment = assess(
        recipe,
        TrainedAgent(trained.algorithm, trained.problem, trained.state.meta, name=recipe.algorithm),
        num_tasks=options.tasks,
        seed=options.seed,
        against=(),
    )
    summary = assessment.results[recipe.algorithm].summary
    result = {
        "mean": summary.mean,
        "stderr": summary.stderr,
        "interval": list(summary.interval),
        "published": cell.published,
        "ceiling": cell.ceiling,
        "ceiling_is": cell.ceiling_is,
        "seconds": trained.seconds,
        "directory": str(directory),
    }
    write_json(directory / RESULT, {"asked": asked, "result": result})
    return result


def _begun(recipe: Recipe, options: ReproduceOptions, directory: Path) -> dict[str, Any] | None:
    """The options of a training of the same cell that was stopped; None if there is none."""
    try:
        found, started_with = read_recipe(directory)
    except CheckpointError:
        return None
    same = found == recipe and started_with["seed"] == options.seed and not (directory / RESULT).exists()
    return started_with if same else None


def _make_room(directory: Path) -> None:
    """Move what an earlier, different training of the cell left aside, never over anything."""
    if not (directory / CONFIG).exists():
        return
    number = 1
    while directory.with_name(f"{directory.name}-old-{number}").exists():
        number += 1
    aside = directory.with_name(f"{directory.name}-old-{number}")
    directory.rename(aside)
    log(f"an earlier training with other settings was moved to {aside}")


def report(name: str, table: Table, results: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    """Print the table, or JSON."""
    if as_json:
        print(json.dumps({"name": name, "cells": results}))
        return
    from adaptax.experiment.progress import table_console
    from adaptax.reports.tables import reproduction_table

    table_console().print(reproduction_table(results, title=table.summary))
