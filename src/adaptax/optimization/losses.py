"""Losses and advantage estimates: arrays in, arrays out. Time leads; batch axes follow."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from adaptax.core import parallel


def generalized_advantages(
    rewards: Float[Array, "time *batch"],
    values: Float[Array, "time *batch"],
    *,
    discount: float | Float[Array, "..."],
    gae_lambda: float | Float[Array, "..."],
    ended: Bool[Array, "time *batch"],
    cut: Bool[Array, "time *batch"] | None = None,
    bootstraps: Float[Array, "time *batch"] | None = None,
    valid: Bool[Array, "time *batch"] | None = None,
    weights: Float[Array, "time *batch"] | None = None,
) -> Float[Array, "time *batch"]:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438, equation 16).

    A_t = δ_t + γλ A_{t+1}, δ_t = r_t + γ V_{t+1} − V_t, where *what comes after t* depends on the boundary:

    - inside a trial, an episode's end is no boundary at all: the return of a meta-learner goes on;
    - where `ended` (termination, end of the trial), nothing comes after: V_{t+1} = A_{t+1} = 0;
    - where `cut` (a time limit), the sequence stops but the return does not: V_{t+1} = `bootstraps`, A_{t+1} = 0.

    Args:
        rewards: r_t.
        values: V(s_t).
        discount: γ, one for all steps or one for each.
        gae_lambda: λ, the same.
        ended: Whether nothing comes after step t.
        cut: Whether the sequence stops after step t though the return goes on; `ended` wins where both are.
        bootstraps: V of the state in which a cut step ended; required with `cut`.
        valid: Steps that happened. The others are skipped as if they were not in the sequence, and get 0.
        weights: ρ_t, importance weights where another policy has acted: A_t = ρ_t (δ_t + γλ A_{t+1}). That is V-trace
            with c̄ = ρ̄ (Espeholt et al. 2018, arXiv 1802.01561, equation 1 and section 4.2): V_t + A_t is the critic's
            target v_t, and A_t the weight of ∇ log π(a_t). All 1 by default.
    """
    cut = jnp.zeros_like(ended) if cut is None else cut & ~ended
    bootstraps = values if bootstraps is None else bootstraps
    valid = jnp.ones_like(ended) if valid is None else valid
    weights = jnp.ones_like(values) if weights is None else weights

    discounts, lambdas = (jnp.broadcast_to(x, values.shape).astype(values.dtype) for x in (discount, gae_lambda))

    def backward(after: tuple[Array, Array], now: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        reward, value, ended, cut, bootstrap, valid, weight, discount, gae_lambda = now
        advantage, next_value = after
        next_value = jnp.where(ended, 0.0, jnp.where(cut, bootstrap, next_value))
        advantage = jnp.where(ended | cut, 0.0, advantage)
        advantage = weight * (reward + discount * next_value - value + discount * gae_lambda * advantage)
        kept = (jnp.where(valid, advantage, after[0]), jnp.where(valid, value, after[1]))
        return kept, jnp.where(valid, advantage, 0.0)

    nothing = jnp.zeros_like(values[0])
    steps = (rewards, values, ended, cut, bootstraps, valid, weights, discounts, lambdas)
    return jax.lax.scan(backward, (nothing, nothing), steps, reverse=True)[1]


def masked_mean(x: Float[Array, "*shape"], mask: Bool[Array, "*shape"] | None) -> Float[Array, ""]:
    """Mean of `x` where `mask`; of all of it if there is no mask.

    Devices may have different numbers of entries to average. Each divides its sum by their mean number, so that
    `parallel.mean` of what they return, or of its gradients, is the mean over the entries of all devices.
    """
    if mask is None:
        return jnp.mean(x)
    count = parallel.mean(jnp.sum(mask).astype(x.dtype))
    return jnp.sum(jnp.where(mask, x, 0.0)) / jnp.maximum(count, 1.0)


def clipped_surrogate(
    log_probs: Float[Array, "*batch"],
    old_log_probs: Float[Array, "*batch"],
    advantages: Float[Array, "*batch"],
    clip: float | Float[Array, ""],
) -> Float[Array, "*batch"]:
    """PPO's objective per step, to be maximised (Schulman et al. 2017, arXiv 1707.06347, equation 7).

    min(ρ A, clip(ρ, 1 − ε, 1 + ε) A) with ρ = π(a)/π_old(a) and ε = `clip`.
    """
    ratio = jnp.exp(log_probs - old_log_probs)
    return jnp.minimum(ratio * advantages, jnp.clip(ratio, 1 - clip, 1 + clip) * advantages)
