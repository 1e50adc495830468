"""Robots that walk: what all families on MuJoCo's engine share.

The physics' float64 state travels through the program as pairs of uint32, since programs compute in single precision.
A step is one callback for the whole batch of tasks and environments (`vmap_method="broadcast_all"`), and pure: so
resuming, evaluation, several devices and `check-env` need nothing of their own.
"""

import abc
import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array, Bool, Float, Key, UInt32

from adaptax.core.problem import Environment, Step
from adaptax.core.spaces import Box
from adaptax.core.types import Task
from adaptax.problems.mujoco.engine import Engine


def _host(engine: Engine, method: str, parts: tuple[tuple[int, Any], ...], packed: Any) -> np.ndarray:
    """Call a method of the engine with parts that were packed, each of so many words and of a type; pack its answer."""
    batch, rows = packed.shape[:-1], np.asarray(packed).reshape(math.prod(packed.shape[:-1]), packed.shape[-1])
    split = np.split(rows, np.cumsum([size for size, _ in parts])[:-1], 1)
    numbers = [np.ascontiguousarray(x).view(kind).astype(np.float64) for x, (_, kind) in zip(split, parts, strict=True)]
    state, readings = getattr(engine, method)(*numbers)
    words = np.ascontiguousarray(state).view(np.uint32), readings.astype(np.float32).view(np.uint32)
    return np.concatenate(words, 1).reshape(*batch, -1)


def _into(host: Callable[[Any], np.ndarray], context: Any, out: Any, packed: Any) -> None:
    """The same, within the program's own arrays.

    `pure_callback` copies what is larger than 100 kB by the threads that run programs. Where all of these are at work,
    as with a device for each core, they wait for one another for ever.
    """
    np.asarray(out)[...] = host(np.asarray(packed))


def _call(engine: Engine, method: str, *arguments: Array) -> tuple[UInt32[Array, " words"], Float[Array, " readings"]]:
    """The engine's `begin` or `advance`, of a whole batch at once.

    All that goes to the host is one array of words, and all that comes back: each array has its price. As words are no
    numbers, no derivative looks for its way through a simulator.
    """
    parts = tuple((x.size, np.float64 if x.dtype == jnp.uint32 else np.float32) for x in arguments)
    packed = jnp.concatenate([jax.lax.bitcast_convert_type(x, jnp.uint32) for x in arguments])
    words = 2 * engine.state_size
    shape = jax.ShapeDtypeStruct((words + engine.num_readings,), jnp.uint32)
    host = functools.partial(_host, engine, method, parts)
    if jax.default_backend() == "cpu":
        found = buffer_callback(functools.partial(_into, host), shape, vmap_method="broadcast_all")(packed)
    else:
        found = jax.pure_callback(host, shape, packed, vmap_method="broadcast_all")
    return found[:words], jax.lax.bitcast_convert_type(found[words:], jnp.float32)


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

    @property
    def num_unseen(self) -> int:
        """The engine's first coordinates that an agent does not see."""
        return 1

    @property
    def sees_where_it_is(self) -> bool:
        """Whether an observation has all of the engine's coordinates."""
        return self.num_unseen == 0

    def poses(self, seen: np.ndarray) -> np.ndarray:
        """The engine's coordinates at each step of an episode, `[step, nq]`, from what was seen, `[step, observed]`.

        Observations begin with coordinates, then velocities. Coordinates that are not seen begin at 0, and are summed
        up from their velocities.
        """
        there = self.engine.model.nq - self.num_unseen
        fast = seen[:, there : there + self.num_unseen]
        moved = 0.5 * (fast[1:] + fast[:-1]) * self.engine.time_step
        return np.concatenate([np.pad(np.cumsum(moved, 0), ((1, 0), (0, 0))), seen[:, :there]], 1)

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
        state, readings = _call(self.engine, "begin", *self.start(key))
        return state, self.observe(readings)

    def step(
        self, state: UInt32[Array, " words"], action: Float[Array, " nu"], task: Task, key: Key[Array, ""]
    ) -> Step:
        """Hold the controls for some of the engine's steps."""
        state, readings = _call(self.engine, "advance", state, action, self.parameters(task))
        return Step(state, self.observe(readings), self.reward(readings, action, task), self.fallen(readings))
