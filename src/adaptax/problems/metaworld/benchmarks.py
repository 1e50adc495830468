"""Meta-World's benchmarks for meta-learning: a robot's arm, whose task it has to find out.

- ML1: one thing to do, at 50 goals in training and 50 others in the test.
- ML10, ML25, ML45: so many things to do in training, five others in the test, 50 goals of each. (Of ML25's five, in
  Meta-World 3.1.1, one is trained on too: basketball, at other goals.)

Yu et al. 2020, "Meta-World: A benchmark and evaluation for multi-task and meta reinforcement learning" (arXiv
1910.10897); McLean et al. 2025, "Meta-World+" (arXiv 2505.11289), whose environments (v3) and rewards (v2) these are.

Tasks are those that Meta-World itself draws, by `goal_seed`. Its first 40 goals of each thing to do are those of
training (with as many its own code trains, in batches of 20), the last 10 those of validation; the test has all of its
own. Where a task's goal is, is not shown to agents. Rewards are as they are, at most 10 a step; nothing ends an episode
early, success neither.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

# First, as it says what to install where Gymnasium is missing too.
from adaptax.problems.metaworld.arm import Arm, Goal

# isort: split
from adaptax.core.problem import Problem, Step, TaskDistribution, make_problem
from adaptax.problems.host.environment import EpisodeState, HostEnvironment, Simulators, space_of
from adaptax.problems.host.gymnasium_spaces import chosen, observed
from adaptax.problems.host.pool import pool_of
from adaptax.problems.host.simulations import SUCCESS, Maker
from adaptax.problems.metaworld.goals import goals_of
from adaptax.problems.metaworld.settings import MetaWorldSettings, ML1Settings

TRAINED = 40
"""Goals of each thing to do that are trained on, of the 50 that Meta-World gives for training."""
STEP_TIMEOUT = 120.0
"""Seconds that a worker may take to step, or to reset, all its arms, if nothing else is said (`--step-timeout`)."""
_DEFAULT, _ML1 = MetaWorldSettings(), ML1Settings()


class ArmTask(eqx.Module):
    """One of a benchmark's tasks. Its index says all; the rest is for whoever may know the task: critics, probes.

    Attributes:
        index: Place in the list of all, training's first.
        to_do: What is to be done, as a number.
        places: Where objects and goals are, in metres; zeros behind them where others have more.
    """

    index: Int[Array, "*batch"]
    to_do: Int[Array, "*batch"]
    places: Float[Array, "*batch places"]


class ArmTasks(TaskDistribution):
    """A benchmark's tasks of one split, each as likely as the others.

    Attributes:
        tasks: All of them, leaves `[task, ...]`.
        finite: How many there are.
    """

    split: str = eqx.field(static=True)
    tasks: ArmTask
    finite: int = eqx.field(static=True)

    def draw(self, key: Key[Array, ""]) -> ArmTask:
        """Draw one of them."""
        number = jax.random.randint(key, (), 0, self.finite)
        return jax.tree.map(lambda x: jnp.asarray(x)[number], self.tasks)

    def every(self) -> ArmTask:
        """All of them."""
        return jax.tree.map(jnp.asarray, self.tasks)

    def oracle(self, task: ArmTask) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


class MetaWorld(HostEnvironment):
    """The arm. Simulators are told the index of a task."""

    def reset(self, task: ArmTask, key: Key[Array, ""]) -> tuple[EpisodeState, Array]:
        """Begin an episode."""
        return super().reset(task.index, key)

    def step(self, state: EpisodeState, action: Array, task: ArmTask, key: Key[Array, ""]) -> Step:
        """Do an action."""
        return super().step(state, action, task.index, key)


def metaworld_ml1(
    task: str = _ML1.task,
    num_episodes: int = _ML1.num_episodes,
    horizon: int = _ML1.horizon,
    goal_seed: int = _ML1.goal_seed,
) -> Problem:
    """ML1: one thing to do, at hidden goals.

    Args:
        task: What, by Meta-World's name.
        num_episodes: Episodes of a trial.
        horizon: Steps of an episode.
        goal_seed: Decides the goals.
    """
    return _benchmark("ML1", task, num_episodes, horizon, goal_seed)


def metaworld_ml10(
    num_episodes: int = _DEFAULT.num_episodes,
    horizon: int = _DEFAULT.horizon,
    goal_seed: int = _DEFAULT.goal_seed,
) -> Problem:
    """ML10: ten things to do in training, five others in the test; arguments as of `metaworld_ml1`."""
    return _benchmark("ML10", None, num_episodes, horizon, goal_seed)


def metaworld_ml25(
    num_episodes: int = _DEFAULT.num_episodes,
    horizon: int = _DEFAULT.horizon,
    goal_seed: int = _DEFAULT.goal_seed,
) -> Problem:
    """ML25: 25 things to do in training, four others and one of them in the test; arguments as of `metaworld_ml1`."""
    return _benchmark("ML25", None, num_episodes, horizon, goal_seed)


def metaworld_ml45(
    num_episodes: int = _DEFAULT.num_episodes,
    horizon: int = _DEFAULT.horizon,
    goal_seed: int = _DEFAULT.goal_seed,
) -> Problem:
    """ML45: 45 things to do in training, five others in the test; arguments as of `metaworld_ml1`."""
    return _benchmark("ML45", None, num_episodes, horizon, goal_seed)


def _put(arm: Arm, task: Mapping[str, Goal]) -> None:
    arm.put(task["task"])


def _benchmark(name: str, task: str | None, num_episodes: int, horizon: int, goal_seed: int) -> Problem:
    train, test = goals_of(name, task, goal_seed)
    seen, acts = observed(Arm.observation_space), chosen(Arm.action_space)
    pool = pool_of(Maker(Arm, _put, success=SUCCESS), 0, STEP_TIMEOUT)
    simulators = Simulators(pool, ["task"], {"task": train + test}, seen, says_success=True)
    host = MetaWorld(
        simulators=simulators,
        observation_space=space_of(seen),
        action_space=space_of(acts),
        horizon=horizon,
        name=f"Meta-World {name}{'' if task is None else f' {task}'}",
    )
    every = _listed(train + test)
    indices = {
        "train": [index for index, goal in enumerate(train) if goal.number < TRAINED],
        "validation": [index for index, goal in enumerate(train) if goal.number >= TRAINED],
        "test": list(range(len(train), len(train) + len(test))),
    }

    def family(split: str) -> ArmTasks:
        return ArmTasks(split=split, tasks=jax.tree.map(lambda x: x[indices[split]], every), finite=len(indices[split]))

    return make_problem(host, family, num_episodes)


def _listed(goals: Sequence[Goal]) -> ArmTask:
    """Tasks as arrays, leaves `[task, ...]`; on the host, as nothing but draws of them is computed with."""
    names = sorted({goal.name for goal in goals})
    places = np.zeros((len(goals), max(len(goal.places) for goal in goals)), np.float32)
    for row, goal in zip(places, goals, strict=True):
        row[: len(goal.places)] = goal.places
    to_do = np.asarray([names.index(goal.name) for goal in goals], np.int32)
    columns: Any = np.arange(len(goals), dtype=np.int32), to_do, places
    return ArmTask(*columns)
