"""Which task, step and value it was: runs what went wrong once more, with every step reported.

Compiled training code only knows that some reward was NaN (`adaptax.core.step_checks`). Here the same program runs
again in an environment that tells of each step that breaks the contract.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from adaptax.core import host_program
from adaptax.core.algorithm import Algorithm, first_state
from adaptax.core.meta_learner import MetaLearner
from adaptax.core.problem import Environment, Problem, Step, Wrapper
from adaptax.core.rollout import evaluate_trial
from adaptax.core.spaces import Discrete, Space
from adaptax.core.step_checks import HUGE, action_is_in, is_in, is_sound
from adaptax.core.types import Task, TrainState, replace
from adaptax.training.loop import sound_update

NO_AXIS = 99
"""Of what runs in one task only."""


@dataclasses.dataclass(frozen=True)
class Violation:
    """The first step that broke the contract.

    Attributes:
        task: Index of the task among those that ran at once.
        step: Step of the episode, counted from 1; 0: what `reset` showed.
        field: "observation", "action" or "reward".
        element: Which entry of it, if it is an array with entries.
        value: Its value.
        expected: What it should have been.
    """

    task: int
    step: int
    field: str
    element: int | None
    value: float
    expected: str

    def __str__(self) -> str:
        entry = "" if self.element is None else f"[{self.element}]"
        when = "reset" if self.step == 0 else f"step {self.step} of an episode"
        return f"task {self.task}, {when}: {self.field}{entry}: expected {self.expected}, found {self.value:g}"


class Reporting(Wrapper):
    """An environment that reports every step to the host. Its state counts the episode's steps, too.

    Attributes:
        env: The environment itself.
        report: Called with a batch of violations, as arrays.
    """

    env: Environment
    report: Callable[..., np.ndarray] = eqx.field(static=True)
    observation_space: Space = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, env: Environment, report: Callable[..., np.ndarray]):
        self.env, self.report = env, report
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self.horizon, self.ends_early = env.horizon, env.ends_early

    def reset(self, task: Task, key: Key[Array, ""]) -> tuple[PyTree[Array], PyTree[Array]]:
        """Begin an episode; its state holds the observation, the steps so far and whether it is over."""
        state, observation = self.env.reset(task, key)
        return (state, observation, jnp.zeros((), jnp.int32), jnp.zeros((), bool)), observation

    def step(self, state: PyTree[Array], action: PyTree[Array], task: Task, key: Key[Array, ""]) -> Step:
        """Do one action, and report to the host whether what it saw, did and got was sound."""
        inner, before, time, over = state
        step = self.env.step(inner, action, task, key)
        spaces = self.observation_space, self.action_space
        looked_at = ((before, time), (action, time + 1), (step.reward, time + 1), (step.observation, time + 1))
        sound = (
            is_in(spaces[0], before),
            action_is_in(spaces[1], action),
            is_sound(step.reward),
            is_in(spaces[0], step.observation),
        )
        worst = [
            _worst(space, x) for space, x in zip((*spaces, None, spaces[0]), (x for x, _ in looked_at), strict=True)
        ]
        zero = jax.pure_callback(
            self.report,
            jax.ShapeDtypeStruct((), jnp.float32),
            jnp.stack(sound) | over,
            jnp.stack([when for _, when in looked_at]),
            jnp.stack([element for element, _ in worst]),
            jnp.stack([value for _, value in worst]),
            vmap_method="broadcast_all",
        )
        # Where episodes cannot end early, the rollout takes no notice of `terminated` before the horizon.
        over = over | (step.terminated & self.ends_early)
        for ended in (step.truncated, step.lost):
            over = over if ended is None else over | ended
        after = step.state, step.observation, time + 1, over
        return replace(step, state=after, reward=step.reward + zero.astype(step.reward.dtype))


def _worst(space: Space | None, x: Array) -> tuple[Array, Array]:
    """Index and value of the entry that is worst."""
    flat = x.reshape(-1).astype(jnp.float32)
    if flat.size == 0:
        return jnp.zeros((), jnp.int32), jnp.zeros(())
    low, high = (np.asarray(-HUGE), np.asarray(HUGE)) if space is None else space.limits()
    low, high = (np.clip(limit, -HUGE, HUGE).astype(np.float32).ravel() for limit in (low, high))
    bad = ~((flat >= low) & (flat <= high) & (jnp.abs(flat) < HUGE))
    index = jnp.argmax(bad).astype(jnp.int32)
    return index, flat[index]


class _Notebook:
    """What the host has been told first; tasks are along `axis`."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.first: tuple[int, int, int, int, float] | None = None

    def report(self, sound: Any, when: Any, element: Any, value: Any) -> np.ndarray:
        """Write down the first violation in a batch `[*batch, kind]`, unless there was one before."""
        sound = np.asarray(sound)
        if self.first is None and not sound.all():
            when, element, value = np.asarray(when), np.asarray(element), np.asarray(value)
            # The kind counts first: what follows from an observation comes after it, in whichever task.
            place = min(np.argwhere(~sound), key=lambda place: (place[-1], *place))
            task = int(place[self.axis]) if sound.ndim - 1 > self.axis else 0
            index = tuple(place)
            self.first = task, int(when[index]), int(place[-1]), int(element[index]), float(value[index])
        return np.zeros(sound.shape[:-1], np.float32)


def find_violation(problem: Problem, run: Callable[..., Any], *args: Any, axis: int = 0) -> Violation | None:
    """The first violation of the contract when `run` meets `problem`; None if there is none.

    Args:
        problem: Where it went wrong.
        run: Does again what went wrong, in the problem that it is given, with `args`.
        args: Arrays.
        axis: Which of the axes that it adds by `vmap`, from outside, is that of tasks.
    """
    notebook = _Notebook(axis)
    again = replace(problem, env=Reporting(problem.env, notebook.report))
    program = host_program.program(lambda *args: run(again, *args), on_host=problem.env.on_host)
    jax.block_until_ready(program(*args))
    if notebook.first is None:
        return None
    task, step, kind, element, value = notebook.first
    field = ("observation", "action", "reward", "observation")[kind]
    space = {"observation": problem.env.observation_space, "action": problem.env.action_space}.get(field)
    entry = None if space is None or isinstance(space, Discrete) else element
    return Violation(task, step, field, entry, value, _expected(space, field, element))


def violation_in_update(
    algorithm: Algorithm, problem: Problem, state: TrainState, num_seeds: int = 1
) -> Violation | None:
    """The first violation in the update that follows on `state`."""

    def again(problem: Problem, state: TrainState) -> Any:
        return sound_update(algorithm, problem, state, num_seeds)[1]

    violation = find_violation(problem, again, state, axis=int(num_seeds > 1))
    replicas = algorithm.replicas if isinstance(algorithm, MetaLearner) else 1
    return violation and dataclasses.replace(violation, task=violation.task // replicas)


def violation_in_init(algorithm: Algorithm, problem: Problem, *, seed: int, num_seeds: int = 1) -> Violation | None:
    """The first violation before the first update: some algorithms look at tasks and rewards then."""

    def again(problem: Problem, root: Any) -> TrainState:
        return first_state(algorithm, problem, root, num_seeds)

    return find_violation(problem, again, jax.random.key(seed), axis=int(num_seeds > 1))


def violation_in_evaluation(
    algorithm: Algorithm,
    problem: Problem,
    meta: PyTree[Array],
    task: Task,
    key: Key[Array, ""],
    *,
    explore: bool,
    with_evaluation: bool = False,
) -> Violation | None:
    """The first violation in one trial of an evaluation (`rollout.evaluate_trial`); its task is 0."""

    def again(problem: Problem, *args: Any) -> Any:
        return evaluate_trial(algorithm, problem, *args, explore=explore, with_evaluation=with_evaluation)

    return find_violation(problem, again, meta, task, key, axis=NO_AXIS)


def _expected(space: Space | None, field: str, entry: int) -> str:
    if space is not None and space.integers:
        return f"an integer from 0 to {space.limits()[1].ravel()[entry]}"
    low, high = -math.inf, math.inf
    if space is not None and field != "action":  # of actions, environments clip what lies beyond the bounds
        low, high = (float(limit.ravel()[entry]) for limit in space.limits())
    if math.isfinite(low) and math.isfinite(high):
        return f"a number from {low:g} to {high:g}"
    beyond = f" from {low:g}" if math.isfinite(low) else f" up to {high:g}" if math.isfinite(high) else ""
    return f"a finite number{beyond} whose square is finite"
