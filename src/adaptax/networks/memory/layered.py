"""Memories made of layers in a row, each added to what came before: what the state-space one and the transformer share.

    x ← W [what there is to remember],    x ← x + layer(norm(x)) for every layer,    output = norm(x).

Only layers remember; all else is done step by step. So a memory is its layers, and each has the two forms of
`adaptax.networks.memory.base`: `step` for one environment, `unroll` for whole batches of trials.
"""

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.networks.heads import Linear
from adaptax.networks.memory.base import Memory

EPSILON = 1e-6
"""Added to variances."""


class Norm(eqx.Module):
    """Differences from the mean of a vector, in deviations (Ba, Kiros & Hinton 2016), scaled and shifted.

    Attributes:
        scale: Of each entry.
        shift: Of each entry.
    """

    scale: Float[Array, " size"]
    shift: Float[Array, " size"]

    def __init__(self, size: int):
        self.scale, self.shift = jnp.ones(size), jnp.zeros(size)

    def __call__(self, x: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
        """Along the last axis, for any leading ones."""
        centered = x - jnp.mean(x, -1, keepdims=True)
        deviation = jnp.sqrt(jnp.mean(centered * centered, -1, keepdims=True) + EPSILON)
        wide = (1,) * (x.ndim - 1) + (-1,)
        return centered / deviation * self.scale.reshape(wide) + self.shift.reshape(wide)


def gelu(x: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
    """Hendrycks & Gimpel 2016, by tanh."""
    return 0.5 * x * (1.0 + jnp.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


class Layer(eqx.Module):
    """A layer that remembers."""

    @abc.abstractmethod
    def initial(self) -> PyTree[Array]:
        """The state at the start of a trial."""

    @abc.abstractmethod
    def step(self, state: Any, x: Float[Array, " size"]) -> tuple[Any, Float[Array, " size"]]:
        """Take in one vector; return the new state and the vector for the next layer."""

    @abc.abstractmethod
    def unroll(
        self,
        xs: Float[Array, "time batch size"],
        valid: Bool[Array, "time batch"] | None,
        starts: Bool[Array, "time batch"] | None,
    ) -> Float[Array, "time batch size"]:
        """What `step` returns one after the other, as in `Memory.unroll`."""


LayerState: TypeAlias = tuple[PyTree[Array], ...]
"""The state of every layer."""


class Layered(Memory):
    """A memory of layers.

    Attributes:
        embed: W.
        layers: In order.
        norm: The last one.
    """

    embed: Linear
    layers: tuple[Layer, ...]
    norm: Norm

    def __init__(
        self,
        input_size: int,
        size: int,
        num_layers: int,
        make: Callable[[Key[Array, ""]], Layer],
        key: Key[Array, ""],
    ):
        """Build it.

        Args:
            input_size: Length of what it reads.
            size: Length of the vectors between layers, and of the output.
            num_layers: How many there are.
            make: A layer, from what decides its weights.
            key: Decides all weights.
        """
        embed_key, *keys = jax.random.split(key, num_layers + 1)
        self.embed = Linear(input_size, size, 1.0, embed_key)
        self.layers = tuple(make(layer_key) for layer_key in keys)
        self.norm = Norm(size)

    @property
    def size(self) -> int:
        """Length of an output."""
        return self.norm.scale.size

    def initial(self) -> LayerState:
        """Each layer's state at the start of a trial."""
        return tuple(layer.initial() for layer in self.layers)

    def step(self, state: LayerState, x: Float[Array, " input_size"]) -> tuple[LayerState, Float[Array, " size"]]:
        """Take in one input (no batch); return the new state and the output."""
        after, x = [], self.embed(x)
        for layer, before in zip(self.layers, state, strict=True):
            new, x = layer.step(before, x)
            after.append(new)
        return tuple(after), self.norm(x)

    def unroll(
        self,
        xs: Float[Array, "time batch input_size"],
        valid: Bool[Array, "time batch"] | None = None,
        starts: Bool[Array, "time batch"] | None = None,
    ) -> Float[Array, "time batch size"]:
        """Outputs for trials, from fresh states. Steps that are not `valid` leave the state alone."""
        xs = self.embed(xs)
        for layer in self.layers:
            xs = layer.unroll(xs, valid, starts)
        return self.norm(xs)


def in_order(
    layer: Any,
    xs: Float[Array, "time batch input_size"],
    valid: Bool[Array, "time batch"] | None,
    starts: Bool[Array, "time batch"] | None,
) -> Float[Array, "time batch size"]:
    """Outputs by `step` alone, one after the other, of a layer or of a whole memory."""
    fresh = jax.tree.map(lambda s: jnp.broadcast_to(s[None], (xs.shape[1], *s.shape)), layer.initial())

    def keep(which: Array | None, new: Array, old: Array) -> Array:
        return new if which is None else jnp.where(which.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    def step(state: Any, now: tuple[Array, Array | None, Array | None]) -> tuple[Any, Array]:
        x, happened, begins = now
        if begins is not None:
            state = jax.tree.map(lambda new, old: keep(begins, new, old), fresh, state)
        new, output = jax.vmap(layer.step)(state, x)
        return jax.tree.map(lambda n, s: keep(happened, n, s), new, state), output

    return jax.lax.scan(step, fresh, (xs, valid, starts))[1]
