"""`adaptax inspect DIR`: what the memory of a run's agent knows of the task, after each episode."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.cli.options import parse, start_for
from adaptax.experiment import jax_setup
from adaptax.experiment.options import InspectOptions, SimulatorOptions, check_training_seed
from adaptax.experiment.results import expect_room
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.simulation import accept_simulation
from adaptax.reports.text_table import Table
from adaptax.runs.directory import read_recipe


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"inspect": InspectOptions(), "simulators": SimulatorOptions()},
        arguments,
        program="adaptax inspect",
        names={"DIR": "the directory of a run"},
        description="Decode the task from the memory of the agent that a run has trained, after each episode.",
    )
    options: InspectOptions = typed["inspect"]
    directory = Path(typed["names"][0])
    start_for(options.problem, options.algorithm)
    accept_encoder(options)
    accept_simulation(typed["simulators"])
    _, trained_with = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    check_training_seed(options, directory, int(trained_with["seeds"]))
    expect_room(directory, options.out)
    jax_setup.start_jax()
    from adaptax.cli.console import Bars, say, showing_all_the_same
    from adaptax.experiment.inspection import inspect

    def shown(result: Any) -> None:
        show(result, directory, as_json=options.json)

    with showing_all_the_same(shown), Bars() as bars:
        found = inspect(directory, options, on_progress=bars, on_message=say)
    shown(found)
    return 0


def show(inspection: Any, directory: Path, *, as_json: bool) -> None:
    """Print the tables, or JSON, of what was found in the run of a directory."""
    if as_json:
        print(json.dumps(inspection.content))
        return
    from adaptax.cli.console import table_console, tell
    from adaptax.experiment.inspection import BELIEFS, PAGE, PICTURE, POSTERIOR

    console, found, unit = table_console(), inspection.found, inspection.unit
    console.print(episodes_table(found, inspection.title, unit))
    if len(found.parts) > 1:
        console.print(parts_table(found, unit))
    if inspection.beliefs is not None:
        console.print(beliefs_table(inspection.beliefs))
        if (inspection.directory / BELIEFS).exists():
            tell(f"beliefs {inspection.directory / BELIEFS}")
    if inspection.posteriors is not None:
        console.print(posterior_table(inspection.posteriors))
        if (inspection.directory / POSTERIOR).exists():
            tell(f"beliefs {inspection.directory / POSTERIOR}")
    if (inspection.directory / PICTURE).exists():
        tell(f"picture {inspection.directory / PICTURE}")
    if (inspection.directory / PAGE).exists():
        tell(f"page    {inspection.directory / PAGE}")
    tell(f"run     {directory}")


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


def beliefs_table(beliefs: Any) -> Table:
    """How far beliefs are from the posterior, by episode."""
    from adaptax.reports.tables import plain_table

    table = plain_table(
        "where the goal is believed to be", "episode", "from the posterior, nats", "at worst", "on empty"
    )
    for episode in range(len(beliefs.divergence) // beliefs.horizon):
        steps = slice(episode * beliefs.horizon, (episode + 1) * beliefs.horizon)
        away, empty = beliefs.divergence[steps], beliefs.on_empty[steps]
        table.add_row(str(episode + 1), f"{away.mean():.4f}", f"{away.max():.4f}", f"{empty.max():.4f}")
    table.caption = (
        "KL(exact ‖ decoded) before each step, mean over an episode and at its worst step; probability "
        f"of cells that cannot be the goal any more; before the first step {beliefs.divergence[0]:.4f} nats"
    )
    return table


def posterior_table(posteriors: Any) -> Table:
    """How near a posterior of a linear bandit's weights is to the exact one, after some of the pulls."""
    from adaptax.evaluation.memory_recording import recorded_episodes
    from adaptax.reports.tables import plain_table

    table = plain_table(
        "what is believed of the weights, beside the exact posterior", "pulls", "R² of the mean", "variance / exact"
    )
    r2, ratio = posteriors.r2, posteriors.variance_ratio
    for pull in recorded_episodes(len(r2) - 1)[1:]:
        table.add_row(str(pull), f"{r2[pull]:.3f}", f"{ratio[pull]:.3f}")
    held = ", ".join(f"{row['held']:.2f} ({row['level']:g})" for row in posteriors.calibration)
    table.caption = (
        f"in {len(posteriors.weights) - posteriors.half} held-out tasks; a line fitted in {posteriors.half} others "
        f"maps latents to weights. Intervals that should hold a weight so often (in brackets) do so in {held}"
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
