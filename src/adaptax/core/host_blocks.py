"""Programs that call simulators, taken apart: pieces that are compiled, and loops and branches that run on the host."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from adaptax.core.errors import UseError
from adaptax.core.host_packing import Packing
from adaptax.core.host_pieces import Options, Piece, called, evaluate, read, simulate_p, simulates
from adaptax.core.host_rounds import Rounds
from adaptax.core.types import is_key

ROW = 65536
"""What a round takes from a loop's inputs, and adds to its outputs, is packed up to so many words of each."""


class _Call:
    """An operation that simulates."""

    def __init__(self, eqn: Any, options: Options):
        self.eqn = eqn
        kinds = {"scan": _scan, "while": _while, "cond": _cond}
        if eqn.primitive is not simulate_p and eqn.primitive.name not in kinds:
            raise UseError(f"a simulator runs on the host, and cannot be called within '{eqn.primitive.name}'")
        kind = kinds.get(eqn.primitive.name)
        self._run = functools.partial(called, **eqn.params) if kind is None else kind(eqn, options)

    def __call__(self, known: dict[Any, Any]) -> None:
        found = self._run([read(known, x) for x in self.eqn.invars])
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
            for calls in (False, True):
                group = []
                for eqn in waiting:
                    can = all(isinstance(x, jex.Literal) or x in ready for x in eqn.invars)
                    if can and simulates(eqn) == calls:
                        group.append(eqn)
                        # Of calls, those that wait for others are left for later.
                        ready.update(() if calls else eqn.outvars)
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
                piece = Piece(group, needed, given_up, options)
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
        return [read(known, x) for x in jaxpr.outvars]


def _whole(closed: Any, options: Options) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A program as a block if it simulates, else compiled; a branch that does nothing is not run."""
    if any(simulates(eqn) for eqn in closed.jaxpr.eqns) or not closed.jaxpr.eqns:
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
    """A loop on the host of known length.

    The compiled pieces take its inputs by index, and put away its outputs; those of a round travel packed.
    """
    params, body = eqn.params, eqn.params["jaxpr"]
    length, before, carried = params["length"], params["num_consts"], params["num_consts"] + params["num_carry"]
    taking, giving = (
        Packing([x.aval for x in variables], ROW)
        for variables in (body.jaxpr.invars[carried:], body.jaxpr.outvars[params["num_carry"] :])
    )
    stacked = [_rows(x.aval, length) for x in body.jaxpr.outvars[params["num_carry"] :]]
    if length == 0:
        return lambda values: [*values[before:carried], *(_nothing(x) for x in stacked)]
    take, give = (jax.jit(jax.vmap(f, axis_size=length)) for f in (taking.pack, giving.unpack))
    xs = jax.eval_shape(take, [x.aval for x in eqn.invars[carried:]])
    ys = jax.eval_shape(jax.vmap(giving.pack, axis_size=length), stacked)

    def one(index: Any, *values: Any) -> list[Any]:
        inputs, outputs = values[carried : carried + len(xs)], values[carried + len(xs) :]
        now = taking.unpack([jax.lax.dynamic_index_in_dim(x, index, 0, keepdims=False) for x in inputs])
        found = evaluate(body.jaxpr, body.consts, [*values[:carried], *now])
        carry, row = found[: params["num_carry"]], giving.pack(found[params["num_carry"] :])
        put = jax.lax.dynamic_update_index_in_dim
        return [*carry, *(put(rows, part, index, 0) for rows, part in zip(outputs, row, strict=True))]

    number = jax.ShapeDtypeStruct((), jnp.int32)
    traced = jax.make_jaxpr(one)(number, *(x.aval for x in eqn.invars[:carried]), *xs, *ys)
    written = range(1 + carried + len(xs), 1 + carried + len(xs) + len(ys))
    rounds = Rounds(Block(traced, options, written), [*range(1 + before, 1 + carried), *written], params["num_carry"])

    def run(values: Sequence[Any]) -> Sequence[Any]:
        steps = range(length)
        indices = [np.int32(index) for index in (reversed(steps) if params["reverse"] else steps)]
        inputs = take(list(values[carried:])) if taking.packed else values[carried:]
        found = rounds(indices, [*values[:carried], *inputs, *(_nothing(y) for y in ys)])
        carry, outputs = found[: params["num_carry"]], found[params["num_carry"] :]
        return [*carry, *(give(outputs) if giving.packed else outputs)]

    return run


def _rows(shape: Any, length: int) -> jax.ShapeDtypeStruct:
    """Of an array for each round."""
    return jax.ShapeDtypeStruct((length, *shape.shape), shape.dtype)


def _nothing(shape: Any) -> Array:
    """An array to be filled."""
    if is_key(shape):
        data = jax.eval_shape(jax.random.key_data, shape)
        return jax.random.wrap_key_data(jnp.zeros(data.shape, data.dtype))
    return jnp.zeros(shape.shape, shape.dtype)
