"""What critics of a soft actor-critic are to say, from n steps of a trial; arrays in, arrays out, time leads."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def n_step_targets(
    rewards: Float[Array, "time *batch"],
    values: Float[Array, "time *batch"],
    bonuses: Float[Array, "time *batch"],
    *,
    discount: float | Float[Array, ""],
    num_steps: int,
    valid: Bool[Array, "time *batch"] | None = None,
    over: Bool[Array, "time *batch"] | None = None,
    cut: Bool[Array, "time *batch"] | None = None,
) -> Float[Array, "time *batch"]:
    """y_t = r_t + Σ_{i=1}^{n−1} γ^i (r_{t+i} + b_{t+i}) + γ^n v_{t+n}, of trials: a whole one, or some in a row.

    Nothing comes after a trial, so no value is estimated past its end, and terms beyond it are 0. Where an episode ends
    within it, the return goes on (trap E10). With n > 1, rewards are those of whoever has acted, as in Hessel et al.
    2018 (arXiv 1710.02298). Where a trial was cut off, the value of the last step that was seen stands for what that
    step and those after it would bring, however many of the n are left. No gradient goes through targets.

    Args:
        rewards: r.
        values: v, of what was seen at each step.
        bonuses: b, what the policy earns by its entropy at each step: the value has its own in it already.
        discount: γ.
        num_steps: n.
        valid: Steps that happened. The others are skipped as if they were not in the sequence, and get 0.
        over: Steps with which a trial is over; None: the last one alone.
        cut: Steps after which the rest of their trial was not seen. They get 0; None: there are none.
    """

    def backward(after: Array, now: tuple[Array, ...]) -> tuple[Array, Array]:
        reward, value, bonus, valid, over, cut = now  # `after`: what the next step is worth with 0 … n − 1 steps more
        targets = reward[None] + discount * jnp.where(over[None], 0.0, after)
        here = jnp.concatenate([value[None], bonus[None] + targets[:-1]])
        here = jnp.where(cut[None], value[None], here)
        return jnp.where(valid[None], here, after), jnp.where(valid & ~cut, targets[-1], 0.0)

    yes = jnp.ones(rewards.shape, bool)
    flags = yes if valid is None else valid, ~yes if over is None else over, ~yes if cut is None else cut
    nothing = jnp.zeros((num_steps, *rewards.shape[1:]), rewards.dtype)
    targets = jax.lax.scan(backward, nothing, (rewards, values, bonuses, *flags), reverse=True)[1]
    return jax.lax.stop_gradient(targets)
