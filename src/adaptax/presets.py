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


_BANDIT_100 = {
    "memory": "gru",
    "num_updates": 1150,
}

PRESETS: Mapping[tuple[str, str], Mapping[str, Preset]] = {
    ("rl2", "bandit"): {
        "100x10": Preset(
            "100 pulls of 10 arms, to within 1 % of Gittins",
            _BANDIT_100,
            {"num_arms": 10, "num_pulls": 100},
        ),
    },
}


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
