"""What is done to arrays entry by entry, as expressions of C and JavaScript."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Dialect(NamedTuple):
    """What tells languages with C's loops and operators apart.

    Attributes:
        name: The language.
        loop: Head of a loop, of `i` and `n`.
        number: From a kind of numbers to what declares a variable of it.
        literal: From a number to how it is written.
        functions: Operations by name, of arguments {0}, {1}, ...: on floats, where the language has a word for them.
        wrapped: From a kind of integers and a sum or difference to that modulo 2³².
        product: From a kind of integers to their product modulo 2³².
        converted: From an expression and two kinds of numbers to the expression of the second kind.
        bits: The same, with the bits as they are.
    """

    name: str
    loop: str
    number: Callable[[str], str]
    literal: Callable[[Any], str]
    functions: Mapping[str, str]
    wrapped: Callable[[str, str], str]
    product: Callable[[str], str]
    converted: Callable[[str, str, str], str]
    bits: Callable[[str, str, str], str]


OPERATORS = {
    "add": "({0} + {1})",
    "add_any": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "neg": "(-{0})",
}
COMPARED = {
    "eq": "({0} == {1})", "ne": "({0} != {1})", "lt": "({0} < {1})", "le": "({0} <= {1})", "gt": "({0} > {1})",
    "ge": "({0} >= {1})",
}  # fmt: skip
LOGICAL = {"and": "({0} & {1})", "or": "({0} | {1})", "xor": "({0} ^ {1})"}
EITHER = {
    "max": "({0} > {1} || {0} != {0} ? {0} : {1})",  # NaN stays
    "min": "({0} < {1} || {0} != {0} ? {0} : {1})",
    "select_n": "({0} ? {2} : {1})",
    "abs": "({0} < 0 ? -{0} : {0})",
    "sign": "({0} > 0 ? 1 : {0} < 0 ? -1 : {0})",
    "clamp": "({1} < {0} ? {0} : {1} > {2} ? {2} : {1})",
}
FLOATS = {
    "div": "({0} / {1})",
    "square": "({0} * {0})",
    "is_finite": "({0} - {0} == 0)",
}
NAMED = (
    "tanh", "exp", "log", "log1p", "expm1", "sqrt", "cbrt", "sin", "cos", "tan", "floor", "ceil", "sinh", "cosh",
)  # fmt: skip
"""Functions of one number that C, JavaScript and NumPy have under JAX's name."""
INVERSE = ("asin", "acos", "atan")
"""Those that NumPy calls otherwise."""
NEAR = (
    "2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, "
    "0.246640727, 1.50140941"
)
FAR = (
    "-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, "
    "1.00167406, 2.83297682"
)
"""Coefficients of Giles's approximation of erf⁻¹ (2010, table 5), the highest power first."""
KINDS = ("float32", "int32", "uint32", "bool", "uint8")


def expression(  # noqa: PLR0911 (one kind of operation after the other)
    dialect: Dialect, name: str, params: Any, args: Sequence[str], kinds: Sequence[str], dtype: str
) -> str | None:
    """An operation's result from those of its arguments; None if there is no way to say it.

    Args:
        dialect: The language.
        name: JAX's name of the operation.
        params: Its parameters.
        args: Expressions of its arguments.
        kinds: What kinds of numbers they are.
        dtype: What kind the result is.
    """
    if any(kind not in KINDS for kind in (*kinds, dtype)):
        return None
    if name == "convert_element_type":
        return dialect.converted(args[0], kinds[0], dtype)
    if name == "bitcast_convert_type":
        return dialect.bits(args[0], kinds[0], dtype)
    if name == "integer_pow":
        return _power(dialect, args[0], params["y"]) if dtype == "float32" else None
    if name in COMPARED or name in EITHER:
        return {**COMPARED, **EITHER}[name].format(*args)
    if dtype == "float32" or name == "is_finite":
        found = {**OPERATORS, **FLOATS, **dialect.functions}.get(name)
        if name == "round":
            found = dialect.functions["round_even" if "EVEN" in str(params["rounding_method"]) else "round_away"]
        return None if found is None else found.format(*args)
    return _of_integers(dialect, name, args, dtype)


def _of_integers(dialect: Dialect, name: str, args: Sequence[str], dtype: str) -> str | None:  # noqa: PLR0911
    if name in LOGICAL or (name in ("add", "mul") and dtype == "bool"):
        said = {**LOGICAL, "add": LOGICAL["or"], "mul": LOGICAL["and"]}[name].format(*args)
        return dialect.wrapped(dtype, said) if dtype == "uint32" else said
    if name == "not":
        return f"(!{args[0]})" if dtype == "bool" else dialect.wrapped(dtype, f"(~{args[0]})")
    if name == "mul":
        return dialect.product(dtype).format(*args)
    if name in OPERATORS:
        return dialect.wrapped(dtype, OPERATORS[name].format(*args))
    if name == "div":
        return dialect.converted(f"({args[0]} / {args[1]})", "float32", dtype)
    if name == "rem":
        return dialect.wrapped(dtype, f"({args[0]} % {args[1]})")
    few = f"({args[1]} < 32 ? {{}} : 0)" if len(args) == 2 else ""
    if name == "shift_left":
        return few.format(dialect.wrapped(dtype, f"({args[0]} << {args[1]})"))
    if name == "shift_right_logical":
        moved = f"({dialect.wrapped('uint32', args[0])} {'>>>' if dialect.name == 'JavaScript' else '>>'} {args[1]})"
        return few.format(dialect.wrapped(dtype, moved))
    return None


def _power(dialect: Dialect, x: str, exponent: int) -> str:
    """By products: exact where the operation is."""
    if exponent < 0:
        return f"({dialect.literal(np.float32(1))} / {_power(dialect, x, -exponent)})"
    if exponent == 0:
        return dialect.literal(np.float32(1))
    if exponent > 4:
        return dialect.functions["pow"].format(x, dialect.literal(np.float32(exponent)))
    return "(" + " * ".join([x] * exponent) + ")"
