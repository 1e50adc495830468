"""A problem as seen by a policy that knows the task: the ceiling that an agent which must find out is measured by.

The observation is that of the inner problem, encoded, followed by all numbers of the task, standardised by their mean
and deviation over training tasks. A policy without memory that is trained here shows how much of the oracle training
can reach at all, and what there is to reach where the exact oracle is NaN.

Integers of a task are cast to floats, though they may be names rather than amounts: the cell of a grid's goal is one
number then, which a network finds harder to read than coordinates.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.composite_spaces import Encoded
from adaptax.core.problem import Environment, Problem, Step, Wrapper, known_features, standardized, task_features
from adaptax.core.spaces import Box, Space
from adaptax.core.splits import fold_in_name
from adaptax.core.types import Task, replace

NUM_TASKS = 1024
"""Training tasks from which mean and deviation are taken."""
CONSTANT = 1e-6
"""A feature varies if its deviation exceeds this part of its size: less is rounding."""


class Informed(Wrapper):
    """An environment that shows its task.

    Attributes:
        env: The environment as it was.
        mean: Mean of each feature of a task.
        std: Standard deviation of each feature; 1 for one that does not vary.
    """

    env: Environment
    mean: tuple[float, ...] = eqx.field(static=True)
    std: tuple[float, ...] = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, env: Environment, mean: tuple[float, ...], std: tuple[float, ...]):
        self.env = env
        self.mean = mean
        self.std = std
        self.observation_space = Encoded(env.observation_space, len(mean))
        self.action_space = env.action_space
        self.horizon = env.horizon
        self.ends_early = env.ends_early

    def _show(self, observation: PyTree[Array], task: Task) -> Float[Array, " features"]:
        """The inner observation and the task, as one vector."""
        mean, std = jnp.asarray(self.mean, jnp.float32), jnp.asarray(self.std, jnp.float32)
        features = standardized(task_features(task), mean, std)
        return jnp.concatenate([self.env.observation_space.encode(observation), features])

    def reset(self, task: Task, key: Key[Array, ""]) -> tuple[PyTree[Array], Float[Array, " features"]]:
        """Begin an episode of the inner environment."""
        state, observation = self.env.reset(task, key)
        return state, self._show(observation, task)

    def step(self, state: PyTree[Array], action: PyTree[Array], task: Task, key: Key[Array, ""]) -> Step:
        """Do one action in the inner environment."""
        step = self.env.step(state, action, task, key)
        return replace(step, observation=self._show(step.observation, task))


def informed(problem: Problem) -> Problem:
    """The same problem, with the task in every observation.

    Tasks, rewards, horizon and oracles stay as they are. The optimum does not, since nothing is hidden any more.

    Args:
        problem: The problem.
    """
    keys = jax.random.split(fold_in_name(jax.random.key(0), "task features"), NUM_TASKS)
    tasks = jax.jit(jax.vmap(problem.train.sample))(keys)
    features = np.asarray(jax.jit(known_features)(tasks), np.float64)
    mean, std = features.mean(0), features.std(0)
    std = np.where(std > CONSTANT * np.abs(features).max(0), std, 1.0)
    env = Informed(problem.env, tuple(mean.tolist()), tuple(std.tolist()))
    return replace(problem, env=env, optimum=None)
