"""Yoked trials: the actions of one trial done in another task, whatever they bring there.

The steps of an agent's own trial depend on what it has found out: who has found the goal stays there, and who goes on
to a new place has not found it before. So how often a step is rewarded, given that it was done, is not the probability
that it would be. In a yoked trial the actions come from a trial of another task and know nothing of this one.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

from adaptax.core import parallel
from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Problem
from adaptax.core.rollout import run_trial
from adaptax.core.streams import stream
from adaptax.core.types import AgentState, Task, TimeStep, TrainState, Transition


@dataclasses.dataclass(frozen=True)
class OpenLoop(Algorithm):
    """Does one given action after the other; θ are the actions, leaves `[time, ...]`."""

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """There is nothing to know beforehand.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("actions are given by whoever runs a trial")

    def begin(self, meta: PyTree[Array], key: Key[Array, ""]) -> AgentState:
        """Begin with the first."""
        return AgentState(None, jnp.asarray(0, jnp.int32))

    def act(
        self, meta: PyTree[Array], agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], Int[Array, ""], Any]:
        """Do the next."""
        return jax.tree.map(lambda x: x[agent.memory], meta), agent.memory + 1, None


def yoked_trials(
    problem: Problem, tasks: Task, actions: PyTree[Array], keys: Key[Array, " task"], num_minibatches: int
) -> Transition:
    """A trial in each task with the actions of the next task's trial; where episodes end early, trials in a row.

    Args:
        problem: Where.
        tasks: Tasks, leaves `[task, ...]`.
        actions: What was done in each, leaves `[time, task, ...]`.
        keys: Randomness.
        num_minibatches: Parts that the tasks of an update are divided into, of each of which this device has a share.

    Returns:
        Trials, leaves `[time, task, ...]`.
    """
    all_of_them = parallel.gather(jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), actions), groups=num_minibatches)
    others = parallel.local(jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), all_of_them), num_minibatches)

    def one_task(task: Task, actions: PyTree[Array], key: Key[Array, ""]) -> Transition:
        if problem.streams:
            return stream(OpenLoop(), problem, actions, task, key)[1]
        return run_trial(OpenLoop(), problem, actions, task, key)

    trajectory = jax.vmap(one_task, out_axes=1)(tasks, others, keys)
    return jax.tree.map(lambda x: x.squeeze(2), trajectory)
