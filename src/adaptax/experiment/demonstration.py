"""A pretrained agent in tasks that it has never seen: seen at once, without JAX."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import atomic_files
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import suggestion
from adaptax.deployment import pretrained
from adaptax.deployment.pretrained.steps import Learner, read_step
from adaptax.experiment.demonstration_tasks import FAMILIES, Family
from adaptax.experiment.options import DemoOptions
from adaptax.experiment.recipes import options_for
from adaptax.runs.directory import read_recipe


@dataclasses.dataclass(frozen=True)
class Shown:
    """A trial that was shown.

    Attributes:
        film: Its kind of picture, its title, what stays the same, and its moments, as `scenes.js` draws them.
        returns: Of each episode; of an agent that learns from windows, of one by the best action known, before each.
        best: Return of an episode for whoever knows the task.
        by_chance: Of random actions.
    """

    film: dict[str, Any]
    returns: tuple[float, ...]
    best: float
    by_chance: float


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """What was shown.

    Attributes:
        name: Of the agent.
        trials: One for each task.
        result: What the agent earned in thousands of tasks, as its maker wrote it down.
    """

    name: str
    trials: tuple[Shown, ...]
    result: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As plain data, without the pictures."""
        trials = [{"returns": x.returns, "best": x.best, "by_chance": x.by_chance} for x in self.trials]
        return {"name": self.name, "trials": trials, "result": self.result}


def check_name(name: str) -> str:
    """The name of a pretrained agent.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name not in pretrained.NAMES:
        raise ConfigError(
            f"demo: expected one of {', '.join(pretrained.NAMES)} (`adaptax play DIR` shows an agent of your own); "
            f"found {short_repr(name)}{suggestion(name, pretrained.NAMES)}"
        )
    return name


def demo(
    name: str = "bandit",
    options: DemoOptions | None = None,
    *,
    on_trial: Callable[[Shown], None] = lambda shown: None,
    **changes: Any,
) -> Demonstration:
    """Have a pretrained agent meet tasks that it has never seen, as `adaptax demo` does; nothing is printed.

    Args:
        name: Which agent.
        options: How.
        on_trial: Called with each trial when it is over.
        changes: Single options by name, as in `tasks=5`.

    Raises:
        ConfigError: if there is no such agent, or an option is not what it must be.
        MissingPackageError: if what draws pictures is wanted and not installed.
        OutputError: if the picture cannot be written.
    """
    options, folder = options_for(options or DemoOptions(), changes), pretrained.directory_of(check_name(name))
    recipe, _ = read_recipe(folder)
    family: Family = FAMILIES[name](recipe.problem_settings)
    learner = Learner(read_step(name), seed=options.seed)
    rng, trials = np.random.default_rng(options.seed), []
    for number in range(options.tasks):
        shown = _lived(family, learner, rng, f"{name}: task {number + 1} of {options.tasks}")
        if number == 0 and options.out is not None:
            _write(options.out, shown, options.speed)
        trials.append(shown)
        on_trial(shown)
    result = pretrained.result_of(folder)
    assert result is not None
    return Demonstration(name, tuple(trials), result)


def _write(path: Path, shown: Shown, speed: float) -> None:
    """The picture that moves."""
    from adaptax.reports.moving_picture import moving_picture

    with atomic_files.explained(f"the picture {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.write(path, moving_picture(shown.film, speed).encode())


def _lived(family: Any, learner: Learner, rng: np.random.Generator, title: str) -> Shown:
    """One trial in a new task."""
    task = family.draw(rng)
    learner.begin()
    steps, returns = (_by_windows if learner.learns else _by_memory)(family, learner, task, rng)
    still, moments = family.film(task, steps)
    chance = float(np.mean([family.by_chance(task, rng) for _ in range(30)]))
    film = {"kind": family.kind, "title": title, "still": still, "moments": moments}
    return Shown(film, tuple(returns), family.best(task), chance)


def _by_memory(
    family: Family, learner: Learner, task: Any, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[float]]:
    """Of an agent that remembers: every step of its trial, and the return of each episode."""
    steps, returns = [], []
    for episode in range(family.episodes):
        (state, seen), total = family.reset(task), 0.0
        for time in range(family.horizon):
            action = learner.act(seen)
            state, seen, reward, terminated = family.step(task, state, action, rng.uniform())
            over = terminated or time == family.horizon - 1
            learner.observe(action, reward, over, terminated, seen)
            total += reward
            steps.append({"action": action, "reward": reward, "state": state, "episode": episode, "time": time})
            if over:
                break
        returns.append(total)
    return steps, returns


def _by_windows(
    family: Family, learner: Learner, task: Any, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[float]]:
    """Of an agent that learns from windows: what it would do before each, beside the episodes that it learns from."""
    steps, returns, windows = [], [], family.episodes // learner.lanes
    for number in range(windows):
        explored = (
            [_explore(family, learner, task, rng, lane) for lane in range(learner.lanes)]
            if number < windows - 1
            else []
        )
        (state, seen), total = family.reset(task), 0.0
        for time in range(family.horizon):
            state, seen, reward, terminated = family.step(task, state, learner.best(seen), rng.uniform())
            total += reward
            last = terminated or time == family.horizon - 1
            steps.append(
                {"state": state, "episode": number, "time": time, "distance": -reward, "window": explored, "last": last}
            )
            if last:
                break
        returns.append(total)
        if explored:
            learner.adapt()
    return steps, returns


def _explore(family: Family, learner: Learner, task: Any, rng: np.random.Generator, lane: int) -> list[list[float]]:
    """One episode of a window: where it led."""
    state, seen = family.reset(task)
    path = [list(state)]
    for time in range(family.horizon):
        action = learner.act(seen, lane)
        state, seen, reward, terminated = family.step(task, state, action, rng.uniform())
        over = terminated or time == family.horizon - 1
        learner.observe(action, reward, over, terminated, seen, lane)
        path.append([float(x) for x in state])
        if over:
            break
    return path
