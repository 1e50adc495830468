"""Many small arrays as one. What a compiled program is given and returns costs by the piece, however small it is."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core.types import key_data, shape_of_key_data, wrap_key_data

WORD, TRUTH = np.dtype(np.uint32), np.dtype(bool)


class Packing:
    """Which of some arrays go into one vector of 32-bit words, bit by bit, and where in it each is.

    Args:
        shapes: Shapes and types of the arrays.
        limit: Those of more words than this stay as they are, as do those that have entries of another size.
        apart: Places of arrays that stay as they are in any case.
    """

    def __init__(self, shapes: Sequence[Any], limit: float = math.inf, apart: Sequence[int] = ()):
        self._shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in shapes]
        self._data = [shape_of_key_data(x) for x in self._shapes]
        fit = [_fits(x) and math.prod(x.shape) <= limit for x in self._data]
        self.packed = [place for place, fits in enumerate(fit) if fits and place not in apart]
        if len(self.packed) < 2:
            self.packed = []
        self.apart = [place for place in range(len(fit)) if place not in self.packed]
        ends = list(itertools.accumulate(math.prod(self._data[place].shape) for place in self.packed))
        self._slices = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        self.size = ends[-1] if ends else 0

    def pack(self, values: Sequence[Any]) -> list[Any]:
        """The vector, if there is something in it, and the arrays that stay as they are; in a program."""
        words = [_as_words(key_data(values[place])).reshape(-1) for place in self.packed]
        return [*([jnp.concatenate(words)] if words else []), *(values[place] for place in self.apart)]

    def unpack(self, arrays: Sequence[Any]) -> list[Any]:
        """All arrays, of what `pack` returned; in a program."""
        vector, *apart = arrays if self.packed else [None, *arrays]
        found = dict(zip(self.apart, apart, strict=True))
        for place, part in zip(self.packed, self._slices, strict=True):
            data = self._data[place]
            words = jax.lax.slice_in_dim(vector, part.start, part.stop).reshape(data.shape)
            found[place] = wrap_key_data(_of_words(words, data.dtype), self._shapes[place])
        return [found[place] for place in range(len(found))]

    def pack_on_host(self, values: Sequence[Any]) -> list[np.ndarray]:
        """What `pack` returns, of NumPy's arrays and in a new one."""
        apart = [values[place] for place in self.apart]
        if not self.packed:
            return apart
        vector = np.empty(self.size, WORD)
        for place, part in zip(self.packed, self._slices, strict=True):
            value = values[place]
            vector[part] = np.ravel(value if value.dtype == TRUTH else value.view(WORD))
        return [vector, *apart]

    def unpack_on_host(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """All arrays, of what `pack` returned in a program."""
        vector, *apart = map(np.asarray, arrays) if self.packed else [np.empty(0, WORD), *map(np.asarray, arrays)]
        found = dict(zip(self.apart, apart, strict=True))
        for place, part in zip(self.packed, self._slices, strict=True):
            data = self._data[place]
            words = vector[part]
            found[place] = (words != 0 if data.dtype == TRUTH else words.view(data.dtype)).reshape(data.shape)
        return [found[place] for place in range(len(found))]


def _fits(data: Any) -> bool:
    """Whether entries are of 32 bits, or of one."""
    return data.dtype == TRUTH or data.dtype in (jnp.float32, jnp.int32, jnp.uint32)


def _as_words(x: Any) -> Any:
    return jax.lax.convert_element_type(x, WORD) if x.dtype == TRUTH else jax.lax.bitcast_convert_type(x, WORD)


def _of_words(words: Any, dtype: Any) -> Any:
    return words != 0 if dtype == TRUTH else jax.lax.bitcast_convert_type(words, dtype)
