"""The one driver of trials: many tasks, several seeds, all devices, in chunks that fit.

What is looked at in a trial is a function of one agent in one task (`Trial`): returns, actions, memories. How many of
them run at once, and on what, is the driver's business alone, so that a driver of simulators takes the same arguments.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Key, PyTree

from adaptax.core import host_program
from adaptax.core.errors import EnvironmentContractError
from adaptax.core.problem import Problem
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import Task

CHUNK = 1024
"""Streams that one device runs at once, about: each task has as many as the agent uses in parallel."""

HOST_CHUNK = 64
"""The same of simulators on the host, of which there is one for each."""

ATTEMPTS = 4
"""So often trials are begun, at most, where simulators are lost."""

SHARES = "evaluated"
"""Axis of the devices; not `parallel.AXIS`, since the learners of different tasks have nothing to average."""


class Trial(Protocol):
    """What is looked at in one trial."""

    def __call__(self, agent: TrainedAgent, task: Task, key: Key[Array, ""], /) -> PyTree[Array]:
        """Run one trial of an agent, of one training seed, in one task; return what was seen."""
        ...


def run_trials(
    agent: TrainedAgent,
    tasks: Task,
    keys: Key[Array, " task"],
    trial: Trial,
    *,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Any:
    """Run one trial in each of `tasks`, with each of the agent's training seeds.

    Args:
        agent: The agent; all its seeds meet the same tasks with the same randomness.
        tasks: Leaves `[task, ...]`.
        keys: The randomness of each trial.
        trial: What is looked at in one trial.
        on_progress: Called with the number of tasks done so far.

    Returns:
        What `trial` returns, as NumPy arrays with leaves `[seed, task, ...]`, the seed axis also if there is one only.
    """
    return PreparedTrials(agent, trial, len(keys))(agent.meta, tasks, keys, on_progress)


class PreparedTrials:
    """What `run_trials` does, for whoever does it again and again with other θ: it is compiled once."""

    def __init__(self, agent: TrainedAgent, trial: Trial, num_tasks: int):
        """Nothing is compiled yet.

        Args:
            agent: The agent; its θ is not looked at.
            trial: What is looked at in one trial.
            num_tasks: In how many tasks.
        """
        on_host = agent.problem.env.on_host
        devices = jax.local_devices()[: 1 if on_host else None]
        num_envs = agent.algorithm.window(agent.problem).num_envs
        chunk = max((HOST_CHUNK if on_host else CHUNK) // num_envs, 1) * len(devices)
        self._chunk = chunk if num_tasks >= chunk else -(-num_tasks // len(devices)) * len(devices)
        self._num_tasks, self._problem, self._several = num_tasks, agent.problem, agent.num_seeds > 1
        self._program, self._place = _compiled(agent, trial, devices)

    def __call__(
        self,
        meta: PyTree[Array],
        tasks: Task,
        keys: Key[Array, " task"],
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> Any:
        """What `run_trials` returns of θ, tasks and keys."""
        parts = []
        for begin in range(0, self._num_tasks, self._chunk):
            arguments = self._arguments(begin, meta, tasks, keys)
            seen = _undisturbed(self._problem, functools.partial(self._program, *arguments))
            use = min(self._chunk, self._num_tasks - begin)
            parts.append(jax.tree.map(functools.partial(_kept, several=self._several, use=use), seen))
            on_progress(begin + use)
        return jax.tree.map(lambda *x: np.concatenate(x, 1), *parts)

    def lower(self, meta: PyTree[Array], tasks: Task, keys: Key[Array, " task"]) -> Any:
        """Trace it for such arguments: what is returned may be compiled in another thread, which a call then finds."""
        return self._program.lower(*self._arguments(0, meta, tasks, keys))

    def _arguments(self, begin: int, meta: PyTree[Array], tasks: Task, keys: Key[Array, " task"]) -> Any:
        """Of the program, for a chunk; the last is filled up with repetitions, so that one program serves all."""
        indices = np.arange(begin, begin + self._chunk) % self._num_tasks
        return self._place((meta, jax.tree.map(lambda x: x[indices], tasks), keys[indices]))


def _undisturbed(problem: Problem, run: Callable[[], Any]) -> Any:
    """What comes of trials none of which has lost its simulator: the same ones again if one has.

    Raises:
        EnvironmentContractError: if that happens again and again.
    """
    for _ in range(ATTEMPTS):
        before = problem.env.losses[0]
        seen = jax.block_until_ready(run())
        if problem.env.losses[0] == before:
            return seen
    raise EnvironmentContractError(
        f"the same trials have lost a simulator {ATTEMPTS} times, the last was {problem.env.losses[1]}; nothing was "
        "evaluated. `adaptax check-env` finds more"
    )


def _kept(x: Array, *, several: bool, use: int) -> np.ndarray:
    """The first `use` tasks of a chunk, with a seed axis: `[seed, task, ...]`."""
    return (np.asarray(x) if several else np.asarray(x)[None])[:, :use]


def _compiled(agent: TrainedAgent, trial: Trial, devices: list[Any]) -> tuple[Any, Callable[[Any], Any]]:
    """A chunk of trials as one program, and what puts its arguments in place; each device has its share of the tasks.

    Explicitly: what XLA cannot split, it would gather on every device.
    """

    def one(meta: PyTree[Array], task: Task, key: Key[Array, ""]) -> PyTree[Array]:
        return trial(dataclasses.replace(agent, meta=meta, num_seeds=1), task, key)

    several = agent.num_seeds > 1
    run = jax.vmap(one, in_axes=(None, 0, 0))
    run = jax.vmap(run, in_axes=(0, None, None)) if several else run
    if len(devices) == 1:
        return host_program.program(run, on_host=agent.problem.env.on_host), lambda arguments: arguments
    shares = PartitionSpec(SHARES)
    specs = (PartitionSpec(), shares, shares), PartitionSpec(None, SHARES) if several else shares
    mesh = Mesh(devices, (SHARES,))
    program = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=specs[0], out_specs=specs[1], check_vma=False))
    places = tuple(NamedSharding(mesh, spec) for spec in specs[0])
    # θ may come from training's mesh: a program that calls a simulator refuses arguments of two.
    return program, lambda arguments: jax.device_put(arguments, places)
