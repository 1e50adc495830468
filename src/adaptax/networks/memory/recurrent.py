"""Memories: LSTM, GRU, and none.

A memory is written for one environment in `step` (which `jax.vmap` batches) and for whole batches in `unroll`,
because learning is where the time goes and the batch makes it fast: inputs of all time steps enter in one
product before the scan, and the recurrent weights' gradient is one product after the backward scan instead of
a sum of small ones inside it (a custom derivative, checked against automatic differentiation in the tests).
A cell's derivatives are kept as it steps forward, so that the backward scan is products alone. Gates are arrays of
their own: XLA's CPU backend does not vectorise an operation that cuts its operands out of a larger array of a loop.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from adaptax.networks.heads import orthogonal
from adaptax.networks.memory.base import Memory, MemorySizes, Seen, dense_input_size

State: TypeAlias = tuple[Array, ...]
"""A cell's state; its first entry is the output h."""
Gates: TypeAlias = tuple[Array, ...]
"""Something for each of a cell's gates."""
Slopes: TypeAlias = tuple[Array, ...]
"""Derivatives of a cell, elementwise."""


class Inputs(NamedTuple):
    """What a cell reads at each step, `[time, ...]`.

    Attributes:
        gates: What comes from the input for each gate, `[*batch, size]`.
        valid: Whether the step happened, as a float, `[*batch]`; None: all did.
        kept: Whether the state is kept before it (else it is zeros), likewise.
    """

    gates: Gates
    valid: Array | None = None
    kept: Array | None = None


def sigmoid(x: Array) -> Array:
    """The logistic function."""
    return 0.5 * jnp.tanh(0.5 * x) + 0.5  # faster than the logistic function on XLA's CPU backend


def lstm_cell(state: State, from_input: Gates, from_hidden: Gates) -> tuple[State, Slopes]:
    """Hochreiter & Schmidhuber 1997 with forget gates (Gers et al. 2000), gates in the order i, f, o, g.

    Slopes: c by c, h by c, c by i, c by f, h by o, c by g.
    """
    before = state[1]
    i, f, o, g = (x + h for x, h in zip(from_input, from_hidden, strict=True))
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), jnp.tanh(g)
    c = f * before + i * g
    out = jnp.tanh(c)
    by_gates = g * i * (1 - i), before * f * (1 - f), out * o * (1 - o), i * (1 - g * g)
    return (o * out, c), (f, o * (1 - out * out), *by_gates)


def lstm_back(slopes: Slopes, d_state: State) -> tuple[State, Gates]:
    """H is read from c, and nothing but the product reads h."""
    (c_by_c, h_by_c, i, f, o, g), (d_h, d_c) = slopes, d_state
    d_c = d_c + h_by_c * d_h
    return (jnp.zeros_like(d_h), c_by_c * d_c), (i * d_c, f * d_c, o * d_h, g * d_c)


def gru_cell(state: State, from_input: Gates, from_hidden: Gates) -> tuple[State, Slopes]:
    """Cho et al. 2014 with the reset gate applied after the product, gates in the order r, z, n.

    Slopes: h by h, by r, by z and by n, and r.
    """
    (h,) = state
    (r_x, z_x, n_x), (r_h, z_h, n_h) = from_input, from_hidden
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = jnp.tanh(n_x + r * n_h)
    by_n = (1 - z) * (1 - n * n)
    return (n + z * (h - n),), (z, by_n * n_h * r * (1 - r), (h - n) * z * (1 - z), by_n, r)


def gru_back(slopes: Slopes, d_state: State) -> tuple[State, Gates]:
    """A product each."""
    (by_h, *by_gates, _), (d_h,) = slopes, d_state
    return (by_h * d_h,), tuple(slope * d_h for slope in by_gates)


def gru_hidden(slopes: Slopes, d_inputs: Gates) -> Gates:
    """What comes from h to n passes the reset gate."""
    d_r, d_z, d_n = d_inputs
    return d_r, d_z, slopes[-1] * d_n


def split_gates(x: Float[Array, "*batch gates"], size: int) -> Gates:
    """The gates, `[*batch, size]` each."""
    return tuple(jnp.split(x, x.shape[-1] // size, -1))


def _kept(state: State, kept: Array | None) -> State:
    """The state that a step begins with: zeros where a trial begins with it."""
    return state if kept is None else tuple(s * kept[..., None] for s in state)


def _where(valid: Array | None, new: State, old: State) -> State:
    """The new state where a step happened, and the old one where not."""
    if valid is None:
        return new
    return tuple(jnp.where(valid[..., None] > 0, n, o) for n, o in zip(new, old, strict=True))


class Cell(NamedTuple):
    """What tells the kinds of cells apart: elementwise functions of a state and of what comes to each gate.

    Attributes:
        step: The new state and its derivatives, from the state, what comes from the input and what comes from h.
        back: From those and the derivative by the new state: by the state, the product apart, and by the input.
        hidden: From those and the derivative by what comes from the input: by what comes from h.
        num_states: Arrays of a state.
        biases: Initial biases of each gate, from the logarithms of the spans; None: 0.
    """

    step: Callable[[State, Gates, Gates], tuple[State, Slopes]]
    back: Callable[[Slopes, State], tuple[State, Gates]]
    hidden: Callable[[Slopes, Gates], Gates]
    num_states: int
    biases: Callable[[Array], tuple[Array | None, ...]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def scan_cell(cell: Cell, weight: Array, state: State, inputs: Inputs) -> Array:
    """Run `cell` over time; return h after every step, `[time, *batch, size]`.

    Args:
        cell: The kind.
        weight: Recurrent weights, `[size, gates × size]`.
        state: Initial state, leaves `[*batch, size]`.
        inputs: What the cell reads.
    """
    return _scan_cell_forward(cell, weight, state, inputs)[0]


def _scan_cell_forward(cell: Cell, weight: Array, state: State, inputs: Inputs) -> tuple[Array, Any]:
    def step(state: State, now: Inputs) -> tuple[State, Any]:
        state = _kept(state, now.kept)
        new, slopes = cell.step(state, now.gates, split_gates(state[0] @ weight, state[0].shape[-1]))
        new = _where(now.valid, new, state)
        return new, (new[0], state[0], slopes)

    _, (outputs, hidden, slopes) = jax.lax.scan(step, state, inputs)
    return outputs, (weight, state, inputs, hidden, slopes)


def _scan_cell_backward(cell: Cell, residuals: Any, d_outputs: Array) -> tuple[Array, State, Inputs]:
    weight, state, inputs, hidden, slopes = residuals

    def step(d_state: State, now: Any) -> tuple[State, Gates]:
        slopes, d_output, masks = now
        d_state = d_state[0] + d_output, *d_state[1:]
        happened = d_state if masks.valid is None else tuple(d * masks.valid[..., None] for d in d_state)
        d_before, d_inputs = cell.back(slopes, happened)
        # Joined by itself, or the product would take each of its operands out of an elementwise operation.
        joined = jax.lax.optimization_barrier(jnp.concatenate(cell.hidden(slopes, d_inputs), -1))
        d_before = _where(masks.valid, (d_before[0] + joined @ weight.T, *d_before[1:]), d_state)
        return _kept(d_before, masks.kept), d_inputs

    nothing = tuple(jnp.zeros_like(s) for s in state)
    backward = slopes, d_outputs, inputs._replace(gates=())
    d_state, d_inputs = jax.lax.scan(step, nothing, backward, reverse=True)

    def rows(x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    d_weight = jnp.concatenate([rows(hidden).T @ rows(d) for d in cell.hidden(slopes, d_inputs)], -1)
    masks = jax.tree.map(jnp.zeros_like, (inputs.valid, inputs.kept))
    return d_weight, d_state, Inputs(d_inputs, *masks)


scan_cell.defvjp(_scan_cell_forward, _scan_cell_backward)


CELLS = {
    "lstm": Cell(lstm_cell, lstm_back, lambda _, d_inputs: d_inputs, 2, lambda spans: (-spans, spans, None, None)),
    "gru": Cell(gru_cell, gru_back, gru_hidden, 1, lambda spans: (None, spans, None)),
}


class Recurrent(Memory):
    """An LSTM or GRU layer.

    Attributes:
        input_weight: `[input_size, gates × size]`.
        weight: Recurrent weights, `[size, gates × size]`.
        bias: `[gates × size]`.
        kind: "lstm" or "gru".
    """

    input_weight: Float[Array, "input_size gates"]
    weight: Float[Array, "size gates"]
    bias: Float[Array, " gates"]
    kind: str = eqx.field(static=True)

    def __init__(self, kind: str, input_size: int, size: int, span: int, key: Key[Array, ""]):
        """Initialise orthogonally, with gates open for time spans of 1 to `span` steps.

        The gates' biases follow Tallec & Ollivier 2018 (arXiv 1804.11188, section 3.2): a forget gate with bias
        log u, u ~ U[1, span − 1], remembers for about u steps, so trials of 10 and of 500 steps both start with
        units that can span them.
        """
        input_key, weight_key, span_key = jax.random.split(key, 3)
        self.kind = kind
        num_gates = len(CELLS[kind].biases(jnp.zeros(size)))
        self.input_weight = 0.5 * jax.random.normal(input_key, (input_size, num_gates * size))
        blocks = [orthogonal(k, (size, size)) for k in jax.random.split(weight_key, num_gates)]
        self.weight = jnp.concatenate(blocks, axis=1)
        spans = jnp.log(jax.random.uniform(span_key, (size,), minval=1.0, maxval=max(span - 1.0, 2.0)))
        biases = CELLS[kind].biases(spans)
        self.bias = jnp.concatenate([jnp.zeros(size) if bias is None else bias for bias in biases])

    @classmethod
    def builder(cls, kind: str) -> Callable[[MemorySizes, Key[Array, ""]], "Recurrent"]:
        """How to build one that reads everything."""
        return lambda sizes, key: cls(kind, dense_input_size(sizes), sizes.size, sizes.span, key)

    @property
    def size(self) -> int:
        """Number of units."""
        return self.weight.shape[0]

    @property
    def cell(self) -> Cell:
        """The elementwise part."""
        return CELLS[self.kind]

    def initial(self) -> State:
        """The state at the start of a trial: zeros."""
        return tuple(jnp.zeros(self.size) for _ in range(self.cell.num_states))

    def step(self, state: State, x: Float[Array, " input_size"]) -> tuple[State, Float[Array, " size"]]:
        """Take in one input (no batch); return the new state and the output."""
        from_input, from_hidden = x @ self.input_weight + self.bias, state[0] @ self.weight
        state, _ = self.cell.step(state, split_gates(from_input, self.size), split_gates(from_hidden, self.size))
        return state, state[0]

    def unroll(
        self,
        xs: Float[Array, "time batch input_size"],
        valid: Bool[Array, "time batch"] | None = None,
        starts: Bool[Array, "time batch"] | None = None,
    ) -> Float[Array, "time batch size"]:
        """Outputs for trials, from fresh states. Steps that are not `valid` leave the state alone."""
        state = tuple(jnp.zeros((xs.shape[1], self.size)) for _ in self.initial())
        from_input = (xs.reshape(-1, xs.shape[-1]) @ self.input_weight).reshape(*xs.shape[:2], -1)
        from_input = from_input + self.bias[None, None]
        happened = None if valid is None else valid.astype(xs.dtype)
        kept = None if starts is None else (~starts).astype(xs.dtype)
        return scan_cell(self.cell, self.weight, state, Inputs(split_gates(from_input, self.size), happened, kept))


class Memoryless(Memory):
    """A layer that forgets everything: the ablation.

    Attributes:
        weight: `[input_size, size]`.
        bias: `[size]`.
    """

    weight: Float[Array, "input_size size"]
    bias: Float[Array, " size"]

    counts_pairs: ClassVar[bool] = False

    def __init__(self, input_size: int, size: int, key: Key[Array, ""]):
        self.weight = jax.random.normal(key, (input_size, size)) / max(input_size, 1) ** 0.5
        self.bias = jnp.zeros(size)

    @classmethod
    def build(cls, sizes: MemorySizes, key: Key[Array, ""]) -> "Memoryless":
        """A layer of `sizes.size` units that reads encoded observations."""
        return cls(sizes.observation.encoded_size, sizes.size, key)

    def inputs(self, seen: Seen) -> Float[Array, "*batch input_size"]:
        """The observation alone: the previous action and reward would be a memory of one step."""
        return seen.observation

    @property
    def size(self) -> int:
        """Number of units."""
        return self.bias.shape[0]

    def initial(self) -> State:
        """The state at the start of a trial: none, as nothing is remembered."""
        return ()

    def step(self, state: State, x: Float[Array, " input_size"]) -> tuple[State, Float[Array, " size"]]:
        """Return no state, and the output for one input (no batch)."""
        return (), jnp.tanh(x @ self.weight + self.bias)

    def unroll(
        self,
        xs: Float[Array, "time batch input_size"],
        valid: Bool[Array, "time batch"] | None = None,
        starts: Bool[Array, "time batch"] | None = None,
    ) -> Float[Array, "time batch size"]:
        """Outputs for a batch of trials, each from its own input alone."""
        return jnp.tanh(xs @ self.weight + self.bias[None, None])


lstm, gru, none = Recurrent.builder("lstm"), Recurrent.builder("gru"), Memoryless.build
"""From sizes and a key to a memory."""
