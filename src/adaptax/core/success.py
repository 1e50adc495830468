"""Success, as environments say it and evaluations count it: in any step of an episode, and in its last."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from adaptax.core.types import Transition


class Successes(eqx.Module):
    """Which episodes succeeded, in what order ever, or what share of several.

    Attributes:
        ever: In any of their steps.
        last: In the last step that there was, so that what was reached and lost again does not count.
    """

    ever: PyTree[Array]
    last: PyTree[Array]


def successes(trajectory: Transition, horizon: int) -> Successes | None:
    """Which episodes succeeded.

    Args:
        trajectory: Episodes in slots, leaves `[time, *batch]`.
        horizon: Steps of a slot.

    Returns:
        Bools `[episode, *batch]`; None: the environment does not say.
    """
    if trajectory.success is None:
        return None

    def anywhere(x: Array) -> Array:
        return jnp.any(x.reshape(-1, horizon, *x.shape[1:]), 1)

    return Successes(anywhere(trajectory.success), anywhere(_at_the_end(trajectory)))


def success_rate(trajectory: Transition) -> Float[Array, ""]:
    """Share of the episodes that ended in a trajectory, whatever its axes, whose last step was a success."""
    count = jnp.sum(trajectory.terminated | trajectory.truncated, dtype=jnp.float32)
    return jnp.sum(_at_the_end(trajectory), dtype=jnp.float32) / jnp.maximum(count, 1.0)


def _at_the_end(trajectory: Transition) -> Array:
    """Where an episode ends in success."""
    assert trajectory.success is not None
    return trajectory.success & (trajectory.terminated | trajectory.truncated)
