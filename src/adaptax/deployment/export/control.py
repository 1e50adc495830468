"""Loops, choices, places that are computed, and random bits: what is more than arithmetic, as nested loops."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from adaptax.core.errors import UseError
from adaptax.deployment.export.loops import Loops, View, strides_of
from adaptax.deployment.export.walk import dtype_of, missing, shape_of


class Programs(Loops):
    """All that an agent computes."""

    # Loops and choices.

    def do_scan(self, params: Any, values: list[Any], avals: Any) -> list[View]:
        """A loop over time."""
        consts, carries, length = params["num_consts"], params["num_carry"], params["length"]
        fixed, begun, xs = values[:consts], values[consts : consts + carries], values[consts + carries :]
        carry = [self.copied(x) for x in begun]
        outs = [self.buffer(shape_of(aval), dtype_of(aval)) for aval in avals[carries:]]
        with self.loops([length]) as (step,):
            now = f"({length - 1} - {step})" if params["reverse"] else step
            slices = [self._along(self.view(x), now) for x in xs]
            found = self.inline(params["jaxpr"], [*fixed, *carry, *slices])
            for out, y in zip(outs, found[carries:], strict=True):
                self.copy(self._along(out, now), y)
            self._replace(carry, found[:carries])
        return [*carry, *outs]

    def do_while(self, params: Any, values: list[Any], avals: Any) -> list[View]:
        """A loop until something is so."""
        a, b = params["cond_nconsts"], params["body_nconsts"]
        asked, done, begun = values[:a], values[a : a + b], values[a + b :]
        carry = [self.copied(x) for x in begun]
        with self.block("for (;;)"):
            (goes_on,) = self.inline(params["cond_jaxpr"], [*asked, *carry])
            self.say(f"if (!{self.read(goes_on, ())}) break;")
            self._replace(carry, self.inline(params["body_jaxpr"], [*done, *carry]))
        return carry

    def do_cond(self, params: Any, values: list[Any], avals: Any) -> list[View]:
        """One of several."""
        which, *rest = values
        outs = [self.buffer(shape_of(aval), dtype_of(aval)) for aval in avals]
        last = len(params["branches"]) - 1
        for number, branch in enumerate(params["branches"]):
            sign = "<=" if number == 0 else "==" if number < last else ">="
            with self.block(f"if ({self.read(which, ())} {sign} {number})"):
                for out, x in zip(outs, self.inline(branch, rest), strict=True):
                    self.copy(out, x)
        return outs

    @staticmethod
    def _along(x: View, step: str) -> View:
        """What an array has at a time."""
        begun = x.moved([step, *["0"] * (len(x.shape) - 1)])
        return dataclasses.replace(begun, shape=x.shape[1:], strides=x.strides[1:])

    def _replace(self, carry: list[View], found: Sequence[Any]) -> None:
        """Put what an iteration has found where the next one reads it, none before all are read."""
        mine = {x.buffer for x in carry}
        apart = [
            self.copied(x) if isinstance(x, View) and x.buffer in mine and x != old else x
            for old, x in zip(carry, found, strict=True)
        ]
        for old, x in zip(carry, apart, strict=True):
            if not (isinstance(x, View) and x == old):
                self.copy(old, x)

    # Places that are computed.

    def _within(self, place: str, most: int) -> str:
        """A variable with a place that is at least 0 and at most `most`."""
        name = self.buffer((), "int32").at(())
        self.say(f"{name} = {place};")
        self.say(f"{name} = {name} < 0 ? 0 : {name} > {most} ? {most} : {name};")
        return name

    def do_dynamic_slice(self, params: Any, values: list[Any], avals: Any) -> View:
        """A view."""
        x, sizes = self.view(values[0]), params["slice_sizes"]
        index = [
            self._within(self.read(start, ()), n - size)
            for start, n, size in zip(values[1:], x.shape, sizes, strict=True)
        ]
        return dataclasses.replace(x.moved(index), shape=tuple(sizes))

    def do_dynamic_update_slice(self, params: Any, values: list[Any], avals: Any) -> View:
        """A copy, part of which is replaced."""
        out, new = self.copied(values[0]), values[1]
        index = [
            self._within(self.read(start, ()), n - size)
            for start, n, size in zip(values[2:], out.shape, new.shape, strict=True)
        ]
        self.copy(dataclasses.replace(out.moved(index), shape=tuple(new.shape)), new)
        return out

    def do_argmax(self, params: Any, values: list[Any], avals: Any) -> View:
        """The place of the first largest."""
        return self._place(">", params, values, avals)

    def do_argmin(self, params: Any, values: list[Any], avals: Any) -> View:
        """The place of the first smallest."""
        return self._place("<", params, values, avals)

    def _place(self, sign: str, params: Any, values: list[Any], avals: Any) -> View:
        (x,), (axis,) = values, params["axes"]
        out = self.buffer(avals[0].shape, str(avals[0].dtype))
        with self.loops(out.shape) as outer:
            best = self.name("b")
            self.say(f"{self.dialect.number('int32')} {best} = 0;")
            with self.loops([x.shape[axis]]) as (place,):
                now, before = ([*outer[:axis], i, *outer[axis:]] for i in (place, best))
                self.say(f"if ({self.read(x, now)} {sign} {self.read(x, before)}) {best} = {place};")
            self.say(f"{out.at(outer)} = {best};")
        return out

    def do_cumsum(self, params: Any, values: list[Any], avals: Any) -> View:
        """Running sums."""
        (x,), axis = values, params["axis"]
        out = self.buffer(avals[0].shape, str(avals[0].dtype))
        others = [n if a != axis else 1 for a, n in enumerate(out.shape)]
        with self.loops(others) as outer:
            total = self.name("s")
            self.say(f"{self.dialect.number(out.dtype)} {total} = 0;")
            with self.loops([out.shape[axis]]) as (place,):
                at = f"{out.shape[axis] - 1} - {place}" if params["reverse"] else place
                index = [*outer[:axis], at, *outer[axis + 1 :]]
                self.say(f"{total} += {self.read(x, index)};")
                self.say(f"{out.at(index)} = {total};")
        return out

    def do_gather(self, params: Any, values: list[Any], avals: Any) -> View:
        """As XLA defines it: windows of an array, at places that are computed."""
        x, places = values
        where, sizes, mode = params["dimension_numbers"], params["slice_sizes"], str(params["mode"])
        out = self.buffer(shape_of(avals[0]), dtype_of(avals[0]))
        batching = getattr(where, "operand_batching_dims", ())
        batched = getattr(where, "start_indices_batching_dims", ())
        hidden = (*where.collapsed_slice_dims, *batching)
        windows = [axis for axis in range(len(x.shape)) if axis not in hidden]
        with self.loops(out.shape) as index:
            outer = [i for axis, i in enumerate(index) if axis not in where.offset_dims]
            inside = dict(zip(windows, [index[a] for a in where.offset_dims], strict=True))
            inside |= {a: outer[b] for a, b in zip(batching, batched, strict=True)}
            starts, sound = self._starts(
                places, outer, where.start_index_map, x.shape, sizes, clipped="FILL" not in mode
            )
            at = [_sum(inside.get(axis, "0"), starts.get(axis, "0")) for axis in range(len(x.shape))]
            if "FILL" not in mode:
                self.say(f"{out.at(index)} = {self.read(x, at)};")
            else:
                absent = self.dialect.literal(missing(out.dtype, params["fill_value"])[()])
                self.say(f"{out.at(index)} = {absent};")
                self.say(f"if ({sound}) {out.at(index)} = {self.read(x, at)};")
        return out

    def _starts(
        self, places: Any, outer: list[str], axes: Any, shape: Any, sizes: Any, *, clipped: bool
    ) -> tuple[dict[int, str], str]:
        """Where a window begins along each of `axes`, and whether it lies within the array."""
        starts, conditions = {}, []
        for number, axis in enumerate(axes):
            read, most = self.read(places, [*outer, str(number)]), shape[axis] - sizes[axis]
            if clipped:
                starts[axis] = self._within(read, most)
                continue
            starts[axis] = self.buffer((), "int32").at(())
            self.say(f"{starts[axis]} = {read};")
            conditions.append(f"{starts[axis]} >= 0 && {starts[axis]} <= {most}")
        return starts, " && ".join(conditions) or "1"

    def do_scatter(self, params: Any, values: list[Any], avals: Any) -> View:
        """Windows of an array replaced, at places that are computed."""
        return self._scatter("=", params, values)

    def do_scatter_add(self, params: Any, values: list[Any], avals: Any) -> View:
        """The same, added to what is there."""
        return self._scatter("+=", params, values)

    def _scatter(self, sign: str, params: Any, values: list[Any]) -> View:
        x, places, updates = values
        where, mode = params["dimension_numbers"], str(params["mode"])
        out = self.copied(x)
        batching = getattr(where, "operand_batching_dims", ())
        batched = getattr(where, "scatter_indices_batching_dims", ())
        hidden = (*where.inserted_window_dims, *batching)
        windows = [axis for axis in range(len(out.shape)) if axis not in hidden]
        inner = dict(zip(windows, where.update_window_dims, strict=True))
        sizes = [updates.shape[inner[axis]] if axis in inner else 1 for axis in range(len(out.shape))]
        with self.loops(updates.shape) as index:
            outer = [i for axis, i in enumerate(index) if axis not in where.update_window_dims]
            inside = {axis: index[place] for axis, place in inner.items()}
            inside |= {a: outer[b] for a, b in zip(batching, batched, strict=True)}
            axes, clipped = where.scatter_dims_to_operand_dims, "CLIP" in mode
            starts, sound = self._starts(places, outer, axes, out.shape, sizes, clipped=clipped)
            at = [_sum(inside.get(axis, "0"), starts.get(axis, "0")) for axis in range(len(out.shape))]
            self.say(f"if ({sound}) {out.at(at)} {sign} {self.read(updates, index)};")
        return out

    def do_sort(self, params: Any, values: list[Any], avals: Any) -> list[View]:
        """By insertion, all arrays in the order of the first."""
        if params["num_keys"] != 1:
            raise UseError(f"export: {self.target} has no way to sort by several keys")
        outs, axis = [self.copied(x) for x in values], params["dimension"]
        shape = outs[0].shape
        with (
            self.loops([n if a != axis else 1 for a, n in enumerate(shape)]) as others,
            self.loops([shape[axis]]) as (i,),
        ):
            j = self.name("j")
            here, before = ([*others[:axis], at, *others[axis + 1 :]] for at in (j, f"({j} - 1)"))
            self.say(f"{self.dialect.number('int32')} {j} = {i};")
            with self.block(f"while ({j} > 0 && {outs[0].at(here)} < {outs[0].at(before)})"):
                for out in outs:
                    kept = self.name("k")
                    self.say(f"{self.dialect.number(out.dtype)} {kept} = {out.at(here)};")
                    self.say(f"{out.at(here)} = {out.at(before)};")
                    self.say(f"{out.at(before)} = {kept};")
                self.say(f"{j}--;")
        return outs

    # Random bits, as JAX's counter-based generator has them.

    def do_random_bits(self, params: Any, values: list[Any], avals: Any) -> View:
        """A word for each entry of an array: the number of the entry, enciphered with the key."""
        if params["bit_width"] != 32:
            raise UseError(f"export: {self.target} has no way to draw words of {params['bit_width']} bits")
        keys, shape = values[0], tuple(params["shape"])
        out = self.buffer(shape_of(avals[0]), "uint32")
        self._drawn(
            keys, shape, out, lambda at: f"{out.at(at)} = {self.dialect.wrapped('uint32', '(pair[0] ^ pair[1])')};"
        )
        return out

    def do_random_split(self, params: Any, values: list[Any], avals: Any) -> View:
        """Two words for each new key."""
        keys, shape = values[0], tuple(params["shape"])
        out = self.buffer(shape_of(avals[0]), "uint32")
        self._drawn(keys, shape, out, lambda at: f"{out.at([*at, '0'])} = pair[0]; {out.at([*at, '1'])} = pair[1];")
        return out

    def do_random_fold_in(self, params: Any, values: list[Any], avals: Any) -> View:
        """The number enciphered with the key."""
        keys, number = values
        out = self.buffer(shape_of(avals[0]), "uint32")
        with self.loops(out.shape[:-1]) as index:
            first, second = (self.read(keys, [*index, part]) for part in "01")
            word = self.dialect.wrapped("uint32", self.read(number, index[: len(number.shape)]))
            self.say(f"threefry({first}, {second}, 0, {word}, pair);")
            self.say(f"{out.at([*index, '0'])} = pair[0]; {out.at([*index, '1'])} = pair[1];")
        return out

    def _drawn(self, keys: Any, shape: tuple[int, ...], out: View, put: Any) -> None:
        lead = len(keys.shape) - 1
        with self.loops(keys.shape[:-1]) as index, self.loops(shape) as inner:
            terms = [f"{i} * {stride}" for i, stride in zip(inner, strides_of(shape), strict=True)]
            first, second = (self.read(keys, [*index, part]) for part in "01")
            self.say(f"threefry({first}, {second}, 0, {' + '.join(terms) or '0'}, pair);")
            self.say(put([*index, *inner]))
        assert len(out.shape) >= lead + len(shape)


def _sum(a: str, b: str) -> str:
    return a if b == "0" else b if a == "0" else f"({a} + {b})"
