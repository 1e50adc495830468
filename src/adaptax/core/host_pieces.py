"""The operation that calls a simulator, and pieces of programs between such operations, compiled together."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.interpreters import batching, mlir
from jaxtyping import Array

from adaptax.core.errors import UseError

simulate_p = jex.Primitive("simulate")
simulate_p.multiple_results = True


@simulate_p.def_abstract_eval
def _shapes(*args: Any, call: Any, shapes: Any, batch: tuple[int, ...]) -> list[Any]:
    return [jax.core.ShapedArray((*batch, *shape), dtype) for shape, dtype in shapes]


def called(args: Sequence[Any], *, call: Any, shapes: Any, batch: tuple[int, ...]) -> list[np.ndarray]:
    """What a simulator returns."""
    found = call(*(np.asarray(x) for x in args))
    return [np.asarray(x, dtype).reshape((*batch, *shape)) for x, (shape, dtype) in zip(found, shapes, strict=True)]


@simulate_p.def_impl
def _called_by_itself(*args: Any, **params: Any) -> list[Array]:
    return [jnp.asarray(x) for x in called(args, **params)]


def _batched(args: Any, axes: Any, *, call: Any, shapes: Any, batch: tuple[int, ...]) -> tuple[Any, list[int]]:
    size = next(x.shape[axis] for x, axis in zip(args, axes, strict=True) if axis is not None)
    front = [
        jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(args, axes, strict=True)
    ]
    found = simulate_p.bind(*front, call=call, shapes=shapes, batch=(size, *batch))
    return found, [0] * len(found)


def _refused(*args: Any, **params: Any) -> Any:
    raise UseError(
        "a simulator runs on the host, and cannot be part of a program that is compiled as a whole; run the function "
        "by adaptax.core.host_program.program(function), which takes it apart"
    )


batching.primitive_batchers[simulate_p] = _batched
mlir.register_lowering(simulate_p, _refused)


Options = dict[str, Any] | None
"""How to compile, as `jax.jit` takes it."""

_CALLS = {"pjit", "jit", "closed_call", "core_call", "remat", "checkpoint", "remat2", "custom_jvp_call"}
"""Operations that only stand for what is in them."""


def _within(eqn: Any) -> list[Any]:
    """The programs that an operation has in it."""
    found = []
    for value in eqn.params.values():
        parts = value if isinstance(value, tuple | list) else (value,)
        found += [x for x in (getattr(part, "jaxpr", part) for part in parts) if isinstance(x, jex.Jaxpr)]
    return found


def simulates(eqn: Any) -> bool:
    """Whether an operation calls a simulator, somewhere in it."""
    return eqn.primitive is simulate_p or any(simulates(inner) for part in _within(eqn) for inner in part.eqns)


def _do(eqn: Any, values: Sequence[Any]) -> Sequence[Any]:
    """Do one operation."""
    params = eqn.primitive.get_bind_params(eqn.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # up to JAX 0.9 a pair
    found = eqn.primitive.bind(*functions, *values, **params)
    return found if eqn.primitive.multiple_results else [found]


def evaluate(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """Do all operations, those within calls of functions that simulate one by one."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        values = [read(known, x) for x in eqn.invars]
        if eqn.primitive.name in _CALLS and simulates(eqn):
            inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            found: Sequence[Any] = evaluate(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values)
        else:
            found = _do(eqn, values)
        known.update(zip(eqn.outvars, found, strict=True))
    return [read(known, x) for x in jaxpr.outvars]


def read(known: dict[Any, Any], x: Any) -> Any:
    """The value of a variable, or of a literal."""
    return x.val if isinstance(x, jex.Literal) else known[x]


class Piece:
    """Operations between two calls of simulators, compiled together."""

    def __init__(self, eqns: Sequence[Any], needed: set[Any], donated: frozenset[Any], options: Options):
        made = dict.fromkeys(x for eqn in eqns for x in eqn.outvars)
        used = dict.fromkeys(x for eqn in eqns for x in eqn.invars if not isinstance(x, jex.Literal))
        self.takes = [x for x in used if x not in made]
        self.gives = [x for x in made if x in needed]
        donate = tuple(index for index, x in enumerate(self.takes) if x in donated)

        self._eqns = eqns

        def run(*values: Any) -> list[Any]:
            known = dict(zip(self.takes, values, strict=True))
            self.compute(known)
            return [known[x] for x in self.gives]

        self._run = jax.jit(run, donate_argnums=donate, compiler_options=options)

    def compute(self, known: dict[Any, Any]) -> None:
        """Do the operations, one by one."""
        for eqn in self._eqns:
            known.update(zip(eqn.outvars, _do(eqn, [read(known, x) for x in eqn.invars]), strict=True))

    def __call__(self, known: dict[Any, Any]) -> None:
        """Do them as one program."""
        known.update(zip(self.gives, self._run(*[known[x] for x in self.takes]), strict=True))
