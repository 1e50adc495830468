"""`adaptax inspect DIR`: what the memory of a run's agent knows of the task, after each episode."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.cli.options import parse
from adaptax.core.errors import ConfigError, if_installed
from adaptax.experiment.options import InspectOptions, log
from adaptax.reports.text_table import Table
from adaptax.runs.directory import read_recipe, write_json

FIGURES = "inspection.json"
PICTURE = "inspection.png"


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"inspect": InspectOptions()},
        arguments,
        program="adaptax inspect",
        names={"DIR": "the directory of a run"},
        description="Decode the task from the memory of the agent that a run has trained, after each episode.",
    )
    options: InspectOptions = typed["inspect"]
    directory = Path(typed["names"][0])
    recipe, trained_with = read_recipe(directory)
    num_seeds = int(trained_with["seeds"])
    if options.training_seed >= num_seeds:
        raise ConfigError(
            f"--training-seed: expected at most {num_seeds - 1}, since {directory} holds {num_seeds} "
            f"training{'s' if num_seeds > 1 else ''}, counted from 0; found {options.training_seed}"
        )
    from adaptax.experiment.jax_setup import start_jax

    start_jax()
    problem, found = look(directory, options)
    content = {"directory": str(directory), **found.to_json(), "protocol": protocol_of(problem, num_seeds, options)}
    if not content["protocol"]["held_out"]:
        log("note: this family is a small finite set of tasks; the test tasks are those of training")
    write_json(directory / FIGURES, content)
    unit = "pull" if problem.env.horizon == 1 else "episode"
    with if_installed(PICTURE, log):
        from adaptax.reports.inspection_figures import plot_inspection

        plot_inspection(directory / PICTURE, found, title=f"What the memory knows: {recipe.title()}", unit=unit)
    if options.json:
        print(json.dumps(content))
    else:
        show(found, directory, recipe.title(), unit)
    return 0


def look(directory: Path, options: InspectOptions) -> tuple[Any, Any]:
    """Load the agent and inspect its memory; return the problem and what was found."""
    from adaptax.evaluation.inspection import inspect_memory
    from adaptax.evaluation.memory_recording import check_remembers
    from adaptax.experiment.progress import Bar
    from adaptax.runs.load import load_agent

    agent = load_agent(directory, log).of_seed(options.training_seed)
    check_remembers(agent)  # before anything is shown
    with Bar("inspect", 2 * options.tasks) as bar:
        found = inspect_memory(
            agent,
            num_tasks=options.tasks,
            seed=options.seed,
            explore=options.policy == "sample",
            on_progress=lambda done: bar.update(done, "trials"),
        )
    return agent.problem, found


def protocol_of(problem: Any, num_seeds: int, options: InspectOptions) -> dict[str, Any]:
    """How it was measured."""
    from adaptax.evaluation.evaluator import tasks_are_held_out

    return {
        "split": "test",
        "tasks": options.tasks,
        "fitted_on": f"{options.tasks} tasks of the training split",
        "seed": options.seed,
        "training_seed": options.training_seed,
        "training_seeds": num_seeds,
        "episodes": problem.episodes,
        "horizon": problem.env.horizon,
        "policy": options.policy,
        "memory": "fresh for each task, kept across its episodes; read with the last reward taken in",
        "held_out": tasks_are_held_out(problem),
    }


def show(found: Any, directory: Path, title: str, unit: str) -> None:
    """Print the tables."""
    from adaptax.experiment.progress import table_console

    console = table_console()
    console.print(episodes_table(found, title, unit))
    if len(found.parts) > 1:
        console.print(parts_table(found, unit))
    if (directory / PICTURE).exists():
        print(f"picture {directory / PICTURE}")
    print(f"run     {directory}")


def episodes_table(found: Any, title: str, unit: str) -> Table:
    """A row per recorded episode."""
    from adaptax.reports.tables import plain_table

    curves = {"R² ± s.e.": found.pooled, "distances ± s.e.": found.similarity}
    if found.accuracy is not None:
        curves = {"named rightly ± s.e.": found.accuracy, **curves}
    first, *others = curves
    table = plain_table(title, f"{unit}s", first, "95 % interval", *others)
    for row, episode in enumerate(found.episodes):
        (figure, interval), *rest = (texts(curve, row) for curve in curves.values())
        table.add_row(str(episode), figure, interval, *(other for other, _ in rest))
    chance = "" if found.chance is None else f"; by chance, {found.chance:.2f} are named rightly"
    table.caption = (
        f"decoded linearly from {found.memory_size} numbers, on held-out tasks{chance}; distances: rank correlation "
        "of those between memories with those between tasks"
    )
    return table


def parts_table(found: Any, unit: str) -> Table:
    """R² at the end of a trial by feature, or by leaf of the task."""
    from adaptax.reports.tables import plain_table

    table = plain_table(f"after {found.episodes[-1]} {unit}s", "of the task", "R² ± s.e.", "95 % interval")
    for name, curve in found.parts.items():
        table.add_row(name, *texts(curve, -1))
    return table


def texts(curve: Any, row: int) -> tuple[str, str]:
    """A figure with its standard error, and its interval; dashes where it is not defined."""
    from adaptax.reports.tables import between, number, with_error

    figures = (curve.value[row], curve.stderr[row], *curve.interval[row])
    value, stderr, *interval = (float(np.round(x, 2)) + 0.0 for x in figures)  # − 0.00 is 0.00
    return (with_error(value, stderr), between(interval)) if np.isfinite(value) else (number(None), number(None))
