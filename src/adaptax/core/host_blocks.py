"""Programs that call simulators, taken apart: pieces that are compiled, and loops and branches that run on the host."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax.interpreters import batching, mlir
from jaxtyping import Array

from adaptax.core.errors import UseError
from adaptax.core.types import is_key

simulate_p = jex.Primitive("simulate")
simulate_p.multiple_results = True


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


def evaluate(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """Do all operations, those within calls of functions that simulate one by one."""
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    for eqn in jaxpr.eqns:
        values = [_read(known, x) for x in eqn.invars]
        if eqn.primitive.name in _CALLS and _simulates(eqn):
            inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            found: Sequence[Any] = evaluate(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values)
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

        self._eqns = eqns

        def run(*values: Any) -> list[Any]:
            known = dict(zip(self.takes, values, strict=True))
            self.compute(known)
            return [known[x] for x in self.gives]

        self._run = jax.jit(run, donate_argnums=donate, compiler_options=options)

    def compute(self, known: dict[Any, Any]) -> None:
        """Do the operations, one by one."""
        for eqn in self._eqns:
            known.update(zip(eqn.outvars, _do(eqn, [_read(known, x) for x in eqn.invars]), strict=True))

    def __call__(self, known: dict[Any, Any]) -> None:
        known.update(zip(self.gives, self._run(*[known[x] for x in self.takes]), strict=True))


class _Call:
    """An operation that simulates."""

    def __init__(self, eqn: Any, options: Options):
        self.eqn = eqn
        kinds = {"scan": _scan, "while": _while, "cond": _cond}
        if eqn.primitive is not simulate_p and eqn.primitive.name not in kinds:
            raise UseError(f"a simulator runs on the host, and cannot be called within '{eqn.primitive.name}'")
        kind = kinds.get(eqn.primitive.name)
        self._run = functools.partial(_called, **eqn.params) if kind is None else kind(eqn, options)

    def __call__(self, known: dict[Any, Any]) -> None:
        found = self._run([_read(known, x) for x in self.eqn.invars])
        known.update(zip(self.eqn.outvars, found, strict=True))


class Block:
    """A program without calls of functions, in an order with as few pieces as there can be.

    Args:
        closed: The program.
        options: How pieces are compiled.
        donated: Which of its arguments are given up to it.
    """

    def __init__(self, closed: Any, options: Options, donated: range = range(0)):
        self.closed, self.options = closed, options
        jaxpr = closed.jaxpr
        self.steps: list[Any] = []
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
                self.steps[:0] = [_Call(eqn, options) for eqn in group]
                needed.update(x for eqn in group for x in eqn.invars if not isinstance(x, jex.Literal))
            else:
                piece = _Piece(group, needed, given_up, options)
                if piece.gives:
                    self.steps.insert(0, piece)
                    needed.update(piece.takes)

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        """Do it."""
        jaxpr = self.closed.jaxpr
        known = dict(zip(jaxpr.constvars, self.closed.consts, strict=True))
        known.update(zip(jaxpr.invars, args, strict=True))
        for step in self.steps:
            step(known)
        return [_read(known, x) for x in jaxpr.outvars]


def _whole(closed: Any, options: Options) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A program as a block if it simulates, else compiled; a branch that does nothing is not run."""
    if any(_simulates(eqn) for eqn in closed.jaxpr.eqns) or not closed.jaxpr.eqns:
        shapes = [x.aval for x in closed.jaxpr.invars]
        return Block(jax.make_jaxpr(lambda *args: evaluate(closed.jaxpr, closed.consts, args))(*shapes), options)
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
        found = evaluate(body.jaxpr, body.consts, [*values[:carried], *now])
        carry, ys = found[: params["num_carry"]], found[params["num_carry"] :]
        put = jax.lax.dynamic_update_index_in_dim
        return [*carry, *(put(all_, y, index, 0) for all_, y in zip(outputs, ys, strict=True))]

    full = [jax.ShapeDtypeStruct((length, *x.shape), x.dtype) for x in stacked]
    if length == 0:
        return lambda values: [*values[before:carried], *(_nothing(x) for x in full)]
    traced = jax.make_jaxpr(one)(jax.ShapeDtypeStruct((), jnp.int32), *shapes, *full)
    block = Block(traced, options, range(1 + len(shapes), 1 + len(shapes) + len(full)))

    moving = [*range(1 + before, 1 + carried), *range(1 + len(shapes), 1 + len(shapes) + len(full))]
    rounds = _Rounds(block, moving, num_carried=params["num_carry"])

    def run(values: Sequence[Any]) -> Sequence[Any]:
        steps = range(length)
        indices = [np.int32(index) for index in (reversed(steps) if params["reverse"] else steps)]
        return rounds(indices, [*values, *(_nothing(x) for x in full)])

    return run


AFTER_CALL = 2
"""Place in a round of the piece that follows on its only call."""


class _Rounds:
    """A loop of known length, round by round.

    Where a round has one call of a simulator, what comes after it and what comes before that of the next round are
    compiled together; so is a branch between them, if it is one that does nothing.

    Args:
        block: A round: from an index, and what is known, to what the round changes of that.
        moving: Places of those among its arguments, in the order in which it returns them.
        num_carried: How many of those it reads; what it writes only, one part in each round, comes after them.
    """

    def __init__(self, block: "Block", moving: Sequence[int], num_carried: int):
        jaxpr = block.closed.jaxpr
        self._block, self._moving = block, [jaxpr.invars[place] for place in moving]
        self._written = self._moving[num_carried:]
        self._fused: dict[int | None, Callable[[Any, Any, dict[Any, Any]], dict[Any, Any]]] = {}
        self._branch: _Call | None = None
        kinds = [type(step) if isinstance(step, _Piece) else step.eqn.primitive for step in block.steps]
        if kinds == [_Piece, simulate_p, _Piece]:
            self._fused = {None: self._fuse({})}
        elif len(kinds) == 4 and kinds[:3] == [_Piece, simulate_p, _Piece] and str(kinds[3]) == "cond":
            branch = block.steps[3]
            if branch.eqn.invars[0] in block.steps[0].gives:
                self._branch = branch
                for index, inner in enumerate(branch.eqn.params["branches"]):
                    if not inner.jaxpr.eqns and not inner.jaxpr.constvars:
                        operands = dict(zip(inner.jaxpr.invars, branch.eqn.invars[1:], strict=True))
                        through = [x if isinstance(x, jex.Literal) else operands[x] for x in inner.jaxpr.outvars]
                        self._fused[index] = self._fuse(dict(zip(branch.eqn.outvars, through, strict=True)))

    def __call__(self, indices: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """Do all rounds; return what they have changed."""
        jaxpr, steps = self._block.closed.jaxpr, self._block.steps
        fixed = dict(zip(jaxpr.constvars, self._block.closed.consts, strict=True))
        fixed.update(zip(jaxpr.invars[1:], args, strict=True))
        changed: list[Any] = [fixed[x] for x in self._moving]
        known: dict[Any, Any] | None = None
        for place, index in enumerate(indices):
            begin = 0 if known is None else 1  # its first piece was done with the end of the round before
            if known is None:
                known = {**fixed, jaxpr.invars[0]: index, **dict(zip(self._moving, changed, strict=True))}
            for number in range(begin, len(steps)):
                if number == AFTER_CALL and place + 1 < len(indices) and (fused := self._next(known)) is not None:
                    known = fused(index, indices[place + 1], known)
                    break
                steps[number](known)
            else:
                changed = [_read(known, x) for x in jaxpr.outvars]
                known = None
        return changed

    def _next(self, known: dict[Any, Any]) -> Any:
        """What does the rest of this round and the beginning of the next one, if there is such a thing."""
        if not self._fused:
            return None
        return self._fused.get(None if self._branch is None else int(np.asarray(known[self._branch.eqn.invars[0]])))

    def _fuse(self, through: dict[Any, Any]) -> Callable[[Any, Any, dict[Any, Any]], dict[Any, Any]]:
        """The rest of a round after its call, and the beginning of the next; `through`: what a branch passes on."""
        jaxpr, first, second = self._block.closed.jaxpr, self._block.steps[0], self._block.steps[2]
        ends = [x if isinstance(x, jex.Literal) else through.get(x, x) for x in jaxpr.outvars]
        again = dict(zip(self._moving, ends, strict=True))
        fixed = {*jaxpr.constvars, *jaxpr.invars[1:]} - {*self._moving}
        made = [x for x in dict.fromkeys(ends) if x in second.gives]
        begins = [again.get(x, x) for x in first.takes]
        asked = dict.fromkeys([*second.takes, *(x for x in begins if x not in second.gives)])
        takes = [x for x in asked if x is not jaxpr.invars[0] and not isinstance(x, jex.Literal)]
        # An array that is written in every round is used nowhere else.
        latest = {x for x, y in zip(ends, self._moving, strict=True) if y in self._written} | {*self._written}

        def run(index: Any, following: Any, *values: Any) -> tuple[list[Any], list[Any]]:
            known = {jaxpr.invars[0]: index, **dict(zip(takes, values, strict=True))}
            second.compute(known)
            now = {x: _read(known, again.get(x, x)) for x in first.takes} | {jaxpr.invars[0]: following}
            first.compute(now)
            return [known[x] for x in made], [now[x] for x in first.gives]

        donate = tuple(2 + place for place, x in enumerate(takes) if x in latest)
        program = jax.jit(run, donate_argnums=donate, compiler_options=self._block.options)

        def one(index: Any, following: Any, known: dict[Any, Any]) -> dict[Any, Any]:
            later, begun = program(index, following, *[known[x] for x in takes])
            found = {**known, **dict(zip(made, later, strict=True))}
            now = {x: known[x] for x in fixed} | {jaxpr.invars[0]: following}
            now.update((x, _read(found, again[x])) for x in self._moving)
            now.update(zip(first.gives, begun, strict=True))
            return now

        return one


def _nothing(shape: Any) -> Array:
    """An array to be filled."""
    if is_key(shape):
        data = jax.eval_shape(jax.random.key_data, shape)
        return jax.random.wrap_key_data(jnp.zeros(data.shape, data.dtype))
    return jnp.zeros(shape.shape, shape.dtype)
