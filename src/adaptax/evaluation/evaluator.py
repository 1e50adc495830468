"""The one evaluator: adaptation curves on held-out tasks, the same tasks for every agent.

An agent enters each task as `begin` makes it, lives one trial, and adapts in whichever way it does. Its curve is the
return of each episode, averaged over tasks (and seeds), at equal experience: episode 3 is the third episode with a
task, whether a memory, a gradient step or a posterior has learned from the first two.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Key, PyTree

from adaptax.core.algorithm import Algorithm
from adaptax.core.errors import DivergenceError, EnvironmentContractError
from adaptax.core.problem import Problem, TaskDistribution
from adaptax.core.rollout import lifetime, num_probes, num_windows
from adaptax.core.types import Task
from adaptax.evaluation.statistics import Summary, stderr, summarize

CHUNK = 1024
"""Streams that one device evaluates at once, about: each task has as many as the agent uses in parallel."""

SHARES = "evaluated"
"""Axis of the devices; not `parallel.AXIS`, since the learners of different tasks have nothing to average."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an agent did in each of the tasks.

    Attributes:
        returns: Undiscounted returns, `[seed, task, episode]`.
        steps: Environment steps that each of these episodes took.
        shots: For agents that learn by `adapt` after windows: mean return of one more episode by the best action known,
            learning nothing, before any window and at evenly spaced times (after every window, if they are few),
            `[seed, task, probe]`.
    """

    returns: np.ndarray
    steps: np.ndarray
    shots: np.ndarray | None = None

    @property
    def scores(self) -> np.ndarray:
        """Return of the whole trial, `[seed, task]`."""
        return self.returns.sum(-1, dtype=np.float64)

    @property
    def episode_returns(self) -> np.ndarray:
        """Mean return of each episode, `[episode]`."""
        return self.returns.mean((0, 1), dtype=np.float64)

    @property
    def stderr_per_episode(self) -> np.ndarray:
        """Standard error, over tasks and seeds, of the mean return of each episode, `[episode]`."""
        return np.array([stderr(self.returns[..., episode]) for episode in range(self.returns.shape[-1])])

    @property
    def window_returns(self) -> np.ndarray:
        """Mean return of an episode, as it was lived, between each probe and the next, `[seed, task, probe]`."""
        assert self.shots is not None
        return self.returns.reshape(*self.returns.shape[:2], self.shots.shape[-1], -1).mean(-1, dtype=np.float64)

    @functools.cached_property
    def summary(self) -> Summary:
        """Mean, standard error, IQM and 95 % bootstrap intervals of the return of a whole trial."""
        return summarize(self.scores)

    def exceeds(self, optimum: float) -> bool:
        """Whether the mean is above an exact optimum by more than 3 standard errors, which proves a leak.

        An unknown (NaN) optimum is never exceeded.
        """
        return self.summary.mean > optimum + 3 * self.summary.stderr + 1e-5 * abs(optimum)

    def to_json(self) -> dict[str, Any]:
        """The figures of one agent, as `adaptax evaluate --json` prints them."""
        content = {
            **self.summary.to_json(),
            "episode_returns": self.episode_returns.tolist(),
            "steps": float(self.steps.sum(-1).mean()),
        }
        if self.shots is not None:
            content["after_windows"] = {
                name: [{"mean": float(x.mean()), "stderr": stderr(x)} for x in np.moveaxis(values, -1, 0)]
                for name, values in (("sample", self.window_returns), ("mode", self.shots))
            }
        return content


def sample_tasks(family: TaskDistribution, num_tasks: int, key: Key[Array, ""]) -> Task:
    """The first `num_tasks` tasks of a family under `key`, leaves `[task, ...]`."""
    return jax.jit(jax.vmap(family.sample))(jax.random.split(key, num_tasks))


def encounters(family: TaskDistribution, num_tasks: int, seed: int) -> tuple[Task, Key[Array, " task"]]:
    """The tasks that every agent meets under `seed`, and the randomness of the life in each."""
    task_key, life_key = jax.random.split(jax.random.key(seed))
    return sample_tasks(family, num_tasks, task_key), jax.random.split(life_key, num_tasks)


def tasks_are_held_out(problem: Problem) -> bool:
    """Whether no test task is one of training: true by construction unless the family is a small finite set."""
    if problem.test.finite is None:
        return True
    keys = jax.random.split(jax.random.key(0), 64 * problem.test.finite)
    drawn = [jax.jit(jax.vmap(family.sample))(keys) for family in (problem.train, problem.test)]
    train, test = ({leaves.tobytes() for leaves in _rows(tasks)} for tasks in drawn)
    return train.isdisjoint(test)


def _rows(tasks: Task) -> np.ndarray:
    """Tasks as rows of bytes."""
    leaves = [np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(tasks)]
    return np.concatenate([np.ascontiguousarray(leaf).view(np.uint8) for leaf in leaves], 1)


def oracle_return(problem: Problem, tasks: Task, family: TaskDistribution | None = None) -> float:
    """Mean expected return of one episode for a policy that knows the task; NaN if unknown."""
    family = problem.test if family is None else family
    return float(np.mean(np.asarray(jax.jit(jax.vmap(family.oracle))(tasks), np.float64)))


def learns_from_windows(algorithm: Algorithm, problem: Problem) -> bool:
    """Whether the agent adapts to windows that are shorter than a trial."""
    return num_windows(algorithm, problem) > 1


def is_probed(algorithm: Algorithm, problem: Problem) -> bool:
    """Whether what the agent knows is asked on the way: it learns from windows, and a trial divides."""
    return learns_from_windows(algorithm, problem) and num_probes(algorithm, problem) > 1


def _over_devices(live: Any, devices: list[Any], seeds: bool) -> Any:
    """Give each device its share of the tasks. Explicitly: what XLA cannot split, it would gather on every device."""
    if len(devices) == 1:
        return jax.jit(live)
    shares = PartitionSpec(SHARES)
    out = PartitionSpec(None, SHARES) if seeds else shares
    mesh = Mesh(devices, (SHARES,))
    return jax.jit(
        jax.shard_map(live, mesh=mesh, in_specs=(PartitionSpec(), shares, shares), out_specs=out, check_vma=False)
    )


def evaluate(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    *,
    num_tasks: int,
    seed: int = 0,
    seeds: bool = False,
    explore: bool = False,
    family: TaskDistribution | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Let `algorithm` with meta-parameters `meta` live one trial in each of `num_tasks` tasks, held-out by default.

    Evaluation changes nothing: θ and its normalisers stay as they are.

    Args:
        algorithm: The agent.
        problem: Where.
        meta: θ; with a leading seed axis if `seeds`.
        num_tasks: How many tasks. Every agent with the same `seed` and `num_tasks` gets the same ones, and the same
            randomness of the environment as far as it consumes it in the same order.
        seed: Decides the tasks and all randomness.
        seeds: Whether `meta` holds several independently trained θ.
        explore: False: act by the best action known (a stochastic policy's mode); True: act as in training. Agents that
            learn from windows of several episodes have to explore in any case; their best actions are scored apart
            (`Evaluation.shots`).
        family: Where tasks come from: `problem.test` by default; `problem.train` or `problem.shifted` to compare.
        on_progress: Called with the number of tasks done so far.

    Raises:
        EnvironmentContractError: if the return of an episode is NaN: the environment did something that it must not, or
            the agent put out an action that is none.
        DivergenceError: if what an agent learns in a task becomes NaN or infinite.
    """
    tasks, keys = encounters(problem.test if family is None else family, num_tasks, seed)
    devices = jax.local_devices()
    chunk = max(CHUNK // algorithm.window(problem).streams, 1) * len(devices)
    if num_tasks < chunk:
        chunk = -(-num_tasks // len(devices)) * len(devices)
    adapts, probes = learns_from_windows(algorithm, problem), is_probed(algorithm, problem)

    def one(meta: PyTree[Array], task: Task, key: Key[Array, ""]) -> tuple[Array, ...]:
        life = lifetime(algorithm, problem, meta, task, key, explore=explore or adapts, probes=probes)
        return tuple(jax.tree.leaves((life.sound[None], life.returns, life.steps, life.shots)))

    over_tasks = jax.vmap(one, in_axes=(None, 0, 0))
    live = _over_devices(jax.vmap(over_tasks, in_axes=(0, None, None)) if seeds else over_tasks, devices, seeds)
    collected: tuple[list[np.ndarray], ...] = ([], [], [], []) if probes else ([], [], [])
    for begin in range(0, num_tasks, chunk):
        # The last chunk is filled up with repetitions, so that one compiled program serves all.
        indices = np.arange(begin, begin + chunk) % num_tasks
        batch = jax.tree.map(lambda x: x[indices], tasks), keys[indices]  # noqa: B023
        use = min(chunk, num_tasks - begin)
        for parts, part in zip(collected, live(meta, *batch), strict=True):
            parts.append(np.asarray(part)[..., :use, :].reshape(-1, use, part.shape[-1]))
        on_progress(begin + use)
    sound, *found = (np.concatenate(parts, 1) for parts in collected)
    _check(algorithm, problem, sound[..., 0], found[0], found[-1])
    return Evaluation(*found)


def _check(algorithm: Algorithm, problem: Problem, sound: np.ndarray, returns: np.ndarray, last: np.ndarray) -> None:
    """Refuse what is not finite, `[seed, task]` and `[seed, task, …]`."""
    for what, values in (("episode", returns), ("probe", last)):
        if not np.isfinite(values).all():
            seed, task, index = np.argwhere(~np.isfinite(values))[0]
            error = EnvironmentContractError(
                f"{type(problem.env).__name__}: task {task}, {what} {index + 1}, {type(algorithm).__name__}: the "
                f"return is {values[seed, task, index]:g}. The environment broke its contract, or the agent's action "
                "was none; `adaptax check-env` finds more"
            )
            error.task, error.trained = int(task), int(seed)
            raise error
    if not sound.all():
        seed, task = np.argwhere(~sound)[0]
        raise DivergenceError(
            f"task {task}: what {type(algorithm).__name__} learned in it became NaN or infinite, and in "
            f"{np.sum(~sound) - 1} more of {sound.size} lives. Lower its learning rate"
        )
