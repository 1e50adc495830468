"""Lives of random actions, recorded step by step: what the rules of `adaptax.problems.checks.check` look at."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Key, PyTree

from adaptax.core import host_program
from adaptax.core.problem import Environment, TaskDistribution
from adaptax.core.spaces import Space, sample_legal
from adaptax.core.types import Task, key_data


class Record(NamedTuple):
    """What happened, `[task, step, ...]`.

    Attributes:
        observation: What was seen before the step.
        action: What was done.
        reward: What it brought.
        terminated: Whether the environment ended the episode.
        after: What was seen after the step.
        time: Steps of this episode before this one.
    """

    observation: Any
    action: Any
    reward: Any
    terminated: Any
    after: Any
    time: Any


QUICK = {"xla_backend_optimization_level": 0}
"""Programs run a few times, so that compiling them is what takes time: a fifth of it for random MDPs."""


def tasks_of(family: TaskDistribution, count: int, key: Key[Array, ""]) -> Task:
    """Tasks, leaves `[task, ...]`, by a program that is traced anew."""
    return jax.jit(jax.vmap(family.sample), compiler_options=QUICK)(jax.random.split(key, count))


def oracles_of(family: TaskDistribution, tasks: Task) -> np.ndarray:
    """What the family says can be earned in each of some tasks, `[task]`."""
    return np.asarray(jax.jit(jax.vmap(family.oracle), compiler_options=QUICK)(tasks), np.float64)


def ends(space: Space) -> list[PyTree[Array]]:
    """The elements at the two ends of a space; none if it has no ends."""
    return [jnp.asarray(end, space.dtype) for end in space.limits()] if space.bounded else []


def _if_legal(space: Space, action: Array, key: Key[Array, ""], legal: Bool[Array, " actions"] | None) -> Array:
    """An action if it is legal, or else one that is."""
    if legal is None:
        return action
    return jnp.where(jnp.all(legal | (space.encode(action) == 0)), action, sample_legal(space, legal, key))


class Recorder:
    """Lives `steps` steps in each of some tasks, episode after episode, and records them.

    Every recorder is compiled anew, so what an environment reads from outside while it is traced shows between two.
    """

    def __init__(self, env: Environment, key: Key[Array, ""], steps: int):
        self._env, self._key, self._steps = env, key, steps
        self._live = host_program.program(
            jax.vmap(self._one_task, (0, 0, None)), on_host=env.on_host, compiler_options=QUICK
        )

    def __call__(self, tasks: Task, actions: int = 0) -> Record:
        """Live; `actions` 0: random ones, 1: other random ones, 2 and 3: those at the `ends` of their space."""
        keys = jax.random.split(self._key, len(jax.tree.leaves(tasks)[0]))
        return jax.tree.map(np.asarray, self._live(tasks, keys, jnp.asarray(actions)))

    def _one_task(self, task: Task, key: Key[Array, ""], actions: Array) -> Record:
        env, space = self._env, self._env.action_space
        choices: list[Callable[..., Array]] = [
            lambda key, legal: sample_legal(space, legal, key),
            lambda key, legal: sample_legal(space, legal, jax.random.fold_in(key, 1)),
            *(functools.partial(_if_legal, space, end) for end in ends(space)),
        ]

        def step(carry: tuple[Any, Any, Array], index: Array) -> tuple[tuple[Any, Any, Array], Record]:
            state, observation, time = carry
            act_key, step_key, reset_key = jax.random.split(jax.random.fold_in(key, index), 3)
            action = jax.lax.switch(actions, choices, act_key, env.observation_space.legal_in(observation))
            now = env.step(state, action, task, step_key)
            seen = Record(observation, action, now.reward, now.terminated, now.observation, time)
            going_on = now.state, now.observation
            if env.on_host:  # all environments of a batch begin at the same time
                over = time + 1 == env.horizon
                after = jax.lax.cond(over, lambda: env.reset(task, reset_key), lambda: going_on)
            else:
                over = now.terminated | (time + 1 == env.horizon)
                begun = env.reset(task, reset_key)
                after = jax.tree.map(lambda new, old: jnp.where(over, new, old), begun, going_on)
            return (*after, jnp.where(over, 0, time + 1)), seen

        state, observation = env.reset(task, jax.random.fold_in(key, self._steps))
        return jax.lax.scan(step, (state, observation, jnp.asarray(0)), jnp.arange(self._steps))[1]


def by_hand(env: Environment, tasks: Task, key: Key[Array, ""], order: tuple[int, ...]) -> list[tuple[np.ndarray, ...]]:
    """Without compiling: a reset and two steps in each of some tasks, one after the other."""
    seen = []
    for index in order:
        task = jax.tree.map(lambda x, i=index: x[i], tasks)
        state, observation = env.reset(task, key)
        shown = [observation]
        for number in range(min(2, env.horizon)):
            legal = env.observation_space.legal_in(shown[0] if number == 0 else shown[-2])
            action = sample_legal(env.action_space, legal, jax.random.fold_in(key, number))
            step = env.step(state, action, task, jax.random.fold_in(key, 10 + number))
            state, shown = step.state, [*shown, step.observation, step.reward]
        seen.append(tuple(np.asarray(x) for x in shown))
    return seen


def same(one: Any, other: Any) -> bool:
    """Whether two pytrees of arrays are equal, NaN included."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b, equal_nan=np.issubdtype(np.asarray(a).dtype, np.inexact)) for a, b in pairs)


def numbers_of(x: Array) -> np.ndarray:
    """An array for the host; keys have numbers, too."""
    return np.asarray(key_data(x))


def rows(tasks: Task) -> list[bytes]:
    """Each task as its bytes."""
    leaves = [np.ascontiguousarray(leaf).reshape(len(leaf), -1) for leaf in map(numbers_of, jax.tree.leaves(tasks))]
    return [b"".join(leaf[i].tobytes() for leaf in leaves) for i in range(len(leaves[0]))]
