"""The compiled programs of an agent in use, and how what is new at each step gets into them.

A call of a program costs about as much as the agent's own arithmetic, and a few microseconds more for each operation
outside of it and each array from the host. So counters become keys inside, what is new comes as one array, and pytrees
are taken apart once and not at every step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Environment
from adaptax.core.spaces import Space
from adaptax.core.step_checks import check_action
from adaptax.core.types import AgentState, TimeStep, Transition

ADAPTING = 2**31
"""Added to the number of a window to make its key differ from that of every step."""

Leaves = list[Any]


class Parts(NamedTuple):
    """What the leaves of θ, φ and h make up."""

    meta: Any
    adapted: Any
    memory: Any

    def together(self, meta: Leaves, adapted: Leaves, memory: Leaves) -> tuple[Any, AgentState]:
        """θ, and the agent of which these are the leaves."""
        agent = AgentState(jax.tree.unflatten(self.adapted, adapted), jax.tree.unflatten(self.memory, memory))
        return jax.tree.unflatten(self.meta, meta), agent


def packed(observation: np.ndarray, reward: float, first: bool, tasks: int, steps: int) -> np.ndarray:
    """What is new at a step as one array of uint32, which `act_program` takes apart; bits stay as they are."""
    new = np.empty(4 + observation.size, np.uint32)
    new[0], new[1], new[2] = tasks, steps, first
    new[3:4].view(np.float32)[0] = reward
    new[4:] = observation.reshape(-1).view(np.uint32)  # int32 or float32, as `checks.observation` returns them
    return new


def _unpacked(space: Space, new: Array) -> tuple[Array, Array, Array]:
    """Observation, reward, and whether this is the first step of an episode."""
    kind = jnp.int32 if space.integers else jnp.float32
    observation = jax.lax.bitcast_convert_type(new[4:].reshape(space.shape), kind).astype(space.dtype)
    return observation, jax.lax.bitcast_convert_type(new[3], jnp.float32), new[2] != 0


def _outcome(space: Space, action: Array, memory: Any) -> Array:
    """An action, and whether all that is remembered is finite, as one array: reading another costs as much again."""
    floats = [x for x in jax.tree.leaves(memory) if jnp.issubdtype(x.dtype, jnp.inexact)]
    sound = jnp.all(jnp.asarray([jnp.all(jnp.isfinite(x)) for x in floats], bool))
    action = action.astype(jnp.int32 if space.integers else jnp.float32)
    bits = jax.lax.bitcast_convert_type(action, jnp.uint32).ravel()
    return jnp.concatenate([sound.astype(jnp.uint32)[None], bits])


def outcome(space: Space, found: Any) -> tuple[np.ndarray, bool]:
    """The action that `act_program` has put out, and whether all that is remembered is finite."""
    bits = np.asarray(found)
    return bits[1:].view(np.int32 if space.integers else np.float32).reshape(space.shape), bool(bits[0])


def _key(root: Array, tasks: Any, number: Any) -> Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(root), tasks), number)


def act_program(algorithm: Algorithm, env: Environment, parts: Parts, *, with_aux: bool) -> Callable[..., Any]:
    """From leaves of θ, φ and h, the previous action, the root key's data, and `packed`: `outcome`, leaves of h, `aux`.

    Args:
        algorithm: How to act.
        env: Its spaces.
        parts: What the leaves make up.
        with_aux: Whether anybody wants `aux`; otherwise it is None, and nothing is computed for it.
    """

    def act(
        meta: Leaves, adapted: Leaves, memory: Leaves, previous: Array, root: Array, new: Array, *, explore: bool
    ) -> tuple[Array, Leaves, Any]:
        theta, agent = parts.together(meta, adapted, memory)
        observation, reward, first = _unpacked(env.observation_space, new)
        timestep = TimeStep(observation, previous, reward, first)
        action, remembered, aux = algorithm.act(theta, agent, timestep, _key(root, new[0], new[1]), explore=explore)
        check_action(env, action)
        return _outcome(env.action_space, action, remembered), jax.tree.leaves(remembered), aux if with_aux else None

    return jax.jit(act, static_argnames="explore")


def adapt_program(algorithm: Algorithm, parts: Parts) -> Callable[..., Any]:
    """From leaves of θ, φ and h, a window, the root key's data, and numbers of task and window: leaves of φ and h."""

    def adapt(
        meta: Leaves, adapted: Leaves, memory: Leaves, window: Transition, root: Array, tasks: Array, windows: Array
    ) -> tuple[Leaves, Leaves]:
        theta, agent = parts.together(meta, adapted, memory)
        agent = algorithm.adapt(theta, agent, window, _key(root, tasks, windows))
        return jax.tree.leaves(agent.adapted), jax.tree.leaves(agent.memory)

    return jax.jit(adapt)
