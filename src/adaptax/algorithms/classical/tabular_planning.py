"""Planning in finite MDPs with a finite horizon, and doing so only when an episode begins."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def plan(
    rewards: Float[Array, "states actions"], transitions: Float[Array, "states actions states"], horizon: int
) -> Float[Array, "horizon states actions"]:
    """Backward induction: Q_h(s, a) = r(s, a) + Σ_s' P(s' | s, a) max_a' Q_{h+1}(s', a'), with Q = 0 at the end.

    Args:
        rewards: r(s, a), expected rewards.
        transitions: P(s' | s, a), with s' last.
        horizon: Steps of an episode.

    Returns:
        Q_h(s, a) of the best policy, for the steps h = 0, 1, … of an episode.
    """
    return _backward(lambda value: rewards + transitions @ value, rewards, horizon)


def optimistic_plan(
    rewards: Float[Array, "states actions"],
    transitions: Float[Array, "states actions states"],
    slack: Float[Array, "states actions"],
    horizon: int,
) -> Float[Array, "horizon states actions"]:
    """Extended value iteration (Jaksch et al. 2010, section 3.1.2 and figure 2), by backward induction.

    In each backup the transitions of (s, a) are the ones with the highest value among those within an L1 distance
    of `slack` from `transitions`: half of `slack` is added to the best successor, and taken from the worst ones.

    Args:
        rewards: Optimistic expected rewards.
        transitions: Estimated P(s' | s, a), with s' last.
        slack: Largest L1 distance of P(· | s, a) from the estimate.
        horizon: Steps of an episode.

    Returns:
        Q_h(s, a), as from `plan`.
    """

    def backup(value: Float[Array, " states"]) -> Float[Array, "states actions"]:
        ascending = jnp.argsort(value)
        probabilities = transitions[..., ascending]
        moved = jnp.minimum(slack / 2, 1 - probabilities[..., -1])
        kept = jnp.maximum(jnp.cumsum(probabilities, axis=-1) - moved[..., None], 0.0)
        probabilities = jnp.diff(kept, axis=-1, prepend=0.0).at[..., -1].add(moved)
        return rewards + probabilities @ value[ascending]

    return _backward(backup, rewards, horizon)


def _backward(backup, rewards: Float[Array, "states actions"], horizon: int):
    """Apply `backup`, from values V_{h+1}(s) to Q_h(s, a), `horizon` times from the end."""

    def one_step(value: Float[Array, " states"], _: None):
        quality = backup(value)
        return jnp.max(quality, axis=-1), quality

    start = jnp.zeros(rewards.shape[0])
    return jax.lax.scan(one_step, start, None, length=horizon, reverse=True)[1]


@jax.custom_batching.custom_vmap
def anywhere(flag: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether `flag` is true anywhere in the batch: a scalar under any number of `jax.vmap`s.

    A `jax.lax.cond` on it remains a branch under `vmap`, where one on `flag` would compute both sides. Since all
    environments of all tasks begin their episodes at the same steps, nothing is computed in vain.
    """
    return flag


@anywhere.def_vmap
def _(axis_size: int, in_batched: list[bool], flag: Bool[Array, " batch"]):
    return anywhere(jnp.any(flag)), False
