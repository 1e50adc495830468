"""Cells of the package memax, as memories: `memax:NAME`.

Morad, Kortvelesy, Liwicki & Prorok 2023, "Reinforcement learning with fast and forgetful memory" (arXiv 2310.04128) and
Morad, Lu, Kortvelesy, Liwicki, Foerster & Prorok 2024, "Recurrent reinforcement learning with memoroids" (arXiv
2402.09900), whose package it is. What each cell computes, and who found it, stands there.

A cell stands where `adaptax.networks.memory.layered` has a layer,

    x ← x + W gelu(cell(norm(x))),

and complex numbers of its state are kept as pairs of real ones, so that it can be stored and sent as any other. Whole
trials are taken in by the package's own scans; where some steps did not happen, step by step.

Its two spherical cells are not among them: they take exponentials of matrices, whose LAPACK may wait for ever within
programs of learners.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.core.errors import UseError, needs
from adaptax.networks.heads import Linear
from adaptax.networks.memory.base import Memory, MemorySizes, dense_input_size
from adaptax.networks.memory.layered import Layer, Layered, Norm, gelu, in_order

PARTS = 4
"""Vectors that a step writes (DeltaProduct), times that a trace fades in (FFM), steps that a stack holds."""
LONGEST_WINDOW = 32
"""Steps that its attention sees, where it is not said: its state is as large for every step of a scan."""


class CellSizes(NamedTuple):
    """What a cell is built for: length of vectors, the square root of it, and steps of the window."""

    size: int
    root: int
    window: int


def _square(sizes: CellSizes) -> dict[str, Any]:
    return {"hidden_size": sizes.size, "recurrent_size": sizes.root}


def _both(sizes: CellSizes) -> dict[str, Any]:
    return {"hidden_size": sizes.size, "recurrent_size": sizes.size}


def _one(sizes: CellSizes) -> dict[str, Any]:
    return {"recurrent_size": sizes.size}


def _attention(positions: str | None) -> Callable[[CellSizes], dict[str, Any]]:
    return lambda sizes: {**_one(sizes), "window_size": sizes.window, "positional_embedding": positions}


CELLS: dict[str, tuple[str, Callable[[CellSizes], dict[str, Any]]]] = {
    "fart": ("semigroups.fart:FART", _square),
    "fwp": ("semigroups.fwp:FWP", _square),
    "deltanet": ("semigroups.delta:DeltaNet", _square),
    "deltaproduct": ("semigroups.deltap:DeltaProduct", lambda sizes: {**_square(sizes), "rank": PARTS}),
    "gdn": ("semigroups.gdn:GDN", _square),
    "ffm": (
        "semigroups.ffm:FFM",
        lambda sizes: {"hidden_size": sizes.size, "trace_size": PARTS, "context_size": max(sizes.size // PARTS, 1)},
    ),
    "s6": ("semigroups.s6:S6", _both),
    "lru": ("semigroups.lru:LRU", _both),
    "linear": ("semigroups.lrnn:LinearRecurrent", _one),
    "nmax": ("semigroups.nmax:NMax", _one),
    "stack": ("semigroups.stack:Stack", lambda sizes: {**_one(sizes), "window_size": PARTS}),
    "attention": ("semigroups.attn:Attention", _attention(None)),
    "attention-rope": ("semigroups.attn:Attention", _attention("rope")),
    "attention-alibi": ("semigroups.attn:Attention", _attention("alibi")),
    "gru": ("set_actions.gru:GRU", _one),
    "lstm": ("set_actions.lstm:LSTM", _one),
    "mgu": ("set_actions.mgu:MGU", _one),
    "elman": ("set_actions.elman:Elman", _both),
    "elman-relu": ("set_actions.elman:Elman", lambda sizes: {**_both(sizes), "activation": jax.nn.relu}),
}
"""Class and arguments of each, by the name after the colon."""


@contextlib.contextmanager
def _as_it_was_written() -> Iterator[None]:
    """The package mixes kinds of numbers, and numbers of axes."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _real(state: PyTree[Array]) -> PyTree[Array]:
    """Complex numbers as pairs."""
    return jax.tree.map(lambda x: jnp.stack([x.real, x.imag], -1) if jnp.iscomplexobj(x) else x, state)


class MemaxLayer(Layer):
    """One of the package's cells, between a norm and a layer that reads it.

    Attributes:
        norm: What the cell reads is normalised by.
        arrays: Those of the package's module.
        rest: What else is in it, which programs need not be given: numbers and functions, and where they are.
        out: W.
    """

    norm: Norm
    arrays: Any
    rest: Any = eqx.field(static=True)
    out: Linear

    def __init__(self, cell: Any, size: int, scale: float, key: Key[Array, ""]):
        self.arrays, rest = eqx.partition(cell, eqx.is_array)
        leaves, shape = jax.tree.flatten(rest)
        self.rest = tuple(leaves), shape
        self.norm, self.out = Norm(size), Linear(size, size, scale, key)

    @property
    def cell(self) -> Any:
        """The package's module."""
        leaves, shape = self.rest
        return eqx.combine(self.arrays, jax.tree.unflatten(shape, leaves))

    def initial(self) -> PyTree[Array]:
        """The cell's own."""
        with _as_it_was_written():
            return _real(self.cell.initialize_carry())

    def _own(self, state: PyTree[Array]) -> PyTree[Array]:
        """Pairs as complex numbers again."""
        kinds = jax.eval_shape(self.cell.initialize_carry)

        def own(kind: Any, x: Array) -> Array:
            return jax.lax.complex(x[..., 0], x[..., 1]) if jnp.issubdtype(kind.dtype, jnp.complexfloating) else x

        return jax.tree.map(own, kinds, state)

    def _read(self, x: Float[Array, "*batch size"], found: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
        return x + self.out(gelu(found))

    def step(self, state: PyTree[Array], x: Float[Array, " size"]) -> tuple[PyTree[Array], Float[Array, " size"]]:
        """A scan of one step."""
        with _as_it_was_written():
            states, found = self.cell(self._own(state), (self.norm(x)[None], jnp.zeros(1, bool)))
            after = _real(jax.tree.map(lambda s: s[-1], states))
        return after, self._read(x, found[0])

    def unroll(
        self,
        xs: Float[Array, "time batch size"],
        valid: Bool[Array, "time batch"] | None,
        starts: Bool[Array, "time batch"] | None,
    ) -> Float[Array, "time batch size"]:
        """The package's scan; step by step, if some did not happen."""
        if valid is not None:
            return in_order(self, xs, valid, starts)
        begins = jnp.zeros(xs.shape[:2], bool) if starts is None else starts

        def one(u: Float[Array, "time size"], begins: Bool[Array, " time"]) -> Float[Array, "time size"]:
            return self.cell(self.cell.initialize_carry(), (u, begins))[1]

        with _as_it_was_written():
            found = jax.vmap(one, in_axes=1, out_axes=1)(self.norm(xs), begins)
        return self._read(xs, found)


def _build(name: str, sizes: MemorySizes, key: Key[Array, ""]) -> Layered:
    place, arguments = CELLS[name]
    module, _, kind = place.partition(":")
    with needs("memax", f"--memory memax:{name}"):
        cell = getattr(importlib.import_module(f"memax.equinox.{module}"), kind)
    if name == "attention-rope" and sizes.size % 2:
        raise UseError(
            f"RL2(memory='memax:{name}').memory_size: expected an even number, since it turns pairs; found {sizes.size}"
        )
    window = sizes.window or min(max(sizes.span, 1), LONGEST_WINDOW)
    given = arguments(CellSizes(sizes.size, max(round(sizes.size**0.5), 1), window))

    def make(layer_key: Key[Array, ""]) -> MemaxLayer:
        cell_key, out_key = jax.random.split(layer_key)
        with _as_it_was_written():
            built = cell(**given, key=cell_key)
        return MemaxLayer(built, sizes.size, (2 * sizes.layers) ** -0.5, out_key)

    return Layered(dense_input_size(sizes), sizes.size, sizes.layers, make, key)


def __getattr__(name: str) -> Callable[[MemorySizes, Key[Array, ""]], Memory]:
    """A cell's name, with `_` for `-`: from sizes and a key to a memory."""
    cell = name.replace("_", "-")
    if cell not in CELLS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return lambda sizes, key: _build(cell, sizes, key)
