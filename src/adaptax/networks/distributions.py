"""Action distributions: categorical, several of them at once, diagonal normal, and that squashed by a tanh.

Batch axes lead; the last axis is the categories' or the action's. Every log-density is the *sum* over action
dimensions (a mean, as in some public code, makes PPO's ratio a geometric mean; trap E5).
"""

import math
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.core.combinations import combination, of_combination, over_combinations
from adaptax.core.spaces import MultiDiscrete, Space

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
NEVER = -1e9
"""The logit of what is not legal: its probability is exactly 0, and entropies and gradients stay finite, which they
would not with −∞."""


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
        # In parts of the last sum, which rounding may leave below 1: so what has probability 0 is never drawn.
        below = jnp.sum(cumulative <= jax.random.uniform(key) * cumulative[-1]).astype(jnp.int32)
        below = jnp.minimum(below, self.logits.shape[-1] - 1)
        return self._unless_nan(below, cumulative[-1])

    def _unless_nan(self, action: Int[Array, "*batch"], total: Float[Array, "*batch"]) -> Int[Array, "*batch"]:
        return jnp.where(jnp.isnan(total), -1, action)


class MultiCategorical(eqx.Module):
    """Several independent choices: p(a) = Π_k softmax(logits_k)_{a_k}.

    Attributes:
        choices: The choices along the axis before the last; those that have fewer actions have none of the others.
        nums: How many actions each has.
    """

    choices: Categorical
    nums: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, logits: Float[Array, "*batch size"], nums: tuple[int, ...]) -> "MultiCategorical":
        """From the logits of all choices, one after the other."""
        ends, most = np.cumsum(nums), max(nums)
        parts = [logits[..., end - num : end] for num, end in zip(nums, ends, strict=True)]
        fill = [[(0, 0)] * (logits.ndim - 1) + [(0, most - num)] for num in nums]
        # Far below NEVER, so that where nothing of a choice is legal it is uniform over the actions that it has.
        padded = [jnp.pad(part, pad, constant_values=2 * NEVER) for part, pad in zip(parts, fill, strict=True)]
        return cls(Categorical(jnp.stack(padded, -2)), tuple(nums))

    def log_probs(self) -> Float[Array, "*batch combinations"]:
        """Log-probability of every combination of choices (`core.combinations.over_combinations`)."""
        each = self.choices.log_probs()
        parts = jnp.concatenate([each[..., k, :num] for k, num in enumerate(self.nums)], -1)
        return over_combinations(parts, self.nums, jnp.add)

    def log_prob(self, action: Int[Array, "*batch choices"]) -> Float[Array, "*batch"]:
        """Log-probability of `action`, summed over choices."""
        return jnp.sum(self.choices.log_prob(action), -1)

    def entropy(self) -> Float[Array, "*batch"]:
        """Entropy in nats, summed over choices."""
        return jnp.sum(self.choices.entropy(), -1)

    def mode(self) -> Int[Array, "*batch choices"]:
        """The most probable action of each choice."""
        return self.choices.mode()

    def sample(self, key: Key[Array, ""]) -> Int[Array, " choices"]:
        """Draw one action of each choice (no batch)."""
        keys = jax.random.split(key, self.choices.logits.shape[-2])
        return jax.vmap(lambda one, key: one.sample(key))(self.choices, keys)


class JointCategorical(eqx.Module):
    """Several choices that depend on each other: a categorical distribution over all of their combinations.

    Attributes:
        combinations: Over combinations, the first choice changing slowest.
        space: The action space.
    """

    combinations: Categorical
    space: MultiDiscrete = eqx.field(static=True)

    def log_prob(self, action: Int[Array, "*batch choices"]) -> Float[Array, "*batch"]:
        """Log-probability of `action`."""
        return self.combinations.log_prob(combination(self.space, action))

    def entropy(self) -> Float[Array, "*batch"]:
        """Entropy in nats."""
        return self.combinations.entropy()

    def mode(self) -> Int[Array, "*batch choices"]:
        """The most probable combination."""
        return of_combination(self.space, self.combinations.mode())

    def sample(self, key: Key[Array, ""]) -> Int[Array, " choices"]:
        """Draw one action (no batch)."""
        return of_combination(self.space, self.combinations.sample(key))


def categorical(space: Space, logits: Float[Array, "*batch size"], legal: Bool[Array, "*batch size"] | None) -> Any:
    """Discrete actions, or several choices of them, by logits; those that are not legal have probability 0.

    Args:
        space: `Discrete` or `MultiDiscrete`.
        logits: Of all actions; of all choices, one after the other.
        legal: Which actions are legal; None: all.
    """
    if legal is not None:
        logits = jnp.where(legal, logits, NEVER)
    return MultiCategorical.of(logits, space.nums) if isinstance(space, MultiDiscrete) else Categorical(logits)


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


class SquashedNormal(eqx.Module):
    """a = tanh(u), u ~ N(mean, std²): independent normal distributions, squashed into (−1, 1).

    Haarnoja et al. 2018 (arXiv 1812.05905, appendix C). There is no closed form of its entropy; the mean of −log p over
    draws estimates it.

    Attributes:
        mean: Means of u.
        log_std: Logarithms of the standard deviations of u.
        squashed: Which entries are; the others are u itself. None: all of them.
    """

    mean: Float[Array, "*batch action_size"]
    log_std: Float[Array, "*batch action_size"]
    squashed: tuple[bool, ...] | None = eqx.field(static=True, default=None)

    def log_prob(self, action: Float[Array, "*batch action_size"]) -> Float[Array, "*batch"]:
        """Log-density at `action`, summed over dimensions; at ±1, where there is none, that of the number beside."""
        inside = 1 - float(jnp.finfo(action.dtype).epsneg)
        return self._log_prob(self._where_squashed(jnp.arctanh(jnp.clip(action, -inside, inside)), action))

    def draw(self, key: Key[Array, ""]) -> tuple[Float[Array, "*batch action_size"], Float[Array, "*batch"]]:
        """Draw one action of each entry of a batch, and its log-density, exact also where tanh rounds to ±1.

        Both have derivatives: u = mean + std ε, with ε drawn from N(0, 1).
        """
        raw = self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self._where_squashed(jnp.tanh(raw), raw), self._log_prob(raw)

    def sample(self, key: Key[Array, ""]) -> Float[Array, " action_size"]:
        """Draw one action (no batch)."""
        return self.draw(key)[0]

    def mode(self) -> Float[Array, "*batch action_size"]:
        """The squashed mean: the median, by which a trained agent acts. The density may be greatest elsewhere."""
        return self._where_squashed(jnp.tanh(self.mean), self.mean)

    def _log_prob(self, raw: Float[Array, "*batch action_size"]) -> Float[Array, "*batch"]:
        # log(1 − tanh²u), which has no digits left where tanh u is near ±1, is 2 (log 2 − u − log(1 + e^{−2u})).
        slopes = 2 * (math.log(2.0) - raw - jax.nn.softplus(-2 * raw))
        slopes = self._where_squashed(slopes, jnp.zeros_like(raw))
        return Normal(self.mean, self.log_std).log_prob(raw) - jnp.sum(slopes, -1)

    def _where_squashed(self, yes: Array, no: Array) -> Array:
        if self.squashed is None:
            return yes
        which = np.asarray(self.squashed).reshape((1,) * (yes.ndim - 1) + (-1,))
        return jnp.where(which, yes, no)


Distribution: TypeAlias = Categorical | MultiCategorical | Normal


def kl_divergence(p: Distribution, q: Distribution) -> Float[Array, "*batch"]:
    """KL(p ‖ q) = E_p[log p − log q], in nats, summed over action dimensions; both of the same kind."""
    if isinstance(p, Categorical):
        log_p, log_q = p.log_probs(), q.log_probs()  # type: ignore[union-attr]
        return jnp.sum(jnp.exp(log_p) * (log_p - log_q), -1)
    if isinstance(p, MultiCategorical):
        return jnp.sum(kl_divergence(p.choices, q.choices), -1)  # type: ignore[union-attr]
    assert isinstance(q, Normal)
    variance_ratio = jnp.exp(2 * (p.log_std - q.log_std))
    z = (p.mean - q.mean) * jnp.exp(-q.log_std)
    return 0.5 * jnp.sum(variance_ratio + z**2 - 1.0 - 2 * (p.log_std - q.log_std), -1)
