"""Robots that walk: what all families on MuJoCo's engine share.

The physics' float64 state travels through the program as pairs of uint32, since programs compute in single precision.
A step is one callback for the whole batch of tasks and environments (`vmap_method="broadcast_all"`), and pure: so
resuming, evaluation, several devices and `check-env` need nothing of their own.
"""

import abc
import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, UInt32

from adaptax.core.problem import Environment, Step
from adaptax.core.spaces import Box
from adaptax.core.types import Task
from adaptax.problems.mujoco.engine import Engine


def _rows(x: Any, dtype: Any) -> np.ndarray:
    array = np.asarray(x, dtype)
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def _out(batch: tuple[int, ...], state: np.ndarray, readings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    words = np.ascontiguousarray(state).view(np.uint32)
    return words.reshape(*batch, -1), readings.astype(np.float32).reshape(*batch, -1)


def _begin(engine: Engine, positions: Any, velocities: Any) -> tuple[np.ndarray, np.ndarray]:
    return _out(positions.shape[:-1], *engine.begin(_rows(positions, np.float64), _rows(velocities, np.float64)))


def _advance(engine: Engine, words: Any, control: Any, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    state = np.ascontiguousarray(_rows(words, np.uint32)).view(np.float64)
    return _out(words.shape[:-1], *engine.advance(state, _rows(control, np.float64), _rows(parameters, np.float64)))


def _call(
    engine: Engine, function: Any, *arguments: Array
) -> tuple[UInt32[Array, " words"], Float[Array, " readings"]]:
    shapes = (
        jax.ShapeDtypeStruct((2 * engine.state_size,), jnp.uint32),
        jax.ShapeDtypeStruct((engine.num_readings,), jnp.float32),
    )
    # No derivative goes through a simulator: arguments are constants to whoever differentiates around it.
    arguments = jax.lax.stop_gradient(arguments)
    state, readings = jax.pure_callback(
        functools.partial(function, engine), shapes, *arguments, vmap_method="broadcast_all"
    )
    return state, readings


class Locomotion(Environment):
    """A robot in one task.

    The state is the physics' own, as words. Subclasses say how it begins, what is seen, earned, and when it has fallen.

    Attributes:
        engine: The robot.
    """

    engine: Engine = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)
    action_space: Box = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, engine: Engine, horizon: int, num_observed: int, *, ends_early: bool = False):
        self.engine = engine
        self.horizon = horizon
        self.ends_early = ends_early
        self.observation_space = Box((num_observed,))
        low, high = engine.model.actuator_ctrlrange[0]
        self.action_space = Box((engine.model.nu,), float(low), float(high))

    @property
    def dear_reset(self) -> bool:
        """A reset is a callback of its own."""
        return True

    @abc.abstractmethod
    def start(self, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """What is added to the initial positions, and the velocities."""

    @abc.abstractmethod
    def observe(self, readings: Float[Array, " readings"]) -> Float[Array, " observed"]:
        """What the agent sees."""

    @abc.abstractmethod
    def reward(self, readings: Float[Array, " readings"], action: Float[Array, " nu"], task: Task) -> Float[Array, ""]:
        """What a step earns."""

    def fallen(self, readings: Float[Array, " readings"]) -> Bool[Array, ""]:
        """Whether the episode is over: never, unless a family says so."""
        return jnp.asarray(False)

    def parameters(self, task: Task) -> Float[Array, " parameters"]:
        """Factors on the model's arrays: none, unless a family has them."""
        return jnp.ones(self.engine.num_parameters)

    def reset(self, task: Task, key: Key[Array, ""]) -> tuple[UInt32[Array, " words"], Float[Array, " observed"]]:
        """Begin an episode near the model's own initial state."""
        state, readings = _call(self.engine, _begin, *self.start(key))
        return state, self.observe(readings)

    def step(
        self, state: UInt32[Array, " words"], action: Float[Array, " nu"], task: Task, key: Key[Array, ""]
    ) -> Step:
        """Hold the controls for some of the engine's steps."""
        state, readings = _call(self.engine, _advance, state, action, self.parameters(task))
        return Step(state, self.observe(readings), self.reward(readings, action, task), self.fallen(readings))
