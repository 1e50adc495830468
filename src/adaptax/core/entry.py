"""What a name stands for, as data: where to import it from, its settings, and where those start on each problem.

Each family keeps a table of entries beside its settings; the registry merges them. No JAX here.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from adaptax.core.settings import Settings

DEFAULT = "default"
"""Name of the preset that every pair of an algorithm and a problem has."""


@dataclasses.dataclass(frozen=True)
class Preset:
    """Changes to the settings of an algorithm and of a problem, which must have every field named.

    Attributes:
        summary: One line.
        algorithm: Hyper-parameters.
        problem: Parameters of the problem.
        measured: Whether a result with it is in `docs/results.md`.
    """

    summary: str
    algorithm: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problem: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    measured: bool = False


Changes: TypeAlias = Mapping[type[Settings], Mapping[str, Any]]
"""Changes to settings, for all that derive from a class."""


@dataclasses.dataclass(frozen=True)
class Defaults:
    """Where the algorithms of a family start on each problem: their default presets are made of this.

    Attributes:
        summary: One line.
        changes: By problem, then by class of settings, which must have the fields. They are for all settings that
            derive from the class; where classes differ, the later one wins.
        of_problem: By problem: changes to its settings.
        num_episodes: Episodes of a trial wherever the problem's settings have that field and `of_problem` does not say;
            None: as many as they say themselves.
        derive: From a problem's settings, so changed, to changes on any problem, a user's too, by class of settings;
            `changes` come after them.
    """

    summary: str
    changes: Mapping[str, Changes]
    of_problem: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    num_episodes: int | None = None
    derive: Callable[[Settings], Changes] | None = None


@dataclasses.dataclass(frozen=True)
class Entry:
    """One problem or algorithm.

    Attributes:
        target: The factory or class, or "module:name" of it; it takes the settings' fields as keyword arguments.
        summary: One line.
        settings: Class of its settings; None if it has none to choose on the command line.
        baselines: Problems only: classical agents to compare with, in order, best known last.
        traits: Problems only: what agents that need it may count on ("bernoulli", "gaussian", "countable", "grid").
        suits: Agents only: the trait of the problems that it is for; None: any problem.
        view: Agents only: "module:name" of a function from a problem to the view of it that the agent has.
        parts: Agents only: arguments that are objects, as "module:name" of their classes. They are built with those of
            the problem's parameters that they have fields for (the noise of a Gaussian bandit, say).
        defaults: Algorithms only: where it starts on each problem, with others; None: at its settings' own defaults.
        besides: Algorithms only: what it changes there, unless its defaults on a problem say otherwise.
        presets: Algorithms only: presets by problem, then by name. Where one is for a cell of a published table, it has
            the cell's name.
        measured: Algorithms only: problems for which a result of its default preset is in `docs/results.md`.
        gains_nothing: Algorithms only: problems on which it cannot be better than its own untrained self by the best
            action that it knows, each with the reason.
    """

    target: str | Callable[..., Any]
    summary: str
    settings: type[Settings] | None = None
    baselines: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    suits: str | None = None
    view: str | None = None
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    defaults: Defaults | None = None
    besides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Preset]] = dataclasses.field(default_factory=dict)
    measured: tuple[str, ...] = ()
    gains_nothing: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def load(self) -> Any:
        """Import the factory or class."""
        return load_target(self.target) if isinstance(self.target, str) else self.target


def load_target(target: str) -> Any:
    """Import what "module:name" names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def modules_of(*tables: Mapping[str, Entry]) -> dict[str, str]:
    """The names that the targets in tables have in Python, and the modules that they are in."""
    targets = [entry.target for table in tables for entry in table.values() if isinstance(entry.target, str)]
    return {target.partition(":")[2]: target.partition(":")[0] for target in targets}
