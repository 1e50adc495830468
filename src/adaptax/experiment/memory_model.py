"""Which arrays a program will hold at its worst moment, from its jaxpr alone: in the time of a trace.

What XLA does is modelled, not asked: arithmetic per element is fused into whoever needs it and has no memory of its
own, loops keep their carry in place and write what they stack in place, and an array lives from the operation that
makes it to the last that reads it; an elementwise result takes the place of an operand that nobody reads again. XLA's
compiler has the last word: it may reorder operations, so that more is held at once, and leave gaps.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var
from jax.interpreters.partial_eval import dce_jaxpr

from adaptax.networks.dense import OPERATIONS

OURS = Path(__file__).parent
"""Where the package is."""
_FUSED = """
abs add add_any and argmax argmin atan2 bitcast_convert_type broadcast_in_dim cbrt ceil clamp concatenate
convert_element_type copy copy_p cos cosh div dynamic_slice eq erf erf_inv exp exp2 expand_dims expm1 floor gather ge gt
integer_pow iota is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not optimization_barrier or pad
pow random_unwrap random_wrap reduce_precision rem reshape rev round rsqrt select_n shift_left shift_right_arithmetic
shift_right_logical sign sin sinh slice split sqrt square squeeze stop_gradient sub tan tanh transpose xor
"""
_DEAR = "atan2 cbrt cos erf erf_inv exp exp2 expm1 lgamma log log1p logistic pow sin tanh"
_RESHAPING = "broadcast_in_dim concatenate dynamic_slice gather iota pad rev slice split transpose"
_OPAQUE = """
dot_general conv_general_dilated sort scan while cond cumsum cumlogsumexp
cummax cumprod
"""

FUSED = frozenset(_FUSED.split())
"""Operations that cost no memory where their reader is an operation that can take them in."""
DEAR = frozenset(_DEAR.split())
"""Of these, those that are not done twice for two readers."""
RESHAPING = frozenset(_RESHAPING.split())
"""Of these, those whose results' elements lie elsewhere than their operands'."""
OPAQUE = frozenset(_OPAQUE.split()) | OPERATIONS
"""Operations that read arrays, not expressions."""


class Held(NamedTuple):
    """An array that is held.

    Attributes:
        bytes: Its size.
        what: Shape and type, as "100×512×32 float32".
        where: The function that makes it, as "rl2._loss (rl2.py, line 200)"; empty if unknown.
    """

    bytes: int
    what: str
    where: str


def arrays_at_peak(function: Callable[..., Any], *arguments: Any) -> list[Held]:
    """The arrays that `jit(function)` holds at once when it holds most, beside its arguments; the largest first.

    Args:
        function: The function.
        arguments: Arrays, or `jax.ShapeDtypeStruct` of them.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    needed, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
    return sorted(_peak(needed), reverse=True)


def largest(held: Iterable[Held], count: int = 3) -> list[str]:
    """The largest kinds of arrays in words, as "3 × (100×512×64 float32, 13.1 MB) in Critic.__call__ (…)"."""
    kinds = Counter(held).most_common()
    told = []
    for kind, times in sorted(kinds, key=lambda pair: -pair[0].bytes * pair[1])[:count]:
        where = f" in {kind.where}" if kind.where else ""
        told.append(f"{times} × ({kind.what}, {kind.bytes / 1e6:.3g} MB){where}")
    return told


class _Step(NamedTuple):
    """An operation of a program without calls."""

    name: str
    reads: list[Any]
    writes: list[Any]
    equation: Any


def _inlined(jaxpr: Jaxpr) -> tuple[list[_Step], list[Any]]:
    """The operations of a jaxpr with those of all that it calls, and what it returns."""
    steps: list[_Step] = []

    def visit(jaxpr: Jaxpr, known: dict[Any, Any]) -> list[Any]:
        at = lambda atom: None if isinstance(atom, Literal) else known.get(atom, atom)  # noqa: E731
        for equation in jaxpr.eqns:
            inner = _called(equation)
            if inner is None:
                writes = [_Name(var.aval) for var in equation.outvars]
                known.update(zip(equation.outvars, writes, strict=True))
                reads = [at(atom) for atom in equation.invars]
                steps.append(_Step(equation.primitive.name, [x for x in reads if x is not None], writes, equation))
                continue
            mine: dict[Any, Any] = dict(zip(inner.invars, map(at, equation.invars), strict=True))
            for var, name in zip(equation.outvars, visit(inner, mine), strict=True):
                known[var] = name
        return [at(atom) for atom in jaxpr.outvars]

    return steps, visit(jaxpr, {})


class _Name:
    """A value of an inlined program."""

    def __init__(self, aval: Any):
        self.aval = aval


def _called(equation: Any) -> Jaxpr | None:
    """What an operation calls, if that is all that it does; a loop of one turn is none."""
    if equation.primitive.name == "scan" and equation.params["length"] == 1:
        once: Jaxpr = equation.params["jaxpr"].jaxpr
        return once
    if equation.primitive.name in OPAQUE:
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if isinstance(inner, ClosedJaxpr):
            inner = inner.jaxpr
        if isinstance(inner, Jaxpr) and len(inner.invars) == len(equation.invars):
            return inner
    return None


def bytes_of(aval: Any) -> int:
    """Size of an array of a shape and type; a random key has eight bytes."""
    if not hasattr(aval, "shape"):
        return 0
    size = 8 if jax.dtypes.issubdtype(aval.dtype, jax.dtypes.extended) else aval.dtype.itemsize
    return math.prod(aval.shape) * size


def _held(name: Any, equation: Any) -> Held:
    shape = "×".join(map(str, name.aval.shape)) or "scalar"
    return Held(bytes_of(name.aval), f"{shape} {name.aval.dtype}", _where(equation))


def _where(equation: Any) -> str:
    """The line of ours that an operation comes from."""
    traceback = getattr(equation.source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        file = Path(frame.file_name)
        if file.is_relative_to(OURS) and file != Path(__file__):
            return f"{frame.function_name} ({file.name}, line {frame.line_num})"
    return ""


def _peak(jaxpr: Jaxpr) -> list[Held]:
    """The arrays held at the worst moment, without the jaxpr's inputs."""
    steps, results = _inlined(jaxpr)
    readers: dict[Any, list[int]] = {}
    for index, step in enumerate(steps):
        for name in step.reads:
            readers.setdefault(name, []).append(index)
    end = len(steps)
    returned = {name for name in results if isinstance(name, _Name)}
    kept: dict[Any, bool] = {}
    last: dict[Any, int] = {}
    for index in reversed(range(end)):
        step = steps[index]
        for name in step.writes:
            mine = readers.get(name, [])
            kept[name] = (
                name in returned
                or step.name not in FUSED
                or any(steps[i].name in OPAQUE for i in mine)
                or (step.name in DEAR and len(set(mine)) > 1)
            )
            last[name] = (
                end if name in returned else max([index, *(_read_until(steps[i], i, kept, last) for i in mine)])
            )
    return _worst(steps, kept, last)


def _read_until(step: _Step, index: int, kept: dict[Any, bool], last: dict[Any, int]) -> int:
    """Until when an operand of a step is read: where the step is fused into others, until the last of those."""
    return max([index, *(last[name] for name in step.writes if not kept[name])])


def _worst(steps: list[_Step], kept: dict[Any, bool], last: dict[Any, int]) -> list[Held]:
    """Go through the steps, hold what is needed, and return what was held when it was most."""
    holding: dict[Any, Held] = {}
    total, most, worst = 0, -1, []
    ends: dict[int, list[Any]] = {}
    for index, step in enumerate(steps):
        within = _within(step)
        inside = sum(x.bytes for x in within)
        reused = _reused(step, index, holding, last)
        for name in step.writes:
            if kept[name]:
                reused += _in_place(step, name, ends.get(index, []), reused, holding)
                holding[name] = _held(name, step.equation)
                total += holding[name].bytes
                ends.setdefault(last[name], []).append(name)
        for name in reused:
            total -= holding.pop(name).bytes
        if total + inside > most:
            most, worst = total + inside, [*holding.values(), *within]
        for name in ends.pop(index, []):
            if name in holding:
                total -= holding.pop(name).bytes
    return worst


def _within(step: _Step) -> list[Held]:
    """What an operation holds while it works, beside its operands and results."""
    params = step.equation.params
    if step.name == "scan":
        return _peak(params["jaxpr"].jaxpr)
    if step.name == "while":
        return max((_peak(params[name].jaxpr) for name in ("cond_jaxpr", "body_jaxpr")), key=_total)
    if step.name == "cond":
        return max((_peak(branch.jaxpr) for branch in params["branches"]), key=_total)
    return []


def _in_place(step: _Step, name: Any, ending: list[Any], taken: list[Any], holding: dict[Any, Held]) -> list[Any]:
    """The operand whose memory an elementwise result takes over: one of its shape that nobody reads afterwards."""
    if step.name not in FUSED - RESHAPING:
        return []
    of_its_kind = lambda x: (x.aval.shape, x.aval.dtype) == (name.aval.shape, name.aval.dtype)  # noqa: E731
    return [x for x in ending if x in holding and x not in taken and of_its_kind(x)][:1]


def _total(held: Iterable[Held]) -> int:
    return sum(x.bytes for x in held)


def _reused(step: _Step, index: int, holding: dict[Any, Held], last: dict[Any, int]) -> list[Any]:
    """Operands whose memory the results take over: a loop's carry that nobody reads afterwards."""
    params = step.equation.params
    if step.name == "scan":
        carry = step.equation.invars[params["num_consts"] :][: params["num_carry"]]
    elif step.name == "while":
        carry = step.equation.invars[params["cond_nconsts"] + params["body_nconsts"] :]
    else:
        return []
    wanted = {id(atom) for atom in carry if isinstance(atom, Var)}
    pairs = zip((a for a in step.equation.invars if not isinstance(a, Literal)), step.reads, strict=False)
    return list({name: 0 for atom, name in pairs if id(atom) in wanted and name in holding and last[name] == index})
