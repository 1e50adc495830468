"""An agent as one Python file that needs NumPy alone, and a file of its numbers (safetensors' format)."""

import dataclasses
import pprint
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax.core.errors import UseError
from adaptax.deployment.export.entrywise import INVERSE, NAMED
from adaptax.deployment.export.manifest import manifest
from adaptax.deployment.export.traced import Exported, Program
from adaptax.deployment.export.walk import Walk, dtype_of, missing, shape_of

TEMPLATE = Path(__file__).parent / "templates" / "numpy_agent.py.txt"
"""What the written file has besides its programs."""


@dataclasses.dataclass(frozen=True)
class Name:
    """An array that a variable of the file holds."""

    text: str
    dtype: str
    shape: tuple[int, ...]


ENTRYWISE = {
    "add": "{0} + {1}",
    "add_any": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "~{0}",
    "max": "np.maximum({0}, {1})",
    "min": "np.minimum({0}, {1})",
    "select_n": "np.where({0}, {2}, {1})",
    "square": "{0} * {0}",
    "is_finite": "np.isfinite({0})",
    "rsqrt": "1 / np.sqrt({0})",
    "pow": "np.power({0}, {1})",
    "atan2": "np.arctan2({0}, {1})",
    "logistic": "0.5 * np.tanh(0.5 * {0}) + 0.5",
    "erf_inv": "erf_inv({0})",
    "clamp": "np.clip({1}, {0}, {2})",
    "rem": "np.fmod({0}, {1})",
    "abs": "np.abs({0})",
    "sign": "np.sign({0})",
    "shift_left": "shifted_left({0}, {1})",
    "shift_right_logical": "shifted_right({0}, {1})",
    **{name: f"np.{name}({{0}})" for name in (*NAMED, "exp2")},
    **{name: f"np.arc{name[1:]}({{0}})" for name in INVERSE},
}
REDUCED = {"sum": "sum", "prod": "prod", "max": "max", "min": "min", "and": "all", "or": "any"}


class Arrays(Walk):
    """Writes a program's statements."""

    target = "NumPy"

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._depth, self._names = 1, 0

    def say(self, line: str) -> None:
        """Write a line."""
        self.lines.append("    " * self._depth + line)

    def put(self, said: str, aval: Any) -> Name:
        """A variable with that value."""
        self._names += 1
        name = Name(f"v{self._names}", dtype_of(aval), shape_of(aval))
        self.say(f"{name.text} = {said}")
        return name

    def text(self, value: Any) -> str:
        """An expression for a value."""
        if isinstance(value, Name):
            return value.text
        if value.ndim == 0:
            number = value[()]
            plain = repr(number.item()) if np.isfinite(number) else f'"{number}"'
            return f"np.{value.dtype.name.replace('bool', 'bool_')}({plain})"
        key = str(value.dtype), value.shape, value.tobytes()
        if key not in self._known:
            self._known[key] = f"c{len(self._known)}"
            self.constants[self._known[key]] = np.ascontiguousarray(value)
        return f"C[{self._known[key]!r}]"

    def beside(self, value: Any, other: Any) -> str:
        """An operand beside another; a number that is known stands there itself, which takes half the time."""
        if isinstance(value, np.ndarray) and not value.ndim and isinstance(other, Name) and value.dtype == np.float32:
            return repr(value.item()) if np.isfinite(value) else self.text(value)
        return self.text(value)

    def elementwise(  # noqa: PLR0911 (one kind of operation after the other)
        self, name: str, params: Any, values: list[Any], aval: Any
    ) -> Name | None:
        """A line."""
        args, dtype = [self.text(v) for v in values], dtype_of(aval)
        if len(values) == 2 and name in ("add", "sub", "mul", "div"):
            args = [self.beside(*values), self.beside(*values[::-1])]
        if name == "convert_element_type":
            return self.put(self._converted(args[0], values[0], dtype), aval)
        if name == "select_n" and not values[0].shape and not shape_of(aval):
            return self.put(f"{args[2]} if {args[0]} else {args[1]}", aval)
        if name == "bitcast_convert_type":
            return self.put(f"np.asarray({args[0]}).view(np.{dtype})", aval)
        if name == "integer_pow":
            power = params["y"]
            product = " * ".join([args[0]] * power) if 1 <= power <= 4 else f"{args[0]} ** np.float32({power})"
            return self.put(product, aval)
        if name == "div":
            return self.put(f"{args[0]} / {args[1]}" if dtype == "float32" else f"divided({args[0]}, {args[1]})", aval)
        if name == "round":
            return self.put(
                f"np.round({args[0]})" if "EVEN" in str(params["rounding_method"]) else f"rounded({args[0]})", aval
            )
        return self.put(ENTRYWISE[name].format(*args), aval) if name in ENTRYWISE else None

    @staticmethod
    def _converted(said: str, value: Any, dtype: str) -> str:
        kind = dtype.replace("bool", "bool_")
        if dtype_of(value) == "float32" and dtype in ("int32", "uint32", "uint8"):
            return f"to_integer({said}, np.{dtype})"
        return f"{said}.astype(np.{kind})" if value.shape else f"np.{kind}({said})"

    def word(self, value: Name, number: int) -> Name:
        """A view."""
        return Name(f"{value.text}[..., {number}]", "uint32", value.shape[:-1])

    def joined(self, first: Any, second: Any) -> Name:
        """Side by side."""
        shape = (*first.shape, 2)
        return self.put(f"np.stack([{self._listed([first, second])}], -1)", jax.ShapeDtypeStruct(shape, np.uint32))

    def do_broadcast_in_dim(self, params: Any, values: list[Any], avals: Any) -> Name:
        """A view."""
        shape, axes = [1] * len(params["shape"]), params["broadcast_dimensions"]
        for place, axis in enumerate(axes):
            shape[axis] = values[0].shape[place]
        said = self.text(values[0])
        if tuple(shape) != values[0].shape:
            said = f"np.reshape({said}, {tuple(shape)})"
        if shape != list(params["shape"]):
            said = f"np.broadcast_to({said}, {tuple(params['shape'])})"
        return self.put(said, avals[0])

    def do_reshape(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Other axes."""
        return self.put(f"np.reshape({self.text(values[0])}, {tuple(avals[0].shape)})", avals[0])

    do_squeeze = do_expand_dims = do_reshape

    def do_transpose(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Other order."""
        return self.put(f"np.transpose({self.text(values[0])}, {tuple(params['permutation'])})", avals[0])

    def do_slice(self, params: Any, values: list[Any], avals: Any) -> Name:
        """A part."""
        steps = params["strides"] or [1] * len(params["start_indices"])
        parts = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
        said = ", ".join(f"{a}:{b}" + (f":{c}" if c != 1 else "") for a, b, c in parts)
        return self.put(f"{self.text(values[0])}[{said}]" if said else self.text(values[0]), avals[0])

    def do_split(self, params: Any, values: list[Any], avals: Any) -> list[Name]:
        """Parts."""
        found, begin, lead = [], 0, ":, " * params["axis"]
        for length, aval in zip(params["sizes"], avals, strict=True):
            found.append(self.put(f"{self.text(values[0])}[{lead}{begin}:{begin + length}]", aval))
            begin += length
        return found

    def do_rev(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Backwards."""
        return self.put(f"np.flip({self.text(values[0])}, {tuple(params['dimensions'])})", avals[0])

    def do_concatenate(self, params: Any, values: list[Any], avals: Any) -> Name:
        """One after the other."""
        return self.put(f"np.concatenate([{self._listed(values)}], {params['dimension']})", avals[0])

    def do_stack(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Side by side."""
        axis = params.get("axis", params.get("dimension", 0))
        return self.put(f"np.stack([{self._listed(values)}], {axis})", avals[0])

    def do_tile(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Again and again."""
        return self.put(f"np.tile({self.text(values[0])}, {tuple(params['reps'])})", avals[0])

    def do_pad(self, params: Any, values: list[Any], avals: Any) -> Name:
        """With a border."""
        config = [tuple(x) for x in params["padding_config"]]
        border = f"{[(low, high) for low, high, _ in config]}, constant_values={self.text(values[1])}"
        return self.put(f"np.pad({self.text(values[0])}, {border})", avals[0])

    def do_dot_general(self, params: Any, values: list[Any], avals: Any) -> Name:
        """A product of matrices, or what `einsum` says."""
        ((left_sum, right_sum), (left_batch, right_batch)) = params["dimension_numbers"]
        left, right = values
        a, b = self.text(left), self.text(right)
        if not left_batch and left_sum == (len(left.shape) - 1,) and right_sum == (0,) and len(right.shape) <= 2:
            return self.put(f"{a} @ {b}", avals[0])
        letters = iter("abcdefghijklmnopqrstuvwxyz")
        of_left = [next(letters) for _ in left.shape]
        of_right = [next(letters) for _ in right.shape]
        for x, y in zip((*left_sum, *left_batch), (*right_sum, *right_batch), strict=True):
            of_right[y] = of_left[x]
        lead = [of_left[x] for x in left_batch]
        rows = [n for axis, n in enumerate(of_left) if axis not in (*left_sum, *left_batch)]
        columns = [n for axis, n in enumerate(of_right) if axis not in (*right_sum, *right_batch)]
        said = f"{''.join(of_left)},{''.join(of_right)}->{''.join([*lead, *rows, *columns])}"
        return self.put(f'np.einsum("{said}", {a}, {b}, optimize=True)', avals[0])

    def do_cumsum(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Running sums."""
        axis, x, dtype = params["axis"], self.text(values[0]), f"dtype=np.{dtype_of(avals[0])}"
        said = f"np.cumsum({x}, {axis}, {dtype})"
        if params["reverse"]:
            said = f"np.flip(np.cumsum(np.flip({x}, {axis}), {axis}, {dtype}), {axis})"
        return self.put(said, avals[0])

    def operation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        """Reductions have one way to be written."""
        name, aval = equation.primitive.name, equation.outvars[0].aval
        axes = tuple(equation.params.get("axes", ()))
        if name.startswith("reduce_") and name[7:] in REDUCED and any(isinstance(v, Name) for v in values):
            kind = f", dtype=np.{dtype_of(aval)}" if name in ("reduce_sum", "reduce_prod") else ""
            return [self.put(f"{self.text(values[0])}.{REDUCED[name[7:]]}({axes}{kind})", aval)]
        if name in ("argmax", "argmin") and isinstance(values[0], Name):
            return [self.put(f"{self.text(values[0])}.{name}({axes[0]}).astype(np.int32)", aval)]
        return super().operation(equation, values)

    def do_scan(self, params: Any, values: list[Any], avals: Any) -> list[Name]:
        """A loop."""
        consts, carries, length = params["num_consts"], params["num_carry"], params["length"]
        carry = [self.put(self.text(x), a) for x, a in zip(values[consts : consts + carries], avals, strict=False)]
        kinds = [dtype_of(a).replace("bool", "bool_") for a in avals[carries:]]
        outs = [self.put(f"np.empty({shape_of(a)}, np.{k})", a) for a, k in zip(avals[carries:], kinds, strict=True)]
        xs = [Name(self.text(x), str(x.dtype), tuple(x.shape)) for x in values[consts + carries :]]
        step = f"t{self._names}"
        turned = "reversed(range({}))" if params["reverse"] else "range({})"
        self.say(f"for {step} in {turned.format(length)}:")
        self._depth += 1
        slices = [Name(f"{x.text}[{step}]", x.dtype, x.shape[1:]) for x in xs]
        found = self.inline(params["jaxpr"], [*values[:consts], *carry, *slices])
        for out, y in zip(outs, found[carries:], strict=True):
            self.say(f"{out.text}[{step}] = {self.text(y)}")
        self._replace(carry, found[:carries])
        self._depth -= 1
        return [*carry, *outs]

    def do_while(self, params: Any, values: list[Any], avals: Any) -> list[Name]:
        """A loop until something is so."""
        a, b = params["cond_nconsts"], params["body_nconsts"]
        carry = [self.put(self.text(x), aval) for x, aval in zip(values[a + b :], avals, strict=True)]
        self.say("while True:")
        self._depth += 1
        (goes_on,) = self.inline(params["cond_jaxpr"], [*values[:a], *carry])
        self.say(f"if not {self.text(goes_on)}:")
        self.say("    break")
        self._replace(carry, self.inline(params["body_jaxpr"], [*values[a : a + b], *carry]))
        self._depth -= 1
        return carry

    def do_cond(self, params: Any, values: list[Any], avals: Any) -> list[Name]:
        """One of several."""
        which, *rest = values
        self._names += 1
        outs = [Name(f"v{self._names}_{i}", dtype_of(a), shape_of(a)) for i, a in enumerate(avals)]
        for number, branch in enumerate(params["branches"]):
            self.say(f"if np.clip({self.text(which)}, 0, {len(params['branches']) - 1}) == {number}:")
            self._depth += 1
            for out, x in zip(outs, self.inline(branch, rest), strict=True):
                self.say(f"{out.text} = {self.text(x)}")
            self.say("pass")
            self._depth -= 1
        return outs

    def _replace(self, carry: list[Name], found: Sequence[Any]) -> None:
        if carry:
            self.say(f"{', '.join(x.text for x in carry)} = {self._listed(found)}")
        else:
            self.say("pass")

    def _listed(self, values: Sequence[Any]) -> str:
        return ", ".join(self.text(x) for x in values)

    def do_dynamic_slice(self, params: Any, values: list[Any], avals: Any) -> Name:
        """A part whose place is computed."""
        starts = self._listed(values[1:])
        return self.put(f"sliced({self.text(values[0])}, [{starts}], {tuple(params['slice_sizes'])})", avals[0])

    def do_dynamic_update_slice(self, params: Any, values: list[Any], avals: Any) -> Name:
        """A part replaced."""
        starts = self._listed(values[2:])
        return self.put(f"updated({self.text(values[0])}, {self.text(values[1])}, [{starts}])", avals[0])

    def do_gather(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Windows at places that are computed."""
        d, fill = params["dimension_numbers"], params["fill_value"]
        numbers = (
            tuple(d.offset_dims),
            tuple(d.collapsed_slice_dims),
            tuple(d.start_index_map),
            tuple(getattr(d, "operand_batching_dims", ())),
            tuple(getattr(d, "start_indices_batching_dims", ())),
        )
        filled = "None" if "FILL" not in str(params["mode"]) else self.text(missing(dtype_of(avals[0]), fill))
        shape = tuple(avals[0].shape)
        return self.put(
            f"gathered({self._listed(values)}, {numbers}, {tuple(params['slice_sizes'])}, {shape}, {filled})", avals[0]
        )

    def do_scatter(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Windows replaced."""
        return self._scatter(params, values, avals, add=False)

    def do_scatter_add(self, params: Any, values: list[Any], avals: Any) -> Name:
        """Windows added to."""
        return self._scatter(params, values, avals, add=True)

    def _scatter(self, params: Any, values: list[Any], avals: Any, *, add: bool) -> Name:
        d = params["dimension_numbers"]
        numbers = (
            tuple(d.update_window_dims),
            tuple(d.inserted_window_dims),
            tuple(d.scatter_dims_to_operand_dims),
            tuple(getattr(d, "operand_batching_dims", ())),
            tuple(getattr(d, "scatter_indices_batching_dims", ())),
        )
        clipped = "CLIP" in str(params["mode"])
        return self.put(f"scattered({self._listed(values)}, {numbers}, {add}, {clipped})", avals[0])

    def do_sort(self, params: Any, values: list[Any], avals: Any) -> list[Name]:
        """All in the order of the first."""
        if params["num_keys"] != 1:
            raise UseError("export: NumPy has no way to sort by several keys")
        axis = params["dimension"]
        order = self.put(f'np.argsort({self.text(values[0])}, {axis}, kind="stable")', avals[0])
        return [
            self.put(f"np.take_along_axis({self.text(x)}, {order.text}, {axis})", a)
            for x, a in zip(values, avals, strict=True)
        ]

    def do_random_bits(self, params: Any, values: list[Any], avals: Any) -> Name:
        """A word for each entry."""
        if params["bit_width"] != 32:
            raise UseError(f"export: NumPy has no way to draw words of {params['bit_width']} bits")
        return self.put(f"np.bitwise_xor(*drawn({self.text(values[0])}, {tuple(params['shape'])}))", avals[0])

    def do_random_split(self, params: Any, values: list[Any], avals: Any) -> Name:
        """New keys."""
        return self.put(f"np.stack(drawn({self.text(values[0])}, {tuple(params['shape'])}), -1)", avals[0])

    def do_random_fold_in(self, params: Any, values: list[Any], avals: Any) -> Name:
        """A key of a key and a number."""
        return self.put(f"folded({self.text(values[0])}, {self.text(values[1])})", avals[0])


def numpy_files(agent: Exported, tensors: str) -> tuple[str, dict[str, np.ndarray]]:
    """The Python file, and the numbers that it reads from the file `tensors` beside it."""
    writer = Arrays()
    functions = [_function(program, writer) for program in agent.programs.values()]
    kept = dict(writer.constants)
    kept |= {f"initial.{p.name}": np.asarray(x) for p, x in zip(agent.state, agent.initial, strict=True)}
    text = TEMPLATE.read_text(encoding="utf-8")
    about = pprint.pformat(manifest(agent), width=116, sort_dicts=False)
    for mark, said in {
        "TITLE": agent.title, "TENSORS": repr(tensors), "MANIFEST": about, "PROGRAMS": "\n\n".join(functions),
    }.items():  # fmt: skip
        text = text.replace(f"@{mark}@", said)
    return text, kept


def _function(program: Program, writer: Arrays) -> str:
    writer.lines = []
    names = [f"in_{p.name}" for p in program.inputs]
    taken = [Name(n, p.dtype, p.shape) for n, p in zip(names, program.inputs, strict=True)]
    found = writer.run(program, taken)
    outs = ", ".join(f"np.asarray({writer.text(x)})" for x in found)
    doc = f'    """{", ".join(p.name for p in program.inputs)} → {", ".join(p.name for p in program.outputs)}."""'
    return "\n".join([f"def {program.name}({', '.join(names)}):", doc, *writer.lines, f"    return [{outs}]"])
