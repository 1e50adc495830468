"""A family of gymnax environments as a problem: their parameters are the task.

    def cart_poles():
        return gymnax_problem("CartPole-v1", tasks={"length": (0.25, 1.0, "log"), "force_mag": (5.0, 15.0)})

Lange 2022, "gymnax: A JAX-based reinforcement learning environment library". They are JAX, like our own families: no
simulator is stepped on the host.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from adaptax.core.composite_spaces import Dict, Tuple
from adaptax.core.errors import ConfigError, UseError, needs
from adaptax.core.problem import Environment, Problem, Step, make_problem
from adaptax.core.spaces import Box, Discrete, Space
from adaptax.core.types import Task
from adaptax.problems.task_values import ValueTasks, drawn_from

with needs("gymnax", "a gymnax environment"):
    import gymnax
    from gymnax.environments import spaces


class GymnaxEnvironment(Environment):
    """One of gymnax's environments, with parameters that follow from the task.

    Attributes:
        env: The environment.
        defaults: Its parameters where a task does not say them.
        values: By name, what the choices are of which a task has the index.
        set_params: From parameters and a task to parameters; None: they are replaced by name.
    """

    env: Any = eqx.field(static=True)
    defaults: Any
    values: tuple[tuple[str, tuple[float, ...]], ...] = eqx.field(static=True)
    set_params: Callable[..., Any] | None = eqx.field(static=True)
    observation_space: Space = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True, default=True)

    def params(self, task: Task) -> Any:
        """The parameters of a task."""
        named = {**task, **{name: jnp.asarray(values)[task[name]] for name, values in self.values}}
        return self.defaults.replace(**named) if self.set_params is None else self.set_params(self.defaults, named)

    def reset(self, task: Task, key: Key[Array, ""]) -> tuple[PyTree[Array], PyTree[Array]]:
        """Begin an episode."""
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            observation, state = self.env.reset_env(key, self.params(task))
            return _strong(state), _seen(self.observation_space, observation)

    def step(self, state: PyTree[Array], action: PyTree[Array], task: Task, key: Key[Array, ""]) -> Step:
        """Do an action; a time limit is left to `horizon`."""
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            observation, after, reward, terminated, _ = self.env.step_env(key, state, action, self.params(task))
            # A loop that is compiled carries what it began with: types of the first state are kept.
            after = jax.tree.map(lambda x, now: jnp.asarray(now).astype(x.dtype).reshape(x.shape), state, after)
            reward = jnp.asarray(reward, jnp.float32).reshape(())
            terminated = jnp.asarray(terminated, bool).reshape(())
            return Step(after, _seen(self.observation_space, observation), reward, terminated)


def gymnax_problem(
    env: Any,
    tasks: Mapping[str, Any],
    *,
    set_params: Callable[[Any, Mapping[str, Array]], Any] | None = None,
    episodes: int = 5,
    horizon: int | None = None,
) -> Problem:
    """Make a problem of gymnax environments that differ in some parameters, which agents are not told.

    Args:
        env: A name that `gymnax.make` knows, or an environment.
        tasks: What a task's parameters are drawn from, by name, each by itself: `(low, high)` uniformly, `(low, high,
            "log")` with a uniform logarithm, and a list of numbers as one of them.
        set_params: `set_params(params, task)` returns the parameters of a task, where some follow from others; None:
            they are replaced by name.
        episodes: Episodes of a trial, that is, with one task.
        horizon: Steps after which an episode is truncated; by default the environment's own `max_steps_in_episode`.

    Raises:
        UseError: if tasks or spaces are nothing that it takes, or a parameter is none of the environment's.
        ConfigError: if there is no such environment.
    """
    ranges, choices, values = drawn_from(tasks, "gymnax_problem")
    env, defaults = _made(env)
    unknown = [name for name in tasks if not hasattr(defaults, name)]
    if unknown and set_params is None:
        known = ", ".join(name for name in vars(defaults) if name != "max_steps_in_episode")
        raise UseError(f"gymnax_problem(tasks): {unknown[0]}: expected one of {env.name}'s parameters ({known})")
    host = GymnaxEnvironment(
        env=env,
        defaults=_strong(defaults),
        values=tuple((name, tuple(float(x) for x in choice)) for name, choice in values.items()),
        set_params=set_params,
        observation_space=_space(env.observation_space(defaults), env.name, bounds=False),
        action_space=_space(env.action_space(defaults), env.name, bounds=True),
        horizon=int(defaults.max_steps_in_episode) if horizon is None else horizon,
    )
    return make_problem(host, lambda split: ValueTasks.of(split, ranges, choices), episodes)


def _made(env: Any) -> tuple[Any, Any]:
    if not isinstance(env, str):
        return env, env.default_params
    try:
        return gymnax.make(env)
    except ValueError as error:
        raise ConfigError(f"gymnax_problem: {error}; gymnax has {', '.join(gymnax.registered_envs)}") from error


def _space(space: Any, name: str, *, bounds: bool) -> Space:
    """A space as learners see it; bounds of observations are not told: few environments keep to them."""
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.Box):
        limits = [np.broadcast_to(np.asarray(x), space.shape) for x in (space.low, space.high)] if bounds else []
        return Box(tuple(space.shape), *limits)
    if isinstance(space, spaces.Dict):
        return Dict({key: _space(part, name, bounds=bounds) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return Tuple([_space(part, name, bounds=bounds) for part in space.spaces])
    raise UseError(f"{name}: expected a Box, Discrete, Dict or Tuple; found {space}")


def _seen(space: Space, observation: Any) -> Array:
    if isinstance(space, Dict):
        return space.flatten(observation)
    return jnp.asarray(observation).astype(space.dtype).reshape(space.shape)


def _strong(tree: PyTree[Any]) -> PyTree[Array]:
    """Arrays of types that do not give way to others', as a loop that is compiled has to carry them."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, jnp.result_type(x)), tree)
