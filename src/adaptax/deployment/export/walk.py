"""A traced program, gone through operation by operation, with what is known at once computed at once.

Whoever writes programs down derives from `Walk`, and has a method for each operation of JAX's, by its name: `do_tanh`
or, for all that are done entry by entry, `elementwise`.
"""

import abc
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from adaptax.core.errors import UseError
from adaptax.core.types import is_key
from adaptax.deployment.export.traced import Program
from adaptax.networks import dense

INLINED = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat", "checkpoint")
SAME = ("stop_gradient", "copy", "copy_p", "optimization_barrier", "random_wrap", "random_unwrap", "reduce_precision")
"""What leaves arrays as they are; a key is its two words here."""
MOVES = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims")
"""What leaves an array as it is if its shape is the same afterwards."""
NEUTRAL = {"sub": 0, "div": 1, "mul": 1}
"""A second operand that leaves the first as it is, to the last bit."""
OF_KEYS = ("random_bits", "random_split", "random_fold_in", "scan", "while", "cond")
"""What knows that a key is two words; all else is done to either."""
SMALL = 4096
"""Numbers in what is computed while writing though its operands are smaller: constants should not fill the file."""


def shape_of(aval: Any) -> tuple[int, ...]:
    """Shape of a value; of a key, that of its words."""
    return (*aval.shape, 2) if is_key(aval) else tuple(aval.shape)


def dtype_of(aval: Any) -> str:
    """Kind of numbers of a value."""
    return "uint32" if is_key(aval) else str(aval.dtype)


def missing(dtype: str, given: Any) -> np.ndarray:
    """What stands for an entry that is not there, where nothing else is said."""
    kind = np.dtype(dtype)
    if given is None:
        ends = np.iinfo(kind) if kind.kind in "iu" else None
        given = np.nan if kind.kind == "f" else True if ends is None else ends.min if kind.kind == "i" else ends.max
    return np.asarray(given, kind)


class Walk(abc.ABC):
    """Values are NumPy arrays where they are known, and whatever the writer makes of them elsewhere."""

    target: str
    """What is written, for messages."""

    def run(self, program: Program, inputs: Sequence[Any]) -> list[Any]:
        """Go through a program; return what stands for its outputs."""
        return self.inline(program.jaxpr, inputs)

    def inline(self, closed: Any, inputs: Sequence[Any]) -> list[Any]:
        """The outputs of a program within another."""
        jaxpr = closed.jaxpr if isinstance(closed, ClosedJaxpr) else closed
        constants = [np.asarray(x) for x in getattr(closed, "consts", ())]
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
        known.update(zip(jaxpr.invars, inputs, strict=True))

        def value(x: Any) -> Any:
            return np.asarray(x.val, dtype_of(x.aval)) if isinstance(x, Literal) else known[x]

        for equation in _needed(jaxpr):
            found = self.operation(equation, [value(x) for x in equation.invars])
            known.update(zip(equation.outvars, found, strict=True))
        return [value(x) for x in jaxpr.outvars]

    def operation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        """What an operation returns."""
        name = equation.primitive.name
        avals = [x.aval for x in equation.outvars]
        if name in SAME or self._changes_nothing(name, values, shape_of(avals[0])):
            return values[: len(avals)]
        if name in INLINED:
            inner = equation.params.get("call_jaxpr", equation.params.get("jaxpr", equation.params.get("fun_jaxpr")))
            return self.inline(inner, values)
        if (defined := _defined(name, equation.params)) is not None:
            shapes = [jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype) for x in equation.invars]
            return self.inline(jax.make_jaxpr(defined)(*shapes), values)
        if all(isinstance(x, np.ndarray) for x in values) and self._worth_knowing(equation, values):
            return _computed(equation, values)
        if any(is_key(x.aval) for x in equation.invars) and name not in OF_KEYS:
            plain = [jax.ShapeDtypeStruct(x.shape, np.uint32) if is_key(x) else x for x in avals]
            first, second = (
                self._written(
                    equation, [self._word(v, x.aval, n) for v, x in zip(values, equation.invars, strict=True)], plain
                )
                for n in range(2)
            )
            return [self.joined(a, b) if is_key(x) else a for a, b, x in zip(first, second, avals, strict=True)]
        return self._written(equation, values, avals)

    def _written(self, equation: Any, values: list[Any], avals: list[Any]) -> Sequence[Any]:
        name = equation.primitive.name
        if (method := getattr(self, f"do_{name.replace('-', '_')}", None)) is not None:
            found = method(equation.params, values, avals)
            return found if equation.primitive.multiple_results else [found]
        found = self.elementwise(name, equation.params, values, avals[0])
        if found is None:
            raise UseError(
                f"export: {self.target} has no way to write {name} down, which this agent computes. Nothing "
                "was written; --format stablehlo can, and adaptax.Agent needs no export"
            )
        return [found]

    def _word(self, value: Any, aval: Any, number: int) -> Any:
        if not is_key(aval):
            return value
        return value[..., number] if isinstance(value, np.ndarray) else self.word(value, number)

    @abc.abstractmethod
    def word(self, value: Any, number: int) -> Any:
        """The first or second word of keys."""

    @abc.abstractmethod
    def joined(self, first: Any, second: Any) -> Any:
        """Keys of their words."""

    @staticmethod
    def _changes_nothing(name: str, values: list[Any], shape: tuple[int, ...]) -> bool:
        """Whether what comes out is the first of what goes in: whoever normalises nothing subtracts 0."""
        if name in MOVES:
            return tuple(values[0].shape) == shape
        if name not in NEUTRAL or tuple(values[0].shape) != shape or not isinstance(values[1], np.ndarray):
            return False
        return bool((values[1] == NEUTRAL[name]).all())

    @staticmethod
    def _worth_knowing(equation: Any, values: list[Any]) -> bool:
        size = sum(x.aval.size for x in equation.outvars)
        return size <= max(SMALL, *(x.size for x in values), 0)

    @abc.abstractmethod
    def elementwise(self, name: str, params: Any, values: list[Any], aval: Any) -> Any:
        """What is done entry by entry; None if it is not known how."""


def _needed(jaxpr: Any) -> list[Any]:
    """Operations on whose results an output depends."""
    wanted = {x for x in jaxpr.outvars if not isinstance(x, Literal)}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if wanted.intersection(equation.outvars):
            kept.append(equation)
            wanted.update(x for x in equation.invars if not isinstance(x, Literal))
    return kept[::-1]


def _defined(name: str, params: Any) -> Callable[..., Any] | None:
    """An operation by others; None: it is written as it is."""
    if name == "pad" and any(low < 0 or high < 0 or inner for low, high, inner in params["padding_config"]):
        return functools.partial(_bordered, **params)
    return functools.partial(dense.DEFINITIONS[name], **params) if name in dense.DEFINITIONS else None


def _bordered(x: jax.Array, border: jax.Array, *, padding_config: Any) -> jax.Array:
    """With any border: gaps between entries first, as a border of each; then outside; what is negative is cut off."""
    for axis, (_, _, inner) in enumerate(padding_config):
        if inner and x.shape[axis]:
            apart = [(0, inner if a == axis + 1 else 0, 0) for a in range(x.ndim + 1)]
            spread = jax.lax.pad(jnp.expand_dims(x, axis + 1), border, apart)
            x = jax.lax.collapse(spread, axis, axis + 2)
            x = jax.lax.slice_in_dim(x, 0, x.shape[axis] - inner, axis=axis)
    grown = jax.lax.pad(x, border, [(max(low, 0), max(high, 0), 0) for low, high, _ in padding_config])
    begins = [max(-low, 0) for low, _, _ in padding_config]
    ends = [size - max(-high, 0) for size, (_, high, _) in zip(grown.shape, padding_config, strict=True)]
    return jax.lax.slice(grown, begins, ends)


def _computed(equation: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """What an operation makes of what is known."""
    given = [
        jax.random.wrap_key_data(jax.numpy.asarray(x)) if is_key(v.aval) else jax.numpy.asarray(x)
        for x, v in zip(values, equation.invars, strict=True)
    ]
    found = equation.primitive.bind(*given, **equation.params)
    found = found if equation.primitive.multiple_results else [found]
    return [np.asarray(jax.random.key_data(x) if is_key(x) else x) for x in found]
