"""Protocols of evaluation that benchmarks prescribe: some episodes to adapt in, then some to be judged by."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import UseError
from adaptax.core.problem import Problem
from adaptax.core.rollout import TrialState, rollout, start
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.trial_result import TrialResult, result_of
from adaptax.core.types import AgentState, Task, Transition, replace


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Some episodes to adapt in, then some to be judged by, in one task.

    An agent that learns from windows adapts to as many as its episodes of adaptation make, and is judged in as many
    fresh environments as there are episodes to be judged by. One with a memory keeps it through all of them, one after
    the other. While it adapts an agent acts as in training; judged, it acts by the best action known.

    Attributes:
        name: What it is called.
        adaptation_episodes: Episodes to adapt in.
        judged_episodes: Episodes to be judged by.
        source: Whose it is.
    """

    name: str
    adaptation_episodes: int
    judged_episodes: int
    source: str

    @property
    def episodes(self) -> int:
        """All of them."""
        return self.adaptation_episodes + self.judged_episodes

    def to_json(self) -> dict[str, Any]:
        """As it is written beside figures."""
        return {
            "name": self.name,
            "adaptation_episodes": self.adaptation_episodes,
            "judged_episodes": self.judged_episodes,
            "source": self.source,
        }


PROTOCOLS: Mapping[str, Protocol] = {
    "metaworld": Protocol("metaworld", 10, 3, "Meta-World, metaworld.evaluation.metalearning_evaluation (3.1)"),
}


def check_windows(agent: TrainedAgent, protocol: Protocol) -> None:
    """Check that what an agent learns from at once divides the episodes that it is given to adapt in.

    Raises:
        UseError: naming what was expected and found.
    """
    if not agent.learns_from_windows:
        return
    window, horizon = agent.algorithm.window(agent.problem), agent.problem.env.horizon
    steps = protocol.adaptation_episodes * horizon
    if steps % (window.num_envs * window.steps) or protocol.adaptation_episodes % window.num_envs:
        raise UseError(
            f"--protocol {protocol.name}: expected windows that divide {protocol.adaptation_episodes} episodes × "
            f"{horizon} steps; {type(agent.algorithm).__name__} learns from {window.num_envs} environments × "
            f"{window.steps} steps. Train one with windows of {protocol.adaptation_episodes} episodes, or a divisor"
        )


def protocol_trial(agent: TrainedAgent, protocol: Protocol, task: Task, key: Key[Array, ""]) -> TrialResult:
    """What each of the protocol's episodes brought, in their order; episodes of one window in that of environments.

    Args:
        agent: Of one training.
        protocol: How many episodes.
        task: The task.
        key: Randomness.
    """
    live = _by_windows if agent.learns_from_windows else _by_memory
    adaptation, judged, adapted = live(agent.algorithm, agent.problem, agent.meta, task, key, protocol)
    parts = [result_of(part, agent.problem.env.horizon, adapted) for part in (adaptation, judged)]
    return jax.tree.map(lambda *x: jnp.concatenate(x) if x[0].ndim else x[0] & x[1], *parts)


Lived = tuple[Transition, Transition, PyTree[Array]]
"""The episodes to adapt in, and those to be judged by, `[time, env, ...]`, and φ."""


def _by_memory(
    algorithm: Algorithm, problem: Problem, meta: PyTree[Array], task: Task, key: Key[Array, ""], protocol: Protocol
) -> Lived:
    start_key, *keys = jax.random.split(key, 3)
    state, parts = start(algorithm, problem, meta, task, start_key), []
    clock = 0
    counts = (protocol.adaptation_episodes, True), (protocol.judged_episodes, False)
    for (episodes, explore), part_key in zip(counts, keys, strict=True):
        steps = episodes * problem.env.horizon
        state, part = rollout(
            algorithm, problem, meta, task, state, part_key, clock=clock, steps=steps, explore=explore
        )
        parts.append(part)
        clock += steps
    return parts[0], parts[1], state.adapted


def _by_windows(
    algorithm: Algorithm, problem: Problem, meta: PyTree[Array], task: Task, key: Key[Array, ""], protocol: Protocol
) -> Lived:
    window, horizon = algorithm.window(problem), problem.env.horizon
    windows = protocol.adaptation_episodes * horizon // (window.num_envs * window.steps)
    start_key, window_key, fresh_key, judged_key = jax.random.split(key, 4)

    def one_window(state: TrialState, index: Int[Array, ""]) -> tuple[TrialState, Transition]:
        rollout_key, adapt_key = jax.random.split(jax.random.fold_in(window_key, index))
        clock, steps = index * window.steps, window.steps
        state, trajectory = rollout(algorithm, problem, meta, task, state, rollout_key, clock=clock, steps=steps)
        agent = AgentState(state.adapted, state.memory)
        agent = algorithm.adapt(meta, agent, replace(trajectory, success=None, lost=None), adapt_key)
        return replace(state, adapted=agent.adapted, memory=agent.memory), trajectory

    state = start(algorithm, problem, meta, task, start_key, window.num_envs)
    state, adaptation = jax.lax.scan(one_window, state, jnp.arange(windows))
    fresh = start(algorithm, problem, meta, task, fresh_key, protocol.judged_episodes)
    fresh = replace(fresh, adapted=state.adapted)
    judged = rollout(algorithm, problem, meta, task, fresh, judged_key, clock=0, steps=horizon, explore=False)[1]
    return jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2), adaptation), judged, state.adapted
