"""Who is compared: from the words of the command line to agents with a problem each. No JAX here."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings, suggestion
from adaptax.problems.settings import episodes_of
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import AGENTS, CLASSICAL, FROM_SCRATCH, LEARNERS, TRAINABLE
from adaptax.registry.resolve import resolve_algorithm, resolve_problem
from adaptax.registry.user_code import is_reference
from adaptax.runs.directory import read_recipe
from adaptax.runs.recipe import Recipe

RANDOM = "random"
META_TRAINED, SCRATCH, KNOWN = "meta-trained", "from scratch", "classical"
EARLY = 10
"""A learner from nothing is asked more often in its first tenth."""


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """What is known of a run without loading it.

    Attributes:
        directory: Where it is.
        recipe: What it trained.
        seed: Its root seed.
        num_seeds: Trainings side by side.
    """

    directory: Path
    recipe: Recipe
    seed: int
    num_seeds: int


@dataclasses.dataclass(frozen=True)
class AgentSpec:
    """One agent, before anything is built.

    Attributes:
        name: What it is called.
        algorithm: Its name in the registry.
        kind: Whether it was meta-trained, learns from scratch, or is classical.
        settings: Its hyper-parameters; None for a classical agent.
        problem_settings: The problem with its own number of episodes.
        runs: The runs that it comes from, its training seeds; none if it needs no training.
        early: The problem with a shorter trial, in which it is asked more often; None if that is not to be had.
    """

    name: str
    algorithm: str
    kind: str
    settings: Settings | None
    problem_settings: Settings
    runs: tuple[RunSpec, ...] = ()
    early: Settings | None = None


def resolve(
    words: Sequence[str], problem: str | None, episodes: int | None, algorithms: Sequence[str] = ()
) -> tuple[str, list[AgentSpec]]:
    """Find out who is meant: the problem's name, and the agents in the order of the words, `random` at the end.

    Args:
        words: Directories of runs, and names of agents that need no training.
        problem: Name of the problem; None: that of the runs.
        episodes: Trial of the learners from scratch; None: their preset's.
        algorithms: Names of the user's own algorithms in the runs.

    Raises:
        ConfigError: naming what was expected and found, if a word is neither, or runs do not belong together.
        CheckpointError: if a run is unusable.
    """
    for algorithm in algorithms:
        resolve_algorithm(algorithm, LEARNERS, what="--algorithm")
    if problem is not None:
        resolve_problem(problem, what="--problem")
    found = [_agent_or_run(word) for word in words]
    runs = [item for item in found if isinstance(item, RunSpec)]
    agents = [item for item in found if isinstance(item, str)]
    if not runs and problem is None:
        raise ConfigError("compare: expected at least one run's directory, or --problem NAME; found neither")
    name = runs[0].recipe.problem if problem is None else problem
    _check_same_problem(name, runs)
    _check_once(agents)
    groups = _grouped(runs)
    shared = runs[0].recipe.problem_settings if runs else _default_problem(name)
    trained = [of for of in groups if of[0].recipe.algorithm in TRAINABLE]
    longest = max((episodes_of(of[0].recipe.problem_settings)[1] for of in trained), default=None)
    if longest is None:
        longest = episodes_of(_default_problem(name))[1]
    specs: dict[int, AgentSpec] = {}
    for of in groups:
        specs[words.index(_word(of[0], words))] = _from_runs(of, groups, episodes)
    for agent in agents:
        specs[words.index(agent)] = _by_name(agent, name, shared, episodes, longest)
    ordered = [specs[place] for place in sorted(specs)]
    if RANDOM not in agents:
        ordered.append(_by_name(RANDOM, name, shared, episodes, longest))
    return name, ordered


def _agent_or_run(word: str) -> RunSpec | str:
    """An agent's name as it is, or the run in a directory."""
    if is_reference(word) and not os.path.exists(word):
        resolve_algorithm(word, AGENTS, what="compare")
    if word in AGENTS:
        return word
    if not os.path.exists(word) and os.sep not in word:
        if word in TRAINABLE:
            raise ConfigError(
                f"{word}: has to be trained first, and there is no directory of that name here. Give the directory "
                f"that `adaptax train {word} PROBLEM` prints"
            )
        known = [*FROM_SCRATCH, *CLASSICAL]
        raise ConfigError(
            f"compare: expected directories of runs and some of {', '.join(known)}; found {short_repr(word)}, which is "
            f"neither{suggestion(word, known)}"
        )
    recipe, options = read_recipe(Path(word))
    return RunSpec(Path(word), recipe, options["seed"], options["seeds"])


def _word(run: RunSpec, words: Sequence[str]) -> str:
    return next(word for word in words if Path(word) == run.directory)


def _default_problem(name: str) -> Settings:
    settings = resolve_problem(name, what="--problem").settings
    assert settings is not None
    return settings()


def _check_same_problem(name: str, runs: Sequence[RunSpec]) -> None:
    """Refuse runs of different problems, or of one problem with different parameters besides its episodes."""
    for run in runs:
        if run.recipe.problem != name:
            other = f"{runs[0].directory} is of" if runs[0].recipe.problem == name else "--problem says"
            raise ConfigError(
                f"problem: expected the same for all runs; found {short_repr(run.recipe.problem)} in {run.directory}, "
                f"while {other} {short_repr(name)}"
            )
        first, mine = runs[0].recipe.problem_settings, run.recipe.problem_settings
        for field in dataclasses.fields(mine):
            values = getattr(first, field.name), getattr(mine, field.name)
            if field.name != episodes_of(mine)[0] and values[0] != values[1]:
                raise ConfigError(
                    f"{type(mine).__name__}.{field.name}: expected the same for all runs; found {values[0]!r} in "
                    f"{runs[0].directory} and {values[1]!r} in {run.directory}"
                )


def _check_once(agents: Sequence[str]) -> None:
    for agent in agents:
        if agents.count(agent) > 1:
            raise ConfigError(
                f"compare: expected every agent once; found {short_repr(agent)} {agents.count(agent)} times"
            )


def _grouped(runs: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Runs with the same recipe, which are training seeds of one agent, in the order in which they were given."""
    groups: list[list[RunSpec]] = []
    for run in runs:
        group = next((of for of in groups if of[0].recipe == run.recipe), None)
        if group is None:
            groups.append([run])
            continue
        if run.recipe.algorithm in FROM_SCRATCH:
            raise ConfigError(
                f"{run.directory}: {run.recipe.algorithm} learns every task from nothing, so this is the same agent as "
                f"in {group[0].directory}. Give one of them"
            )
        twin = next((x for x in group if x.seed == run.seed and (x.num_seeds > 1) == (run.num_seeds > 1)), None)
        if twin is not None:
            raise ConfigError(
                "--seed: expected different ones in runs with the same settings, which count as independent "
                f"trainings; found {run.seed} in both {twin.directory} and {run.directory}"
            )
        group.append(run)
    return groups


def _from_runs(group: list[RunSpec], groups: Sequence[list[RunSpec]], episodes: int | None) -> AgentSpec:
    """One agent of a group of runs; a directory tells it from others of the same algorithm."""
    recipe = group[0].recipe
    alike = [of for of in groups if of[0].recipe.algorithm == recipe.algorithm]
    learns = recipe.algorithm in FROM_SCRATCH
    alone = len(alike) == 1 and not learns
    name = recipe.algorithm if alone else f"{recipe.algorithm} ({group[0].directory})"
    kind, settings = SCRATCH if learns else META_TRAINED, recipe.algorithm_settings
    if not learns:
        return AgentSpec(name, recipe.algorithm, kind, settings, recipe.problem_settings, tuple(group))
    length = episodes or episodes_of(recipe.problem_settings)[1]
    problem = _with_episodes(recipe.algorithm, settings, recipe.problem_settings, length)
    return AgentSpec(
        name, recipe.algorithm, kind, settings, problem, tuple(group), early_of(recipe.algorithm, settings, problem)
    )


def _by_name(agent: str, problem: str, shared: Settings, episodes: int | None, longest: int) -> AgentSpec:
    """An agent that needs no training."""
    if agent in CLASSICAL:
        return AgentSpec(agent, agent, KNOWN, None, with_episodes(shared, longest))
    settings, preset = settings_for(agent, problem)
    length = episodes or episodes_of(preset)[1]
    suited = _with_episodes(agent, settings, shared, length)
    return AgentSpec(agent, agent, SCRATCH, settings, suited, early=early_of(agent, settings, suited))


def with_episodes(problem: Settings, episodes: int) -> Settings:
    """The problem with another number of episodes in a trial, if it has such a field."""
    field = episodes_of(problem)[0]
    changes: dict[str, Any] = {} if field is None else {field: episodes}
    return dataclasses.replace(problem, **changes)


def _with_episodes(name: str, settings: Settings, problem: Settings, episodes: int) -> Settings:
    """The problem with that many episodes in a trial, if a learner from scratch can have them."""
    try:
        changed = with_episodes(problem, episodes)
        settings.check_problem(changed)
    except ConfigError as error:
        raise ConfigError(f"{name}, with a trial of {episodes} episodes (--episodes): {error}") from error
    return changed


def early_of(name: str, settings: Settings, problem: Settings) -> Settings | None:
    """A tenth of a trial, if there is a whole number of windows in it."""
    episodes = episodes_of(problem)[1]
    if name not in LEARNERS or episodes < EARLY * EARLY:
        return None
    try:
        return _with_episodes(name, settings, problem, episodes // EARLY)
    except ConfigError:
        return None
