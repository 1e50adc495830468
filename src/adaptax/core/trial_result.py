"""What became of a trial, episode by episode."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from adaptax.core.success import Successes, successes
from adaptax.core.types import Transition


class TrialResult(eqx.Module):
    """What became of one trial.

    Attributes:
        returns: Undiscounted return of each episode, in the order in which they were experienced.
        steps: Environment steps that each episode took.
        evaluation_episodes: Mean return of further episodes, at evenly spaced times of the trial
            (`num_evaluations`), by the best action then known and without learning from them; None for agents that do
            not learn from windows.
        sound: Whether all that the agent has learned by the end is finite. (What is NaN once stays so.)
        successes: Which of the episodes succeeded; None: the environment does not say.
        evaluation_successes: What share of the further episodes did, as `evaluation_episodes`.
    """

    returns: Float[Array, " episodes"]
    steps: Int[Array, " episodes"]
    evaluation_episodes: Float[Array, " evaluations"] | None
    sound: Bool[Array, ""]
    successes: Successes | None = None
    evaluation_successes: Successes | None = None


def result_of(trajectory: Transition, horizon: int, adapted: PyTree[Array]) -> TrialResult:
    """What became of episodes in slots.

    Args:
        trajectory: Leaves `[time, env, ...]`.
        horizon: Steps of a slot.
        adapted: φ after them.
    """

    def per_episode(x: Array) -> Array:
        return x.reshape(-1, horizon, x.shape[-1]).sum(1).reshape(-1)

    numbers = [x for x in jax.tree.leaves(adapted) if jnp.issubdtype(x.dtype, jnp.inexact)]
    sound = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in numbers])) if numbers else jnp.asarray(True)
    reached = jax.tree.map(jnp.ravel, successes(trajectory, horizon))
    returns, steps = per_episode(trajectory.reward), per_episode(trajectory.valid.astype(jnp.int32))
    return TrialResult(returns, steps, None, sound, reached)
