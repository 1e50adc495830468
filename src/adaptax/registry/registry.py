"""What there is, by name: problems and algorithms, with where to import them from once JAX may be imported.

The tables stand beside the families' settings; here they are merged. `registry.resolve` adds what users bring.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adaptax import algorithms, problems
from adaptax.core.entry import Entry, load_target
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings, suggestion
from adaptax.registry.encoders import enter_encoder

NATIVE_PROBLEMS: Mapping[str, Entry] = problems.PROBLEMS
"""Those of the library that need nothing but JAX."""

OWN_PROBLEMS: Mapping[str, Entry] = {**NATIVE_PROBLEMS, **problems.SIMULATED, **problems.METAWORLD}
"""Those of the library, simulators' too, without what users bring."""

OWN_TRAINABLE: Mapping[str, Entry] = algorithms.TRAINABLE
"""The same of meta-learners."""

OWN_FROM_SCRATCH: Mapping[str, Entry] = algorithms.FROM_SCRATCH
"""The same of those that learn every task from nothing."""

PROBLEMS: dict[str, Entry] = {**OWN_PROBLEMS}

TRAINABLE: dict[str, Entry] = {**OWN_TRAINABLE}
"""What `adaptax train` meta-trains."""

FROM_SCRATCH: dict[str, Entry] = {**OWN_FROM_SCRATCH}
"""What learns every task from nothing: there is nothing to meta-train."""

CLASSICAL: Mapping[str, Entry] = algorithms.CLASSICAL

LEARNERS: dict[str, Entry] = {**TRAINABLE, **FROM_SCRATCH}
"""What has settings, and so can be a run."""

AGENTS: dict[str, Entry] = {**FROM_SCRATCH, **CLASSICAL}
"""What needs no training."""

ALGORITHMS: dict[str, Entry] = {**LEARNERS, **CLASSICAL}


def enter_problem(name: str, entry: Entry) -> None:
    """Add a problem to the tables."""
    PROBLEMS[name] = entry


def enter_algorithm(name: str, entry: Entry, *, from_scratch: bool) -> None:
    """Add an algorithm to the tables."""
    for table in (FROM_SCRATCH, LEARNERS, AGENTS, ALGORITHMS) if from_scratch else (TRAINABLE, LEARNERS, ALGORITHMS):
        table[name] = entry


def forget(name: str) -> None:
    """Take what a user has brought out of the tables, as tests do."""
    for table in (PROBLEMS, TRAINABLE, FROM_SCRATCH, LEARNERS, AGENTS, ALGORITHMS):
        table.pop(name, None)


def lookup(kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
    """Return the entry called `name`.

    Raises:
        ConfigError: if there is none; says which there are and which is nearest.
    """
    if name not in entries:
        hint = suggestion(name, entries)
        raise ConfigError(f"{kind}: expected one of {', '.join(entries)}; found {short_repr(name)}{hint}")
    return entries[name]


def build(entry: Entry, settings: Settings | None = None) -> Any:
    """Import a problem or a trainable algorithm and build it from its settings (JAX is imported here)."""
    enter_encoder(settings)
    return entry.load()(**({} if settings is None else dataclasses.asdict(settings)))


def view(entry: Entry, problem: Any) -> Any:
    """The problem as an agent sees it."""
    return problem if entry.view is None else load_target(entry.view)(problem)


def suited(entry: Entry) -> tuple[str, ...]:
    """The names of the problems that an agent is for."""
    return tuple(name for name, problem in PROBLEMS.items() if entry.suits is None or entry.suits in problem.traits)


def build_agent(name: str, problem_settings: Settings) -> Any:
    """Import a classical agent and build it for a problem (JAX is imported here)."""
    entry = lookup("agent", CLASSICAL, name)
    known = dataclasses.asdict(problem_settings)
    parts = {}
    for argument, target in entry.parts.items():
        part = load_target(target)
        parts[argument] = part(**{f.name: known[f.name] for f in dataclasses.fields(part) if f.name in known})
    return entry.load()(**parts)
