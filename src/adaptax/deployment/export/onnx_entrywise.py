"""What is done to arrays entry by entry, as nodes of ONNX."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adaptax.deployment.export.entrywise import FAR, NEAR
from adaptax.deployment.export.onnx_graph import KINDS, Graph, TensorProto, known

WORD = 0xFFFFFFFF
SIMPLE = {
    "add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "max": "Max", "min": "Min",
    "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "tanh": "Tanh", "sqrt": "Sqrt", "floor": "Floor",
    "ceil": "Ceil", "sin": "Sin", "cos": "Cos", "tan": "Tan", "sinh": "Sinh", "cosh": "Cosh", "asin": "Asin",
    "acos": "Acos", "atan": "Atan", "logistic": "Sigmoid", "pow": "Pow", "eq": "Equal", "lt": "Less",
    "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip
OF_BOOLS = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not", "add": "Or", "mul": "And", "max": "Or", "min": "And"}
OF_BITS = {"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor"}
SMALL = 1e-4
"""Below it two terms of a series are better than what rounds 1 + x."""


class Entrywise(Graph):
    """Operations of which each entry depends on the same entry of the operands alone."""

    def number(self, x: float) -> str:
        """A number of single precision."""
        return self.constant(np.float32(x))

    def long(self, x: int) -> str:
        """An integer of 64 bits."""
        return self.constant(np.int64(x))

    def wide(self, x: float) -> str:
        """A number of double precision."""
        return self.constant(np.float64(x))

    def elementwise(self, name: str, params: Any, values: list[Any], aval: Any) -> Any:
        """A few nodes, on what is thin as it is."""
        given = [self.tensor(v) for v in values]
        kinds, dtype = [x.dtype for x in given], str(aval.dtype)
        if any(kind not in KINDS for kind in (*kinds, dtype)):
            return None
        found = self._of(name, params, [x.name for x in given], kinds, dtype)
        if found is None:
            return None
        shape = tuple(aval.shape)
        thin = frozenset(range(len(shape)))
        for x in given:  # a length of 1 beside a longer one is thin, too
            thin &= x.thin | {axis for axis, n in enumerate(x.shape) if known(n) and n == 1} if x.shape else thin
        out = self.made(found, aval, frozenset(axis for axis in thin if shape[axis] != 1))
        if all(not x.shape for x in given) and shape:
            return self.made(self.node("Reshape", found, self.integers(*[1] * len(shape))), aval, out.thin)
        return out

    def _of(  # noqa: PLR0911 (one kind of operation after the other)
        self, name: str, params: Any, x: list[str], kinds: list[str], dtype: str
    ) -> str | None:
        if name == "convert_element_type":
            return self._converted(x[0], kinds[0], dtype)
        if name == "bitcast_convert_type":
            return self._bits(x[0], kinds[0], dtype)
        if name == "select_n":
            return self._chosen(x[0], x[1:], kinds[0])
        if name == "clamp":
            return str(self.node("Min", self.node("Max", x[1], x[0]), x[2]))
        if name == "ne":
            return str(self.node("Not", self.node("Equal", *x)))
        if name == "is_finite":
            return str(self.node("Not", self.node("Or", self.node("IsInf", x[0]), self.node("IsNaN", x[0]))))
        if dtype == "float32":
            return self._of_floats(name, params, x)
        if kinds[0] == "float32" or name in ("eq", "lt", "le", "gt", "ge"):
            return str(self.node(SIMPLE[name], *x)) if name in SIMPLE else None
        if dtype == "bool":
            return str(self.node(OF_BOOLS[name], *x)) if name in OF_BOOLS else None
        return self._of_integers(name, params, x, dtype)

    def _chosen(self, which: str, cases: Sequence[str], kind: str) -> str:
        if kind == "bool":
            return str(self.node("Where", which, cases[1], cases[0]))
        found = cases[-1]
        for number in range(len(cases) - 2, -1, -1):
            here = self.node("Equal", which, self.constant(np.asarray(number, np.int32)))
            found = self.node("Where", here, cases[number], found)
        return found

    # Numbers.

    def _of_floats(self, name: str, params: Any, x: list[str]) -> str | None:
        less_simple: dict[str, Callable[[], str]] = {
            "square": lambda: self.node("Mul", x[0], x[0]),
            "rsqrt": lambda: self.node("Div", self.number(1), self.node("Sqrt", x[0])),
            "exp2": lambda: self.node("Pow", self.number(2), x[0]),
            "integer_pow": lambda: self._power(x[0], params["y"]),
            "rem": lambda: self.node("Mod", *x, fmod=1),
            "log1p": lambda: self._log1p(x[0]),
            "expm1": lambda: self._expm1(x[0]),
            "cbrt": lambda: self._cube_root(x[0]),
            "atan2": lambda: self._angle(*x),
            "erf_inv": lambda: self._erf_inv(x[0]),
            "round": lambda: self._rounded(x[0], even="EVEN" in str(params["rounding_method"])),
        }
        if name in less_simple:
            return less_simple[name]()
        return str(self.node(SIMPLE[name], *x)) if name in SIMPLE else None

    def _power(self, x: str, exponent: int) -> str:
        if exponent < 0:
            return str(self.node("Div", self.number(1), self._power(x, -exponent)))
        if exponent > 4:
            return str(self.node("Pow", x, self.number(exponent)))
        found = self.node("Mul", x, self.number(0)) if exponent == 0 else x
        found = self.node("Add", found, self.number(1)) if exponent == 0 else found
        for _ in range(exponent - 1):
            found = self.node("Mul", found, x)
        return str(found)

    def _near_zero(self, x: str, square: float, other: str) -> str:
        """X + square · x² where x is small."""
        series = self.node("Add", x, self.node("Mul", self.node("Mul", x, x), self.number(square)))
        return str(self.node("Where", self.node("Less", self.node("Abs", x), self.number(SMALL)), series, other))

    def _log1p(self, x: str) -> str:
        exact = self.node("Log", self.node("Add", self.cast(x, TensorProto.DOUBLE), self.wide(1)))
        return self._near_zero(x, -0.5, self.cast(exact, TensorProto.FLOAT))

    def _expm1(self, x: str) -> str:
        exact = self.node("Sub", self.node("Exp", self.cast(x, TensorProto.DOUBLE)), self.wide(1))
        return self._near_zero(x, 0.5, self.cast(exact, TensorProto.FLOAT))

    def _cube_root(self, x: str) -> str:
        root = self.node("Pow", self.cast(self.node("Abs", x), TensorProto.DOUBLE), self.wide(1 / 3))
        return str(self.node("Mul", self.node("Sign", x), self.cast(root, TensorProto.FLOAT)))

    def _rounded(self, x: str, *, even: bool) -> str:
        if even:
            return str(self.node("Round", x))
        away = self.node("Floor", self.node("Add", self.node("Abs", x), self.number(0.5)))
        return str(self.node("Mul", self.node("Sign", x), away))

    def _angle(self, y: str, x: str) -> str:
        plain = self.node("Atan", self.node("Div", y, x))
        turn = self.node("Where", self.node("Less", y, self.number(0)), self.number(-np.pi), self.number(np.pi))
        left = self.node("Where", self.node("Less", x, self.number(0)), self.node("Add", plain, turn), plain)
        both = self.node("And", *(self.node("Equal", value, self.number(0)) for value in (x, y)))
        return str(self.node("Where", both, self.node("Mul", y, self.number(0)), left))

    def _erf_inv(self, x: str) -> str:
        """Giles 2010, in single precision."""
        w = self.node("Neg", self._log1p(self.node("Neg", self.node("Mul", x, x))))
        near = self.node("Less", w, self.number(5))
        far_place = self.node("Sub", self.node("Sqrt", w), self.number(3))
        place = self.node("Where", near, self.node("Sub", w, self.number(2.5)), far_place)
        total = ""
        for n, f in zip(_numbers(NEAR), _numbers(FAR), strict=True):
            factor = self.node("Where", near, self.number(n), self.number(f))
            total = self.node("Add", factor, self.node("Mul", total, place)) if total else factor
        edge = self.node("Equal", self.node("Abs", x), self.number(1))
        return str(self.node("Where", edge, self.node("Mul", x, self.number(np.inf)), self.node("Mul", total, x)))

    # Integers: whatever is not known to stay in range is done in 64 bits.

    def _of_integers(  # noqa: PLR0911 (the same)
        self, name: str, params: Any, x: list[str], dtype: str
    ) -> str | None:
        wide = [self.cast(v, TensorProto.INT64) for v in x] if dtype == "int32" else x
        if name in OF_BITS:
            return str(self.node(OF_BITS[name], *x))
        if name == "not":
            return self.narrow(self.node("Sub", self.long(-1), wide[0]), dtype)
        if name in ("shift_left", "shift_right_logical"):
            return self.narrow(self._shifted(name, *wide), dtype)
        if name in ("div", "rem"):
            return self.narrow(self._divided(name, *wide), dtype)
        if name == "integer_pow":
            return self.narrow(self._product([wide[0]] * params["y"]), dtype) if params["y"] > 0 else None
        if name == "square":
            return self.narrow(self._product([wide[0]] * 2), dtype)
        if name in ("add", "add_any", "sub", "mul", "neg", "abs", "sign", "max", "min"):
            return self.narrow(self.node(SIMPLE[name], *wide), dtype)
        return None

    def _product(self, factors: Sequence[str]) -> str:
        first, *rest = factors
        for factor in rest:
            first = self.node("Mul", first, factor)
        return first

    def narrow(self, x: str, dtype: str) -> str:
        """An integer of 64 bits modulo what the kind holds."""
        if dtype == "int32":
            return self.cast(x, TensorProto.INT32)
        return str(self.node("BitwiseAnd", x, self.long(WORD if dtype == "uint32" else 255)))

    def _shifted(self, name: str, x: str, places: str) -> str:
        powers = self.constant(np.asarray([1 << n for n in range(33)], np.int64))
        least = self.node("Min", self.node("Max", places, self.long(0)), self.long(32))
        power, word = self.node("Gather", powers, least), self.node("BitwiseAnd", x, self.long(WORD))
        return str(self.node("Mul" if name == "shift_left" else "Div", word, power))

    def _divided(self, name: str, x: str, y: str) -> str:
        """Towards zero; by 0 as XLA has it: -1, and all is left."""
        none = self.node("Equal", y, self.long(0))
        divisor = self.node("Where", none, self.long(1), y)
        if name == "div":
            return str(self.node("Where", none, self.long(-1), self.node("Div", x, divisor)))
        return str(self.node("Where", none, x, self.node("Mod", x, divisor, fmod=1)))

    # From one kind to another.

    def _converted(self, x: str, kind: str, to: str) -> str:
        if kind == to:
            return x
        if kind != "float32" or to == "bool":
            plain = self.cast(x, KINDS[to])
            return self.narrow(plain, to) if to in ("uint32", "uint8") else plain
        low, high = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, WORD), "uint8": (0, 255)}[to]
        number = self.cast(self.node("Where", self.node("IsNaN", x), self.number(0), x), TensorProto.DOUBLE)
        within = self.node("Clip", number, self.wide(low), self.wide(high))
        return self.cast(self.cast(within, TensorProto.INT64), KINDS[to])

    def _bits(self, x: str, kind: str, to: str) -> str | None:
        if (kind, to) == ("uint32", "float32"):
            return self._float_of(x)
        if (kind, to) == ("float32", "uint32"):
            return self._bits_of(x)
        return self._converted(x, kind, to) if {kind, to} == {"int32", "uint32"} else None

    def _float_of(self, word: str) -> str:
        """The number whose bits a word has."""
        part = self.node("BitwiseAnd", word, self.long(0x7FFFFF))
        power = self.node("BitwiseAnd", self.node("Div", word, self.long(1 << 23)), self.long(255))
        tiny, huge = self.node("Equal", power, self.long(0)), self.node("Equal", power, self.long(255))
        lead = self.node("Where", tiny, self.long(0), self.long(1 << 23))
        digits = self.cast(self.node("Add", part, lead), TensorProto.DOUBLE)
        exponent = self.node("Sub", self.node("Max", power, self.long(1)), self.long(127 + 23))
        size = self.node("Mul", digits, self.node("Pow", self.wide(2), self.cast(exponent, TensorProto.DOUBLE)))
        ends = self.node("Where", self.node("Equal", part, self.long(0)), self.wide(np.inf), self.wide(np.nan))
        size = self.node("Where", huge, ends, size)
        negative = self.node("Greater", word, self.long(0x7FFFFFFF))
        return self.cast(self.node("Where", negative, self.node("Neg", size), size), TensorProto.FLOAT)

    def _bits_of(self, x: str) -> str:
        """The bits of a number, all of which a double has as its own: it is taken apart by powers of two."""
        size = self.node("Abs", self.cast(x, TensorProto.DOUBLE))
        sound = self.node("Min", self.node("Max", size, self.wide(2.0**-126)), self.wide(2.0**127))
        power = self.node("Floor", self.node("Div", self.node("Log", sound), self.wide(np.log(2))))
        for _ in range(2):  # a logarithm beside a whole number may be rounded across it
            fits = self.node("Div", size, self.node("Pow", self.wide(2), power))
            up = self.node("Where", self.node("GreaterOrEqual", fits, self.wide(2)), self.wide(1), self.wide(0))
            low = self.node("And", self.node("Less", fits, self.wide(1)), self.node("Greater", power, self.wide(-126)))
            power = self.node("Add", power, self.node("Where", low, self.wide(-1), up))
        fits = self.node("Div", size, self.node("Pow", self.wide(2), power))
        digits = self.cast(self.node("Mul", fits, self.wide(1 << 23)), TensorProto.INT64)
        above = self.node("Add", self.cast(power, TensorProto.INT64), self.long(126))
        word = self.node("Add", self.node("Mul", above, self.long(1 << 23)), digits)
        word = self.node("Where", self.node("IsInf", size), self.long(0x7F800000), word)
        word = self.node("Where", self.node("IsNaN", x), self.long(0x7FC00000), word)
        below = self.node("Less", self.node("Div", self.number(1), x), self.number(0))
        return str(self.node("Where", below, self.node("Add", word, self.long(1 << 31)), word))


def _numbers(text: str) -> list[float]:
    return [float(x) for x in text.split(",")]
