"""Experience of an agent in use, made into the windows that it learns from."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.types import TimeStep, Transition, Window, is_key, replace
from adaptax.deployment.bounds import Unadapted

_float: Callable[[Any], Any] = np.float32
_bool: Callable[[Any], Any] = np.bool_
"""NumPy's numbers, which programs take for JAX's: to make one of those takes as long as the agent's step."""


class Notes(NamedTuple):
    """What a session that learns from windows has written down and not yet learned from.

    Attributes:
        acted: What it saw, what it chose and what it put aside, while nobody has told what that brought.
        length: Steps of this episode so far.
        arrived: Whether it is known where the last step led.
        episode: Steps of this episode, or of what is left of it.
        episodes: Episodes that wait for others, leaves `[time, ...]`.
        unadapted: What the agent earned in this task before it adapted, if adaptation is bounded.
    """

    acted: tuple[TimeStep, Any, Any] | None = None
    length: int = 0
    arrived: bool = True
    episode: tuple[Transition, ...] = ()
    episodes: tuple[Transition, ...] = ()
    unadapted: Unadapted = Unadapted()

    def booked(self, reward: float, *, ended: bool, over: bool) -> "Notes":
        """With what the last action brought; an episode that is over has ended, or its time was up."""
        assert self.acted is not None
        step = transition_of(*self.acted, reward, ended, over and not ended)
        length = 0 if over else self.length + 1
        return self._replace(acted=None, length=length, arrived=False, episode=(*self.episode, step))

    def led_to(self, seen: Any, window: Window, horizon: int, *, over: bool) -> tuple["Notes", list[Transition]]:
        """With where the last step led, and what is to be learned from now: environments with leaves `[time, ...]`."""
        episode = (*self.episode[:-1], replace(self.episode[-1], next_observation=seen))
        notes = self._replace(arrived=True, episode=episode)
        if window.num_envs == 1:
            if over or len(episode) == window.steps:
                return notes._replace(episode=()), [padded(episode, window.steps)]
        elif over:
            episodes = (*self.episodes, padded(episode, -(-horizon // window.steps) * window.steps))
            if len(episodes) == window.num_envs:
                return notes._replace(episode=(), episodes=()), list(episodes)
            notes = notes._replace(episode=(), episodes=episodes)
        return notes, []

    @property
    def last_seen(self) -> Any:
        """What was seen before the last step."""
        return self.episode[-1].next_observation


def timestep_of(seen: Any, action: Any, reward: float, first: bool) -> TimeStep:
    """What the agent saw, its last action and what that brought."""
    return TimeStep(seen, action, _float(reward), _bool(first))


def transition_of(
    timestep: TimeStep, action: Any, aux: Any, reward: float, terminated: bool, truncated: bool
) -> Transition:
    """A step of which it is not yet known where it led."""
    ends = _bool(terminated), _bool(truncated)
    return Transition(timestep, action, _float(reward), *ends, timestep.observation, aux, _bool(True))


def padded(episode: Sequence[Transition], length: int) -> Transition:
    """One episode with leaves `[time, ...]`; after its end nothing happens."""
    no = _bool(False)
    idle = replace(episode[-1], reward=_float(0), terminated=no, truncated=no, valid=no)
    return jax.tree.map(_stack, *episode, *[idle] * (length - len(episode)))


def windows(envs: Sequence[Transition], steps: int) -> Iterator[Transition]:
    """Consecutive windows, leaves `[time, env, ...]`, of some environments' experience with leaves `[time, ...]`."""
    trajectory = jax.tree.map(lambda *x: _stack(*x, axis=1), *envs)
    for begin in range(0, trajectory.reward.shape[0], steps):
        yield jax.tree.map(lambda x, begin=begin: x[begin : begin + steps], trajectory)


def _stack(*leaves: Any, axis: int = 0) -> Any:
    """On the host, since hundreds of operands take JAX seconds to compile; keys exist in JAX only."""
    return jnp.stack(leaves, axis) if is_key(leaves[0]) else np.stack(leaves, axis)
