"""Surrogates of the expected return, for an inner step that will be differentiated once more.

All four have the same first derivative, Σ_t ∇log π(a_t|s_t) A_t. They differ in their *second* derivatives, which
decide the meta-gradient (Rothfuss et al. 2019, ProMP, arXiv 1810.06784, section 4 and appendix B): with the sampled
trajectory's distribution p_θ(τ), the Hessian of E_{p_θ}[R(τ)] is H₁ + H₂ + H₁₂ + H₁₂ᵀ, and

    policy_gradient          keeps H₂ alone: what automatic differentiation makes of the usual loss (trap E1);
    low_variance_curvature   keeps H₁ + H₂: small variance, and a bias that vanishes as the policy gets good;
    dice                     keeps all: exact in expectation, large variance;
    loaded_dice              as `dice` if λ = 1; smaller λ trades bias for variance.

Arrays are `[time, *batch]` of whole episodes; steps that did not happen must have log-probability and advantage 0. What
is returned is per step: its sum over time is the surrogate. Advantages are constants.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Steps = Float[Array, "time *batch"]
Number = float | Float[Array, ""]


def magic_box(log_weights: Steps) -> Steps:
    """exp(x − stop(x)): always 1, and its derivative is that of x times itself (Foerster et al. 2018, section 3.2)."""
    return jnp.exp(log_weights - jax.lax.stop_gradient(log_weights))


def policy_gradient(log_probs: Steps, old_log_probs: Steps, advantages: Steps, gae_lambda: Number = 1.0) -> Steps:
    """Log π A: the usual loss. Its second derivative misses how the *sampling* depends on θ."""
    return log_probs * advantages


def low_variance_curvature(
    log_probs: Steps, old_log_probs: Steps, advantages: Steps, gae_lambda: Number = 1.0
) -> Steps:
    """π/π_old A (Rothfuss et al. 2019, equation 12), π_old the policy that acted."""
    return jnp.exp(log_probs - old_log_probs) * advantages


def loaded_dice(log_probs: Steps, old_log_probs: Steps, advantages: Steps, gae_lambda: Number = 1.0) -> Steps:
    """Σ_t (□(w_t) − □(w_t − log π_t)) A_t with w_t = λ w_{t−1} + log π_t (Farquhar et al. 2019, arXiv 1909.10549).

    Its value is 0 everywhere; its derivatives of every order are those of the objective.
    """

    def accumulate(before: Array, log_prob: Array) -> tuple[Array, tuple[Array, Array]]:
        before = gae_lambda * before
        return before + log_prob, (before, before + log_prob)

    _, (before, upto) = jax.lax.scan(accumulate, jnp.zeros_like(log_probs[0]), log_probs)
    return (magic_box(upto) - magic_box(before)) * advantages


def dice(log_probs: Steps, old_log_probs: Steps, advantages: Steps, gae_lambda: Number = 1.0) -> Steps:
    """The infinitely differentiable Monte-Carlo estimator (Foerster et al. 2018, arXiv 1802.05098).

    Equation 6, Σ_t □(Σ_{t'≤t} log π_t') r_t, with its sum rearranged by parts, so that a reward's place can be taken by
    an advantage. With A_t = Σ_{t'≥t} r_t' the two differ by the constant Σ_t r_t.
    """
    return loaded_dice(log_probs, old_log_probs, advantages, 1.0)


ESTIMATORS: dict[str, Callable[..., Steps]] = {
    "policy-gradient": policy_gradient,
    "lvc": low_variance_curvature,
    "dice": dice,
    "loaded-dice": loaded_dice,
}
"""By the names that settings use."""
