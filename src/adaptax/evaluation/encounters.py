"""What the agents of an evaluation meet: the same tasks for all, and randomness that training never uses."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from adaptax.core.problem import Problem, TaskDistribution
from adaptax.core.splits import fold_in_name, is_in_split
from adaptax.core.types import Task, key_data


class Encounters(NamedTuple):
    """What every agent of an evaluation meets.

    Attributes:
        tasks: Leaves `[task, ...]`.
        keys: The randomness of the trial in each.
    """

    tasks: Task
    keys: Key[Array, " task"]


SAMPLED_TOGETHER = 256
"""Tasks that one compiled program draws, however many are asked for."""


def sample_tasks(family: TaskDistribution, num_tasks: int, key: Key[Array, ""]) -> Task:
    """The first `num_tasks` tasks of a family under `key`, leaves `[task, ...]`."""
    keys, draw = jax.random.split(key, num_tasks), _sampler(_Same(family))
    begins = range(0, num_tasks, SAMPLED_TOGETHER)
    parts = [draw(keys[np.arange(begin, begin + SAMPLED_TOGETHER) % num_tasks]) for begin in begins]
    return jax.tree.map(lambda *x: jnp.concatenate(x)[:num_tasks], *parts)


@dataclasses.dataclass(frozen=True, eq=False)
class _Same:
    """A family as a key of a cache: what it holds may have no hash."""

    family: TaskDistribution

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.family is self.family

    def __hash__(self) -> int:
        return id(self.family)


@functools.lru_cache(maxsize=8)
def _sampler(of: _Same) -> Callable[[Key[Array, " task"]], Task]:
    """What draws tasks of a family: compiled once."""
    return jax.jit(jax.vmap(of.family.sample))


def evaluation_key(seed: int, name: str = "evaluation") -> Key[Array, ""]:
    """The root of an evaluation's randomness: none that training ever uses, whatever the seeds (trap E48)."""
    return fold_in_name(jax.random.key(seed), name)


def encounters(family: TaskDistribution, num_tasks: int, seed: int) -> Encounters:
    """The tasks that every agent meets under `seed`, and the randomness of the trial in each.

    Each task once, where they can be listed and there are just so many (`at_most_all`).
    """
    task_key, trial_key = jax.random.split(evaluation_key(seed))
    every, keys = family.every(), jax.random.split(trial_key, num_tasks)
    if every is not None and num_tasks == family.finite:
        return Encounters(every, keys)
    return Encounters(sample_tasks(family, num_tasks, task_key), keys)


def at_most_all(family: TaskDistribution, num_tasks: int) -> int:
    """In how many tasks to evaluate where so many are asked for: all, if they can be listed and are no more."""
    return num_tasks if family.every() is None or family.finite is None else min(num_tasks, family.finite)


def tasks_are_held_out(problem: Problem) -> bool:
    """Whether no test task is one of training: not if the family is a small finite set, said to be one or not."""
    if problem.test.finite is None:
        keys = jax.random.split(jax.random.key(0), 64)
        return bool(jax.jit(jax.vmap(lambda key: is_in_split(problem.test.sample(key), "test")))(keys).all())
    keys = jax.random.split(jax.random.key(0), 64 * problem.test.finite)
    drawn = [jax.jit(jax.vmap(family.sample))(keys) for family in (problem.train, problem.test)]
    train, test = ({leaves.tobytes() for leaves in _rows(tasks)} for tasks in drawn)
    return train.isdisjoint(test)


def _rows(tasks: Task) -> np.ndarray:
    """Tasks as rows of bytes."""
    leaves = [np.asarray(key_data(leaf)).reshape(len(leaf), -1) for leaf in jax.tree.leaves(tasks)]
    return np.concatenate([np.ascontiguousarray(leaf).view(np.uint8) for leaf in leaves], 1)


def oracle_return(problem: Problem, tasks: Task, family: TaskDistribution | None = None) -> float:
    """Mean expected return of one episode for a policy that knows the task; NaN if unknown."""
    family = problem.test if family is None else family
    return float(np.mean(np.asarray(jax.jit(jax.vmap(family.oracle))(tasks), np.float64)))
