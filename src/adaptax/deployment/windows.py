"""Experience of an agent in use, made into the windows that it learns from."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.types import TimeStep, Transition, is_key, replace

_float: Callable[[Any], Any] = np.float32
_bool: Callable[[Any], Any] = np.bool_
"""NumPy's numbers, which programs take for JAX's: to make one of those takes as long as the agent's step."""


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
