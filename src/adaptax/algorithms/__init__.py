"""Algorithms: meta-learners, and the classical agents that they are compared with."""

from adaptax.algorithms.random import Random as Random
from adaptax.algorithms.rl2 import RL2 as RL2

__all__ = ["RL2", "Random"]
