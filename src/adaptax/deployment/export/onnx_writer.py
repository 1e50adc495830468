"""An agent's programs as ONNX, one file for each, for a batch of any size: every input and output has it first."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from adaptax.core.errors import UseError
from adaptax.deployment.export.onnx_graph import BATCH, KINDS, OUTSIDE, Tensor, TensorProto, helper, known
from adaptax.deployment.export.onnx_places import Places
from adaptax.deployment.export.traced import Exported, Program
from adaptax.deployment.export.walk import MOVES, dtype_of, shape_of

REDUCED = {
    "reduce_sum": "ReduceSum", "reduce_prod": "ReduceProd", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin",
    "reduce_and": "ReduceMin", "reduce_or": "ReduceMax",
}  # fmt: skip


class Onnx(Places):
    """Operations as nodes."""

    @staticmethod
    def _worth_knowing(equation: Any, values: list[Any]) -> bool:
        if not all(known(n) for x in equation.outvars for n in x.aval.shape):
            return False  # nobody knows how large the batch is
        return Places._worth_knowing(equation, values)

    def operation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        """What only moves known numbers about waits for what needs them."""
        name = equation.primitive.name
        if name in REDUCED and any(isinstance(v, Tensor) for v in values):
            return [self._reduced(name, equation.params, self.tensor(values[0]), equation.outvars[0].aval)]
        if name in MOVES and not all(isinstance(v, np.ndarray) for v in values[1:]):
            values = values[:1]  # lengths of a batch are inputs of these, and known by the shape
        return super().operation(equation, values)

    def word(self, value: Tensor, number: int) -> Tensor:
        """Along the last axis."""
        axis = len(value.shape) - 1
        place = 0 if axis in value.thin else number
        found = self.node("Gather", value.name, self.constant(np.int64(place)), axis=axis)
        return Tensor(found, "uint32", value.shape[:-1], value.thin - {axis})

    def joined(self, first: Any, second: Any) -> Tensor:
        """Side by side."""
        one, two = self.tensor(first), self.tensor(second)
        return Tensor(self._side_by_side(self.full(one), self.full(two)), "uint32", (*one.shape, 2))

    # What moves numbers about.

    def do_iota(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """0, 1, 2, ... along an axis."""
        shape, axis = shape_of(avals[0]), params["dimension"]
        found = self.cast(self._along(axis, shape[axis], len(shape)), KINDS[dtype_of(avals[0])])
        thin = frozenset(a for a, n in enumerate(shape) if a != axis and n != 1)
        return self.made(found, avals[0], thin)

    def do_broadcast_in_dim(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """As thin as it was."""
        x, shape, axes = self.tensor(values[0]), shape_of(avals[0]), tuple(params["broadcast_dimensions"])
        new = [axis for axis in range(len(shape)) if axis not in axes]
        found = self.node("Unsqueeze", x.name, self.integers(*new)) if new else x.name
        thin = {axis for axis in new if shape[axis] != 1}
        for place, axis in enumerate(axes):
            if place in x.thin or (_is(x.shape[place], 1) and not _is(shape[axis], 1)):
                thin.add(axis)
        return self.made(found, avals[0], frozenset(thin))

    def do_reshape(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Other axes."""
        return self.made(self.shaped(self.full(values[0]), shape_of(avals[0])), avals[0])

    do_expand_dims = do_reshape

    def do_squeeze(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Without axes of one entry."""
        x, gone = self.tensor(values[0]), set(params["dimensions"])
        kept = [axis for axis in range(len(x.shape)) if axis not in gone]
        thin = frozenset(place for place, axis in enumerate(kept) if axis in x.thin)
        return self.made(self.node("Squeeze", x.name, self.integers(*sorted(gone))) if gone else x.name, avals[0], thin)

    def do_transpose(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Other order."""
        x, order = self.tensor(values[0]), tuple(params["permutation"])
        thin = frozenset(place for place, axis in enumerate(order) if axis in x.thin)
        return self.made(self.node("Transpose", x.name, perm=order), avals[0], thin)

    def do_slice(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """A part."""
        x, shape = self.tensor(values[0]), shape_of(avals[0])
        steps = params["strides"] or [1] * len(x.shape)
        cut = [
            (axis, begin, end, step)
            for axis, (begin, end, step) in enumerate(
                zip(params["start_indices"], params["limit_indices"], steps, strict=True)
            )
            if axis not in x.thin and not (_is(begin, 0) and end == x.shape[axis] and step == 1)
        ]
        if any(not known(n) for _, *numbers in cut for n in numbers):
            raise UseError("export: ONNX has no way to write down a part of a batch")
        found = x.name
        if cut:
            axes, begins, ends, strides = (self.integers(*row) for row in zip(*cut, strict=True))
            found = self.node("Slice", found, begins, ends, axes, strides)
        return self.made(found, avals[0], frozenset(axis for axis in x.thin if not _is(shape[axis], 1)))

    def do_split(self, params: Any, values: list[Any], avals: Any) -> list[Tensor]:
        """Parts."""
        axis, sizes = params["axis"], params["sizes"]
        found = self.node("Split", self.full(values[0]), self.integers(*sizes), outputs=len(sizes), axis=axis)
        return [self.made(n, a) for n, a in zip([found] if len(sizes) == 1 else found, avals, strict=True)]

    def do_rev(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Backwards."""
        return self.made(self._turned(self.full(values[0]), params["dimensions"]), avals[0])

    def _turned(self, name: str, axes: Sequence[int]) -> str:
        first, last, step = ([n] * len(axes) for n in (-1, -(2**62), -1))
        return str(self.node("Slice", name, *(self.integers(*row) for row in (first, last, axes, step))))

    def do_concatenate(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """One after the other."""
        return self.made(self.node("Concat", *map(self.full, values), axis=params["dimension"]), avals[0])

    def do_stack(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Side by side along a new axis."""
        axis = params.get("axis", params.get("dimension", 0))
        parts = [self.node("Unsqueeze", self.full(x), self.integers(axis)) for x in values]
        return self.made(self.node("Concat", *parts, axis=axis), avals[0])

    def do_tile(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Again and again."""
        return self.made(self.node("Tile", self.full(values[0]), self.integers(*params["reps"])), avals[0])

    def do_pad(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """With a border."""
        config = [tuple(x) for x in params["padding_config"]]
        border = self.integers(*(low for low, _, _ in config), *(high for _, high, _ in config))
        return self.made(self.node("Pad", self.full(values[0]), border, self.full(values[1])), avals[0])

    # Sums and products.

    def _reduced(self, name: str, params: Any, x: Tensor, aval: Any) -> Tensor:
        given, flag, axes = self.full(x), x.dtype == "bool", self.integers(*params["axes"])
        found = self.node(REDUCED[name], self.cast(given, TensorProto.INT32) if flag else given, axes, keepdims=0)
        if dtype_of(aval) == "uint32":
            found = self.narrow(found, "uint32")
        return self.made(self.cast(found, TensorProto.BOOL) if flag else found, aval)

    def do_argmax(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """The place of the first largest."""
        return self._place("ArgMax", params, values, avals)

    def do_argmin(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """The place of the first smallest."""
        return self._place("ArgMin", params, values, avals)

    def _place(self, operator: str, params: Any, values: list[Any], avals: Any) -> Tensor:
        found = self.node(operator, self.full(values[0]), axis=params["axes"][0], keepdims=0)
        return self.made(self.cast(found, KINDS[dtype_of(avals[0])]), avals[0])

    def do_cumsum(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """Running sums."""
        axis, reverse = self.constant(np.int64(params["axis"])), int(params["reverse"])
        return self.made(self.node("CumSum", self.full(values[0]), axis, reverse=reverse), avals[0])

    def do_dot_general(self, params: Any, values: list[Any], avals: Any) -> Tensor:
        """A product of matrices, or what `Einsum` says."""
        ((left_sum, right_sum), (left_batch, right_batch)) = params["dimension_numbers"]
        left, right = map(self.tensor, values)
        names = self.full(left), self.full(right)
        if (
            not left_batch and tuple(left_sum) == (len(left.shape) - 1,) and tuple(right_sum) == (0,)
            and len(right.shape) == 2
        ):  # fmt: skip
            return self.made(self.node("MatMul", *names), avals[0])
        letters = iter("abcdefghijklmnopqrstuvwxyz")
        of_left, of_right = [next(letters) for _ in left.shape], [next(letters) for _ in right.shape]
        for x, y in zip((*left_sum, *left_batch), (*right_sum, *right_batch), strict=True):
            of_right[y] = of_left[x]
        lead = [of_left[x] for x in left_batch]
        rows = [n for axis, n in enumerate(of_left) if axis not in (*left_sum, *left_batch)]
        columns = [n for axis, n in enumerate(of_right) if axis not in (*right_sum, *right_batch)]
        said = f"{''.join(of_left)},{''.join(of_right)}->{''.join([*lead, *rows, *columns])}"
        return self.made(self.node("Einsum", *names, equation=said), avals[0])

    # Loops and branches.

    def _info(self, name: str, aval: Any) -> Any:
        shape = [n if known(n) else None for n in shape_of(aval)]
        return helper.make_tensor_value_info(name, KINDS[dtype_of(aval)], shape)

    def _graph(self, nodes: list[Any], inputs: list[Any], outputs: list[tuple[str, Any]]) -> Any:
        """A body; what it puts out are nodes of its own, as ONNX asks for."""
        named = []
        for name, aval in outputs:
            own = self.name()
            nodes.append(helper.make_node("Identity", [name], [own]))
            flag = helper.make_tensor_value_info(own, TensorProto.BOOL, [])
            named.append(flag if aval is None else self._info(own, aval))
        return helper.make_graph(nodes, self.name(), inputs, named)

    def _loop(self, trips: str, goes_on: str, carry: list[str], body: Any, num_outs: int) -> list[str]:
        outs = self.node("Loop", trips, goes_on, *carry, outputs=max(num_outs, 1), body=body)
        return [outs] if num_outs <= 1 else list(outs)

    def do_scan(self, params: Any, values: list[Any], avals: Any) -> list[Tensor]:
        """A loop."""
        consts, carries, length = params["num_consts"], params["num_carry"], params["length"]
        steps = [a.aval if hasattr(a, "aval") else a for a in params["jaxpr"].jaxpr.outvars]
        carry = [self.full(x) for x in values[consts : consts + carries]]
        through = [self.tensor(x) for x in values[consts + carries :]]
        through_whole = [self.full(x) for x in through]
        number, flag, mine = self.name(), self.name(), [self.name() for _ in carry]
        with self.inside() as nodes:
            place = self.node("Sub", self.long(length - 1), number) if params["reverse"] else number
            slices = [
                Tensor(self.node("Gather", name, place), x.dtype, x.shape[1:])
                for x, name in zip(through, through_whole, strict=True)
            ]
            kept = [self.made(n, a) for n, a in zip(mine, avals, strict=False)]
            found = self.inline(params["jaxpr"], [*values[:consts], *kept, *slices])
            outs = [(flag, None), *((self.full(x), a) for x, a in zip(found, steps, strict=True))]
            body = self._graph(nodes, self._counted_inputs(number, flag, mine, avals), outs)
        names = self._loop(self.long(length), "", carry, body, len(avals))
        turned = [
            self._turned(n, [0]) if params["reverse"] and i >= carries else n for i, n in enumerate(names[: len(avals)])
        ]
        return [self.made(n, a) for n, a in zip(turned, avals, strict=True)]

    def do_while(self, params: Any, values: list[Any], avals: Any) -> list[Tensor]:
        """A loop until something is so; of a batch, until it is so of all, and who is done waits."""
        a, b = params["cond_nconsts"], params["body_nconsts"]

        def going(carry: Sequence[Any]) -> Tensor:
            return self.tensor(self.inline(params["cond_jaxpr"], [*values[:a], *carry])[0])

        def any_of(flags: Tensor) -> str:
            if not flags.shape:
                return self.full(flags)
            numbers = self.cast(self.full(flags), TensorProto.INT32)
            return self.cast(self.node("ReduceMax", numbers, keepdims=0), TensorProto.BOOL)

        first = any_of(going(values[a + b :]))
        number, flag, mine = self.name(), self.name(), [self.name() for _ in avals]
        with self.inside() as nodes:
            carry = [self.made(n, aval) for n, aval in zip(mine, avals, strict=True)]
            found = [self.full(x) for x in self.inline(params["body_jaxpr"], [*values[a : a + b], *carry])]
            flags = going(carry)
            if lead := len(flags.shape):
                found = [
                    self.node("Where", self._under(self.full(flags), lead, x), new, x.name)
                    for x, new in zip(carry, found, strict=True)
                ]
            after = [self.made(n, aval) for n, aval in zip(found, avals, strict=True)]
            outs = [(any_of(going(after)), None), *zip(found, avals, strict=True)]
            body = self._graph(nodes, self._counted_inputs(number, flag, mine, avals), outs)
        names = self._loop("", first, [self.full(x) for x in values[a + b :]], body, len(avals))
        return [self.made(n, aval) for n, aval in zip(names, avals, strict=True)]

    def _under(self, flags: str, lead: int, x: Tensor) -> str:
        """Flags of the first axes, to be set beside all of an array."""
        after = range(lead, len(x.shape))
        return str(self.node("Unsqueeze", flags, self.integers(*after)) if after else flags)

    def _counted_inputs(self, number: str, flag: str, names: Sequence[str], avals: Any) -> list[Any]:
        return [
            helper.make_tensor_value_info(number, TensorProto.INT64, []),
            helper.make_tensor_value_info(flag, TensorProto.BOOL, []),
            *(self._info(n, aval) for n, aval in zip(names, avals, strict=False)),
        ]

    def do_cond(self, params: Any, values: list[Any], avals: Any) -> list[Tensor]:
        """One of several."""
        which, rest, branches = self.cast(self.full(values[0]), TensorProto.INT64), values[1:], params["branches"]

        def chosen(number: int) -> list[str]:
            if number == len(branches) - 1:
                return [self.full(x) for x in self.inline(branches[number], rest)]
            here = self.node("LessOrEqual", which, self.long(number))
            bodies = {}
            for name, made in {
                "then_branch": lambda: [self.full(x) for x in self.inline(branches[number], rest)],
                "else_branch": lambda: chosen(number + 1),
            }.items():
                with self.inside() as nodes:
                    bodies[name] = self._graph(nodes, [], list(zip(made(), avals, strict=True)))
            found = self.node("If", here, outputs=len(avals), **bodies)
            return [found] if len(avals) == 1 else list(found)

        return [self.made(n, a) for n, a in zip(chosen(0), avals, strict=True)]


def _is(length: Any, number: int) -> bool:
    return known(length) and length == number


def onnx_files(agent: Exported) -> dict[str, bytes]:
    """Of each program `NAME.onnx`."""
    return {f"{name}.onnx": model(program, agent.title) for name, program in agent.programs.items()}


def model(program: Program, about: str) -> bytes:
    """A program as a file; inputs and outputs are called as the manifest calls them."""
    (size,) = jax_export.symbolic_shape(BATCH)
    shapes = [jax.ShapeDtypeStruct((size, *p.shape), p.dtype) for p in program.inputs]
    traced = jax.make_jaxpr(jax.vmap(program.call))(*shapes)
    writer = Onnx()
    name = program.inputs[0].name
    writer.nodes.append(helper.make_node("Shape", [name], [BATCH], start=0, end=1))
    writer.first, writer.nodes = writer.nodes, []
    given = [
        Tensor(p.name if KINDS[p.dtype] == OUTSIDE[p.dtype] else writer.cast(p.name, KINDS[p.dtype]), p.dtype, s.shape)
        for p, s in zip(program.inputs, shapes, strict=True)
    ]
    found = writer.run(program._replace(jaxpr=traced), given)
    for port, value in zip(program.outputs, found, strict=True):
        out = writer.full(value)
        writer.nodes.append(helper.make_node("Cast", [out], [port.name], to=OUTSIDE[port.dtype]))
    inputs, outputs = (
        [helper.make_tensor_value_info(p.name, OUTSIDE[p.dtype], [BATCH, *p.shape]) for p in ports]
        for ports in (program.inputs, program.outputs)
    )
    return writer.written(inputs, outputs, program.name, about)
