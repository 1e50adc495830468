"""An agent as it is handed on: what it does, where, what it has learned, and in how many trainings."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from adaptax.core.algorithm import Algorithm, init, num_parameters
from adaptax.core.arguments import counted, whole_number
from adaptax.core.problem import Problem
from adaptax.core.rollout import num_evaluations, num_windows


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedAgent:
    """An agent with what it has learned between tasks; to evaluate, compare, inspect or use it needs nothing more.

    An agent that needs no training is one too: see `initial`.

    Attributes:
        algorithm: How it acts and adapts.
        problem: The problem as the agent sees it, with its own number of episodes.
        meta: θ; leaves have a leading seed axis if there are several seeds.
        num_seeds: Independent trainings that θ holds.
        name: What it is called beside others.
        kind: "meta-trained", "from scratch" or "classical", where that is to be written down.
        about: What else is to be written down of it, as plain data.
    """

    algorithm: Algorithm
    problem: Problem
    meta: PyTree[Array]
    num_seeds: int = 1
    name: str = ""
    kind: str = ""
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def initial(
        cls, algorithm: Algorithm, problem: Problem, *, seed: int = 0, num_seeds: int = 1, **described: Any
    ) -> "TrainedAgent":
        """The agent before any training: all that there ever is of learners from scratch and classical agents.

        Args:
            algorithm: How it acts and adapts.
            problem: The problem as it sees it.
            seed: Decides θ.
            num_seeds: How many θ to draw.
            described: `name`, `kind` and `about`.

        Raises:
            DivergenceError: if θ is NaN or infinite.
        """
        return cls(
            algorithm, problem, init(algorithm, problem, seed=seed, num_seeds=num_seeds).meta, num_seeds, **described
        )

    def of_seed(self, index: int) -> "TrainedAgent":
        """The agent of one training, counted from 0; θ has no seed axis then.

        Raises:
            UseError: if that is no integer, or there are not so many.
        """
        index = whole_number("training seed", index, 0, self.num_seeds - 1)
        if self.num_seeds == 1:
            return self
        return dataclasses.replace(self, meta=jax.tree.map(lambda x: x[index], self.meta), num_seeds=1)

    def __repr__(self) -> str:
        size = [f"{counted(self.num_parameters, 'number')} in θ"] if self.num_parameters else []
        trainings = [counted(self.num_seeds, "training")] if self.num_seeds > 1 else []
        return f"TrainedAgent({': '.join(filter(None, (self.title, ', '.join(trainings + size))))})"

    @property
    def title(self) -> str:
        """Who it is, and on what: "rl2 on BernoulliBandit"."""
        return f"{self.name or type(self.algorithm).__name__} on {type(self.problem.env).__name__}"

    @property
    def num_parameters(self) -> int:
        """How many numbers are in θ of one training."""
        return num_parameters(self.meta) // self.num_seeds

    @property
    def learns_from_windows(self) -> bool:
        """Whether it adapts to windows that are shorter than a trial."""
        return num_windows(self.algorithm, self.problem) > 1

    @property
    def has_evaluation_episodes(self) -> bool:
        """Whether its evaluation has evaluation episodes: it learns from windows, and a trial divides."""
        return self.learns_from_windows and num_evaluations(self.algorithm, self.problem) > 1


def join_seeds(agents: Sequence[TrainedAgent]) -> TrainedAgent:
    """Trainings of one algorithm on one problem as a single agent with all their seeds; described as the first is."""
    metas = [a.meta if a.num_seeds > 1 else jax.tree.map(lambda x: x[None], a.meta) for a in agents]
    num_seeds = sum(agent.num_seeds for agent in agents)
    meta = agents[0].meta if len(agents) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *metas)
    return dataclasses.replace(agents[0], meta=meta, num_seeds=num_seeds)
