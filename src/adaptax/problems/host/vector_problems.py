"""A family of vector environments as a problem: simulators that step all their rows together, in C, or on a GPU.

def pendulums():
    return vector_problem(make_batch, tasks={"g": (5.0, 15.0)}, set_tasks="options", horizon=200)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adaptax.core.errors import ConfigError, UseError, needs
from adaptax.core.problem import Problem, make_problem
from adaptax.problems.host.environment import HostEnvironment, Simulators, space_of
from adaptax.problems.host.gymnasium_problems import time_limit
from adaptax.problems.host.gymnasium_spaces import chosen, observed
from adaptax.problems.host.vector_simulations import VectorMaker, VectorSimulations
from adaptax.problems.task_values import ValueTasks, drawn_from

with needs("gymnasium", "a Gymnasium environment"):
    from gymnasium.vector import VectorEnv


def vector_problem(
    make: Callable[[int], Any] | str,
    tasks: Mapping[str, Any],
    *,
    set_tasks: Callable[[Any, Sequence[Mapping[str, Any]]], None] | str = "options",
    episodes: int = 5,
    horizon: int | None = None,
    success: str | None = None,
) -> Problem:
    """Make a problem of vector environments, of Gymnasium's `VectorEnv`, whose rows differ in some values.

    Its rows are begun together and stepped together, one call for the whole batch, in the process that learns. It may
    start a row anew by itself, at the end of its episode or in the step after (`metadata["autoreset_mode"]`), or not
    at all: each row's episodes begin with a task and a seed from the run's key, and what it does between its end and
    the next beginning is not looked at. What is seen last is read from "final_obs", where it is told there.

    Args:
        make: `make(num_envs)` builds a vector environment of so many rows; or a name that `gymnasium.make_vec` knows.
            It is called once for each size of batch that is asked for.
        tasks: What a task's values are drawn from, by name, as in `gymnasium_problem`.
        set_tasks: `set_tasks(env, tasks)` puts row i into `tasks[i]`, a dictionary, before all are reset; "options":
            they are given to `env.reset(options={"tasks": tasks})`.
        episodes: Episodes of a trial, that is, with one task.
        horizon: Steps after which an episode is truncated; by default what the environment's own time limit says.
        success: What it calls it, in what `step` tells besides, that a task is done, so that evaluations count it.

    Raises:
        UseError: if tasks or spaces are nothing that it takes, or no horizon is known.
        ConfigError: if a vector environment cannot be built.
    """
    ranges, choices, values = drawn_from(tasks, "vector_problem")
    if not callable(set_tasks) and set_tasks != "options":
        raise UseError(f'vector_problem: expected a function as set_tasks, or "options"; found {set_tasks!r}')
    maker = VectorMaker(make, set_tasks, success)
    env = _built(maker)
    try:
        acts, limit = chosen(env.single_action_space), horizon or _time_limit(env)
        seen = observed(env.single_observation_space, acts.size if acts.nums else 0)
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    finally:
        env.close()
    if limit is None:
        raise UseError(f"{name}: expected a time limit, its own or as vector_problem(horizon=...); found none")
    names = sorted([*(name for name, *_ in ranges), *values])
    host = HostEnvironment(
        simulators=Simulators(VectorSimulations(maker), names, values, seen, says_success=success is not None),
        observation_space=space_of(seen),
        action_space=space_of(acts),
        horizon=limit,
        name=name,
    )
    return make_problem(host, lambda split: ValueTasks.of(split, ranges, choices), episodes)


def _built(maker: VectorMaker) -> Any:
    """A vector environment of one row, to look at."""
    try:
        env = maker(1)
    except Exception as error:
        raise ConfigError(
            f"vector_problem: building a vector environment of 1 row raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(env, VectorEnv):
        raise ConfigError(
            f"vector_problem: expected a gymnasium.vector.VectorEnv from `make`; found {type(env).__name__}"
        )
    return env


def _time_limit(env: Any) -> int | None:
    """After how many steps episodes are truncated, as far as a vector environment or its first row says so."""
    limit: int | None = env.spec.max_episode_steps if env.spec is not None else None
    rows = getattr(env, "envs", ())
    return time_limit(rows[0]) if limit is None and rows else limit
