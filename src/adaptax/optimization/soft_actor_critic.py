"""The soft actor-critic's losses: arrays in, arrays out, one number for each step, for any batch axes.

Haarnoja et al. 2018, "Soft actor-critic algorithms and applications" (arXiv 1812.05905); Christodoulou 2019, "Soft
actor-critic for discrete action settings" (arXiv 1910.07207).

    Q(s, a) → r + γ (1 − terminated) V(s')            V(s) = E_{a ~ π} [min_i Q̄_i(s, a) − α log π(a | s)]
    π minimises E_{a ~ π} [α log π(a | s) − min_i Q_i(s, a)]      α moves until the entropy of π is what is wanted

Where actions are continuous, the expectation is one draw with derivatives; where they are discrete, it is a sum over
all of them. Whoever calls takes the mean, over the steps that happened. Nothing here stops a gradient but what says so.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from adaptax.core.combinations import choices_of
from adaptax.core.errors import UseError
from adaptax.core.spaces import MultiDiscrete, Space

MOST_COMBINATIONS = 1024
"""Of several choices at once, so many combinations have a value each, at most."""


def check_combinations(space: Space, who: str) -> None:
    """Refuse several choices at once that have more combinations than critics can have values for.

    Raises:
        UseError: naming who cannot, and how many there are.
    """
    number = math.prod(choices_of(space))
    if isinstance(space, MultiDiscrete) and number > MOST_COMBINATIONS:
        raise UseError(
            f"{who}: expected at most {MOST_COMBINATIONS} combinations of choices, as its critics have a value for "
            f"each; found {number}, of {space!r}. Nothing was trained. Try rl2, which needs none"
        )


def soft_value(
    qualities: tuple[Float[Array, "*batch"], Float[Array, "*batch"]],
    log_prob: Float[Array, "*batch"],
    temperature: Float[Array, ""],
) -> Float[Array, "*batch"]:
    """V(s) from one draw a ~ π(· | s): min(Q₁, Q₂) − α log π(a | s).

    The least of two critics, since the greatest value of one that errs is too large (Fujimoto et al. 2018).

    Args:
        qualities: Q₁(s, a) and Q₂(s, a).
        log_prob: log π(a | s).
        temperature: α.
    """
    return jnp.minimum(*qualities) - temperature * log_prob


def soft_value_of_all(
    qualities: tuple[Float[Array, "*batch actions"], Float[Array, "*batch actions"]],
    log_probs: Float[Array, "*batch actions"],
    temperature: Float[Array, ""],
) -> Float[Array, "*batch"]:
    """V(s) over all discrete actions: Σ_a π(a | s) (min(Q₁, Q₂)(s, a) − α log π(a | s)).

    Args:
        qualities: Q₁(s, ·) and Q₂(s, ·).
        log_probs: log π(· | s); of what is not legal so low that its probability is 0, and finite.
        temperature: α.
    """
    return jnp.sum(jnp.exp(log_probs) * (jnp.minimum(*qualities) - temperature * log_probs), -1)


def soft_targets(
    rewards: Float[Array, "*batch"],
    next_values: Float[Array, "*batch"],
    terminated: Bool[Array, "*batch"],
    discount: float | Float[Array, "..."],
) -> Float[Array, "*batch"]:
    """What critics are to say: r + γ V(s'), and r alone where nothing comes after. No gradient goes through it.

    A time limit is no termination: there, V(s') is what would have come (trap E11).

    Args:
        rewards: r.
        next_values: V(s'), by the older copies of the critics.
        terminated: Whether nothing comes after the step.
        discount: γ, one for all steps or one for each.
    """
    return jax.lax.stop_gradient(rewards + discount * jnp.where(terminated, 0.0, next_values))


def twin_critic_loss(
    qualities: tuple[Float[Array, "*batch"], Float[Array, "*batch"]], targets: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """½ (Q₁(s, a) − target)² + ½ (Q₂(s, a) − target)² of the actions that were done."""
    return 0.5 * ((qualities[0] - targets) ** 2 + (qualities[1] - targets) ** 2)


def actor_loss(
    qualities: tuple[Float[Array, "*batch"], Float[Array, "*batch"]],
    log_prob: Float[Array, "*batch"],
    temperature: Float[Array, ""],
) -> Float[Array, "*batch"]:
    """α log π(a | s) − min(Q₁, Q₂)(s, a) of a draw with derivatives, which also the critics' inputs must pass on."""
    return -soft_value(qualities, log_prob, jax.lax.stop_gradient(temperature))


def actor_loss_of_all(
    qualities: tuple[Float[Array, "*batch actions"], Float[Array, "*batch actions"]],
    log_probs: Float[Array, "*batch actions"],
    temperature: Float[Array, ""],
) -> Float[Array, "*batch"]:
    """Σ_a π(a | s) (α log π(a | s) − min(Q₁, Q₂)(s, a)): its gradient is exact, and needs none of the critics'."""
    qualities = jax.lax.stop_gradient(qualities)
    return -soft_value_of_all(qualities, log_probs, jax.lax.stop_gradient(temperature))


def temperature_loss(
    log_temperature: Float[Array, ""], entropy: Float[Array, "*batch"], target: float | Float[Array, ""]
) -> Float[Array, "*batch"]:
    """The temperature's, log α · (H − H̄): α falls where the policy has more entropy H than is wanted, H̄.

    With log α in the place of the paper's α, as its authors' code has it: the sign of the slope is the same, and a
    temperature that has become small is not slow to rise again.

    Args:
        log_temperature: log α.
        entropy: H; of continuous actions −log π(a | s) of a draw. No gradient goes through it.
        target: H̄.
    """
    return log_temperature * jax.lax.stop_gradient(entropy - target)


def target_entropy(
    space: Space, share: float | Float[Array, ""], legal: Bool[Array, "*batch actions"] | None = None
) -> Any:
    """H̄: −1 for each entry of a continuous action (in units of half its range); a share of the greatest for others.

    Args:
        space: The action space.
        share: Of log A, the entropy of the uniform policy over A actions. 1 asks for a policy that learns nothing.
        legal: Which actions are legal; the greatest entropy is then that over those, `[*batch]`. None: all.
    """
    if not space.integers:
        return -float(space.encoded_size)
    nums = choices_of(space)
    if legal is None:
        return share * sum(math.log(num) for num in nums)
    ends = np.cumsum(nums)
    there = [jnp.sum(legal[..., end - num : end], -1) for num, end in zip(nums, ends, strict=True)]
    # A choice of which nothing is legal is free: see `categorical`, whose probabilities are then uniform.
    return share * sum(
        jnp.log(jnp.where(n == 0, num, n).astype(jnp.float32)) for n, num in zip(there, nums, strict=True)
    )


def polyak(target: PyTree[Array], online: PyTree[Array], rate: float | Float[Array, ""]) -> Any:
    """Averages of networks over time: (1 − τ) target + τ online, leaf by leaf; leaves of integers are the online ones.

    Args:
        target: The average so far.
        online: The network now.
        rate: τ.
    """

    def average(old: Array, new: Array) -> Array:
        return old + rate * (new - old) if jnp.issubdtype(new.dtype, jnp.inexact) else new

    return jax.tree.map(average, target, online)
