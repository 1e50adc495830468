"""Acting by what a recurrent network says actions are worth, and what is learned of that: recurrent double Q-learning.

Hausknecht & Stone 2015 (arXiv 1507.06527); van Hasselt, Guez & Silver 2016 (arXiv 1509.06461).

    π(h) = argmax_a Q(h, a) with probability 1 − ε, else any legal action;    V̄(h) = Q̄(h, argmax_a Q(h, a)).
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.algorithms.memory.soft_losses import CriticScale, Judged
from adaptax.core.combinations import choices_of, over_combinations
from adaptax.core.spaces import MultiDiscrete, Space
from adaptax.networks.distributions import NEVER, Categorical, JointCategorical
from adaptax.networks.heads import Linear

_TIE = 1e-5
"""Added to the best action's logit: it is the most probable one also where ε is 1."""


class GreedyHead(eqx.Module):
    """From features to what actions are worth, and to the ε-greedy policy.

    Attributes:
        layer: To outputs for all actions, or combinations of choices; None: the features begin with them.
        epsilon: ε. The training sets it; no gradient reaches it.
        space: The action space.
        scale: How outputs are read.
    """

    layer: Linear | None
    epsilon: Float[Array, ""]
    space: Space = eqx.field(static=True)
    scale: CriticScale = eqx.field(static=True)

    @classmethod
    def build(cls, feature_size: int, space: Space, scale: CriticScale, key: Key[Array, ""]) -> "GreedyHead":
        """One with a layer of its own, and an ε of 1."""
        outputs = math.prod(choices_of(space)) * scale.width
        return cls(Linear(feature_size, outputs, 0.01, key), jnp.ones(()), space, scale)

    def outputs(self, features: Float[Array, "*batch feature_size"]) -> Float[Array, "*batch outputs"]:
        """What is said of all actions."""
        return features[..., : self.space.encoded_size] if self.layer is None else self.layer(features)

    def legal(self, legal: Bool[Array, "*batch actions"] | None) -> Bool[Array, "*batch combinations"] | None:
        """Which combinations are legal: those of legal choices. A choice of which nothing is legal is free."""
        if legal is None:
            return None
        nums, allowed, end = choices_of(self.space), [], 0
        for num in nums:
            part, end = legal[..., end : end + num], end + num
            allowed.append(part | ~jnp.any(part, -1, keepdims=True))
        return over_combinations(jnp.concatenate(allowed, -1), nums, jnp.logical_and)

    def best(
        self, averages: Float[Array, "*batch combinations"], legal: Bool[Array, "*batch combinations"] | None
    ) -> Int[Array, "*batch"]:
        """Which legal action is worth most."""
        return jnp.argmax(averages if legal is None else jnp.where(legal, averages, -jnp.inf), -1).astype(jnp.int32)

    def __call__(
        self, features: Float[Array, "*batch feature_size"], legal: Bool[Array, "*batch actions"] | None = None
    ) -> Any:
        """The ε-greedy policy; of values that are NaN or infinite it is NaN, and so no action."""
        averages, allowed = self.scale.averages(self.outputs(features)), self.legal(legal)
        best = jax.nn.one_hot(self.best(averages, allowed), averages.shape[-1])
        there = jnp.ones_like(averages) if allowed is None else allowed.astype(averages.dtype)
        chances = self.epsilon * there / jnp.sum(there, -1, keepdims=True) + (1 - self.epsilon) * best
        logits = jnp.where(chances > 0, jnp.log(jnp.where(chances > 0, chances, 1.0)), NEVER) + _TIE * best
        policy = Categorical(logits + 0.0 * jnp.sum(averages, -1, keepdims=True))
        return JointCategorical(policy, self.space) if isinstance(self.space, MultiDiscrete) else policy


def judge_greedily(
    head: GreedyHead,
    outputs: tuple[Float[Array, "time trial outputs"], Float[Array, "time trial outputs"]],
    action: Int[Array, "time trial"],
    legal: Bool[Array, "time trial actions"] | None,
    remaining: Float[Array, "time #trial"],
) -> Judged:
    """What steps are worth, and what was said of what was done: the best action by Q, its value by Q̄.

    Args:
        head: Q's.
        outputs: What Q, and its older copy, said of all actions.
        action: Which of them was done.
        legal: Which are legal, choice by choice; None: all.
        remaining: What an average reward of 1 over the remaining steps is worth.
    """
    now, old = outputs
    best = head.best(jax.lax.stop_gradient(head.scale.averages(now)), head.legal(legal))
    values = remaining * jnp.take_along_axis(head.scale.averages(old), best[..., None], -1)[..., 0]
    nothing = jnp.zeros_like(values)
    return Judged(jax.lax.stop_gradient(values), nothing, nothing, (head.scale.of_action(now, action),))
