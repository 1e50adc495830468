"""Spaces of observations and actions: what an array may hold, and how a network reads it.

An element is always one array. Structures are vectors with named parts (`Dict`, `Tuple`): a `flatten` makes them.
"""

import abc
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.core.errors import UseError

WIDEST = 100.0
"""Half a range, at most, that counts as a scale of what is observed: bounds of ± 3.4e38 or ± 10⁶ promise nothing, and
whoever divided by them would see 0 everywhere (trap E33)."""
BOUNDLESS = 1e30
"""Bounds of this size or more are none."""


class Space(abc.ABC):
    """What all spaces have in common.

    Attributes:
        shape: Shape of an element.
        dtype: Type of an element's entries.
    """

    shape: tuple[int, ...]
    dtype: Any

    @property
    @abc.abstractmethod
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""

    @abc.abstractmethod
    def encode(self, x: Any) -> Float[Array, "*batch features"]:
        """An element as a network reads it, for any batch axes."""

    @abc.abstractmethod
    def null(self) -> Array:
        """The element that stands for "nothing yet"."""

    @abc.abstractmethod
    def sample(self, key: Key[Array, ""]) -> Array:
        """Draw uniformly."""

    @abc.abstractmethod
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest value of each entry, `[*shape]`; infinite where there is none."""

    def encode_action(self, action: Any) -> Float[Array, "*batch features"]:
        """What a network reads of an action: the same."""
        return self.encode(action)

    def policy_action(self, action: Any) -> Any:
        """What a policy's distribution is over: the action itself."""
        return action

    def from_policy(self, policy_action: Any) -> Any:
        """The inverse of `policy_action`, for one element."""
        return policy_action

    def clip(self, x: Any) -> Any:
        """What is done of an action: the action itself."""
        return x

    @property
    def bounded(self) -> bool:
        """Whether all limits are finite."""
        return bool(np.isfinite(self.limits()).all())

    @property
    def integers(self) -> bool:
        """Whether entries are integers."""
        return bool(np.issubdtype(np.dtype(self.dtype), np.integer))

    @property
    def numeric(self) -> Bool[np.ndarray, " features"]:
        """Of each feature, whether it is an amount, for which a mean and a deviation mean something."""
        return np.zeros(self.encoded_size, bool)

    @property
    def mask_place(self) -> slice | None:
        """Where features tell which actions are legal; None: all are."""
        return None

    def legal(self, features: Float[Array, "*batch features"]) -> Bool[Array, "*batch actions"] | None:
        """Which actions are legal, as what `encode` returned tells; None: all."""
        place = self.mask_place
        if place is None:
            return None
        allowed = features[..., place] > 0.5
        return allowed | ~jnp.any(allowed, -1, keepdims=True)

    def legal_in(self, x: Any) -> Bool[Array, "*batch actions"] | None:
        """Which actions are legal where `x` is observed; None: all."""
        return None if self.mask_place is None else self.legal(self.encode(x))

    @property
    def images(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Images among the features: where each begins, and its shape."""
        return ()

    def contains(self, x: Array) -> Bool[Array, "*batch"]:
        """Whether `x` lies in the space, for any batch axes."""
        low, high = (_beside(limit.astype(x.dtype), x) for limit in self.limits())
        inside = (x >= low) & (x <= high)
        return jnp.all(inside, tuple(range(inside.ndim - len(self.shape), inside.ndim)))


def _beside(entries: np.ndarray, x: Array) -> np.ndarray:
    """A number for each entry of an element, with axes of length 1 for the batch axes of `x`."""
    return np.reshape(entries, (1,) * (x.ndim - entries.ndim) + entries.shape)


@dataclasses.dataclass(frozen=True)
class Discrete(Space):
    """The integers 0, …, `num` − 1.

    Attributes:
        num: How many there are.
    """

    num: int

    shape = ()
    dtype = jnp.int32

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

    def null(self) -> Int[Array, ""]:
        """The element that stands for "nothing yet": −1, encoded as zeros."""
        return jnp.asarray(-1, jnp.int32)

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """0 and `num` − 1."""
        return np.asarray(0), np.asarray(self.num - 1)

    def contains(self, x: Int[Array, "*batch"]) -> Bool[Array, "*batch"]:
        """Whether `x` lies in the space."""
        return (x >= 0) & (x < self.num)

    def sample(self, key: Key[Array, ""]) -> Int[Array, ""]:
        """Draw uniformly."""
        return jax.random.randint(key, (), 0, self.num)


@dataclasses.dataclass(frozen=True)
class MultiDiscrete(Space):
    """Several choices at once: a vector of integers, the k-th from 0 to `nums[k]` − 1.

    A policy makes them independently of each other, given what it sees. `MultiDiscrete((2,) * n)` is what Gymnasium
    calls MultiBinary.

    Attributes:
        nums: How many there are to choose from, choice by choice.
    """

    nums: tuple[int, ...]

    dtype = jnp.int32

    def __post_init__(self):
        object.__setattr__(self, "nums", tuple(int(num) for num in self.nums))
        if not self.nums or min(self.nums) < 1:
            raise UseError(f"MultiDiscrete(nums): expected positive integers, got {self.nums!r}")

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """As many as there are choices."""
        return (len(self.nums),)

    @property
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""
        return sum(self.nums)

    def encode(self, x: Int[Array, "*batch choices"]) -> Float[Array, "*batch {self.encoded_size}"]:
        """One-hot vectors of all choices, one after the other; all zeros for `null()`."""
        return jnp.concatenate([jax.nn.one_hot(x[..., k], num) for k, num in enumerate(self.nums)], -1)

    def null(self) -> Int[Array, " choices"]:
        """The element that stands for "nothing yet": −1, encoded as zeros."""
        return jnp.full(self.shape, -1, jnp.int32)

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """0, and one less than the number of each choice."""
        return np.zeros(self.shape, int), np.asarray(self.nums) - 1

    def sample(self, key: Key[Array, ""]) -> Int[Array, " choices"]:
        """Draw uniformly."""
        return jax.random.randint(key, self.shape, 0, jnp.asarray(self.nums))


@dataclasses.dataclass(frozen=True)
class Box(Space):
    """Arrays of one shape with entries between `low` and `high` (infinite where unbounded).

    Attributes:
        shape: Shape of the array. `(0,)` is "no observation at all", as in a bandit.
        low: Lower bound, of all entries or, as nested sequence or array of the shape, of each.
        high: Upper bound, likewise. Bounds of 1e30 and more are none.
    """

    shape: tuple[int, ...]
    low: Any = -math.inf
    high: Any = math.inf

    dtype = jnp.float32

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        for name in ("low", "high"):
            object.__setattr__(self, name, self._bound(getattr(self, name)))
        low, high = self.limits()
        if not (low < high).all():
            raise UseError(f"Box(low, high): expected low < high, got {self.low!r} and {self.high!r}")

    def _bound(self, given: Any) -> float | tuple[float, ...]:
        """A bound as a number, or as one for each entry if they differ."""
        bound = np.asarray(given, np.float64)
        if bound.ndim and bound.shape != self.shape and bound.shape != (math.prod(self.shape),):
            raise UseError(f"Box(low, high): expected a number or one for each entry of {self.shape}, got {given!r}")
        bound = np.where(np.abs(bound) >= BOUNDLESS, np.copysign(math.inf, bound), bound).ravel()
        if np.ndim(given) == 0 or (bound.size and (bound == bound[0]).all()):
            return float(bound[0])
        return tuple(bound.tolist())

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The bounds of each entry."""
        low, high = (np.asarray(bound, np.float64) for bound in (self.low, self.high))
        low, high = (bound.reshape(self.shape) if bound.ndim else bound for bound in (low, high))
        return np.broadcast_to(low, self.shape), np.broadcast_to(high, self.shape)

    @property
    def bounded(self) -> bool:
        """Whether all bounds are finite."""
        return bool(np.isfinite([*np.atleast_1d(self.low), *np.atleast_1d(self.high)]).all())

    @property
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""
        return math.prod(self.shape)

    @property
    def numeric(self) -> Bool[np.ndarray, " features"]:
        """All features are amounts."""
        return np.ones(self.encoded_size, bool)

    @property
    def _alike(self) -> bool:
        """Whether all entries have the same bounds."""
        return not isinstance(self.low, tuple) and not isinstance(self.high, tuple)

    @property
    def center(self) -> Any:
        """Middle of the range; 0 where it is infinite. A number, or an array of the shape where entries differ."""
        if self._alike:
            return (self.low + self.high) / 2 if self.bounded else 0.0
        low, high = self.limits()
        finite = np.isfinite(low) & np.isfinite(high)
        return np.where(finite, (np.where(finite, low, 0) + np.where(finite, high, 0)) / 2, 0).astype(np.float32)

    @property
    def scale(self) -> Any:
        """Half the range; 1 where it is infinite. A number, or an array of the shape where entries differ."""
        if self._alike:
            return (self.high - self.low) / 2 if self.bounded else 1.0
        low, high = self.limits()
        finite = np.isfinite(low) & np.isfinite(high)
        return np.where(finite, (np.where(finite, high, 1) - np.where(finite, low, -1)) / 2, 1).astype(np.float32)

    def encode(self, x: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        """The entries of `x` as one vector, from −1 to 1 where the space is bounded by no more than ± `WIDEST`."""
        center, scale = self.center, self.scale
        if self._alike:
            flat = self._flat(x)
            return flat if scale > WIDEST else (flat - center) / scale
        narrow = scale <= WIDEST
        return self._flat((x - _beside(np.where(narrow, center, 0), x)) / _beside(np.where(narrow, scale, 1), x))

    def encode_action(self, action: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        """The entries of an action as one vector, from −1 to 1 where the space is bounded: actions fill their range."""
        if self._alike:
            return (self._flat(action) - self.center) / self.scale
        return self._flat((action - _beside(self.center, action)) / _beside(self.scale, action))

    def _flat(self, x: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        return x.reshape(*x.shape[: x.ndim - len(self.shape)], self.encoded_size)

    def policy_action(self, action: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch features"]:
        """What a policy's distribution is over: the action, encoded."""
        return self.encode_action(action)

    def from_policy(self, policy_action: Float[Array, " features"]) -> Float[Array, "*shape"]:
        """The inverse of `policy_action`, for one element."""
        if self._alike:
            return (self.center + self.scale * policy_action).reshape(self.shape)
        return self.center + self.scale * policy_action.reshape(self.shape)

    def clip(self, x: Float[Array, "*batch_and_shape"]) -> Float[Array, "*batch_and_shape"]:
        """What is done of an action: it lies between the bounds; NaN stays NaN."""
        if self._alike:
            return jnp.clip(x, self.low, self.high)
        low, high = (_beside(bound.astype(np.float32), x) for bound in self.limits())
        return jnp.clip(x, low, high)

    def null(self) -> Float[Array, "*shape"]:
        """The element that stands for "nothing yet": the middle of the range, encoded as zeros."""
        return jnp.full(self.shape, self.center, jnp.float32)

    def contains(self, x: Float[Array, "*shape"]) -> Bool[Array, ""]:
        """Whether one element lies in the space."""
        low, high = (self.low, self.high) if self._alike else (bound.astype(np.float32) for bound in self.limits())
        return jnp.all((x >= low) & (x <= high))

    def sample(self, key: Key[Array, ""]) -> Float[Array, "*shape"]:
        """Draw uniformly between the bounds, or a standard normal where one of them is infinite."""
        if self._alike:
            if not self.bounded:
                return jax.random.normal(key, self.shape)
            return jax.random.uniform(key, self.shape, minval=self.low, maxval=self.high)
        low, high = self.limits()
        finite = np.isfinite(low) & np.isfinite(high)
        low, high = (np.where(finite, bound, end).astype(np.float32) for bound, end in ((low, 0), (high, 1)))
        between = jax.random.uniform(key, self.shape, minval=low, maxval=high)
        return between if finite.all() else jnp.where(finite, between, jax.random.normal(key, self.shape))


def sample_legal(space: Space, legal: Bool[Array, " actions"] | None, key: Key[Array, ""]) -> Array:
    """Draw one action uniformly, of those that are legal (`Space.legal` of what is observed); None: of all."""
    if legal is None:
        return space.sample(key)
    scores = jnp.where(legal, 0.0, -jnp.inf)
    if isinstance(space, Discrete):
        return jax.random.categorical(key, scores).astype(jnp.int32)
    assert isinstance(space, MultiDiscrete)
    keys, ends = jax.random.split(key, len(space.nums)), np.cumsum(space.nums)
    parts = [(scores[end - num : end], k) for num, end, k in zip(space.nums, ends, keys, strict=True)]
    return jnp.stack([jax.random.categorical(k, part) for part, k in parts]).astype(jnp.int32)
