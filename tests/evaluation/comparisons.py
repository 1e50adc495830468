"""A small comparison, for tests of what is made of it."""

import copy
import functools
from typing import Any

from adaptax.algorithms import QLearning, Random, ThompsonSampling
from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Problem
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.comparison import Plan, compare
from adaptax.problems import bernoulli_bandit, tabular_mdp

ODD = '<i>"rl2" & co</i>'
"""A name that HTML has to escape."""
ABOUT = {"algorithm": "x", "settings": {"<size>": 3}, "runs": [{"directory": "runs/<a>", "seed": 0, "seeds": 1}]}


def untrained(name: str, algorithm: Algorithm, problem: Problem, kind: str = "classical") -> TrainedAgent:
    """An agent that has not been trained."""
    return TrainedAgent.initial(algorithm, problem, name=name, kind=kind, about=ABOUT)


@functools.cache
def _small(bandit: bool) -> dict[str, Any]:
    problem = bernoulli_bandit(num_arms=3, num_pulls=20)
    if not bandit:
        problem = tabular_mdp(num_states=2, num_actions=2, horizon=3, num_episodes=20)
    learner = QLearning(epsilon_episodes=30)
    agents = [
        untrained(ODD, ThompsonSampling() if bandit else Random(), problem, "meta-trained"),
        untrained("q-learning", learner, replace(problem, episodes=100), "from scratch"),
        untrained("random", Random(), problem),
    ]
    early = {"q-learning": TrainedAgent.initial(learner, replace(problem, episodes=10))}
    content = compare(problem, agents, Plan(60, 40, 0), early=early)
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
