"""Observations that are images or masks of legal actions, and those with parts: vectors whose pieces are read apart."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.spaces import Box, Discrete, MultiDiscrete, Space

_CHOICES = (Discrete, MultiDiscrete)


class Image(Box):
    """Images of whole numbers from 0 to 255, `[height, width, channels]`; networks read them by convolutions.

    Attributes:
        shape: Height, width, channels.
    """

    dtype = jnp.uint8

    def __init__(self, shape: Sequence[int]):
        super().__init__(tuple(shape), 0.0, 255.0)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise UseError(f"Image(shape): expected (height, width, channels), got {shape!r}")

    @property
    def numeric(self) -> Bool[np.ndarray, " features"]:
        """Brightness has a scale of its own."""
        return np.zeros(self.encoded_size, bool)

    @property
    def images(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Itself."""
        return ((0, self.shape),)

    def encode(self, x: Array) -> Float[Array, "*batch features"]:
        """Brightness from −.5 to .5, as one vector."""
        return self._flat(x).astype(jnp.float32) / 255 - 0.5

    def contains(self, x: Array) -> Bool[Array, "*batch"]:
        """Whatever the type can hold."""
        return jnp.ones(x.shape[: x.ndim - 3], bool)

    def null(self) -> Array:
        """A black image."""
        return jnp.zeros(self.shape, jnp.uint8)

    def sample(self, key: Key[Array, ""]) -> Array:
        """Draw uniformly."""
        return jax.random.randint(key, self.shape, 0, 256).astype(jnp.uint8)


class ActionMask(Box):
    """Which actions are legal: 1 or 0 for each, as an observation or as a part of one.

    Illegal actions have probability 0 wherever a policy acts or learns. Of several choices at once (`MultiDiscrete`),
    masks of all choices stand one after the other. A mask that allows nothing allows everything.

    Attributes:
        num: Number of actions; of several choices, the sum.
    """

    def __init__(self, num: int):
        super().__init__((num,), 0.0, 1.0)

    @property
    def num(self) -> int:
        """Number of actions."""
        return self.shape[0]

    @property
    def numeric(self) -> Bool[np.ndarray, " features"]:
        """A mask is no amount."""
        return np.zeros(self.encoded_size, bool)

    @property
    def mask_place(self) -> slice | None:
        """All of it."""
        return slice(0, self.num)

    def encode(self, x: Float[Array, "*batch actions"]) -> Float[Array, "*batch features"]:
        """The mask itself."""
        return x

    def null(self) -> Float[Array, " actions"]:
        """All are legal."""
        return jnp.ones(self.shape)


class Dict(Box):
    """Observations with named parts.

    An element is one vector, part after part in the order of their names; categories stand in it as zeros and ones.
    An environment returns `space.flatten({"position": x, "kind": 3, "action_mask": legal})`; whoever asks an `Agent`
    may give it the dictionary.

    Attributes:
        parts: The spaces by name, sorted.
    """

    parts: tuple[tuple[str, Space], ...]

    def __init__(self, parts: Mapping[str, Space]):
        if not parts or not all(isinstance(space, Space) for space in parts.values()):
            raise UseError(f"Dict(parts): expected a space for each name, got {parts!r}")
        self._set_parts(tuple(sorted(parts.items())))

    def _set_parts(self, parts: tuple[tuple[str, Space], ...]) -> None:
        object.__setattr__(self, "parts", parts)
        low, high = zip(*(_limits(space) for _, space in parts), strict=True)
        super().__init__((sum(len(x) for x in low),), np.concatenate(low), np.concatenate(high))
        if sum(space.mask_place is not None for _, space in parts) > 1:
            raise UseError(f"{type(self).__name__}(parts): expected at most one mask of actions, got {parts!r}")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.parts == other.parts  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.parts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={space!r}' for name, space in self.parts)})"

    def _raw_places(self) -> list[slice]:
        """Where the parts stand in an element."""
        return _places([_raw_size(space) for _, space in self.parts])

    def raw_parts(self) -> list[tuple[Space, slice]]:
        """The parts' spaces, and where they stand in an element."""
        return [(space, place) for (_, space), place in zip(self.parts, self._raw_places(), strict=True)]

    def _places(self) -> list[slice]:
        """Where the parts stand among the features."""
        return _places([space.encoded_size for _, space in self.parts])

    def flatten(self, parts: Mapping[str, Any]) -> Float[Array, "*batch size"]:
        """An element from its parts, for any batch axes; parts of parts are called "outer.inner".

        Raises:
            UseError: if a part is missing, or one is there that the space has not.
        """
        parts = _unnested(parts)
        if set(parts) != {name for name, _ in self.parts}:
            raise UseError(
                f"flatten(): expected the parts {', '.join(name for name, _ in self.parts)}; found "
                f"{', '.join(map(str, parts)) or 'none'}"
            )
        return jnp.concatenate([_raw(space, jnp.asarray(parts[name])) for name, space in self.parts], -1)

    @property
    def encoded_size(self) -> int:
        """Number of features that `encode` returns."""
        return sum(space.encoded_size for _, space in self.parts)

    def encode(self, x: Float[Array, "*batch size"]) -> Float[Array, "*batch features"]:
        """Each part as its own space has it."""
        pieces = [(space, x[..., place]) for (_, space), place in zip(self.parts, self._raw_places(), strict=True)]
        return jnp.concatenate(
            [
                piece if isinstance(space, _CHOICES) else space.encode(piece.reshape(*piece.shape[:-1], *space.shape))
                for space, piece in pieces
            ],
            -1,
        )

    @property
    def numeric(self) -> Bool[np.ndarray, " features"]:
        """Of each feature, whether it is an amount."""
        return np.concatenate([space.numeric for _, space in self.parts])

    @property
    def mask_place(self) -> slice | None:
        """Where features tell which actions are legal."""
        for (_, space), place in zip(self.parts, self._places(), strict=True):
            if space.mask_place is not None:
                return _shifted(space.mask_place, place.start)
        return None

    @property
    def images(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Images among the features."""
        found = zip(self.parts, self._places(), strict=True)
        return tuple((place.start + at, shape) for (_, space), place in found for at, shape in space.images)

    def null(self) -> Float[Array, " size"]:
        """Nothing yet, part by part."""
        return jnp.concatenate([_raw(space, space.null()) for _, space in self.parts])

    def sample(self, key: Key[Array, ""]) -> Float[Array, " size"]:
        """Draw each part uniformly."""
        keys = jax.random.split(key, len(self.parts))
        return jnp.concatenate([_raw(space, space.sample(k)) for (_, space), k in zip(self.parts, keys, strict=True)])


class Tuple(Dict):
    """The same of parts without names: `space.flatten((x, 3))`.

    Attributes:
        spaces: The parts.
    """

    def __init__(self, spaces: Sequence[Space]):
        if not spaces or not all(isinstance(space, Space) for space in spaces):
            raise UseError(f"Tuple(spaces): expected spaces, got {spaces!r}")
        self._set_parts(tuple((str(index), space) for index, space in enumerate(spaces)))

    def flatten(self, parts: Mapping[str, Any] | Sequence[Any]) -> Float[Array, "*batch size"]:
        """An element from its parts, for any batch axes.

        Raises:
            UseError: if they are not as many as the space has.
        """
        named = parts if isinstance(parts, Mapping) else {str(index): part for index, part in enumerate(parts)}
        return super().flatten(named)


class Encoded(Box):
    """What networks read of a space, and some more numbers behind it, as a space of its own.

    Attributes:
        of: The space.
        more: How many numbers follow.
    """

    of: Space
    more: int

    def __init__(self, of: Space, more: int = 0):
        object.__setattr__(self, "of", of)
        object.__setattr__(self, "more", more)
        super().__init__((of.encoded_size + more,))

    def __eq__(self, other: object) -> bool:
        return type(other) is Encoded and (self.of, self.more) == (other.of, other.more)

    def __hash__(self) -> int:
        return hash((self.of, self.more))

    def __repr__(self) -> str:
        return f"Encoded({self.of!r}, {self.more})"

    @property
    def numeric(self) -> Bool[np.ndarray, " features"]:
        """Those of the space, and all others."""
        return np.concatenate([self.of.numeric, np.ones(self.more, bool)])

    @property
    def mask_place(self) -> slice | None:
        """That of the space."""
        return self.of.mask_place

    @property
    def images(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Those of the space."""
        return self.of.images


def _unnested(parts: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Parts of parts, in one dictionary."""
    found: dict[str, Any] = {}
    for name, part in parts.items():
        if isinstance(part, Mapping):
            found |= _unnested(part, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = part
    return found


def _raw_size(space: Space) -> int:
    return space.encoded_size if isinstance(space, _CHOICES) else int(np.prod(space.shape, dtype=int))


def _raw(space: Space, x: Array) -> Float[Array, "*batch size"]:
    """A part as it stands in an element."""
    if isinstance(space, _CHOICES):
        return space.encode(x)
    if x.shape[x.ndim - len(space.shape) :] != space.shape:
        raise UseError(f"flatten(): expected a part of shape {space.shape}, got {x.shape}")
    return x.reshape(*x.shape[: x.ndim - len(space.shape)], _raw_size(space)).astype(jnp.float32)


def _limits(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """The limits of a part as it stands in an element."""
    if isinstance(space, _CHOICES):
        return np.zeros(space.encoded_size), np.ones(space.encoded_size)
    low, high = space.limits()
    return np.ravel(low), np.ravel(high)


def _places(sizes: Sequence[int]) -> list[slice]:
    ends = list(itertools.accumulate(sizes))
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _shifted(place: slice, by: int) -> slice:
    return slice(place.start + by, place.stop + by)
