"""A family of Gymnasium environments as a problem: yours, or one that Gymnasium has.

    def pendulums():
        return gymnasium_problem("Pendulum-v1", tasks={"g": (5.0, 15.0)})

Towers et al. 2024, "Gymnasium: a standard interface for reinforcement learning environments" (arXiv 2407.17032).
"""

from collections.abc import Callable, Mapping
from typing import Any

from adaptax.core.errors import ConfigError, UseError, needs, short_repr
from adaptax.core.problem import Problem, make_problem
from adaptax.problems.host.environment import HostEnvironment, Simulators, space_of
from adaptax.problems.host.gymnasium_spaces import MASK, chosen, observed
from adaptax.problems.host.pool import pool_of
from adaptax.problems.host.simulations import Maker
from adaptax.problems.task_values import ValueTasks, drawn_from

with needs("gymnasium", "a Gymnasium environment"):
    import gymnasium

STEP_TIMEOUT = 60.0
"""Seconds that a worker may take for a step of all its environments."""


def gymnasium_problem(
    make: Callable[..., Any] | str,
    tasks: Mapping[str, Any],
    *,
    set_task: Callable[[Any, Mapping[str, Any]], None] | str | None = None,
    episodes: int = 5,
    horizon: int | None = None,
    workers: int = 0,
    step_timeout: float = STEP_TIMEOUT,
    success: str | None = None,
) -> Problem:
    """Make a problem of Gymnasium environments that differ in some values, which agents are not told.

    What its environments show and take may be of any of Gymnasium's fixed spaces. A mask of legal actions, as the part
    "action_mask" of a dictionary or of what `reset` and `step` tell besides, is kept to.

    It is trained on, evaluated and deployed like any other. Its environments step on the host, between compiled
    programs, each with seeds from the run's key: the same run is the same run if they draw from `self.np_random` alone.

    Args:
        make: `make(**task)` builds the environment of a task; or a name that `gymnasium.make` knows, which gets a
            task's values as keyword arguments. Where `set_task` is given, it builds one without any.
        tasks: What a task's values are drawn from, by name, each by itself: `(low, high)` uniformly, `(low, high,
            "log")` with a uniform logarithm, and a list as one of its elements.
        set_task: `set_task(env, task)` puts an environment into a task, a dictionary, before it is reset; "options":
            the task is given to `env.reset(options=task)`. None: an environment is built for every task.
        episodes: Episodes of a trial, that is, with one task.
        horizon: Steps after which an episode is truncated; by default what the environment's own time limit says.
            Episodes that it ends before, by either of its two flags, end there.
        workers: Processes that simulate side by side; 0: the process that learns. Where one dies or hangs, the trials
            of its environments are thrown away and counted ("trials_lost"), and another takes its place.
        step_timeout: Seconds that a worker may take to step, or to reset, all its environments.
        success: What an environment calls it, in what `step` tells besides, that its task is done (often "success" or
            "is_success"), so that evaluations count it. None: it does not say.

    Raises:
        UseError: if tasks or spaces are nothing that it takes, or no horizon is known.
        ConfigError: if an environment cannot be built.
    """
    ranges, choices, values = drawn_from(tasks, "gymnasium_problem")
    if workers < 0 or not step_timeout > 0:
        raise UseError(
            f"gymnasium_problem: expected workers ≥ 0 and step_timeout > 0; found {workers} and {step_timeout}"
        )
    maker = Maker(make, set_task, success=success)
    first = {name: (low + high) / 2 for name, low, high, _ in ranges} | {name: x[0] for name, x in values.items()}
    env = _built(maker, first)
    if _tells_a_mask(env, maker, first):
        env.close()
        maker = maker._replace(masked=True)
        env = _built(maker, first)
    try:
        acts, limit = chosen(env.action_space), horizon or time_limit(env)
        seen = observed(env.observation_space, acts.size if acts.nums else 0)
        name = type(env.unwrapped).__name__
    finally:
        env.close()
    if limit is None:
        raise UseError(
            f"{name}: expected a time limit, of the environment's own or as gymnasium_problem(horizon=...); found none"
        )
    names = sorted([*(name for name, *_ in ranges), *values])
    pool, says_success = pool_of(maker, workers, step_timeout), success is not None
    simulators = Simulators(pool, names, values, seen, says_success=says_success)
    host = HostEnvironment(
        simulators=simulators, observation_space=space_of(seen), action_space=space_of(acts), horizon=limit, name=name
    )
    return make_problem(host, lambda split: ValueTasks.of(split, ranges, choices), episodes)


def _built(maker: Maker, task: Mapping[str, Any]) -> Any:
    """An environment to look at."""
    try:
        env = maker(task)
        maker.put(env, task)
    except Exception as error:
        raise ConfigError(
            f"gymnasium_problem: building an environment of the task {short_repr(dict(task))} raised "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(env, gymnasium.Env):
        raise ConfigError(f"gymnasium_problem: expected a gymnasium.Env from `make`; found {type(env).__name__}")
    return env


def _tells_a_mask(env: Any, maker: Maker, task: Mapping[str, Any]) -> bool:
    """Whether a mask of legal actions comes with what `reset` tells besides the observation, and not in that."""
    seen = env.observation_space
    if isinstance(seen, gymnasium.spaces.Dict) and MASK in seen.spaces:
        return False
    try:
        return MASK in env.reset(seed=0, options=maker.put(env, task))[1]
    except Exception:  # it is reset again in a program, where what is wrong is said in full
        return False


def time_limit(env: Any) -> int | None:
    """After how many steps an environment truncates an episode, as far as it says so."""
    limit = env.spec.max_episode_steps if env.spec is not None else None
    while limit is None and isinstance(env, gymnasium.Wrapper):
        limit = getattr(env, "_max_episode_steps", None)
        env = env.env
    return limit
