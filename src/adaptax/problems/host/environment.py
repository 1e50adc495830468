"""Environments that are simulated on the host, as learners see them: pure, like all others.

The state of such an environment names an episode, by a number, and how far it is; the simulator itself stays on the
host, in the row that the environment has in the batch. A state at the beginning of an episode can be gone on from as
often as one likes, since the episode is begun again from its task and seed; one in the middle of it once.
"""

import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree, UInt32

from adaptax.core.composite_spaces import ActionMask, Dict, Image
from adaptax.core.errors import EnvironmentContractError, UseError
from adaptax.core.host_program import simulate
from adaptax.core.problem import Environment, Step
from adaptax.core.spaces import Box, Discrete, MultiDiscrete, Space
from adaptax.core.types import Task
from adaptax.problems.host.gymnasium_spaces import Description
from adaptax.problems.host.pool import Pool, again
from adaptax.problems.host.simulations import Outcome

MANY = 20
"""So many trials may be lost, whatever share of all they are; beyond, a tenth."""


class EpisodeState(eqx.Module):
    """Where an environment is.

    Attributes:
        episode: Number of the episode among all that this process has begun.
        elapsed: Steps since it began.
        seed: What it began with.
    """

    episode: Int[Array, ""]
    elapsed: Int[Array, ""]
    seed: UInt32[Array, ""]


class Simulators:
    """Rows of simulators, and which episode each is in.

    Args:
        pool: What simulates them.
        names: Names of a task's values, in the order of its leaves.
        values: By name, what the choices are of which a task says the number.
        observation: What learners see of an observation.
        says_success: Whether environments say that a task is done.

    Attributes:
        begun: Episodes that have begun.
        lost: Those of them that were lost.
        last_reason: Which was the last, and why.
    """

    def __init__(
        self,
        pool: Pool,
        names: Sequence[str],
        values: Mapping[str, Any],
        observation: Description,
        *,
        says_success: bool = False,
    ):
        self._pool, self._names, self._values, self.says_success = pool, tuple(names), values, says_success
        self._episode, self._elapsed = np.full(0, -1, np.int32), np.zeros(0, np.int32)
        self._over, self._lost = np.zeros(0, bool), np.zeros(0, bool)
        self._observation = np.zeros((0, *observation.shape), observation.dtype)
        self.begun, self.lost, self.last_reason = 0, 0, ""
        self._finalizer = weakref.finalize(self, pool.close)

    def simulate_with(self, workers: int | None, step_timeout: float | None) -> None:
        """Have others simulate: see `adaptax.core.problem.Environment`."""
        self._finalizer()
        self._pool = again(self._pool, workers, step_timeout)
        self._finalizer = weakref.finalize(self, self._pool.close)
        self._episode[:] = -1

    def reset(self, *args: np.ndarray) -> list[np.ndarray]:
        """Begin an episode in each environment of a batch; `args` are the leaves of tasks, then seeds."""
        *tasks, seeds = args
        batch, count = seeds.shape, seeds.size
        episodes = np.arange(self.begun, self.begun + count, dtype=np.int64).astype(np.int32)
        self._begin(np.arange(count), episodes, [x.reshape(-1) for x in tasks], seeds.reshape(-1))
        return [self._seen(batch), episodes.reshape(batch)]

    def step(self, *args: np.ndarray) -> list[np.ndarray]:
        """Do an action in each; `args` are leaves of tasks, then episodes, steps so far, seeds and actions."""
        *leaves, episodes, elapsed, seeds, actions = args
        batch, count = episodes.shape, episodes.size
        tasks = [x.reshape(-1) for x in leaves]
        actions = actions.reshape(count, *actions.shape[len(batch) :])
        again = self._to_begin_again(episodes.reshape(-1), elapsed.reshape(-1))
        if len(again):
            self._begin(again, episodes.reshape(-1)[again], [x[again] for x in tasks], seeds.reshape(-1)[again])
        reward, flags = np.zeros(count, np.float32), np.zeros((3, count), bool)
        going = np.flatnonzero(~(self._over | self._lost)[:count])
        if len(going):
            found = self._pool.step(going.tolist(), actions[going])
            self._note(going, found, tasks)
            reward[going], flags[:, going] = found.reward, (found.terminated, found.truncated, found.success)
            self._elapsed[going] += 1
            self._over[going] = found.terminated | found.truncated
        lost = self._lost[:count].copy()
        *ends, success = flags
        told = [reward, *ends, lost, success] if self.says_success else [reward, *ends, lost]
        return [self._seen(batch), *(x.reshape(batch) for x in told)]

    def _to_begin_again(self, episodes: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
        """Which rows are no longer where their states say."""
        self._grow(len(episodes))
        part = slice(len(episodes))
        there = (self._elapsed[part] == elapsed) | self._over[part] | self._lost[part]
        gone = np.flatnonzero(~(there & (self._episode[part] == episodes)))
        if len(gone) and elapsed[gone].any():
            row = int(gone[np.argmax(elapsed[gone])])
            raise UseError(
                f"environment {row}: a program goes on from step {elapsed[row]} of episode {episodes[row]}, which a "
                f"simulator on the host has left (it is at step {self._elapsed[row]} of episode {self._episode[row]}): "
                "from the middle of an episode one can go on once"
            )
        return gone

    def _begin(self, rows: np.ndarray, episodes: np.ndarray, tasks: list[np.ndarray], seeds: np.ndarray) -> None:
        self._grow(int(rows[-1]) + 1)
        by_row = [self._task(tasks, place) for place in range(len(rows))]
        self._episode[rows], self._elapsed[rows] = episodes, 0
        self._over[rows] = self._lost[rows] = False
        self._observation[rows] = 0
        self.begun += len(rows)
        found = self._pool.reset(rows.tolist(), by_row, seeds.tolist())
        self._note(rows, found, None if not tasks else {row: [x[i] for x in tasks] for i, row in enumerate(rows)})

    def _note(self, rows: np.ndarray, found: Outcome, tasks: Any) -> None:
        """Take down what was seen, and what was lost."""
        if found.lost:
            self._lose(found.lost, tasks)
            kept = np.asarray([row not in found.lost for row in rows.tolist()])
            rows, seen = rows[kept], found.observation[kept]
        else:
            seen = found.observation
        if len(rows):
            self._observation[rows] = seen

    def _lose(self, lost: Mapping[int, str], tasks: Any) -> None:
        self._lost[list(lost)] = True
        self.lost += len(lost)
        row, reason = next(iter(lost.items()))
        leaves = [] if tasks is None else [np.asarray(x) for x in (tasks[row] if isinstance(tasks, dict) else ())]
        leaves = leaves or [x[row] for x in tasks or ()]
        values = self._task([np.asarray([x]) for x in leaves], 0) if leaves else {}
        task = ", ".join(f"{name} = {value}" for name, value in values.items()) or "unknown"
        self.last_reason = f"environment {row} (task {task}): {reason}"
        if self.lost > max(MANY, self.begun // 10):
            raise EnvironmentContractError(
                f"{self.lost} of {self.begun} episodes were lost, the last in {self.last_reason}. What was learned "
                "before is safe; `adaptax check-env` finds more"
            )

    def _task(self, tasks: list[np.ndarray], place: int) -> dict[str, Any]:
        """The values of a task by name, as the simulator gets them."""
        return {
            name: (self._values[name][int(leaf[place])] if name in self._values else leaf[place].item())
            for name, leaf in zip(self._names, tasks, strict=True)
        }

    def _seen(self, batch: tuple[int, ...]) -> np.ndarray:
        """The last observation of each row; zeros where there was none, as it was lost."""
        return self._observation[: math.prod(batch)].reshape(*batch, *self._observation.shape[1:]).copy()

    def _grow(self, count: int) -> None:
        """Have so many rows, at least."""
        more = count - len(self._episode)
        if more <= 0:
            return
        self._episode = np.concatenate([self._episode, np.full(more, -1, np.int32)])
        self._elapsed = np.concatenate([self._elapsed, np.zeros(more, np.int32)])
        self._over, self._lost = (np.concatenate([x, np.zeros(more, bool)]) for x in (self._over, self._lost))
        blank = np.zeros((more, *self._observation.shape[1:]), self._observation.dtype)
        self._observation = np.concatenate([self._observation, blank])


class HostEnvironment(Environment):
    """An environment that is simulated on the host.

    Attributes:
        simulators: The simulators.
    """

    simulators: Simulators = eqx.field(static=True)
    observation_space: Space = eqx.field(static=True)
    action_space: Space = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True, default=True)
    name: str = eqx.field(static=True, default="")

    @property
    def on_host(self) -> bool:
        """It is."""
        return True

    @property
    def losses(self) -> tuple[int, str]:
        """What the simulators say."""
        return self.simulators.lost, self.simulators.last_reason

    def simulate_with(self, workers: int | None, step_timeout: float | None) -> None:
        """Have the simulators so simulated."""
        self.simulators.simulate_with(workers, step_timeout)

    def reset(self, task: Task, key: Key[Array, ""]) -> tuple[EpisodeState, PyTree[Array]]:
        """Begin an episode, with a seed from the key."""
        seed = jax.random.bits(key, (), jnp.uint32) >> 1  # some seeds are read as signed
        shapes = self._shape(), jax.ShapeDtypeStruct((), jnp.int32)
        observation, episode = simulate(self.simulators.reset, shapes, jax.tree.leaves(task), seed)
        return EpisodeState(episode, jnp.zeros((), jnp.int32), seed), observation

    def step(self, state: EpisodeState, action: PyTree[Array], task: Task, key: Key[Array, ""]) -> Step:
        """Do an action; the simulator draws from its own seed, not from `key`."""
        kinds = (jnp.float32, *(jnp.bool_,) * (4 if self.simulators.says_success else 3))
        shapes = self._shape(), *(jax.ShapeDtypeStruct((), kind) for kind in kinds)
        where = state.episode, state.elapsed, state.seed
        observation, *outcome = simulate(self.simulators.step, shapes, jax.tree.leaves(task), where, action)
        return Step(EpisodeState(state.episode, state.elapsed + 1, state.seed), observation, *outcome)

    def _shape(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.observation_space.shape, self.observation_space.dtype)


def space_of(described: Description) -> Space:
    """A space as networks read it."""
    if described.kind == "parts":
        return Dict({name: space_of(part) for name, part in described.parts})
    if described.kind == "discrete":
        return Discrete(described.nums[0])
    if described.kind == "choices":
        return MultiDiscrete(described.nums)
    if described.kind == "image":
        return Image(described.shape)
    if described.kind == "mask":
        return ActionMask(described.shape[0])
    return Box(described.shape, described.low, described.high)
