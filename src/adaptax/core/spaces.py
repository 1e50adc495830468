"""Spaces of observations and actions: what an array may hold, and how a network reads it."""

import dataclasses
import math
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.core.errors import UseError

WIDEST = 100.0
"""Half a range, at most, that counts as a scale of what is observed: bounds of ± 3.4e38 or ± 10⁶ promise nothing, and
whoever divided by them would see 0 everywhere (trap E33)."""


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0, …, `num` − 1.

    Attributes:
        num: How many there are.
    """

    num: int

    def __post_init__(self):
        if self.num < 1:
            raise UseError(f"Discrete(num): expected a positive integer, got {self.num!r}")

    @property
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""
        return self.num

    def encode(self, x: Int[Array, "*batch"]) -> Float[Array, "*batch {self.num}"]:
        """One-hot vector of `x`; all zeros for `null()`."""
        return jax.nn.one_hot(x, self.num)

    def encode_action(self, action: Int[Array, "*batch"]) -> Float[Array, "*batch {self.num}"]:
        """What a network reads of an action: the same."""
        return self.encode(action)

    def policy_action(self, action: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
        """What a policy's distribution is over: the action itself."""
        return action

    def from_policy(self, policy_action: Int[Array, ""]) -> Int[Array, ""]:
        """The inverse of `policy_action`, for one element."""
        return policy_action

    def clip(self, x: Int[Array, "*batch"]) -> Int[Array, "*batch"]:
        """What is done of an action: the action itself."""
        return x

    def null(self) -> Int[Array, ""]:
        """The element that stands for "nothing yet": −1, encoded as zeros."""
        return jnp.asarray(-1, jnp.int32)

    def contains(self, x: Int[Array, "*batch"]) -> Bool[Array, "*batch"]:
        """Whether `x` lies in the space."""
        return (x >= 0) & (x < self.num)

    def sample(self, key: Key[Array, ""]) -> Int[Array, ""]:
        """Draw uniformly."""
        return jax.random.randint(key, (), 0, self.num)


@dataclasses.dataclass(frozen=True)
class Box:
    """Arrays of one shape with entries between `low` and `high` (infinite where unbounded).

    Attributes:
        shape: Shape of the array. `(0,)` is "no observation at all", as in a bandit.
        low: Lower bound of every entry.
        high: Upper bound of every entry.
    """

    shape: tuple[int, ...]
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self):
        if not self.low < self.high:
            raise UseError(f"Box(low, high): expected low < high, got {self.low!r} and {self.high!r}")

    @property
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""
        return math.prod(self.shape)

    @property
    def bounded(self) -> bool:
        """Whether both bounds are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def center(self) -> float:
        """Middle of the range; 0 where it is infinite."""
        return (self.low + self.high) / 2 if self.bounded else 0.0

    @property
    def scale(self) -> float:
        """Half the range; 1 where it is infinite."""
        return (self.high - self.low) / 2 if self.bounded else 1.0

    def encode(self, x: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        """The entries of `x` as one vector, from −1 to 1 where the space is bounded by no more than ± `WIDEST`."""
        batch = x.shape[: x.ndim - len(self.shape)]
        entries = x.reshape(*batch, self.encoded_size)
        return entries if self.scale > WIDEST else (entries - self.center) / self.scale

    def encode_action(self, action: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        """The entries of an action as one vector, from −1 to 1 where the space is bounded: actions fill their range."""
        batch = action.shape[: action.ndim - len(self.shape)]
        return (action.reshape(*batch, self.encoded_size) - self.center) / self.scale

    def policy_action(self, action: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        """What a policy's distribution is over: the action, encoded."""
        return self.encode_action(action)

    def from_policy(self, policy_action: Float[Array, " features"]) -> Float[Array, "*shape"]:
        """The inverse of `policy_action`, for one element."""
        return (self.center + self.scale * policy_action).reshape(self.shape)

    def clip(self, x: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch_and_shape"]:
        """What is done of an action: it lies between the bounds; NaN stays NaN."""
        return jnp.clip(x, self.low, self.high)

    def null(self) -> Float[Array, "*shape"]:
        """The element that stands for "nothing yet": the middle of the range, encoded as zeros."""
        return jnp.full(self.shape, self.center, jnp.float32)

    def contains(self, x: Float[Array, "*shape"]) -> Bool[Array, ""]:
        """Whether one element lies in the space."""
        return jnp.all((x >= self.low) & (x <= self.high))

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*shape"]:
        """Draw uniformly between the bounds, or a standard normal where they are infinite."""
        if not self.bounded:
            return jax.random.normal(key, self.shape)
        return jax.random.uniform(key, self.shape, minval=self.low, maxval=self.high)


Space: TypeAlias = Discrete | Box
