"""Memories: LSTM, GRU, and none.

A memory is written for one environment in `step` (which `jax.vmap` batches) and for whole batches in `unroll`,
because learning is where the time goes and the batch makes it fast: inputs of all time steps enter in one
product before the scan, and the recurrent weights' gradient is one product after the backward scan instead of
a sum of small ones inside it (a custom derivative, checked against automatic differentiation in the tests).
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from adaptax.networks.memory.base import Memory, MemorySizes, Seen, dense_input_size

State: TypeAlias = tuple[Array, ...]
"""A cell's state; its first entry is the output h."""


def _sigmoid(x: Array) -> Array:
    return 0.5 * jnp.tanh(0.5 * x) + 0.5  # faster than the logistic function on XLA's CPU backend


def lstm_cell(state: State, from_input: Array, from_hidden: Array) -> State:
    """Hochreiter & Schmidhuber 1997 with forget gates (Gers et al. 2000), gates in the order i, f, o, g."""
    _, c = state
    i, f, o, g = jnp.split(from_input + from_hidden, 4, -1)
    c = _sigmoid(f) * c + _sigmoid(i) * jnp.tanh(g)
    return _sigmoid(o) * jnp.tanh(c), c


def gru_cell(state: State, from_input: Array, from_hidden: Array) -> State:
    """Cho et al. 2014 with the reset gate applied after the product, gates in the order r, z, n."""
    (h,) = state
    (r_x, z_x, n_x), (r_h, z_h, n_h) = jnp.split(from_input, 3, -1), jnp.split(from_hidden, 3, -1)
    z = _sigmoid(z_x + z_h)
    n = jnp.tanh(n_x + _sigmoid(r_x + r_h) * n_h)
    return (n + z * (h - n),)


def _kept(state: State, kept: Array | None) -> State:
    """The state that a step begins with: zeros where a trial begins with it."""
    return state if kept is None else tuple(s * kept[..., None] for s in state)


def _masked(cell: Callable[..., State], state: State, inputs: Any, from_hidden: Array) -> State:
    """One cell step that leaves the state alone where a step did not happen."""
    from_input, valid, _ = inputs
    new = cell(state, from_input, from_hidden)
    if valid is None:
        return new
    return tuple(jnp.where(valid[..., None] > 0, n, s) for n, s in zip(new, state, strict=True))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def scan_cell(cell: Callable[..., State], weight: Array, state: State, inputs: Any) -> Array:
    """Run `cell` over time; return h after every step, `[time, *batch, size]`.

    Args:
        cell: Elementwise in (state, what comes from the input, h @ weight).
        weight: Recurrent weights, `[size, gates]`.
        state: Initial state, leaves `[*batch, size]`.
        inputs: What comes from the input, `[time, *batch, gates]`; which steps happened, and before which ones the
            state is kept (elsewhere it is zeros), as floats, `[time, *batch]` or None.
    """

    def step(state: State, now: Any) -> tuple[State, Array]:
        state = _kept(state, now[2])
        state = _masked(cell, state, now, state[0] @ weight)
        return state, state[0]

    return jax.lax.scan(step, state, inputs)[1]


def _scan_cell_forward(cell: Callable[..., State], weight: Array, state: State, inputs: Any) -> tuple[Array, Any]:
    def step(state: State, now: Any) -> tuple[State, Any]:
        state = _kept(state, now[2])
        # What the derivative needs of the gates is kept: computing them again in the backward scan would cost more.
        new, pull_back = jax.vjp(functools.partial(_masked, cell), state, now, state[0] @ weight)
        return new, (new[0], state[0], pull_back)

    _, (outputs, hidden, pull_backs) = jax.lax.scan(step, state, inputs)
    return outputs, (weight, hidden, pull_backs, state, inputs[2])


def _scan_cell_backward(cell: Callable[..., State], residuals: Any, d_outputs: Array) -> tuple[Array, State, Any]:
    weight, hidden, pull_backs, state, kept = residuals

    def step(d_state: State, now: Any) -> tuple[State, Any]:
        pull_back, d_output, kept = now
        d_state, d_inputs, d_from_hidden = pull_back((d_state[0] + d_output, *d_state[1:]))
        d_state = _kept((d_state[0] + d_from_hidden @ weight.T, *d_state[1:]), kept)
        return d_state, (d_inputs, d_from_hidden)

    nothing = tuple(jnp.zeros_like(s) for s in state)
    d_state, (d_inputs, d_from_hidden) = jax.lax.scan(step, nothing, (pull_backs, d_outputs, kept), reverse=True)

    def rows(x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    return rows(hidden).T @ rows(d_from_hidden), d_state, d_inputs


scan_cell.defvjp(_scan_cell_forward, _scan_cell_backward)


class Cell(NamedTuple):
    """What tells the kinds of cells apart.

    Attributes:
        step: The elementwise part, from the state and what comes from the input and from h.
        num_states: Arrays of a state.
        biases: Initial biases of each gate, from the logarithms of the spans; None: 0.
    """

    step: Callable[..., State]
    num_states: int
    biases: Callable[[Array], tuple[Array | None, ...]]


CELLS = {
    "lstm": Cell(lstm_cell, 2, lambda spans: (-spans, spans, None, None)),
    "gru": Cell(gru_cell, 1, lambda spans: (None, spans, None)),
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
        blocks = [jax.nn.initializers.orthogonal()(k, (size, size)) for k in jax.random.split(weight_key, num_gates)]
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
    def cell(self) -> Callable[..., State]:
        """The elementwise part."""
        return CELLS[self.kind].step

    def initial(self) -> State:
        """The state at the start of a trial: zeros."""
        return tuple(jnp.zeros(self.size) for _ in range(CELLS[self.kind].num_states))

    def step(self, state: State, x: Float[Array, " input_size"]) -> tuple[State, Float[Array, " size"]]:
        """Take in one input (no batch); return the new state and the output."""
        state = self.cell(state, x @ self.input_weight + self.bias, state[0] @ self.weight)
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
        return scan_cell(self.cell, self.weight, state, (from_input, happened, kept))


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
