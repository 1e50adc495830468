"""A trained agent in use: load it, let it live in an environment of your own, step by step.

Nothing of training is needed here, and no environment of adaptax: whoever calls it holds the environment.
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adaptax.algorithm import Algorithm
from adaptax.runs import load_state, read_recipe
from adaptax.training import init
from adaptax.types import TimeStep


class Agent:
    """One agent in one task. It adapts as it acts; `begin` makes it forget the task.

    Attributes:
        algorithm: How it acts.
        meta: θ.
    """

    def __init__(self, algorithm: Algorithm, meta: Any, space: Any, seed: int = 0):
        """Enter a first task.

        Args:
            algorithm: The algorithm that θ belongs to.
            meta: θ.
            space: The action space.
            seed: Decides the agent's own randomness.
        """
        self.algorithm, self.meta = algorithm, meta
        self._space = space
        self._act = jax.jit(algorithm.act, static_argnames="explore")
        self._key = jax.random.key(seed)
        self._tasks = 0
        self.begin()

    @classmethod
    def load(cls, directory: str | Path, *, seed: int = 0, training_seed: int = 0) -> "Agent":
        """The agent that a run has trained.

        Args:
            directory: What `adaptax train` printed.
            seed: Decides the agent's own randomness.
            training_seed: Which of the trainings, if the run had several (`--seeds`).

        Raises:
            CheckpointError: if there is no finished run, or it is damaged.
        """
        recipe, options = read_recipe(Path(directory))
        algorithm, problem = recipe.build()
        seeds = int(options["seeds"])
        like = jax.eval_shape(lambda: init(algorithm, problem, seed=0, num_seeds=seeds))
        meta = load_state(Path(directory), like).meta
        if seeds > 1:
            meta = jax.tree.map(lambda x: x[training_seed], meta)
        return cls(algorithm, meta, problem.env.action_space, seed)

    def begin(self) -> None:
        """Enter a new task: fresh memory, no previous action or reward."""
        self._tasks += 1
        self._steps = 0
        self._agent = self.algorithm.begin(self.meta, jax.random.fold_in(self._key, self._tasks))
        self._action, self._reward, self._first = self._space.null(), 0.0, True

    def act(self, observation: Any, *, explore: bool = False) -> np.ndarray:
        """Return the action for `observation` (an array or nested list; `[]` where there is nothing to see)."""
        step_key = jax.random.fold_in(jax.random.fold_in(self._key, self._tasks), self._steps)
        as_array = lambda x: jnp.asarray(x, _dtype(x))  # noqa: E731
        observation = jax.tree.map(as_array, observation, is_leaf=lambda x: isinstance(x, list))
        timestep = TimeStep(observation, self._action, jnp.float32(self._reward), jnp.asarray(self._first))
        self._action, memory, _ = self._act(self.meta, self._agent, timestep, step_key, explore=explore)
        self._agent = eqx.tree_at(lambda a: a.memory, self._agent, memory, is_leaf=lambda x: x is None)
        self._steps += 1
        return np.asarray(self._action)

    def observe(self, reward: float, *, episode_over: bool = False) -> None:
        """Tell what the last action brought, and whether the episode is over (the task goes on).

        Raises:
            ValueError: if the reward is not a finite number.
        """
        if not np.isfinite(reward):
            raise ValueError(
                f"observe(reward): expected a finite number, got {reward!r}; the agent's memory is unchanged"
            )
        self._reward, self._first = float(reward), episode_over


def _dtype(x: Any) -> Any:
    return jnp.int32 if np.issubdtype(np.asarray(x).dtype, np.integer) else jnp.float32
