"""Action distributions: categorical, and diagonal normal.

Batch axes lead; the last axis is the categories' or the action's. Every log-density is the *sum* over action
dimensions (a mean, as in some public code, makes PPO's ratio a geometric mean; trap E5).
"""

import math
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


class Categorical(eqx.Module):
    """p(a) = softmax(logits)_a.

    Where logits are NaN there is no most probable action and none to draw: that is action −1, which is none.

    Attributes:
        logits: Unnormalised log-probabilities.
    """

    logits: Float[Array, "*batch num_actions"]

    def log_probs(self) -> Float[Array, "*batch num_actions"]:
        """Log-probability of every action."""
        return jax.nn.log_softmax(self.logits)

    def log_prob(self, action: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Log-probability of `action`."""
        return jnp.take_along_axis(self.log_probs(), action[..., None], -1)[..., 0]

    def entropy(self) -> Float[Array, "*batch"]:
        """−Σ p log p, in nats."""
        log_probs = self.log_probs()
        return -jnp.sum(jnp.exp(log_probs) * log_probs, -1)

    def mode(self) -> Int[Array, "*batch"]:
        """The most probable action."""
        return self._unless_nan(jnp.argmax(self.logits, -1).astype(jnp.int32), jnp.max(self.logits, -1))

    def sample(self, key: Key[Array, ""]) -> Int[Array, ""]:
        """Draw one action (no batch) by inverting the distribution function.

        One uniform number instead of one Gumbel number per action: a third of the cost of a bandit's rollout.
        """
        cumulative = jnp.cumsum(jnp.exp(self.log_probs()))
        below = jnp.sum(cumulative <= jax.random.uniform(key)).astype(jnp.int32)
        below = jnp.minimum(below, self.logits.shape[-1] - 1)  # rounding may leave the last sum below 1
        return self._unless_nan(below, cumulative[-1])

    def _unless_nan(self, action: Int[Array, "*batch"], total: Float[Array, "*batch"]) -> Int[Array, "*batch"]:
        return jnp.where(jnp.isnan(total), -1, action)


class Normal(eqx.Module):
    """Independent normal distributions, one per action dimension.

    Attributes:
        mean: Means.
        log_std: Logarithms of the standard deviations.
    """

    mean: Float[Array, "*batch action_size"]
    log_std: Float[Array, "*batch action_size"]

    def log_prob(self, action: Float[Array, "*batch action_size"]) -> Float[Array, "*batch"]:
        """Log-density at `action`, summed over dimensions."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * z**2 - self.log_std - _LOG_SQRT_2PI, -1)

    def entropy(self) -> Float[Array, "*batch"]:
        """Differential entropy, in nats."""
        return jnp.sum(0.5 + _LOG_SQRT_2PI + self.log_std, -1)

    def mode(self) -> Float[Array, "*batch action_size"]:
        """The mean."""
        return self.mean

    def sample(self, key: Key[Array, ""]) -> Float[Array, " action_size"]:
        """Draw one action (no batch)."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)


Distribution: TypeAlias = Categorical | Normal


def kl_divergence(p: Distribution, q: Distribution) -> Float[Array, "*batch"]:
    """KL(p ‖ q) = E_p[log p − log q], in nats, summed over action dimensions; both of the same kind."""
    if isinstance(p, Categorical):
        log_p, log_q = p.log_probs(), q.log_probs()  # type: ignore[union-attr]
        return jnp.sum(jnp.exp(log_p) * (log_p - log_q), -1)
    assert isinstance(q, Normal)
    variance_ratio = jnp.exp(2 * (p.log_std - q.log_std))
    z = (p.mean - q.mean) * jnp.exp(-q.log_std)
    return 0.5 * jnp.sum(variance_ratio + z**2 - 1.0 - 2 * (p.log_std - q.log_std), -1)
