"""What a run wrote down, for a report: as much as can be read, and why the rest cannot.

Files may be damaged, half written, or somebody else's. What is read is numbers and names, which the page escapes.
"""

import dataclasses
import io
import json
import shlex
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.core.settings import Settings
from adaptax.experiment.options import TrainOptions
from adaptax.registry.presets import DEFAULT, settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS
from adaptax.reports.run_facts import AgentReturns, RunFacts, Setting
from adaptax.runs.directory import CONFIG, METRICS, read_recipe
from adaptax.runs.metrics_log import SPLIT
from adaptax.runs.recipe import UPDATES, Recipe
from adaptax.runs.times import FILE as TIMES

EVALUATION, RETURNS, INSPECTION = "evaluation.json", "returns.npz", "inspection.json"
_LARGEST = 1_000_000_000
"""Bytes of a file, at most."""
NOT_SHOWN = ("out", "json", "from_")
UNREADABLE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged file raises, and what looking for something in it does."""


def read_facts(
    directory: Path, name: str, *, problem: str | None = None, algorithm: str | None = None
) -> tuple[RunFacts, Recipe | None]:
    """All that a run wrote down.

    Args:
        directory: The run's.
        name: What to call it beside others.
        problem: The run's problem, if it is your own.
        algorithm: The run's algorithm, if it is your own.

    Returns:
        What there is, and why the rest is not; the recipe, or None if it cannot be built again.

    Raises:
        CheckpointError: if there is nothing that could be shown.
        ConfigError: if a name that is given stands for nothing.
    """
    facts, recipe = RunFacts(str(directory), name), None
    refused: CheckpointError | None = None
    try:
        recipe, options = read_recipe(directory, problem=problem, algorithm=algorithm)
        described(facts, recipe, options)
    except CheckpointError as error:
        refused = error
        facts.missing["recipe"] = str(error)
        facts.notes.append(f"What was trained cannot be told: {error}.")
    _read(facts, "config", lambda: _made_with(facts, directory))
    _read(facts, "metrics", lambda: _read_metrics(facts, directory))
    _read(facts, "times", lambda: _set(facts, "times", rows_of(directory / TIMES)))
    _read(facts, "evaluation", lambda: _read_evaluation(facts, directory))
    _read(facts, "returns", lambda: _read_returns(facts, directory))
    _read(facts, "inspection", lambda: _read_inspection(facts, directory))
    if refused is not None and not facts.metrics and facts.evaluation is None:
        raise refused
    facts.commands = commands_of(facts, recipe)
    return facts, recipe


def _read(facts: RunFacts, what: str, read: Callable[[], None]) -> None:
    """Read a file; if that is not possible, note why."""
    try:
        read()
    except FileNotFoundError as error:
        facts.missing[what] = f"There is no {Path(error.filename or what).name}."
    except UNREADABLE as error:
        facts.missing[what] = f"The file of the {what} is damaged ({type(error).__name__}: {error})."


def _set(facts: RunFacts, name: str, value: Any) -> None:
    setattr(facts, name, value)


def described(facts: RunFacts, recipe: Recipe, options: Mapping[str, Any]) -> None:
    """Say what was trained, and how that differs from the defaults."""
    preset = str(options["preset"])
    try:
        algorithm = settings_for(recipe.algorithm, recipe.problem, preset, recipe.problem_settings)[0]
        problem = settings_for(recipe.algorithm, recipe.problem, preset)[1]
    except ConfigError:  # a preset of another version
        algorithm, problem = (type(settings)() for settings in (recipe.algorithm_settings, recipe.problem_settings))
    pairs = ((problem, recipe.problem_settings), (algorithm, recipe.algorithm_settings))
    facts.algorithm, facts.problem, facts.preset = recipe.algorithm, recipe.problem, preset
    facts.about = (LEARNERS[recipe.algorithm].summary, PROBLEMS[recipe.problem].summary)
    facts.settings = [setting for default, mine in pairs for setting in _settings(default, mine)]
    facts.options = [
        Setting(typed(field.name), field.default, options[field.name])
        for field in dataclasses.fields(TrainOptions)
        if field.name not in NOT_SHOWN
    ]
    planned = getattr(recipe.algorithm_settings, UPDATES, None)
    facts.planned = planned if isinstance(planned, int) else None


def _settings(default: Settings, mine: Settings) -> list[Setting]:
    names = [field.name for field in dataclasses.fields(mine)]
    return [Setting(typed(name), getattr(default, name), getattr(mine, name)) for name in names]


def typed(name: str) -> str:
    """A field as it is typed."""
    return f"--{name.strip('_').replace('_', '-')}"


def _made_with(facts: RunFacts, directory: Path) -> None:
    content = json.loads(atomic_files.read(directory / CONFIG, 1_000_000).decode())
    versions = {str(name): str(version) for name, version in content["versions"].items()}
    device = f"{int(content['num_devices'])} × {content['device']}"
    facts.made_with = {"Python": str(content["python"]), **versions, "on": device}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines, up to the first that is none: the last one may be half written."""
    rows: list[dict[str, Any]] = []
    for line in atomic_files.read(path, _LARGEST).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows


def _read_metrics(facts: RunFacts, directory: Path) -> None:
    rows = rows_of(directory / METRICS)
    facts.metrics = [row for row in rows if SPLIT not in row]
    facts.validations = [row for row in rows if SPLIT in row]


def _read_evaluation(facts: RunFacts, directory: Path) -> None:
    path = directory / EVALUATION
    try:
        content = json.loads(atomic_files.read(path, _LARGEST).decode())
    except FileNotFoundError:
        facts.missing["evaluation"] = f"It was not evaluated yet: adaptax evaluate {shlex.quote(str(directory))}."
        return
    for agent in content["agents"].values():
        for name in ("mean", "iqm", "interval", "iqm_interval", "episode_returns"):
            np.asarray(agent[name], np.float64)
    for name in ("tasks", "episodes", "horizon"):
        int(content["protocol"][name])
    if not content["agents"]:
        raise ValueError("no agents")
    facts.evaluation = {"oracle": content["oracle"], "optimum": None, "reference": None, **content}


def _read_returns(facts: RunFacts, directory: Path) -> None:
    if facts.evaluation is None:
        return
    with np.load(io.BytesIO(atomic_files.read(directory / RETURNS, _LARGEST)), allow_pickle=False) as arrays:
        found = {}
        for name, agent in facts.evaluation["agents"].items():
            if f"{name}/returns" not in arrays:
                continue
            asked = f"{name}/evaluation_episodes"
            mine = AgentReturns(arrays[f"{name}/returns"], arrays[f"{name}/steps"], arrays.get(asked))
            mean = mine.returns.mean((0, 1), dtype=np.float64)
            if not np.allclose(mean, np.asarray(agent["episode_returns"], np.float64), rtol=1e-3, atol=1e-3):
                raise ValueError(f"it is of another evaluation than {EVALUATION}")
            found[name] = mine
    facts.returns = found


def _read_inspection(facts: RunFacts, directory: Path) -> None:
    try:
        content = json.loads(atomic_files.read(directory / INSPECTION, _LARGEST).decode())
    except FileNotFoundError:
        return
    for name in ("episodes", "r2", "accuracy", "distance_correlation", "memory_size"):
        content[name]
    facts.inspection = content


def commands_of(facts: RunFacts, recipe: Recipe | None) -> dict[str, str]:
    """What to type for the run, its evaluation and its inspection."""
    found = {}
    if recipe is not None:
        words = ["adaptax", "train", recipe.algorithm, recipe.problem]
        words += [] if facts.preset == DEFAULT else ["--preset", facts.preset]
        found["train"] = shlex.join([*words, *words_of([*facts.settings, *facts.options])])
    if facts.evaluation is not None:
        protocol = facts.protocol
        words = ["adaptax", "evaluate", facts.directory, "--tasks", str(int(protocol["tasks"]))]
        words += ["--seed", str(protocol["seed"])] if protocol.get("seed") else []
        found["evaluate"] = shlex.join(words)
    if facts.inspection is not None and isinstance(how := facts.inspection.get("protocol"), dict):
        found["inspect"] = shlex.join(["adaptax", "inspect", facts.directory, "--tasks", str(how.get("tasks"))])
    return found


def words_of(settings: Sequence[Setting]) -> list[str]:
    """Settings that are not the default, as they are typed."""
    words: list[str] = []
    for setting in settings:
        if not setting.changed:
            continue
        if isinstance(setting.value, bool):
            words.append(setting.name if setting.value else setting.name.replace("--", "--no-", 1))
        else:
            values = setting.value if isinstance(setting.value, (tuple, list)) else (setting.value,)
            words += [setting.name, *map(str, values)]
    return words
