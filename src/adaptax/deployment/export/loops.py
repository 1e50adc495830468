"""Programs as nested loops over arrays of fixed shape: what C and JavaScript have in common.

A value that is not known is a *view*: a buffer, where it begins and how far apart neighbours are along each axis.
So what only moves numbers about (broadcasting, slices, transposes) costs nothing.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from adaptax.deployment.export.entrywise import Dialect, expression
from adaptax.deployment.export.walk import Walk, dtype_of, shape_of

Index: TypeAlias = Sequence[str]
"""An expression for the place along each axis."""


def strides_of(shape: Sequence[int]) -> tuple[int, ...]:
    """How far apart neighbours are in an array without gaps."""
    strides, size = [], 1
    for length in reversed(shape):
        strides.append(size)
        size *= length
    return tuple(reversed(strides))


@dataclasses.dataclass(frozen=True)
class View:
    """Numbers of a buffer.

    Attributes:
        buffer: The buffer's name.
        dtype: What kind of numbers.
        shape: How many along each axis.
        strides: How far apart neighbours are along each.
        offset: Where the first is: an expression.
    """

    buffer: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: str = "0"

    def at(self, index: Index) -> str:
        """The number at a place."""
        terms = [] if self.offset == "0" else [self.offset]
        for place, stride, length in zip(index, self.strides, self.shape, strict=True):
            if stride and length > 1 and place != "0":
                terms.append(place if stride == 1 else f"{_factor(place)} * {stride}")
        return f"{self.buffer}[{' + '.join(terms) or '0'}]"

    def moved(self, index: Index) -> "View":
        """The same, beginning elsewhere."""
        inside = self.at(index)[len(self.buffer) + 1 : -1]
        return dataclasses.replace(self, offset=inside)

    @property
    def whole(self) -> bool:
        """Whether it has no gaps."""
        return all(a == b or n == 1 for a, b, n in zip(self.strides, strides_of(self.shape), self.shape, strict=True))


def _factor(place: str) -> str:
    return place if place.isidentifier() or place.isdigit() else f"({place})"


class Loops(Walk):
    """Writes a program's statements; `lines` has them when all is done, `constants` what they read."""

    def __init__(self, dialect: Dialect):
        self.dialect, self.target = dialect, dialect.name
        self.lines: list[str] = []
        self.buffers: dict[str, tuple[str, int]] = {}
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[tuple[str, bytes], str] = {}
        self._depth = self._names = 0
        self.ends: list[int] = []
        """Numbers of lines after which an operation is written: nothing of it is read later but arrays."""

    def operation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        """The statements of one operation."""
        found = super().operation(equation, values)
        if not self._depth:
            self.ends.append(len(self.lines))
        return found

    # Statements.

    def say(self, line: str) -> None:
        """Write a line."""
        self.lines.append("  " * (self._depth + 1) + line)

    def name(self, letter: str) -> str:
        """A name that nothing has."""
        self._names += 1
        return f"{letter}{self._names}"

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        """What is written meanwhile stands in braces behind `head`."""
        self.say(head + " {")
        self._depth += 1
        yield
        self._depth -= 1
        self.say("}")

    @contextlib.contextmanager
    def loops(self, shape: Sequence[int]) -> Iterator[list[str]]:
        """Loops over all places of an array; gives their names."""
        with contextlib.ExitStack() as open_blocks:
            names = []
            for length in shape:
                if length == 1:
                    names.append("0")
                    continue
                i = self.name("i")
                head = self.dialect.loop.format(i=i, n=length)
                open_blocks.enter_context(self.block(head))
                names.append(i)
            yield names

    def buffer(self, shape: Sequence[int], dtype: str) -> View:
        """Room for an array."""
        name = self.name("v")
        self.buffers[name] = (dtype, int(np.prod(shape, dtype=np.int64)))
        return View(name, dtype, tuple(shape), strides_of(shape))

    # Values.

    def view(self, value: Any) -> View:
        """A value that can be read from; what is known becomes a constant of the file."""
        if isinstance(value, View):
            return value
        if value.size > 1 and (value == value.reshape(-1)[0]).all():
            shape, one = value.shape, np.ascontiguousarray(value.reshape(-1)[:1])
            return dataclasses.replace(self.view(one), shape=shape, strides=(0,) * len(shape))
        value = np.ascontiguousarray(value)
        key = str(value.dtype), value.tobytes()
        if key not in self._known:
            self._known[key] = self.name("c")
            self.constants[self._known[key]] = value.reshape(-1)
        return View(self._known[key], str(value.dtype), value.shape, strides_of(value.shape))

    def read(self, value: Any, index: Index) -> str:
        """An expression for a number; one that is known and small stands there itself."""
        if isinstance(value, np.ndarray) and not value.size:  # in a loop that nothing goes through
            return self.dialect.literal(np.zeros((), value.dtype)[()])
        if isinstance(value, np.ndarray) and (value == value.reshape(-1)[0]).all():
            return self.dialect.literal(value.reshape(-1)[0])
        return self.view(value).at(index)

    def fill(self, out: View, number: Callable[[list[str]], str]) -> None:
        """Set every entry."""
        with self.loops(out.shape) as index:
            self.say(f"{out.at(index)} = {number(index)};")

    def copied(self, value: Any) -> View:
        """The same numbers without gaps."""
        out = self.buffer(value.shape, str(value.dtype))
        self.copy(out, value)
        return out

    def copy(self, out: View, value: Any) -> None:
        """Put a value there."""
        if isinstance(value, View) and value.whole and out.whole:
            size = int(np.prod(out.shape, dtype=np.int64))
            out, value = (dataclasses.replace(x, shape=(size,), strides=(1,)) for x in (out, value))
        self.fill(out, lambda i: self.read(value, i))

    def word(self, value: View, number: int) -> View:
        """A view."""
        begun = value.moved([*["0"] * (len(value.shape) - 1), str(number)])
        return dataclasses.replace(begun, shape=value.shape[:-1], strides=value.strides[:-1])

    def joined(self, first: Any, second: Any) -> View:
        """Side by side."""
        shape = (*first.shape, 2)
        return self.do_stack({"axis": len(shape) - 1}, [first, second], [jax.ShapeDtypeStruct(shape, np.uint32)])

    # Entry by entry.

    def elementwise(self, name: str, params: Any, values: list[Any], aval: Any) -> View | None:
        """One loop, flat if nothing has gaps."""
        shape, dtype = shape_of(aval), dtype_of(aval)
        kinds = [dtype_of(v) for v in values]
        whole = all(v.whole for v in values if isinstance(v, View) and v.shape)
        alike = all(tuple(v.shape) == shape or v.shape == () for v in values)
        flat = (int(np.prod(shape, dtype=np.int64)),) if shape and whole and alike else shape
        if expression(self.dialect, name, params, ["0"] * len(values), kinds, dtype) is None:
            return None
        out = self.buffer(shape, dtype)

        def number(index: list[str]) -> str:
            read = [self.read(v, index if v.shape else ()) for v in map(flattened, values)]
            return expression(self.dialect, name, params, read, kinds, dtype) or ""

        def flattened(v: Any) -> Any:
            if flat == shape or not v.shape:
                return v
            return dataclasses.replace(v, shape=flat, strides=(1,)) if isinstance(v, View) else v.reshape(-1)

        self.fill(dataclasses.replace(out, shape=flat, strides=strides_of(flat)), number)
        return out

    # What moves numbers about.

    def do_broadcast_in_dim(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view."""
        x, shape = self.view(values[0]), tuple(params["shape"])
        strides = [0] * len(shape)
        for place, axis in enumerate(params["broadcast_dimensions"]):
            strides[axis] = x.strides[place] if x.shape[place] == shape[axis] else 0
        return dataclasses.replace(x, shape=shape, strides=tuple(strides))

    def do_reshape(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view, of a copy where there are gaps."""
        x, shape = self.view(values[0]), tuple(params["new_sizes"])
        if [n for n in x.shape if n != 1] == [n for n in shape if n != 1]:  # axes of length 1 come or go
            kept = iter([s for n, s in zip(x.shape, x.strides, strict=True) if n != 1])
            return dataclasses.replace(x, shape=shape, strides=tuple(0 if n == 1 else next(kept) for n in shape))
        if not x.whole:
            x = self.copied(x)
        return dataclasses.replace(x, shape=shape, strides=strides_of(shape))

    def do_squeeze(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view."""
        x, gone = self.view(values[0]), set(params["dimensions"])
        kept = [axis for axis in range(len(x.shape)) if axis not in gone]
        return dataclasses.replace(x, shape=tuple(x.shape[a] for a in kept), strides=tuple(x.strides[a] for a in kept))

    def do_expand_dims(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view."""
        return self.do_reshape({"new_sizes": avals[0].shape}, values, avals)

    def do_transpose(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view."""
        x, order = self.view(values[0]), params["permutation"]
        return dataclasses.replace(
            x, shape=tuple(x.shape[a] for a in order), strides=tuple(x.strides[a] for a in order)
        )

    def do_slice(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view."""
        x, steps = self.view(values[0]), params["strides"] or [1] * len(values[0].shape)
        begun = x.moved([str(i) for i in params["start_indices"]])
        strides = tuple(s * k for s, k in zip(x.strides, steps, strict=True))
        return dataclasses.replace(begun, shape=tuple(avals[0].shape), strides=strides)

    def do_split(self, params: Any, values: list[Any], avals: Any) -> list[View]:
        """Views."""
        x, axis, begin, found = self.view(values[0]), params["axis"], 0, []
        for length in params["sizes"]:
            index = ["0"] * len(x.shape)
            index[axis] = str(begin)
            shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
            found.append(dataclasses.replace(x.moved(index), shape=shape))
            begin += length
        return found

    def do_rev(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view that goes backwards."""
        x = self.view(values[0])
        turned = set(params["dimensions"])
        begun = x.moved([str(n - 1) if a in turned else "0" for a, n in enumerate(x.shape)])
        return dataclasses.replace(begun, strides=tuple(-s if a in turned else s for a, s in enumerate(x.strides)))

    def do_concatenate(self, params: Any, values: list[Any], avals: Any) -> View:
        """One after the other."""
        out, axis, begin = self.buffer(avals[0].shape, str(avals[0].dtype)), params["dimension"], 0
        for x in values:
            index = ["0"] * len(out.shape)
            index[axis] = str(begin)
            self.copy(dataclasses.replace(out.moved(index), shape=tuple(x.shape)), x)
            begin += x.shape[axis]
        return out

    def do_stack(self, params: Any, values: list[Any], avals: Any) -> View:
        """Side by side along a new axis."""
        out, axis = self.buffer(avals[0].shape, str(avals[0].dtype)), params.get("axis", params.get("dimension", 0))
        for place, x in enumerate(values):
            index = ["0"] * len(out.shape)
            index[axis] = str(place)
            begun = out.moved(index)
            kept = [a for a in range(len(out.shape)) if a != axis]
            self.copy(dataclasses.replace(begun, shape=tuple(x.shape), strides=tuple(out.strides[a] for a in kept)), x)
        return out

    def do_tile(self, params: Any, values: list[Any], avals: Any) -> View:
        """Again and again."""
        x, times, out = values[0], params["reps"], self.buffer(avals[0].shape, str(avals[0].dtype))
        for place in np.ndindex(*times):
            begin = [str(p * n) for p, n in zip(place, x.shape, strict=True)]
            self.copy(dataclasses.replace(out.moved(begin), shape=tuple(x.shape)), x)
        return out

    def do_pad(self, params: Any, values: list[Any], avals: Any) -> View:
        """With a border."""
        x, border = values
        out = self.buffer(avals[0].shape, str(avals[0].dtype))
        self.fill(out, lambda _: self.read(border, ()))
        begun = out.moved([str(low) for low, _, _ in params["padding_config"]])
        self.copy(dataclasses.replace(begun, shape=tuple(x.shape)), x)
        return out

    # Sums and products.

    def do_dot_general(self, params: Any, values: list[Any], avals: Any) -> View:
        """Products of matrices; the innermost loop is along the result, so that it can be made of vectors."""
        ((left_sum, right_sum), (left_batch, right_batch)) = params["dimension_numbers"]
        left, right = values
        out = self.buffer(avals[0].shape, str(avals[0].dtype))
        num_left, num_right = len(left.shape), len(right.shape)
        left_free = [a for a in range(num_left) if a not in (*left_sum, *left_batch)]
        right_free = [a for a in range(num_right) if a not in (*right_sum, *right_batch)]
        rows = len(left_batch) + len(left_free)
        self.fill(out, lambda _: self.dialect.literal(np.zeros((), out.dtype)[()]))
        with self.loops(out.shape[:rows]) as outer, self.loops([left.shape[a] for a in left_sum]) as summed:
            left_index, right_index = ["0"] * num_left, ["0"] * num_right
            for place, axis in enumerate((*left_batch, *left_free)):
                left_index[axis] = outer[place]
            for place, axis in enumerate(left_sum):
                left_index[axis] = summed[place]
            factor = self.name("x")
            self.say(f"{self.dialect.number(out.dtype)} {factor} = {self.read(left, left_index)};")
            with self.loops(out.shape[rows:]) as inner:
                for place, axis in enumerate(right_batch):
                    right_index[axis] = outer[place]
                for place, axis in enumerate(right_sum):
                    right_index[axis] = summed[place]
                for place, axis in enumerate(right_free):
                    right_index[axis] = inner[place]
                self.say(f"{out.at([*outer, *inner])} += {factor} * {self.read(right, right_index)};")
        return out

    def reduce(self, name: str, params: Any, values: list[Any], avals: Any, begin: Any) -> View:
        """Reduce axes by an operation of two numbers, beginning with one."""
        x, axes = values[0], params["axes"]
        out = self.buffer(avals[0].shape, str(avals[0].dtype))
        kinds = [out.dtype, out.dtype]
        with self.loops(out.shape) as outer:
            total = self.name("s")
            self.say(f"{self.dialect.number(out.dtype)} {total} = {self.dialect.literal(begin)};")
            with self.loops([x.shape[a] for a in axes]) as inner:
                places, rest = dict(zip(axes, inner, strict=True)), iter(outer)
                index = [places[a] if a in places else next(rest) for a in range(len(x.shape))]
                said = expression(self.dialect, name, {}, [total, self.read(x, index)], kinds, out.dtype)
                self.say(f"{total} = {said};")
            self.say(f"{out.at(outer)} = {total};")
        return out

    def do_reduce_sum(self, params: Any, values: list[Any], avals: Any) -> View:
        """Sums."""
        return self.reduce("add", params, values, avals, np.zeros((), avals[0].dtype)[()])

    def do_reduce_prod(self, params: Any, values: list[Any], avals: Any) -> View:
        """Products."""
        return self.reduce("mul", params, values, avals, np.ones((), avals[0].dtype)[()])

    def do_reduce_max(self, params: Any, values: list[Any], avals: Any) -> View:
        """The largest."""
        return self.reduce("max", params, values, avals, _end(avals[0].dtype, -1))

    def do_reduce_min(self, params: Any, values: list[Any], avals: Any) -> View:
        """The smallest."""
        return self.reduce("min", params, values, avals, _end(avals[0].dtype, 1))

    def do_reduce_and(self, params: Any, values: list[Any], avals: Any) -> View:
        """Whether all."""
        return self.reduce("and", params, values, avals, np.bool_(True))

    def do_reduce_or(self, params: Any, values: list[Any], avals: Any) -> View:
        """Whether any."""
        return self.reduce("or", params, values, avals, np.bool_(False))


def _end(dtype: Any, sign: int) -> Any:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return kind.type(sign * np.inf)
    if kind.kind == "b":
        return np.bool_(sign > 0)
    return kind.type(np.iinfo(kind).max if sign > 0 else np.iinfo(kind).min)
