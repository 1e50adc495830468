"""Settings that are known to work, by algorithm and problem, and agents that are built with them.

What the presets are stands in the tables, beside the settings of each family.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adaptax.core.entry import DEFAULT, Entry, Preset
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings, suggestion
from adaptax.registry.registry import AGENTS, ALGORITHMS, FROM_SCRATCH, LEARNERS, build, build_agent, suited
from adaptax.registry.resolve import resolve_algorithm, resolve_problem


def presets_for(algorithm: str, problem: str, of: Settings | None = None) -> dict[str, Preset]:
    """The presets of a pair, the default first, which may follow from the problem's settings `of`.

    Raises:
        ConfigError: if there is no such algorithm or problem.
    """
    entry, problem_entry = resolve_algorithm(algorithm), resolve_problem(problem)
    return {DEFAULT: _default(entry, problem, problem_entry, of), **entry.presets.get(problem, {})}


def known_to_gain_nothing(algorithm: str, problem: str) -> str:
    """Why an algorithm's default preset is no better there than its own untrained self, if it was found so; or ""."""
    return resolve_algorithm(algorithm).gains_nothing.get(problem, "")


def named_presets() -> dict[tuple[str, str], Mapping[str, Preset]]:
    """All presets but the defaults, by algorithm and problem, then by name."""
    return {
        (algorithm, problem): presets
        for algorithm, entry in ALGORITHMS.items()
        for problem, presets in entry.presets.items()
    }


def _default(entry: Entry, problem: str, problem_entry: Entry, of: Settings | None) -> Preset:
    shared, measured = entry.defaults, problem in entry.measured
    if shared is None or entry.settings is None:
        return Preset("the settings' own defaults", entry.besides, measured=measured)
    of_problem = dict(shared.of_problem.get(problem, {}))
    if shared.num_episodes is not None and "num_episodes" in _fields(problem_entry.settings):
        of_problem = {"num_episodes": shared.num_episodes, **of_problem}
    changes: dict[str, Any] = {}
    assert problem_entry.settings is not None
    derived = {} if shared.derive is None else shared.derive(of or problem_entry.settings(**of_problem))
    for group in (derived, shared.changes.get(problem, {})):
        for kind, values in group.items():
            if issubclass(entry.settings, kind):
                _expect_fields(kind, values, f"the defaults on {problem}")
                changes |= values
    return Preset(shared.summary, {**entry.besides, **changes}, of_problem, measured)


def _fields(kind: type[Settings] | None) -> list[str]:
    return [] if kind is None else [field.name for field in dataclasses.fields(kind)]


def _expect_fields(kind: type[Settings], changes: Mapping[str, Any], where: str) -> None:
    """Check that settings have all that a preset is to change.

    Raises:
        ConfigError: if not; naming the first that they lack.
    """
    known = _fields(kind)
    for name in changes:
        if name not in known:
            raise ConfigError(f"{where}: {kind.__name__} has no setting '{name}'{suggestion(name, known)}")


def settings_for(
    algorithm: str, problem: str, preset: str = DEFAULT, of: Settings | None = None
) -> tuple[Settings, Settings]:
    """Settings of the algorithm and of the problem under a preset.

    Args:
        algorithm: Its name.
        problem: The problem's.
        preset: The preset's.
        of: Settings of the problem, where they are known: defaults that follow from them do so, and they are returned.

    Raises:
        ConfigError: if there is no such algorithm, problem or preset, or the preset does not suit the settings.
    """
    algorithm_entry = resolve_algorithm(algorithm, LEARNERS, what="ALGORITHM")
    problem_entry = resolve_problem(problem, what="PROBLEM")
    known = presets_for(algorithm, problem, of)
    if preset not in known:
        raise ConfigError(
            f"--preset: expected one of {', '.join(known)} for {algorithm} on {problem}; "
            f"found {short_repr(preset)}{suggestion(preset, known)}"
        )
    assert algorithm_entry.settings is not None
    assert problem_entry.settings is not None
    chosen, where = known[preset], f"preset '{preset}' of {algorithm} on {problem}"
    _expect_fields(algorithm_entry.settings, chosen.algorithm, where)
    _expect_fields(problem_entry.settings, chosen.problem, where)
    return algorithm_entry.settings(**chosen.algorithm), of or problem_entry.settings(**chosen.problem)


def agent_for(name: str, problem: str, problem_settings: Settings) -> Any:
    """Build an agent that needs no training for a problem: a classical one, or one that learns from scratch.

    Raises:
        ConfigError: if there is none of that name, or the problem does not suit it.
    """
    check_agent(name, problem, problem_settings)
    if name not in FROM_SCRATCH:
        return build_agent(name, problem_settings)
    return build(FROM_SCRATCH[name], settings_for(name, problem)[0])


def check_agent(name: str, problem: str, problem_settings: Settings) -> None:
    """Check that there is such an agent, and that it is for this problem; JAX is imported only for a user's own.

    Raises:
        ConfigError: if there is none of that name, or the problem does not suit it.
    """
    entry = resolve_algorithm(name, AGENTS, what="agent")
    if name in FROM_SCRATCH:
        settings_for(name, problem)[0].check_problem(problem_settings)
    elif entry.suits is not None and problem not in suited(entry):
        raise ConfigError(f"{name}: expected a problem that it is for ({', '.join(suited(entry))}); found {problem}")
