"""Places that are computed, and what is drawn, as nodes of ONNX: an array is read and written by one number a place."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from adaptax.core.errors import UseError
from adaptax.deployment.export.onnx_entrywise import WORD, Entrywise
from adaptax.deployment.export.onnx_graph import Tensor, TensorProto, known
from adaptax.deployment.export.walk import dtype_of, missing, shape_of

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


class Windows(NamedTuple):
    """Which entries of an array windows of it have, as XLA's gather and scatter say it.

    Attributes:
        inside: Axes of the array of windows that are places within a window.
        hidden: Axes of the array that a window has one entry of.
        starts: Axes of the array that windows begin at, in the order of the places.
        batching: Axes of the array that are the same as one of the places'.
        batched: Those of the places.
        sizes: Of a window, along each axis of the array.
    """

    inside: Sequence[int]
    hidden: Sequence[int]
    starts: Sequence[int]
    batching: Sequence[int]
    batched: Sequence[int]
    sizes: Sequence[int]


class Places(Entrywise):
    """Reading and writing at places that are computed; sorting; drawing."""

    def _strides(self, shape: Sequence[Any]) -> list[str]:
        """How far apart neighbours are along each axis of an array without gaps."""
        strides, size = [self.integers(1)], 1
        for axis in range(len(shape) - 1, 0, -1):
            size = size * shape[axis]
            strides.append(self.length(size))
        return strides[::-1] if shape else []

    def _along(self, axis: int, length: Any, rank: int) -> str:
        """0, 1, 2, ... along one axis of several."""
        return self.counted(length, [-1 if a == axis else 1 for a in range(rank)])

    def _flat(
        self, of: Sequence[Any], windows: Windows, shape: Sequence[Any], places: Tensor, *, clipped: bool
    ) -> tuple[str, str]:
        """For each entry of an array of windows its number in the array that they are of, and whether it is there."""
        rank, strides = len(shape), self._strides(of)
        outer = [axis for axis in range(rank) if axis not in windows.inside]
        seen = [axis for axis in range(len(of)) if axis not in (*windows.hidden, *windows.batching)]
        terms, sound = [self.integers(0)], ""
        for axis, place in zip(seen, windows.inside, strict=True):
            terms.append(self.node("Mul", self._along(place, shape[place], rank), strides[axis]))
        for axis, place in zip(windows.batching, windows.batched, strict=True):
            terms.append(self.node("Mul", self._along(outer[place], shape[outer[place]], rank), strides[axis]))
        whole = self.cast(self.full(places), TensorProto.INT64)
        lead = [shape[axis] if axis in outer else 1 for axis in range(rank)]
        for number, axis in enumerate(windows.starts):
            one = self.node("Gather", whole, self.constant(np.int64(number)), axis=len(places.shape) - 1)
            begin = self.shaped(one, lead)
            most = self.node("Sub", self.length(of[axis]), self.integers(windows.sizes[axis]))
            within = self.node("Min", self.node("Max", begin, self.long(0)), most)
            if not clipped:
                same = self.node("Equal", begin, within)
                sound = self.node("And", sound, same) if sound else same
            terms.append(self.node("Mul", within, strides[axis]))
        total = terms[0]
        for term in terms[1:]:
            total = self.node("Add", total, term)
        return self.node("Expand", total, self.lengths(shape)), sound

    def do_gather(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Windows at places that are computed."""
        x, places = map(self.tensor, values)
        d, clipped = params["dimension_numbers"], "FILL" not in str(params["mode"])
        windows = Windows(
            d.offset_dims, d.collapsed_slice_dims, d.start_index_map, getattr(d, "operand_batching_dims", ()),
            getattr(d, "start_indices_batching_dims", ()), params["slice_sizes"],
        )  # fmt: skip
        flat, sound = self._flat(x.shape, windows, shape_of(avals[0]), places, clipped=clipped)
        found = self.node("Gather", self._in_one_row(x), flat)
        if sound:
            fill = self.tensor(missing(dtype_of(avals[0]), params["fill_value"]))
            found = self.node("Where", sound, found, fill.name)
        return self.made(found, avals[0])

    def _in_one_row(self, x: Tensor) -> str:
        return str(self.node("Reshape", self.full(x), self.integers(-1)))

    def do_scatter(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Windows replaced."""
        return self._scattered(params, values, avals, "none")

    def do_scatter_add(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Windows added to."""
        return self._scattered(params, values, avals, "add")

    def _scattered(self, params: Any, values: list[Any], avals: Any, reduction: str) -> Tensor:
        x, places, new = map(self.tensor, values)
        d = params["dimension_numbers"]
        hidden, batching = d.inserted_window_dims, getattr(d, "operand_batching_dims", ())
        seen = [axis for axis in range(len(x.shape)) if axis not in (*hidden, *batching)]
        sizes: list[Any] = [1] * len(x.shape)
        for axis, place in zip(seen, d.update_window_dims, strict=True):
            sizes[axis] = new.shape[place]
        windows = Windows(
            d.update_window_dims, hidden, d.scatter_dims_to_operand_dims, batching,
            getattr(d, "scatter_indices_batching_dims", ()), sizes,
        )  # fmt: skip
        flat, sound = self._flat(x.shape, windows, new.shape, places, clipped="CLIP" in str(params["mode"]))
        return self._put(x, flat, sound, new, avals[0], reduction)

    def _put(self, x: Tensor, flat: str, sound: str, new: Tensor, aval: Any, reduction: str) -> Tensor:
        """An array with numbers put at places, those that are not there behind its end, which is cut off."""
        row = self._in_one_row(x)
        end = self.node("Shape", row)
        zero = self.node("Cast", self.constant(np.zeros(1, np.float32)), to=self._kind(x.dtype))
        longer = self.node("Concat", row, zero, axis=0)
        where = self.node("Where", sound, flat, end) if sound else flat
        given = (self.node("Reshape", name, self.integers(-1)) for name in (where, self.full(new)))
        found = self.node("ScatterElements", longer, *given, axis=0, reduction=reduction)
        kept = self.node("Slice", found, self.integers(0), end)
        return self.made(self.shaped(kept, x.shape), aval)

    @staticmethod
    def _kind(dtype: str) -> int:
        from_kinds = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "bool": TensorProto.BOOL}
        return int(from_kinds.get(dtype, TensorProto.INT64))

    def _begins(self, starts: Sequence[Any], shape: Sequence[Any], sizes: Sequence[int]) -> str:
        """Where a window begins that lies within an array: a row."""
        if not all(map(known, shape)):
            raise UseError("export: ONNX has no way to write down a part of a batch whose place is computed")
        row = self.node(
            "Concat", *(self.shaped(self.cast(self.full(s), TensorProto.INT64), [1]) for s in starts), axis=0
        )
        most = self.integers(*(n - size for n, size in zip(shape, sizes, strict=True)))
        return str(self.node("Min", self.node("Max", row, self.long(0)), most))

    def do_dynamic_slice(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """A part whose place is computed."""
        x, sizes = self.tensor(values[0]), params["slice_sizes"]
        begin = self._begins(values[1:], x.shape, sizes)
        end = self.node("Add", begin, self.integers(*sizes))
        return self.made(self.node("Slice", self.full(x), begin, end), avals[0])

    def do_dynamic_update_slice(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """A part replaced."""
        x, new = map(self.tensor, values[:2])
        rank = len(x.shape)
        begin, strides = self._begins(values[2:], x.shape, new.shape), self._strides(x.shape)
        flat = self.integers(0)
        for axis in range(rank):
            one = self.node("Gather", begin, self.integers(axis))
            place = self.node("Add", self._along(axis, new.shape[axis], rank), one)
            flat = self.node("Add", flat, self.node("Mul", place, strides[axis]))
        return self._put(x, flat, "", new, avals[0], "none")

    def do_sort(self, params: Any, values: list[Any], avals: Any) -> list[Tensor]:
        """All in the order of the first."""
        if params["num_keys"] != 1:
            raise UseError("export: ONNX has no way to sort by several keys")
        axis, given = params["dimension"], [self.tensor(v) for v in values]
        length = self.length(given[0].shape[axis])
        _, order = self.node("TopK", self.full(given[0]), length, outputs=2, axis=axis, largest=0, sorted=1)
        return [
            self.made(self.node("GatherElements", self.full(x), order, axis=axis), aval)
            for x, aval in zip(given, avals, strict=True)
        ]

    # Random bits, as JAX's counter-based generator has them.

    def _threefry(self, first: str, second: str, counted: str) -> tuple[str, str]:
        """Salmon et al. 2011, 20 rounds, of 0 and a number."""

        def word(x: str) -> str:
            return str(self.node("BitwiseAnd", x, self.long(WORD)))

        def plus(x: str, y: str) -> str:
            return word(self.node("Add", x, y))

        def turned(x: str, places: int) -> str:
            left = word(self.node("Mul", x, self.long(1 << places)))
            return str(self.node("BitwiseOr", left, self.node("Div", x, self.long(1 << (32 - places)))))

        mixed = self.node("BitwiseXor", self.node("BitwiseXor", first, second), self.long(0x1BD11BDA))
        keys = (first, second, mixed)
        a, b = keys[0], plus(counted, keys[1])
        for group in range(5):
            for places in ROTATIONS[group % 2]:
                a = plus(a, b)
                b = self.node("BitwiseXor", turned(b, places), a)
            a = plus(a, keys[(group + 1) % 3])
            b = plus(self.node("Add", b, keys[(group + 2) % 3]), self.long(group + 1))
        return a, b

    def _drawn(self, value: Any, shape: Sequence[int]) -> tuple[str, str]:
        """Two words for each entry of an array, for each of some keys."""
        keys = self.tensor(value)
        whole, lead = self.full(keys), len(keys.shape) - 1

        def word(number: int) -> str:
            one = self.node("Gather", whole, self.constant(np.int64(number)), axis=lead)
            return str(self.node("Unsqueeze", one, self.integers(*range(lead, lead + len(shape)))) if shape else one)

        count = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        return self._threefry(word(0), word(1), self.constant(count))

    def do_random_bits(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """A word for each entry."""
        if params["bit_width"] != 32:
            raise UseError(f"export: ONNX has no way to draw words of {params['bit_width']} bits")
        drawn = self._drawn(values[0], params["shape"])
        return self.made(self.node("BitwiseXor", *drawn), avals[0])

    def do_random_split(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """New keys."""
        return self.made(self._side_by_side(*self._drawn(values[0], params["shape"])), avals[0])

    def do_random_fold_in(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """A key of a key and a number."""
        keys, number = self.tensor(values[0]), self.tensor(values[1])
        whole = self.full(keys)
        first, second = (
            self.node("Gather", whole, self.constant(np.int64(n)), axis=len(keys.shape) - 1) for n in range(2)
        )
        counted = self._converted(self.full(number), number.dtype, "uint32")
        return self.made(self._side_by_side(*self._threefry(first, second, counted)), avals[0])

    def _side_by_side(self, first: str, second: str) -> str:
        ends = [self.node("Unsqueeze", x, self.integers(-1)) for x in (first, second)]
        return str(self.node("Concat", *ends, axis=-1))
