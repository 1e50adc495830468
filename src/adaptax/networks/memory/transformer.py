"""A transformer: everything that was seen within a window is kept, and looked up by what it was like.

Vaswani et al. 2017, "Attention is all you need" (arXiv 1706.03762), normalised first (Xiong et al. 2020, arXiv
2002.04745; Parisotto et al. 2020 for reinforcement learning); Su et al. 2021, rotary positions (arXiv 2104.09864). As
memories of agents: Melo 2022 (TrMRL); Ni, Ma, Eysenbach & Bacon 2023, "When do transformers shine in RL?" (arXiv
2307.03864); Grigsby et al. 2024 (AMAGO).

    u = norm(x),    q_t, k_t, v_t = W u_t,    a_ts = softmax_s(⟨R(t) q_t, R(s) k_s⟩ / √d),  t − window < s ≤ t,
    x_t ← x_t + W Σ_s a_ts v_s,    x ← x + W gelu(W norm(x)).

A step needs the keys and values of the steps before it. So these are its state: a ring of as many as the window is
long, of which the oldest is overwritten. Positions are those within a trial, counted in steps that happened.

R(t) turns pair i of a vector's entries by 2π m_i t / P with an integer m_i. Only t modulo P matters then, and t is kept
modulo a multiple of P: a session of a billion steps turns as exactly as one of ten. P is twice the window, so no two
ages within it look the same to the slowest pair; the last pair does not turn at all (m = 0), for what does not depend
on when it was.

Differences from the papers: those frequencies; an inner layer of twice the width, not four times; what a layer adds
starts smaller the more layers there are, as in GPT-2.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.networks.heads import Linear
from adaptax.networks.memory.base import MemorySizes, dense_input_size
from adaptax.networks.memory.layered import Layer, Layered, Norm, gelu

LONGEST_WINDOW = 1024
"""Steps of the window at most, where it is not said: each is a key and a value for every environment."""
WHOLE = 256
"""Steps of a trial whose attention is computed at once; of longer ones, for `BLOCK` steps at a time."""
BLOCK = 128
HIDDEN = -1e30
"""The score of what is not to be seen."""


class Cache(NamedTuple):
    """What a layer keeps.

    Attributes:
        keys: Turned already; step s is at s modulo the window. Heads come first: with sums over the last axis XLA's CPU
            backend takes ten times as long.
        values: Likewise.
        position: Steps so far in this trial; beyond 2 P, something between P and 2 P that is the same modulo P.
    """

    keys: Float[Array, "heads window head_size"]
    values: Float[Array, "heads window head_size"]
    position: Int[Array, ""]


def frequencies(pairs: int, period: int) -> tuple[int, ...]:
    """How many times each pair turns in `period` steps: from one radian a step to once, and not at all.

    Args:
        pairs: How many there are.
        period: P, in steps.
    """
    fastest, turning = max(period / (2 * math.pi), 1.0), pairs - 1
    return (*(max(round(fastest ** (1 - i / max(turning - 1, 1))), 1) for i in range(turning)), 0)


class Attention(eqx.Module):
    """Attention to what was seen within a window.

    Attributes:
        query: To what is looked for by each head.
        key: To what it is compared with.
        value: To what is looked up.
        out: From what all heads found.
        heads: How many there are.
        window: Steps that are seen, the present one among them.
    """

    query: Linear
    key: Linear
    value: Linear
    out: Linear
    heads: int = eqx.field(static=True)
    window: int = eqx.field(static=True)

    def __init__(self, size: int, heads: int, window: int, scale: float, key: Key[Array, ""]):
        """Heads share `size`; where it does not divide into pairs, each has some more."""
        width = 2 * math.ceil(size / heads / 2) * heads
        keys = jax.random.split(key, 4)
        self.query, self.key, self.value = (Linear(size, width, 1.0, k) for k in keys[:3])
        self.out = Linear(width, size, scale, keys[3])
        self.heads, self.window = heads, window

    @property
    def period(self) -> int:
        """P."""
        return 2 * self.window

    @property
    def head_size(self) -> int:
        """Length of a key."""
        return self.out.weight.shape[0] // self.heads

    def split(self, x: Float[Array, "*batch width"]) -> Float[Array, "*batch heads head_size"]:
        """To each head its own."""
        return x.reshape(*x.shape[:-1], self.heads, self.head_size)

    def turned(
        self, x: Float[Array, "*batch heads head_size"], position: Int[Array, "*batch"]
    ) -> Float[Array, "*batch heads head_size"]:
        """R(position) x."""
        often = jnp.asarray(np.array(frequencies(self.head_size // 2, self.period), np.int32))
        often = often.reshape((1,) * position.ndim + (1, -1))
        part = jax.lax.rem(jax.lax.rem(position, self.period)[..., None, None] * often, self.period)
        angle = part.astype(jnp.float32) * (2 * math.pi / self.period)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        first, second = x[..., : self.head_size // 2], x[..., self.head_size // 2 :]
        return jnp.concatenate([cos * first - sin * second, sin * first + cos * second], -1)

    def asked(self, u: Float[Array, "*batch size"], position: Int[Array, "*batch"]) -> Array:
        """R q / √d, `[*batch, heads, head_size]`."""
        return self.turned(self.split(self.query(u)), position) * self.head_size**-0.5

    def kept(self, u: Float[Array, "*batch size"], position: Int[Array, "*batch"]) -> tuple[Array, Array]:
        """R k and v, `[*batch, heads, head_size]`."""
        return self.turned(self.split(self.key(u)), position), self.split(self.value(u))


class TransformerLayer(Layer):
    """Attention, then a layer for each step by itself.

    Attributes:
        attention_norm: What attention reads is normalised by.
        attention: To the steps within the window.
        norm: What the rest reads is normalised by.
        up: Its first layer.
        down: Its second.
    """

    attention_norm: Norm
    attention: Attention
    norm: Norm
    up: Linear
    down: Linear

    def __init__(self, size: int, heads: int, window: int, scale: float, key: Key[Array, ""]):
        attention_key, up_key, down_key = jax.random.split(key, 3)
        self.attention_norm, self.norm = Norm(size), Norm(size)
        self.attention = Attention(size, heads, window, scale, attention_key)
        self.up = Linear(size, 2 * size, 2.0**0.5, up_key)
        self.down = Linear(2 * size, size, scale, down_key)

    def initial(self) -> Cache:
        """Nothing was seen."""
        attention = self.attention
        nothing = jnp.zeros((attention.heads, attention.window, attention.head_size))
        return Cache(nothing, nothing, jnp.zeros((), jnp.int32))

    def read(self, x: Float[Array, "*batch size"], found: Float[Array, "*batch width"]) -> Float[Array, "*batch size"]:
        """What the next layer reads."""
        x = x + self.attention.out(found)
        return x + self.down(gelu(self.up(self.norm(x))))

    def step(self, state: Cache, x: Float[Array, " size"]) -> tuple[Cache, Float[Array, " size"]]:
        """Write the present step's key and value into the ring, and look up in it."""
        attention, now = self.attention, state.position
        u = self.attention_norm(x)
        key, value = attention.kept(u, now)
        place = jax.lax.rem(now, attention.window)
        keys = jax.lax.dynamic_update_index_in_dim(state.keys, key, place, 1)
        values = jax.lax.dynamic_update_index_in_dim(state.values, value, place, 1)
        scores = jnp.einsum("hwd,hd->hw", keys, attention.asked(u, now))
        filled = jnp.arange(attention.window, dtype=jnp.int32) <= now
        shares = jax.nn.softmax(jnp.where(filled[None], scores, HIDDEN))
        found = jnp.einsum("hw,hwd->hd", shares, values).reshape(-1)
        after = jnp.where(now + 1 == 2 * attention.period, attention.period, now + 1)
        return Cache(keys, values, after), self.read(x, found)

    def unroll(
        self,
        xs: Float[Array, "time batch size"],
        valid: Bool[Array, "time batch"] | None,
        starts: Bool[Array, "time batch"] | None,
    ) -> Float[Array, "time batch size"]:
        """All steps at once; of long trials, for some at a time, so that memory grows with the length, not its square.

        What was kept for them is computed once more in the backward pass.
        """
        u = self.attention_norm(xs)
        places = steps_of(xs.shape[:2], valid, starts)
        keys, values = self.attention.kept(u, places.position)
        queries = self.attention.asked(u, places.position)

        def found(queries: Array, seeing: Places) -> Array:
            visible = visible_to(seeing, places, self.attention.window)
            scores = jnp.where(visible[:, None], jnp.einsum("tbhd,sbhd->bhts", queries, keys), HIDDEN)
            return jnp.einsum("bhts,sbhd->tbhd", jax.nn.softmax(scores), values)

        if len(xs) <= WHOLE:
            return self.read(xs, found(queries, places).reshape(*xs.shape[:2], -1))
        short = -len(xs) % BLOCK

        def blocks(x: Array) -> Array:
            padded = jnp.concatenate([x, jnp.zeros((short, *x.shape[1:]), x.dtype)])
            return padded.reshape(-1, BLOCK, *x.shape[1:])

        each = jax.lax.map(jax.checkpoint(lambda now: found(*now)), jax.tree.map(blocks, (queries, places)))
        return self.read(xs, each.reshape(-1, *xs.shape[1:2], self.attention.out.weight.shape[0])[: len(xs)])


class Places(NamedTuple):
    """Where steps are, `[time, batch]`.

    Attributes:
        trial: In which trial of those in a row.
        position: Where in it, counted in steps that happened.
        happened: Whether it did.
        order: Where in the experience.
    """

    trial: Int[Array, "time batch"]
    position: Int[Array, "time batch"]
    happened: Bool[Array, "time batch"]
    order: Int[Array, "time batch"]


def steps_of(
    shape: tuple[int, ...], valid: Bool[Array, "time batch"] | None, starts: Bool[Array, "time batch"] | None
) -> Places:
    """Where the steps of trials are."""
    order = jnp.broadcast_to(jnp.arange(shape[0], dtype=jnp.int32)[:, None], shape)
    happened = jnp.ones(shape, bool) if valid is None else valid
    before = jnp.cumsum(happened.astype(jnp.int32), 0) - happened.astype(jnp.int32)
    if starts is None:
        return Places(jnp.zeros(shape, jnp.int32), before, happened, order)
    at_start = jax.lax.cummax(jnp.where(starts, before, 0), 0)
    return Places(jnp.cumsum(starts.astype(jnp.int32), 0), before - at_start, happened, order)


def visible_to(seeing: Places, seen: Places, window: int) -> Bool[Array, "batch time other"]:
    """Which steps each step sees: itself, and those before it in the same trial and within the window."""
    here = jax.tree.map(lambda x: x.T[:, :, None], seeing)
    there = jax.tree.map(lambda x: x.T[:, None, :], seen)
    near = (here.trial == there.trial) & (here.position - there.position < window)
    return (near & there.happened & (there.order <= here.order)) | (there.order == here.order)


def transformer(sizes: MemorySizes, key: Key[Array, ""]) -> Layered:
    """From sizes and a key to a memory."""
    window = sizes.window or min(max(sizes.span, 1), LONGEST_WINDOW)
    scale = (2 * sizes.layers) ** -0.5

    def make(layer_key: Key[Array, ""]) -> TransformerLayer:
        return TransformerLayer(sizes.size, sizes.heads, window, scale, layer_key)

    return Layered(dense_input_size(sizes), sizes.size, sizes.layers, make, key)
