"""Observations in deviations from what was seen so far, so that their units do not matter: one way for all learners.

Moments are of what `Space.encode` makes of an observation, entry by entry. Entries that are no amounts (zeros and ones
of categories, masks, images) stay as they are. A learner keeps the moments among what it knows, learns a window from
what it read when it acted there, and takes the window in afterwards: a policy that is recomputed is the one that acted.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.composite_spaces import Encoded
from adaptax.core.problem import Problem
from adaptax.core.spaces import Space
from adaptax.core.types import Task, Transition, replace
from adaptax.optimization.moments import Moments, no_moments

BOUND = 10.0
"""Observations enter networks clipped to this many deviations from their mean."""
LOOKED_AT = 16
"""Training tasks that are looked at before the first update."""


def unseen(space: Space, *, normalize: bool) -> Moments | None:
    """Moments of no observation; None where they are not to be normalised, or none of their entries is an amount."""
    return no_moments((space.encoded_size,)) if normalize and space.numeric.any() else None


def space_read(space: Space, *, normalize: bool) -> Space:
    """What networks see of a space: what `read` returns."""
    return space if unseen(space, normalize=normalize) is None else Encoded(space)


def in_deviations(observed: Moments, space: Space, encoded: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
    """Encoded observations in deviations, for any batch axes."""
    return observed.deviations(encoded, BOUND, space.numeric)


def read(observed: Moments | None, space: Space | None, observation: PyTree[Array]) -> PyTree[Array]:
    """An observation as networks see it, for any batch axes: itself, if there are no moments."""
    if observed is None or space is None:
        return observation
    return in_deviations(observed, space, space.encode(observation))


def read_all(observed: Moments | None, space: Space | None, trajectory: Transition) -> Transition:
    """A trajectory with what networks see, for any batch axes."""
    if observed is None or space is None:
        return trajectory
    seen = replace(trajectory.timestep, observation=read(observed, space, trajectory.timestep.observation))
    after = trajectory.next_observation
    after = None if after is None else read(observed, space, after)
    return replace(trajectory, timestep=seen, next_observation=after)


def take_in(observed: Moments | None, space: Space | None, trajectory: Transition) -> Moments | None:
    """Moments with what was seen in a trajectory as it was collected, in steps that happened, for any batch axes."""
    if observed is None or space is None:
        return None
    x = space.encode(trajectory.timestep.observation)
    weight = None if trajectory.valid is None else trajectory.valid.ravel().astype(jnp.float32)
    return observed.observe(x.reshape(-1, x.shape[-1]), weight)


def look(problem: Problem, key: Key[Array, ""], episodes: Callable[[Task, Key[Array, ""]], Transition]) -> Transition:
    """What an untrained learner sees in a few training tasks; leaves `[task, ...]`.

    Args:
        problem: Where.
        key: Randomness.
        episodes: Goes through some in a task.
    """
    task_key, trial_key = jax.random.split(key)
    tasks = jax.vmap(problem.train.sample)(jax.random.split(task_key, LOOKED_AT))
    return jax.vmap(episodes)(tasks, jax.random.split(trial_key, LOOKED_AT))
