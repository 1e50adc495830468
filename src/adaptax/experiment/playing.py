"""A page in which the agent of a run plays: its step in JavaScript, its tasks too, and somebody to be compared with."""

import dataclasses
import shutil
import tempfile
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import ConfigError, MissingPackageError, short_repr
from adaptax.core.precision import in_single_precision
from adaptax.core.settings import suggestion
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment import pretrained
from adaptax.deployment.export.files import write_checked
from adaptax.deployment.export.javascript import javascript
from adaptax.deployment.export.traced import Exported, exported
from adaptax.experiment.evaluation import directory_of
from adaptax.experiment.options import PlayOptions, check_training_seed
from adaptax.experiment.progress import OnMessage, log
from adaptax.experiment.recipes import options_for
from adaptax.problems.exact import grid_plan
from adaptax.registry.encoders import accept_encoder
from adaptax.reports.play_words import WORDS
from adaptax.runs.directory import read_recipe
from adaptax.runs.load import load_agent
from adaptax.runs.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Page:
    """What was written.

    Attributes:
        path: The page.
        problem: What is played.
        size: Bytes.
        difference: The largest between the agent and what was written, over a thousand steps; None: Node, which runs
            that here, is not installed.
    """

    path: Path
    problem: str
    size: int
    difference: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**dataclasses.asdict(self), "path": str(self.path)}


def place_of(run: Any) -> Path:
    """Where an agent is that is given by its name, if it is pretrained, by its run or by its run's directory.

    Raises:
        ConfigError: if that is a misspelt name.
    """
    if not isinstance(run, str) or Path(run).exists():
        return directory_of(run)
    if run not in pretrained.NAMES and (meant := suggestion(run, pretrained.NAMES)):
        names = ", ".join(pretrained.NAMES)
        raise ConfigError(f"play: expected one of {names}, or the directory of a run; found {short_repr(run)}{meant}")
    return pretrained.directory_of(run) if run in pretrained.NAMES else directory_of(run)


def check_playable(directory: Path, recipe: Recipe) -> None:
    """Refuse a problem that is not written down in JavaScript.

    Raises:
        ConfigError: naming those that are.
    """
    if recipe.problem not in WORDS:
        raise ConfigError(
            f"play: expected the run of an agent on {', '.join(WORDS)}, whose tasks a page can play; found "
            f"{recipe.problem} in {directory}. `adaptax export --format js` writes the agent alone"
        )


@in_single_precision
def play(
    run: Any = "bandit", options: PlayOptions | None = None, *, on_message: OnMessage = log, **changes: Any
) -> Page:
    """Write a page in which an agent plays, as `adaptax play` does; nothing is printed or opened.

    Args:
        run: The name of a pretrained agent, a `Run`, or its directory.
        options: How.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        changes: Single options by name, as in `out="page.html"`.

    Raises:
        ConfigError: if an option is not what it must be, or the tasks cannot be played in a page.
        UseError: if the agent cannot be written down.
        CheckpointError: if there is no run, or it is damaged.
        DivergenceError: if what is written does something else than the agent.
        MissingPackageError: if what writes pages is not installed.
        OutputError: if it cannot be written.
    """
    from adaptax.reports.play_page import play_page

    options, directory = options_for(options or PlayOptions(), changes), place_of(run)
    accept_encoder(options)
    recipe, trained_with = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    check_training_seed(options, directory, int(trained_with["seeds"]))
    check_playable(directory, recipe)
    agent = load_agent(directory, on_message, checkpoint=options.checkpoint).of_seed(options.training_seed)
    written = exported(agent)
    _expect_whole_episodes(written, directory)
    difference = _checked(written, agent, on_message)
    name = run if isinstance(run, str) and run in pretrained.NAMES else directory.resolve().name
    path = Path(options.out or f"play-{name}.html")
    page = play_page(
        problem=recipe.problem,
        settings={**dataclasses.asdict(recipe.problem_settings), "num_episodes": agent.problem.episodes},
        agent_script=javascript(written),
        agent=_described(recipe, agent),
        stated=_stated(directory),
        plan=_plan(recipe),
        seed=options.seed,
        command=f"adaptax play {name}",
    ).encode()
    with atomic_files.explained(f"the page {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write(path, page)
    return Page(path, recipe.problem, len(page), difference)


def _expect_whole_episodes(agent: Exported, directory: Path) -> None:
    if agent.window is not None and agent.window[1] != agent.horizon:
        raise ConfigError(
            f"play: expected an agent that learns from whole episodes, of {agent.horizon} steps; found windows of "
            f"{agent.window[1]} in {directory}. `adaptax.Agent` takes it"
        )


def _checked(agent: Exported, trained: TrainedAgent, on_message: OnMessage) -> float | None:
    """The difference between the agent and its JavaScript, where that can be run here."""
    if shutil.which("node") is None:
        on_message("note: Node is not installed, so that the page's agent was not compared with the agent itself")
        return None
    with tempfile.TemporaryDirectory() as place:
        try:
            return write_checked(agent, trained.problem.env.observation_space, "js", Path(place))[1]
        except MissingPackageError:
            return None


def _described(recipe: Recipe, agent: TrainedAgent) -> str:
    settings = recipe.algorithm_settings
    if agent.learns_from_windows:
        window = agent.algorithm.window(agent.problem)
        return (
            f"{recipe.algorithm}, which begins where training has found that a few gradient steps suffice, each on "
            f"{window.num_envs} episodes of its own."
        )
    memory = getattr(settings, "memory", "")
    kind = {"lstm": "an LSTM", "gru": "a GRU"}.get(memory, f"a {memory} memory")
    return (
        f"{recipe.algorithm}: {kind} of {getattr(settings, 'memory_size', '')} units that was never told the rules. It "
        "sees what you see, and what it remembers is all that it learns."
    )


def _stated(directory: Path) -> str:
    """What it earned when that was measured."""
    found = pretrained.result_of(directory)
    if found is None:
        return ""
    said = {name: f"{found[name]['mean']:.2f} ± {found[name]['stderr']:.2f}" for name in ("trained", "untrained")}
    return (
        f"Measured in {pretrained.tasks_in_words(found)} ({found['measure']}): {said['trained']}; before training "
        f"{said['untrained']}; {found['best']['name']} {found['best']['mean']:.2f}."
    ).replace(" -", " −")


def _plan(recipe: Recipe) -> dict[str, Any] | None:
    """The best search of a grid, where it is found soon."""
    settings: Any = recipe.problem_settings
    if recipe.problem != "grid-navigation":
        return None
    solvable = (settings.size, settings.horizon) == (5, 15) or (settings.size < 5 and settings.horizon <= 50)
    if not solvable or settings.held_out:
        return None
    plan = grid_plan(settings.size, settings.horizon, settings.num_episodes)
    return {"actions": plan.actions.tolist(), "cells": plan.cells.tolist()}
