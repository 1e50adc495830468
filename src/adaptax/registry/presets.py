"""Settings that are known to work, by algorithm and problem."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adaptax.algorithms.gradient.settings import InnerSettings
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, suggestion
from adaptax.registry.registry import CLASSICAL, FROM_SCRATCH, LEARNERS, PROBLEMS, build, build_agent, lookup

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


_SYMMETRIC = {"memory": "symmetric", "memory_size": 16}
_SHORT = {**_SYMMETRIC, "num_updates": 1000}
_MEDIUM = {**_SYMMETRIC, "num_updates": 150}
_LONG = {**_SYMMETRIC, "num_updates": 200, "num_tasks": 256, "gae_lambda": 0.98}
"""Exploring many arms pays late: a large λ, so that what it brought is not left to the critic to tell."""

_BANDITS: Mapping[tuple[int, int], Mapping[str, Any]] = {  # by pulls and arms
    (10, 5): _SHORT,
    (10, 10): _SHORT,
    (10, 50): _SHORT,
    (100, 5): _MEDIUM,
    (100, 10): _MEDIUM,
    (100, 50): _MEDIUM,
    (500, 5): _LONG,
    (500, 10): _LONG,
    (500, 50): _LONG,
}
_STATES = {"memory": "symmetric", "memory_size": 24, "policy_size": 32}

_MDPS: Mapping[int, Mapping[str, Any]] = {  # by episodes
    10: {**_STATES, "num_updates": 100},
    25: {**_STATES, "num_updates": 80, "gae_lambda": 0.95},
    50: {**_STATES, "num_updates": 80, "gae_lambda": 0.97, "num_tasks": 256},
    75: {**_STATES, "num_updates": 80, "gae_lambda": 0.97, "num_tasks": 256},
    100: {**_STATES, "num_updates": 200, "gae_lambda": 0.99, "num_tasks": 256},
}

_FIVE_WINDOWS = {
    "inner_steps": 4,
    "inner_learning_rate": 1.0,
    "objective": "every-step",
    "num_tasks": 40,
    "num_updates": 80,
}
"""100 episodes of 1 step: five windows of 20. Short episodes have small gradients."""
_PLANE = {
    "hidden_size": 32,
    "initial_std": 0.7,
    "exploration_std": 1.5,
    "exploration_decay": 0.35,
    "inner_steps": 3,
    "inner_decay": 0.2,
    "gae_lambda": 0.95,
    "objective": "every-step",
    "num_updates": 60,
}
"""Who stays near the start finds out where the goal lies, but not how far: explorers need noise. And a gradient is as
large as the deviation is small, so as that shrinks, inner steps must."""

GRADIENT_BASED: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "bandit": (_FIVE_WINDOWS, {}),
    "gaussian-bandit": (_FIVE_WINDOWS, {}),
    "correlated-bandit": (_FIVE_WINDOWS, {}),
    "tabular-mdp": ({"num_tasks": 40, "inner_learning_rate": 1.0}, {"num_episodes": 80}),
    "grid-navigation": ({"num_tasks": 40, "inner_learning_rate": 1.0}, {"num_episodes": 80}),
    "chain": ({"num_tasks": 40, "inner_learning_rate": 1.0}, {"num_episodes": 80}),
    "cart-pole": ({"num_tasks": 40}, {"num_episodes": 80}),
    "point-robot": (_PLANE, {"num_episodes": 80}),
    "point-robot-sparse": (_PLANE, {"num_episodes": 80}),
}
"""By problem: changes to the defaults of all gradient-based methods that have the field, and to those of the problem. A
trial is as long as the windows of adaptation that an evaluation shows: 80 episodes are 0 to 3 steps on 20 each."""

_CART_POLE = {
    "num_steps": 40,
    "discount": 0.97,
    "train_every": 4,
    "target_every": 20,
    "epsilon_episodes": 50,
    "buffer_size": 50_000,
}

ANEW: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "bandit": ({"epsilon_episodes": 50, "rate_decay": 1.0}, {}),
    "gaussian-bandit": ({"epsilon_episodes": 50, "rate_decay": 1.0}, {}),
    "correlated-bandit": ({"epsilon_episodes": 50, "rate_decay": 1.0}, {}),
    "tabular-mdp": ({"discount": 0.9}, {"num_episodes": 1000}),
    "grid-navigation": ({"discount": 0.95}, {"num_episodes": 1000}),
    "point-robot": ({}, {"num_episodes": 1000}),
    "point-robot-sparse": ({}, {"num_episodes": 1000}),
    "cart-pole": (_CART_POLE, {"num_episodes": 600, "horizon": 200}),
    "chain": ({"discount": 0.95}, {"num_episodes": 1000}),
}
"""The same for learners that start from nothing, or nearly so: they need long trials."""

_NETWORK_BASE = {
    "exploration_episodes": 1,
    "base": "reinforce",
    "base_size": 16,
    "base_learning_rate": 0.03,
    "base_discount": 0.97,
    "num_tasks": 32,
    "replicas": 8,
    "num_epochs": 8,
    "num_updates": 80,
    "learning_rate": 0.01,
}

EXPLORING: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "bandit": ({"exploration_episodes": 20}, {}),
    "gaussian-bandit": ({"exploration_episodes": 20}, {}),
    "correlated-bandit": ({"exploration_episodes": 20}, {}),
    "tabular-mdp": ({"exploration_episodes": 5}, {"num_episodes": 10}),
    "chain": ({"num_updates": 100}, {"num_episodes": 4}),
    "point-robot": (_NETWORK_BASE, {"num_episodes": 2}),
    "point-robot-sparse": (_NETWORK_BASE, {"num_episodes": 2}),
    "cart-pole": (_NETWORK_BASE, {"num_episodes": 2}),
}
"""The same for who learns to explore for another learner."""

_OWN: Mapping[str, Mapping[str, Any]] = {
    "dqn": {"learning_rate": 5e-4},
    "es-maml": {"num_tasks": 40},
    "reptile": {"inner_steps": 3},
    "meta-lstm": {"first_order": False},  # TRPO's line search soon refuses steps along first-order gradients
    "e-maml": {"score_weight": 0.01},
}
"""By method: what it needs besides."""

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
    return {DEFAULT: _default(algorithm, problem), **PRESETS.get((algorithm, problem), {})}


def _default(algorithm: str, problem: str) -> Preset:
    settings = LEARNERS[algorithm].settings if algorithm in LEARNERS else None
    if settings is None:
        return Preset("the settings' own defaults")
    if algorithm in FROM_SCRATCH or algorithm == "finetuned-ppo":
        summary, (changes, of_problem) = "a long trial in each task", ANEW.get(problem, ({}, {}))
    elif algorithm == "meta-policy-gradient":
        summary, (changes, of_problem) = "one episode to explore, or a few", EXPLORING.get(problem, ({}, {}))
    elif issubclass(settings, InnerSettings):
        summary, (changes, of_problem) = "windows of 20 episodes", GRADIENT_BASED.get(problem, ({}, {}))
    else:
        return Preset("the settings' own defaults")
    names = {field.name for field in dataclasses.fields(settings)}
    of_algorithm = {name: value for name, value in {**changes, **_OWN.get(algorithm, {})}.items() if name in names}
    return Preset(summary, of_algorithm, of_problem)


def settings_for(algorithm: str, problem: str, preset: str = DEFAULT) -> tuple[Settings, Settings]:
    """Settings of the algorithm and of the problem under a preset.

    Raises:
        ConfigError: if there is no such algorithm, problem or preset.
    """
    algorithm_entry = lookup("ALGORITHM", LEARNERS, algorithm)
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
    """Check that there is such an agent, and that it is for this problem; JAX is not imported.

    Raises:
        ConfigError: if there is none of that name, or the problem does not suit it.
    """
    if name not in FROM_SCRATCH:
        entry = lookup("agent", {**FROM_SCRATCH, **CLASSICAL}, name)
        if entry.suits is not None and problem not in entry.suits:
            raise ConfigError(f"{name}: expected a problem that it is for ({', '.join(entry.suits)}); found {problem}")
    else:
        settings_for(name, problem)[0].check_problem(problem_settings)
