"""Programs with simulators in them: a loop on the host around pieces that are compiled.

An environment whose simulator runs on the host calls `simulate` in its `reset` and `step`, and is an environment like
any other to those who use it: the rollout, updates and evaluations are the same functions. Where such a function would
be compiled as a whole, `program` goes through it instead: what lies between two calls of the simulator is compiled,
loops and branches that have calls in them run on the host, and the calls are ordinary Python. So each is made once and
in order, may take as long as it likes, raises what it raises, and can be interrupted; a callback of a compiled program
promises none of that.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.interpreters import batching, mlir
from jaxtyping import Array, PyTree

from adaptax.core.errors import UseError
from adaptax.core.types import is_key

simulate_p = jex.Primitive("simulate")
simulate_p.multiple_results = True


def simulate(call: Callable[..., Sequence[np.ndarray]], shapes: PyTree[jax.ShapeDtypeStruct], *args: PyTree) -> Any:
    """Have a simulator do something, on the host.

    Args:
        call: Takes the leaves of `args` and returns arrays like the leaves of `shapes`, all NumPy's and all with the
            same leading axes: those that `vmap` has added, so that it is called once for the whole batch. What it
            returns must depend on nothing but its arguments.
        shapes: Shapes and types of what it returns, without those axes.
        args: Arrays, in any pytrees.
    """
    leaves, structure = jax.tree.flatten(shapes)
    found = simulate_p.bind(
        *(jax.lax.stop_gradient(jnp.asarray(x)) for x in jax.tree.leaves(args)),
        call=call,
        shapes=tuple((x.shape, np.dtype(x.dtype)) for x in leaves),
        batch=(),
    )
    return jax.tree.unflatten(structure, found)


@simulate_p.def_abstract_eval
def _shapes(*args: Any, call: Any, shapes: Any, batch: tuple[int, ...]) -> list[Any]:
    return [jax.core.ShapedArray((*batch, *shape), dtype) for shape, dtype in shapes]


def _called(args: Sequence[Any], *, call: Any, shapes: Any, batch: tuple[int, ...]) -> list[np.ndarray]:
    found = call(*(np.asarray(x) for x in args))
    return [np.asarray(x, dtype).reshape((*batch, *shape)) for x, (shape, dtype) in zip(found, shapes, strict=True)]


@simulate_p.def_impl
def _called_by_itself(*args: Any, **params: Any) -> list[Array]:
    return [jnp.asarray(x) for x in _called(args, **params)]


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


class HostProgram:
    """What `jax.jit` makes of a function, for one that calls simulators; see `program`."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any] | None = None):
        self._function, self._options = function, options
        self._known: dict[Any, tuple[Callable[[], _Block], Any]] = {}

    def __call__(self, *args: PyTree[Array]) -> Any:
        """Run it; or, while another program is traced, be part of that."""
        if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(args)):
            return self._function(*args)
        block, structure = self._taken_apart(args)
        found = block()(jax.tree.leaves(args))
        return jax.tree.unflatten(structure, [x if isinstance(x, jax.Array) else jnp.asarray(x) for x in found])

    def lower(self, *args: PyTree) -> "HostProgram":
        """Take it apart for arguments, or for their shapes."""
        self._taken_apart(args)
        return self

    def compile(self, options: dict[str, Any] | None = None) -> "HostProgram":
        """As of a program that is compiled as a whole; the pieces are compiled as each is reached."""
        self._options = options or self._options
        return self

    def memory_analysis(self) -> None:
        """Not known before it has run."""
        return None

    def as_text(self) -> str:
        """Nothing: the pieces are compiled one by one."""
        return ""

    def _taken_apart(self, args: tuple[PyTree, ...]) -> "tuple[Callable[[], _Block], Any]":
        leaves, structure = jax.tree.flatten(args)
        key = structure, tuple((np.shape(x), jnp.result_type(x)) for x in leaves)
        if key not in self._known:
            closed, shapes = jax.make_jaxpr(self._function, return_shape=True)(*args)
            flat = jax.make_jaxpr(lambda *leaves: _evaluate(closed.jaxpr, closed.consts, leaves))(*leaves)
            block = functools.cache(lambda: _Block(flat, self._options))
            self._known[key] = block, jax.tree.structure(shapes)
        return self._known[key]


def program(function: Callable[..., Any], *, on_host: bool, **options: Any) -> Any:
    """A function as a program: compiled as a whole, by `jax.jit` with `options`; or, `on_host`, taken apart."""
    if on_host:
        return HostProgram(function, options.get("compiler_options"))
    return jax.jit(function, **options)


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


def _simulates(eqn: Any) -> bool:
    """Whether an operation calls a simulator, somewhere in it."""
    return eqn.primitive is simulate_p or any(_simulates(inner) for part in _within(eqn) for inner in part.eqns)


def _do(eqn: Any, values: Sequence[Any]) -> Sequence[Any]:
    """Do one operation."""
    params = eqn.primitive.get_bind_params(eqn.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # up to JAX 0.9 a pair
    found = eqn.primitive.bind(*functions, *values, **params)
    return found if eqn.primitive.multiple_results else [found]


def _evaluate(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """Do all operations, those within calls of functions that simulate one by one."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        values = [_read(known, x) for x in eqn.invars]
        if eqn.primitive.name in _CALLS and _simulates(eqn):
            inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            found: Sequence[Any] = _evaluate(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values)
        else:
            found = _do(eqn, values)
        known.update(zip(eqn.outvars, found, strict=True))
    return [_read(known, x) for x in jaxpr.outvars]


def _read(known: dict[Any, Any], x: Any) -> Any:
    return x.val if isinstance(x, jex.Literal) else known[x]


class _Piece:
    """Operations between two calls of simulators, compiled together."""

    def __init__(self, eqns: Sequence[Any], needed: set[Any], donated: frozenset[Any], options: Options):
        made = dict.fromkeys(x for eqn in eqns for x in eqn.outvars)
        used = dict.fromkeys(x for eqn in eqns for x in eqn.invars if not isinstance(x, jex.Literal))
        self.takes = [x for x in used if x not in made]
        self.gives = [x for x in made if x in needed]
        donate = tuple(index for index, x in enumerate(self.takes) if x in donated)

        def run(*values: Any) -> list[Any]:
            known = dict(zip(self.takes, values, strict=True))
            for eqn in eqns:
                known.update(zip(eqn.outvars, _do(eqn, [_read(known, x) for x in eqn.invars]), strict=True))
            return [known[x] for x in self.gives]

        self._run = jax.jit(run, donate_argnums=donate, compiler_options=options)

    def __call__(self, known: dict[Any, Any]) -> None:
        known.update(zip(self.gives, self._run(*[known[x] for x in self.takes]), strict=True))


class _Call:
    """An operation that simulates."""

    def __init__(self, eqn: Any, options: Options):
        self._eqn = eqn
        kinds = {"scan": _scan, "while": _while, "cond": _cond}
        if eqn.primitive is not simulate_p and eqn.primitive.name not in kinds:
            raise UseError(f"a simulator runs on the host, and cannot be called within '{eqn.primitive.name}'")
        kind = kinds.get(eqn.primitive.name)
        self._run = functools.partial(_called, **eqn.params) if kind is None else kind(eqn, options)

    def __call__(self, known: dict[Any, Any]) -> None:
        found = self._run([_read(known, x) for x in self._eqn.invars])
        known.update(zip(self._eqn.outvars, found, strict=True))


class _Block:
    """A program without calls of functions, in an order with as few pieces as there can be.

    Args:
        closed: The program.
        options: How pieces are compiled.
        donated: Which of its arguments are given up to it.
    """

    def __init__(self, closed: Any, options: Options, donated: range = range(0)):
        self._closed = closed
        jaxpr = closed.jaxpr
        self._steps: list[Any] = []
        ready = {*jaxpr.constvars, *jaxpr.invars}
        waiting = list(jaxpr.eqns)
        groups: list[list[Any]] = []
        while waiting:
            for simulates in (False, True):
                group = []
                for eqn in waiting:
                    can = all(isinstance(x, jex.Literal) or x in ready for x in eqn.invars)
                    if can and _simulates(eqn) == simulates:
                        group.append(eqn)
                        # Of calls, those that wait for others are left for later.
                        ready.update(() if simulates else eqn.outvars)
                taken = set(map(id, group))
                waiting = [eqn for eqn in waiting if id(eqn) not in taken]
                ready.update(x for eqn in group for x in eqn.outvars)
                groups.append(group)
        needed = {x for x in jaxpr.outvars if not isinstance(x, jex.Literal)}
        given_up = frozenset(jaxpr.invars[index] for index in donated)
        for index in reversed(range(len(groups))):
            group = groups[index]
            if index % 2:
                self._steps[:0] = [_Call(eqn, options) for eqn in group]
                needed.update(x for eqn in group for x in eqn.invars if not isinstance(x, jex.Literal))
            else:
                piece = _Piece(group, needed, given_up, options)
                if piece.gives:
                    self._steps.insert(0, piece)
                    needed.update(piece.takes)

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        """Do it."""
        jaxpr = self._closed.jaxpr
        known = dict(zip(jaxpr.constvars, self._closed.consts, strict=True))
        known.update(zip(jaxpr.invars, args, strict=True))
        for step in self._steps:
            step(known)
        return [_read(known, x) for x in jaxpr.outvars]


def _whole(closed: Any, options: Options) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A program as a block if it simulates, else compiled; a branch that does nothing is not run."""
    if any(_simulates(eqn) for eqn in closed.jaxpr.eqns) or not closed.jaxpr.eqns:
        shapes = [x.aval for x in closed.jaxpr.invars]
        return _Block(jax.make_jaxpr(lambda *args: _evaluate(closed.jaxpr, closed.consts, args))(*shapes), options)
    run = jax.jit(jex.jaxpr_as_fun(closed))
    return lambda args: run(*args)


def _cond(eqn: Any, options: Options) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A branch that is taken on the host."""
    branches = [_whole(branch, options) for branch in eqn.params["branches"]]

    def run(values: Sequence[Any]) -> Sequence[Any]:
        index = int(np.asarray(values[0]))
        return branches[min(max(index, 0), len(branches) - 1)](values[1:])

    return run


def _while(eqn: Any, options: Options) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A loop on the host that ends when its condition says so."""
    params = eqn.params
    condition, body = _whole(params["cond_jaxpr"], options), _whole(params["body_jaxpr"], options)
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]

    def run(values: Sequence[Any]) -> Sequence[Any]:
        asked, given, carry = values[:first], values[first:second], list(values[second:])
        while bool(np.asarray(condition([*asked, *carry])[0])):
            carry = list(body([*given, *carry]))
        return carry

    return run


def _scan(eqn: Any, options: Options) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A loop on the host of known length; the compiled pieces take its inputs by index, and put away its outputs."""
    params, body = eqn.params, eqn.params["jaxpr"]
    length, before, carried = params["length"], params["num_consts"], params["num_consts"] + params["num_carry"]
    shapes = [x.aval for x in eqn.invars]
    stacked = [x.aval for x in body.jaxpr.outvars[params["num_carry"] :]]

    def one(index: Any, *values: Any) -> list[Any]:
        xs, outputs = values[carried : len(shapes)], values[len(shapes) :]
        now = [jax.lax.dynamic_index_in_dim(x, index, 0, keepdims=False) for x in xs]
        found = _evaluate(body.jaxpr, body.consts, [*values[:carried], *now])
        carry, ys = found[: params["num_carry"]], found[params["num_carry"] :]
        put = jax.lax.dynamic_update_index_in_dim
        return [*carry, *(put(all_, y, index, 0) for all_, y in zip(outputs, ys, strict=True))]

    full = [jax.ShapeDtypeStruct((length, *x.shape), x.dtype) for x in stacked]
    traced = jax.make_jaxpr(one)(jax.ShapeDtypeStruct((), jnp.int32), *shapes, *full)
    block = _Block(traced, options, range(1 + len(shapes), 1 + len(shapes) + len(full)))

    def run(values: Sequence[Any]) -> Sequence[Any]:
        consts, carry, xs = values[:before], list(values[before:carried]), values[carried:]
        outputs = [_nothing(x) for x in full]
        steps = range(length)
        for index in reversed(steps) if params["reverse"] else steps:
            found = block([np.int32(index), *consts, *carry, *xs, *outputs])
            carry, outputs = found[: len(carry)], found[len(carry) :]
        return [*carry, *outputs]

    return run


def _nothing(shape: Any) -> Array:
    """An array to be filled."""
    if is_key(shape):
        data = jax.eval_shape(jax.random.key_data, shape)
        return jax.random.wrap_key_data(jnp.zeros(data.shape, data.dtype))
    return jnp.zeros(shape.shape, shape.dtype)
