"""The compiled programs of an agent in use, and how what is new at each step gets into them.

A call of a program costs about as much as the agent's own arithmetic, and a few microseconds more for each operation
outside of it and each array from the host. So counters become keys inside, what is new comes as one array, and pytrees
are taken apart once and not at every step.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from adaptax.core.algorithm import Algorithm
from adaptax.core.problem import Environment
from adaptax.core.spaces import Space
from adaptax.core.step_checks import check_action
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, TimeStep, Transition, is_key, key_data, shape_of_key_data

ADAPTING = 2**31
"""Added to the number of a window to make its key differ from that of every step."""

LIVE = 2
"""Added to whether an episode begins, in what is new at a step, where a session of several acts."""

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


def packed(observation: np.ndarray, reward: Any, first: Any, tasks: Any, steps: Any) -> np.ndarray:
    """What is new at a step as one array of uint32, which `act_program` takes apart; bits stay as they are.

    Of several sessions, `[session, ...]`, if the numbers are arrays `[session]`. Of those that act, `first` is by
    `LIVE` larger.
    """
    batch = np.shape(tasks)
    flat = observation.reshape(*batch, -1) if observation.size else np.zeros((*batch, 0), np.float32)
    new = np.empty((*batch, 4 + flat.shape[-1]), np.uint32)
    new[..., 0], new[..., 1], new[..., 2] = tasks, steps, first
    new[..., 3] = np.asarray(reward, np.float32).view(np.uint32)
    new[..., 4:] = flat.view(np.uint32)  # int32 or float32, as `checks.observation` returns them
    return new


def _unpacked(space: Space, new: Array) -> tuple[Array, Array, Array]:
    """Observation, reward, and whether this is the first step of an episode."""
    kind = jnp.int32 if space.integers else jnp.float32
    observation = jax.lax.bitcast_convert_type(new[4:].reshape(space.shape), kind).astype(space.dtype)
    return observation, jax.lax.bitcast_convert_type(new[3], jnp.float32), new[2] % LIVE != 0


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
    actions, sound = outcomes(space, bits[None])
    return actions[0], bool(sound[0])


def outcomes(space: Space, found: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same of several sessions: actions `[session, ...]`, and of each whether all that is remembered is finite."""
    bits = np.asarray(found)
    actions = np.ascontiguousarray(bits[:, 1:]).view(np.int32 if space.integers else np.float32)
    return actions.reshape(len(bits), *space.shape), bits[:, 0] != 0


def _nothing(like: Any, lanes: int) -> Array:
    """Zeros with a leading axis; random keys of zeros."""
    if is_key(like):
        return jax.random.wrap_key_data(_nothing(shape_of_key_data(like), lanes))
    return jnp.zeros((lanes, *like.shape), like.dtype)


def _key(root: Array, tasks: Any, number: Any) -> Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(root), tasks), number)


def act_program(
    algorithm: Algorithm, env: Environment, parts: Parts, *, with_aux: bool, lanes: bool = False
) -> Callable[..., Any]:
    """From leaves of θ, φ and h, the previous action, the root key's data, and `packed`: `outcome`, leaves of h, `aux`.

    Args:
        algorithm: How to act.
        env: Its spaces.
        parts: What the leaves make up.
        with_aux: Whether anybody wants `aux`; otherwise it is None, and nothing is computed for it.
        lanes: Whether all but θ has a leading axis of sessions.
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

    def side_by_side(
        meta: Leaves, adapted: Leaves, memory: Leaves, previous: Array, root: Array, new: Array, *, explore: bool
    ) -> tuple[Array, Leaves, Any]:
        one = functools.partial(act, explore=explore)
        found, remembered, aux = jax.vmap(one, (None, 0, 0, 0, 0, 0))(meta, adapted, memory, previous, root, new)
        return found, chosen(new[:, 2] >= LIVE, remembered, memory), aux

    return jax.jit(side_by_side if lanes else act, static_argnames="explore")


def begin_program(algorithm: Algorithm, parts: Parts) -> Callable[..., Any]:
    """From leaves of θ, φ and h `[session, ...]`, root keys' data, numbers of tasks, and who begins: leaves of φ and h.

    Who does not begin stays as it is.
    """

    def begin(meta: Leaves, root: Array, tasks: Array) -> tuple[Leaves, Leaves]:
        key = jax.random.fold_in(jax.random.wrap_key_data(root), tasks)
        agent = algorithm.begin(jax.tree.unflatten(parts.meta, meta), key)
        return jax.tree.leaves(agent.adapted), jax.tree.leaves(agent.memory)

    def side_by_side(
        meta: Leaves, adapted: Leaves, memory: Leaves, root: Array, tasks: Array, begins: Array
    ) -> tuple[Leaves, Leaves]:
        fresh = jax.vmap(begin, (None, 0, 0))(meta, root, tasks)
        return chosen(begins, fresh[0], adapted), chosen(begins, fresh[1], memory)

    return jax.jit(side_by_side)


def chosen(which: Array, new: Leaves, old: Leaves) -> Leaves:
    """Rows `[session, ...]` of the new arrays for those that are chosen, of the old ones for all others."""
    return [jnp.where(which.reshape(-1, *(1,) * (x.ndim - 1)), x, y) for x, y in zip(new, old, strict=True)]


def parts_of(algorithm: Algorithm, meta: Any) -> Parts:
    """What leaves make up an algorithm's agent."""
    agent = jax.eval_shape(lambda: algorithm.begin(meta, jax.random.key(0)))
    return Parts(*(jax.tree.structure(x) for x in (meta, agent.adapted, agent.memory)))


choose = jax.jit(chosen)


@jax.jit
def row_of(tile: Leaves, lane: Array) -> Leaves:
    """One session's row, with its axis."""
    return [jax.lax.dynamic_index_in_dim(x, lane, 0) for x in tile]


@jax.jit
def with_row(tile: Leaves, lane: Array, row: Leaves) -> Leaves:
    """The arrays with another row for one session."""
    return [jax.lax.dynamic_update_index_in_dim(x, new[0], lane, 0) for x, new in zip(tile, row, strict=True)]


def adapt_program(algorithm: Algorithm, parts: Parts, *, lanes: bool = False) -> Callable[..., Any]:
    """From leaves of θ, φ and h, a window, the root key's data, and numbers of task and window: leaves of φ and h.

    With `lanes`, leaves of φ and h have a leading axis of one session, as rows of many.
    """

    def adapt(
        meta: Leaves, adapted: Leaves, memory: Leaves, window: Transition, root: Array, tasks: Array, windows: Array
    ) -> tuple[Leaves, Leaves]:
        theta, agent = parts.together(meta, adapted, memory)
        agent = algorithm.adapt(theta, agent, window, _key(root, tasks, windows))
        return jax.tree.leaves(agent.adapted), jax.tree.leaves(agent.memory)

    def of_a_row(meta: Leaves, adapted: Leaves, memory: Leaves, *rest: Any) -> tuple[Leaves, Leaves]:
        found = adapt(meta, [x[0] for x in adapted], [x[0] for x in memory], *rest)
        return jax.tree.map(lambda x: x[None], found)

    return jax.jit(of_a_row if lanes else adapt)


class Programs:
    """An agent, compiled: what all of its sessions share.

    Attributes:
        trained: The agent.
        env: Its environment's spaces and horizon.
        who: Its name in messages.
        window: The experience it learns from at once; None for one that has a memory only.
        theta: Leaves of θ, on the device.
        parts: What leaves make up.
    """

    def __init__(self, trained: TrainedAgent):
        """Say how; each is compiled when it is first used."""
        algorithm, problem = trained.algorithm, trained.problem
        self.trained, self.env, self.who = trained, problem.env, type(algorithm).__name__
        self.window = algorithm.window(problem) if trained.learns_from_windows else None
        self.parts = parts_of(algorithm, trained.meta)
        self.theta = jax.device_put(jax.tree.leaves(trained.meta))
        self.act = act_program(algorithm, self.env, self.parts, with_aux=self.window is not None, lanes=True)
        self.adapt = adapt_program(algorithm, self.parts, lanes=True)
        self.begin = begin_program(algorithm, self.parts)

    def nothing_known(self, lanes: int) -> tuple[Leaves, Leaves]:
        """Leaves of φ and h `[session, ...]` before any task has begun."""
        agent = jax.eval_shape(lambda: self.trained.algorithm.begin(self.trained.meta, jax.random.key(0)))
        adapted, memory = ([_nothing(x, lanes) for x in jax.tree.leaves(x)] for x in (agent.adapted, agent.memory))
        return adapted, memory

    @functools.cached_property
    def noted(self) -> tuple[TimeStep, Any, Any]:
        """Shapes and types of what one session notes of a step: what it saw, what it chose, what it put aside."""
        env, shape = self.env, cast("Any", jax.ShapeDtypeStruct)
        seen, done = (
            shape(s.shape, np.int32 if s.integers else np.float32) for s in (env.observation_space, env.action_space)
        )
        new = jax.eval_shape(lambda: jnp.zeros((1, 4 + math.prod(seen.shape)), jnp.uint32))
        known = jax.eval_shape(lambda: self.nothing_known(1))
        previous, root = (
            shape((1, *done.shape), done.dtype),
            jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))[None]),
        )
        aux = jax.eval_shape(functools.partial(self.act, explore=True), self.theta, *known, previous, root, new)[2]
        first = TimeStep(seen, done, shape((), np.float32), shape((), np.bool_))
        return first, done, jax.tree.map(lambda x: shape(x.shape[1:], x.dtype), aux)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of θ, of the spaces and of how the agent acts: who has the same goes on in the same way."""
        digest = hashlib.sha256()
        algorithm = self.trained.algorithm
        settings: dict[str, Any] = vars(algorithm) if dataclasses.is_dataclass(algorithm) else {}
        plain = {name: x for name, x in sorted(settings.items()) if isinstance(x, int | float | str | tuple | None)}
        env = self.env
        about = type(algorithm).__qualname__, plain, env.observation_space, env.action_space, env.horizon, self.window
        digest.update(repr(about).encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.trained.meta):
            x = np.asarray(key_data(leaf))
            digest.update(f"{jax.tree_util.keystr(path)} {x.dtype} {x.shape}".encode())
            digest.update(np.ascontiguousarray(x).tobytes())
        return digest.hexdigest()
