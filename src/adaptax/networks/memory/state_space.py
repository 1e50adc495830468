"""A linear memory: vectors that turn and fade at rates of their own, each step adding to them.

Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De 2023, "Resurrecting recurrent neural networks for long sequences"
(arXiv 2303.06349), the linear recurrent unit; Smith, Warrington & Linderman 2023, "Simplified state space layers for
sequence modeling" (S5; arXiv 2208.04933), who introduced layers with a diagonal state and an associative scan; Lu et
al. 2023, "Structured state space models for in-context reinforcement learning" (arXiv 2303.03982), the resets.

    h_t = λ ⊙ h_{t-1} + γ ⊙ B u_t,    y_t = gelu(Re(C h_t) + D ⊙ u_t),    x ← x + y_t ⊙ σ(W y_t),    u = norm(x),

with complex λ = exp(−exp(ν) + i θ) and γ = √(1 − |λ|²) at the start. |λ| < 1 whatever is learned, so nothing explodes,
and a step that is a thousand steps back is but |λ|^1000 away: gradients need no gates to get there.

What is done one after the other is linear, so in any grouping the same: (a, b) ∘ (a', b') = (a a', a' b + b'). On an
accelerator whole trials are taken in by an associative scan of log T rounds; on a CPU, which would go through each
round's parts in order anyway, step by step. A step with which a trial begins has a = 0, one that did not happen a = 1
and b = 0. The derivative is the same recurrence from the end (`recurrence`).

Differences from the papers: times that units span (1 / exp(ν)) are log-uniform from one step to the length of a
trial, and a unit turns by at most half a circle in its span; numbers are pairs of real ones, so that agents can be
exported; the norm is that of layers, not of batches.
"""

import functools
import math
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from adaptax.networks.heads import Linear
from adaptax.networks.memory.base import MemorySizes, dense_input_size
from adaptax.networks.memory.layered import Layer, Layered, Norm, gelu
from adaptax.networks.memory.recurrent import sigmoid

Complex: TypeAlias = tuple[Array, Array]
"""Real and imaginary parts."""


def times(a: Complex, b: Complex) -> Complex:
    """The product."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def conjugate(a: Complex) -> Complex:
    """Mirrored at the real axis."""
    return a[0], -a[1]


def plus(a: Complex, b: Complex) -> Complex:
    """The sum."""
    return a[0] + b[0], a[1] + b[1]


def _in_order(a: Complex, b: Complex, *, reverse: bool) -> Complex:
    constant = len(a[0]) == 1 < len(b[0])

    def step(h: Complex, now: tuple[Complex | None, Complex]) -> tuple[Complex, Complex]:
        factor, added = now
        h = plus(times((a[0][0], a[1][0]) if factor is None else factor, h), added)
        return h, h

    nothing = jnp.zeros_like(b[0][0]), jnp.zeros_like(b[1][0])
    return jax.lax.scan(step, nothing, (None if constant else a, b), reverse=reverse)[1]


def _in_rounds(a: Complex, b: Complex, *, reverse: bool) -> Complex:
    def joined(first: tuple[Complex, Complex], then: tuple[Complex, Complex]) -> tuple[Complex, Complex]:
        return times(then[0], first[0]), plus(times(then[0], first[1]), then[1])

    a = jnp.broadcast_to(a[0], b[0].shape), jnp.broadcast_to(a[1], b[1].shape)
    return jax.lax.associative_scan(joined, (a, b), reverse=reverse)[1]


def _solve(a: Complex, b: Complex, *, parallel: bool, reverse: bool) -> Complex:
    return (_in_rounds if parallel else _in_order)(a, b, reverse=reverse)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def recurrence(a: Complex, b: Complex, parallel: bool) -> Complex:
    """h_t = a_t h_{t-1} + b_t from h_{-1} = 0.

    Args:
        a: Factors, `[time or 1, batch or 1, size]`.
        b: What is added, `[time, batch, size]`.
        parallel: Whether to group steps (an associative scan), or to go through them in order.
    """
    return _solve(a, b, parallel=parallel, reverse=False)


def _forward(a: Complex, b: Complex, parallel: bool) -> tuple[Complex, tuple[Complex, Complex]]:
    h = _solve(a, b, parallel=parallel, reverse=False)
    return h, (a, h)


def _backward(parallel: bool, known: tuple[Complex, Complex], d_h: Complex) -> tuple[Complex, Complex]:
    """g_t = dL/dh_t + conj(a_{t+1}) g_{t+1} is the derivative by b_t, and conj(h_{t-1}) g_t that by a_t."""
    a, h = known

    def later(x: Array) -> Array:
        return x if len(x) == 1 else jnp.concatenate([x[1:], jnp.zeros_like(x[:1])])

    def earlier(x: Array) -> Array:
        return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])

    g = _solve(conjugate((later(a[0]), later(a[1]))), d_h, parallel=parallel, reverse=True)
    d_a = times(conjugate((earlier(h[0]), earlier(h[1]))), g)
    shared = tuple(axis for axis in range(2) if a[0].shape[axis] == 1)
    summed = tuple(jnp.sum(part, shared, keepdims=True) if shared else part for part in d_a)
    return (summed[0], summed[1]), g


recurrence.defvjp(_forward, _backward)


class StateSpaceLayer(Layer):
    """A linear recurrence, read by a gated layer.

    Attributes:
        norm: What it reads is normalised by.
        log_rate: ν: exp(ν) is how much of a unit fades in a step.
        angle: θ: how far it turns.
        log_gain: log γ.
        into_real: The real part of B.
        into_imaginary: Its imaginary part.
        out: C, of real and imaginary parts side by side.
        skip: D.
        gate: W.
        parallel: Whether whole trials are taken in by an associative scan; None: not on a CPU.
    """

    norm: Norm
    log_rate: Float[Array, " units"]
    angle: Float[Array, " units"]
    log_gain: Float[Array, " units"]
    into_real: Linear
    into_imaginary: Linear
    out: Linear
    skip: Float[Array, " size"]
    gate: Linear
    parallel: bool | None = eqx.field(static=True)

    def __init__(self, size: int, span: int, parallel: bool | None, key: Key[Array, ""]):
        """As many complex units as vectors are long, for times from 1 to `span` steps."""
        keys = jax.random.split(key, 6)
        log_times = jax.random.uniform(keys[0], (size,), maxval=math.log(max(span, 2)))
        self.norm = Norm(size)
        self.log_rate = -log_times
        self.angle = jnp.pi * jax.random.uniform(keys[1], (size,)) * jnp.exp(-log_times)
        self.log_gain = 0.5 * jnp.log(-jnp.expm1(-2 * jnp.exp(self.log_rate)))
        self.into_real = Linear(size, size, 0.5**0.5, keys[2])
        self.into_imaginary = Linear(size, size, 0.5**0.5, keys[3])
        self.out = Linear(2 * size, size, 1.0, keys[4])
        self.skip = jnp.ones(size)
        self.gate = Linear(size, size, 1.0, keys[5])
        self.parallel = parallel

    def initial(self) -> Complex:
        """Zeros."""
        return jnp.zeros(self.skip.size), jnp.zeros(self.skip.size)

    def factor(self) -> Complex:
        """λ."""
        length = jnp.exp(-jnp.exp(self.log_rate))
        return length * jnp.cos(self.angle), length * jnp.sin(self.angle)

    def added(self, u: Float[Array, "*batch size"]) -> Complex:
        """γ ⊙ B u."""
        gain = jnp.exp(self.log_gain).reshape((1,) * (u.ndim - 1) + (-1,))
        return gain * self.into_real(u), gain * self.into_imaginary(u)

    def read(
        self, x: Float[Array, "*batch size"], u: Float[Array, "*batch size"], h: Complex
    ) -> Float[Array, "*batch size"]:
        """What the next layer reads."""
        y = gelu(self.out(jnp.concatenate(h, -1)) + self.skip.reshape((1,) * (u.ndim - 1) + (-1,)) * u)
        return x + y * sigmoid(self.gate(y))

    def step(self, state: Complex, x: Float[Array, " size"]) -> tuple[Complex, Float[Array, " size"]]:
        """One step of the recurrence."""
        u = self.norm(x)
        h = plus(times(self.factor(), state), self.added(u))
        return h, self.read(x, u, h)

    def unroll(
        self,
        xs: Float[Array, "time batch size"],
        valid: Bool[Array, "time batch"] | None,
        starts: Bool[Array, "time batch"] | None,
    ) -> Float[Array, "time batch size"]:
        """All products at once; the recurrence in order, or in rounds."""
        u = self.norm(xs)
        factor, added = self.factor(), self.added(u)
        real, imaginary = factor[0][None, None], factor[1][None, None]
        if valid is not None:
            happened = valid[..., None]
            real, imaginary = jnp.where(happened, real, 1.0), jnp.where(happened, imaginary, 0.0)
            added = jnp.where(happened, added[0], 0.0), jnp.where(happened, added[1], 0.0)
        if starts is not None:
            kept = (~starts[..., None]).astype(xs.dtype)
            real, imaginary = real * kept, imaginary * kept
        parallel = jax.default_backend() != "cpu" if self.parallel is None else self.parallel
        return self.read(xs, u, recurrence((real, imaginary), added, parallel))


def state_space(sizes: MemorySizes, key: Key[Array, ""], *, parallel: bool | None = None) -> Layered:
    """From sizes and a key to a memory.

    Args:
        sizes: What it is for.
        key: Decides the weights.
        parallel: Whether whole trials are taken in by an associative scan; None: not on a CPU.
    """

    def make(layer_key: Key[Array, ""]) -> StateSpaceLayer:
        return StateSpaceLayer(sizes.size, sizes.span, parallel, layer_key)

    return Layered(dense_input_size(sizes), sizes.size, sizes.layers, make, key)
