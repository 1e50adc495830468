"""Published tables, and how to train for each of their cells: with the preset of the cell's name.

Duan et al. 2016, "RL²: Fast Reinforcement Learning via Slow Reinforcement Learning", arXiv 1611.02779, tables 1 and 2.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adaptax.registry.registry import TRAINABLE


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        problem: Parameters of the problem.
        algorithm: Hyper-parameters.
        published: The paper's figure for RL².
        ceiling: Exact optimum, or that of the best method known; None if unknown.
        ceiling_is: What the ceiling is.
        published_agents: The paper's figures for other agents, by our names.
        against: Agents that are evaluated in the same tasks.
        explore: Whether it is evaluated by sampled actions, as in training: the mode tries nothing by chance, and
            in a long trial it stays with what it took for the best.
    """

    problem: Mapping[str, Any]
    algorithm: Mapping[str, Any]
    published: float
    ceiling: float | None
    ceiling_is: str
    published_agents: Mapping[str, float] = dataclasses.field(default_factory=dict)
    against: tuple[str, ...] = ()
    explore: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table.

    Attributes:
        summary: One line.
        algorithm: Name of the algorithm that is trained.
        problem: Name of the problem.
        cells: By name.
        tasks: Held-out tasks that each is evaluated on, if nothing else is asked for.
    """

    summary: str
    algorithm: str
    problem: str
    cells: Mapping[str, Any]
    tasks: int = 20_000


LONG = 500
"""Pulls from which on chance is worth more than it costs."""
_BANDIT_AGENTS = ("random", "gittins", "thompson", "optimistic-thompson", "ucb1", "epsilon-greedy", "greedy")
_BANDITS = {  # pulls, arms: the paper's row in the order of _BANDIT_AGENTS, then its RL², then the ceiling and its kind
    (10, 5): (5.0, 6.6, 5.7, 6.5, 6.7, 6.6, 6.6, 6.7, 6.660, "exact optimum"),
    (10, 10): (5.0, 6.6, 5.5, 6.2, 6.7, 6.6, 6.6, 6.7, 6.714, "exact optimum"),
    (10, 50): (5.1, 6.5, 5.2, 5.5, 6.6, 6.5, 6.5, 6.8, 6.714, "exact optimum"),
    (100, 5): (49.9, 78.3, 74.7, 77.9, 78.0, 75.4, 74.8, 78.7, 78.57, "Gittins, recomputed"),
    (100, 10): (49.9, 82.8, 76.7, 81.4, 82.4, 77.4, 77.1, 83.5, 83.65, "Gittins, recomputed"),
    (100, 50): (49.8, 85.2, 64.5, 67.7, 84.3, 78.3, 78.0, 84.9, 85.50, "Gittins, recomputed"),
    (500, 5): (249.8, 405.8, 402.0, 406.7, 405.8, 388.2, 380.6, 401.6, 409.1, "Gittins, recomputed"),
    (500, 10): (249.0, 437.8, 429.5, 438.9, 437.1, 408.0, 395.0, 432.5, 441.6, "Gittins, recomputed"),
    (500, 50): (249.6, 463.7, 427.2, 437.6, 457.6, 413.6, 402.8, 438.9, 464.8, "Gittins, recomputed"),
}

_MDP_AGENTS = (
    "random",
    "psrl",
    "optimistic-psrl",
    "ucrl2",
    "beb",
    "tabular-epsilon-greedy",
    "tabular-greedy",
)
_MDPS = {  # episodes: the paper's row in the order of _MDP_AGENTS, then its RL²
    10: (100.1, 138.1, 144.1, 146.6, 150.2, 132.8, 134.8, 156.2),
    25: (250.2, 408.8, 425.2, 424.1, 427.8, 377.3, 368.8, 445.7),
    50: (499.7, 904.4, 930.7, 918.9, 917.8, 823.3, 769.3, 936.1),
    75: (749.9, 1417.1, 1449.2, 1427.6, 1422.6, 1293.9, 1172.9, 1428.8),
    100: (999.4, 1939.5, 1973.9, 1942.1, 1935.1, 1778.2, 1578.5, 1913.7),
}


def _bandit_cells() -> dict[str, Cell]:
    presets = TRAINABLE["rl2"].presets["bandit"]
    cells = {}
    for (pulls, arms), (*agents, published, ceiling, kind) in _BANDITS.items():
        name = f"{pulls}x{arms}"
        named = dict(zip(_BANDIT_AGENTS, agents, strict=True))
        preset, beside = presets[name], ("gittins", "ucb1")
        chance = pulls >= LONG
        cells[name] = Cell(preset.problem, preset.algorithm, published, ceiling, kind, named, beside, chance)
    return cells


def _mdp_cells() -> dict[str, Cell]:
    presets = TRAINABLE["rl2"].presets["tabular-mdp"]
    cells = {}
    for episodes, (*agents, published) in _MDPS.items():
        name = str(episodes)
        named = dict(zip(_MDP_AGENTS, agents, strict=True))
        cells[name] = Cell(presets[name].problem, presets[name].algorithm, published, None, "unknown", named)
    return cells


TABLES: Mapping[str, Table] = {
    "duan2016-bandits": Table(
        "RL² paper, table 1: total reward over n pulls of k Bernoulli arms; cells n×k",
        "rl2",
        "bandit",
        _bandit_cells(),
    ),
    "duan2016-mdps": Table(
        "RL² paper, table 2: total reward over n episodes of random MDPs; cells n",
        "rl2",
        "tabular-mdp",
        _mdp_cells(),
    ),
}
