"""Spaces of observations and actions: what an array may hold, and how a network reads it."""

import dataclasses
import math
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers 0, …, `num` − 1.

    Attributes:
        num: How many there are.
    """

    num: int

    def __post_init__(self):
        if self.num < 1:
            raise ValueError(f"Discrete(num): expected a positive integer, got {self.num!r}")

    @property
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""
        return self.num

    def encode(self, x: Int[Array, "*batch"]) -> Float[Array, "*batch {self.num}"]:
        """One-hot vector of `x`; all zeros for `null()`."""
        return jax.nn.one_hot(x, self.num)

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
            raise ValueError(f"Box(low, high): expected low < high, got {self.low!r} and {self.high!r}")

    @property
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""
        return math.prod(self.shape)

    def encode(self, x: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        """The entries of `x` as one vector."""
        batch = x.shape[: x.ndim - len(self.shape)]
        return x.reshape(*batch, self.encoded_size)

    def null(self) -> Float[Array, "*shape"]:
        """The element that stands for "nothing yet": zeros."""
        return jnp.zeros(self.shape, jnp.float32)

    def contains(self, x: Float[Array, "*shape"]) -> Bool[Array, ""]:
        """Whether one element lies in the space."""
        return jnp.all((x >= self.low) & (x <= self.high))

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*shape"]:
        """Draw uniformly between the bounds, or a standard normal where they are infinite."""
        if math.isinf(self.low) or math.isinf(self.high):
            return jax.random.normal(key, self.shape)
        return jax.random.uniform(key, self.shape, minval=self.low, maxval=self.high)


Space: TypeAlias = Discrete | Box
