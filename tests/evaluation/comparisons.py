"""A small comparison, for tests of what is made of it."""

import copy
import functools
from typing import Any

from adaptax.algorithms import QLearning, Random, ThompsonSampling
from adaptax.core.algorithm import Algorithm, init
from adaptax.core.problem import Problem
from adaptax.core.types import replace
from adaptax.evaluation.comparison import Entrant, Plan, compare
from adaptax.problems import bernoulli_bandit, tabular_mdp

ODD = '<i>"rl2" & co</i>'
"""A name that HTML has to escape."""
ABOUT = {"algorithm": "x", "settings": {"<size>": 3}, "runs": [{"directory": "runs/<a>", "seed": 0, "seeds": 1}]}


def entrant(name: str, algorithm: Algorithm, problem: Problem, kind: str = "classical", **more: Any) -> Entrant:
    """An agent that has not been trained."""
    return Entrant(name, kind, algorithm, problem, init(algorithm, problem, seed=0).meta, about=ABOUT, **more)


@functools.cache
def _small(bandit: bool) -> dict[str, Any]:
    problem = bernoulli_bandit(num_arms=3, num_pulls=20)
    if not bandit:
        problem = tabular_mdp(num_states=2, num_actions=2, horizon=3, num_episodes=20)
    long = replace(problem, episodes=100)
    entrants = [
        entrant(ODD, ThompsonSampling() if bandit else Random(), problem, "meta-trained"),
        entrant(
            "q-learning", QLearning(epsilon_episodes=30), long, "from scratch", early=replace(problem, episodes=10)
        ),
        entrant("random", Random(), problem),
    ]
    content = compare(problem, entrants, Plan(60, 40, 0))
    return {
        "command": ["adaptax", "compare", "a & b"],
        "problem": {"name": "bandit", "summary": "p < 1 & more", "settings": {"num_arms": 3}},
        "options": {},
        "versions": {"adaptax": "0"},
        "python": "3",
        "device": "cpu",
        "num_devices": 2,
        **content,
    }


def small(*, bandit: bool = True) -> dict[str, Any]:
    """What `adaptax compare` writes down of three agents."""
    return copy.deepcopy(_small(bandit))
