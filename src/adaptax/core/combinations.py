"""Several choices at once, as one among all their combinations."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from adaptax.core.spaces import MultiDiscrete, Space


def choices_of(space: Space) -> tuple[int, ...]:
    """How many there are to choose from, choice by choice; of continuous actions there are no choices."""
    if isinstance(space, MultiDiscrete):
        return space.nums
    return (space.encoded_size,) if space.integers else ()


def over_combinations(
    parts: Array, nums: tuple[int, ...], combine: Callable[[Array, Array], Array]
) -> Float[Array, "*batch combinations"]:
    """What each combination of several choices has, the first choice changing slowest: its choices' own, combined.

    Args:
        parts: What each choice has, `[*batch, Σ nums]`, one after the other.
        nums: How many there are of each.
        combine: Of two numbers one: a sum of log-probabilities, a product of one-hot vectors.
    """
    joint = parts[..., : nums[0]]
    for num, end in zip(nums[1:], np.cumsum(nums)[1:], strict=True):
        joint = combine(joint[..., :, None], parts[..., None, end - num : end])
        joint = joint.reshape(*joint.shape[:-2], -1)
    return joint


def combination(space: Space, action: Int[Array, "*batch_and_shape"]) -> Int[Array, "*batch"]:
    """Which of all combinations an action is; a single choice is one."""
    if not isinstance(space, MultiDiscrete):
        return action
    index = action[..., 0]
    for k, num in enumerate(space.nums[1:], 1):
        index = index * num + action[..., k]
    return index


def of_combination(space: Space, index: Int[Array, "*batch"]) -> Int[Array, "*batch_and_shape"]:
    """The inverse of `combination`; of −1, which is none, −1 for each choice."""
    if not isinstance(space, MultiDiscrete):
        return index
    choices, rest = [], index
    for num in reversed(space.nums):
        choices.append(rest % num)
        rest = rest // num
    return jnp.where(index[..., None] < 0, -1, jnp.stack(choices[::-1], -1))
