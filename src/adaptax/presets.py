"""Settings that are known to work, by algorithm and problem."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adaptax.errors import ConfigError
from adaptax.registry import PROBLEMS, TRAINABLE, lookup
from adaptax.settings import Settings, suggestion

DEFAULT = "default"


@dataclasses.dataclass(frozen=True)
class Preset:
    """Changes to the default settings.

    Attributes:
        summary: One line.
        algorithm: Hyper-parameters.
        problem: Parameters of the problem.
    """

    summary: str
    algorithm: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problem: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_SHORT = {"memory": "gru", "num_updates": 1500}
_MEDIUM = {"memory": "gru", "num_updates": 1150}
_LONG = {"memory": "gru", "num_updates": 600, "num_tasks": 256}
_WIDE = {"memory_size": 128}
"""More arms to count need more units to count them with."""

_BANDITS: Mapping[tuple[int, int], Mapping[str, Any]] = {  # by pulls and arms
    (10, 5): _SHORT,
    (10, 10): _SHORT,
    (10, 50): {**_SHORT, **_WIDE},
    (100, 5): _MEDIUM,
    (100, 10): _MEDIUM,
    (100, 50): {**_MEDIUM, **_WIDE},
    (500, 5): _LONG,
    (500, 10): _LONG,
    (500, 50): {**_LONG, **_WIDE},
}
_STATES = {"memory": "gru", "memory_size": 128, "policy_size": 128, "gae_lambda": 0.3, "entropy_cost": 0.1}
"""Rewards are noisy and soon: a small λ. States must be told apart: a layer that looks them up."""

_MDPS: Mapping[int, Mapping[str, Any]] = {  # by episodes
    10: {**_STATES, "num_updates": 1000},
    25: {**_STATES, "num_updates": 500},
    50: {**_STATES, "num_updates": 500, "num_tasks": 256},
    75: {**_STATES, "num_updates": 400, "num_tasks": 256},
    100: {**_STATES, "num_updates": 350, "num_tasks": 256},
}

PRESETS: Mapping[tuple[str, str], Mapping[str, Preset]] = {
    ("rl2", "bandit"): {
        f"{pulls}x{arms}": Preset(
            f"{pulls} pulls of {arms} arms (Duan et al. 2016, table 1)",
            algorithm,
            {"num_arms": arms, "num_pulls": pulls},
        )
        for (pulls, arms), algorithm in _BANDITS.items()
    },
    ("rl2", "tabular-mdp"): {
        str(episodes): Preset(f"{episodes} episodes (Duan et al. 2016, table 2)", algorithm, {"num_episodes": episodes})
        for episodes, algorithm in _MDPS.items()
    },
}
"""By algorithm and problem, then by name. Where a preset is for a cell of a published table, it has the cell's name."""


def presets_for(algorithm: str, problem: str) -> dict[str, Preset]:
    """The presets of a pair, the default first."""
    return {DEFAULT: Preset("the settings' own defaults"), **PRESETS.get((algorithm, problem), {})}


def settings_for(algorithm: str, problem: str, preset: str = DEFAULT) -> tuple[Settings, Settings]:
    """Settings of the algorithm and of the problem under a preset.

    Raises:
        ConfigError: if there is no such algorithm, problem or preset.
    """
    algorithm_entry = lookup("ALGORITHM", TRAINABLE, algorithm)
    problem_entry = lookup("PROBLEM", PROBLEMS, problem)
    known = presets_for(algorithm, problem)
    if preset not in known:
        raise ConfigError(
            f"--preset: expected one of {', '.join(known)} for {algorithm} on {problem}; "
            f"found '{preset}'{suggestion(preset, known)}"
        )
    assert algorithm_entry.settings is not None
    assert problem_entry.settings is not None
    chosen = known[preset]
    return algorithm_entry.settings(**chosen.algorithm), problem_entry.settings(**chosen.problem)
