"""What a set of steps says of a task: a normal distribution over a latent vector, the same whatever the steps' order.

Each step is a factor, and the factors multiply, with the prior N(0, I) among them. In natural parameters a product is a
sum: of precisions λ = 1/σ², and of means times precisions η = λμ,

    q(z | c) ∝ N(z; 0, I) Π_n exp(η_n z − λ_n z² / 2),    variance 1 / (1 + Σ λ_n),    mean Σ η_n · variance.
"""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.networks.heads import Linear
from adaptax.networks.mlp import MLP

_BITS = 15
LARGEST_FACTOR = 2.0**_BITS
"""Precisions, and means times precisions, of one step are cut off here."""


class ExactSum(eqx.Module):
    """A sum that does not depend on the order of what is added, to the last bit: of multiples of 2⁻¹⁵, by integers.

    It holds for 2¹⁶ summands at a time of the largest size, ± 2¹⁵, and as many of such sums.

    Attributes:
        whole: The integer part, rounded down.
        part: What is left, in units of 2⁻¹⁵, from 0 to 2¹⁵ − 1.
    """

    whole: Int[Array, " size"]
    part: Int[Array, " size"]

    @classmethod
    def zero(cls, size: int) -> Self:
        """Of nothing."""
        nothing = jnp.zeros(size, jnp.int32)
        return cls(nothing, nothing)

    def add(self, numbers: Float[Array, "n size"]) -> Self:
        """With more numbers, `[n, size]`."""
        bounded = jnp.clip(numbers, -LARGEST_FACTOR, LARGEST_FACTOR)
        fixed = jnp.round(bounded * LARGEST_FACTOR).astype(jnp.int32)
        whole = self.whole + jnp.sum(fixed >> _BITS, 0, dtype=jnp.int32)
        part = self.part + jnp.sum(fixed & (2**_BITS - 1), 0, dtype=jnp.int32)
        return type(self)(whole + (part >> _BITS), part & (2**_BITS - 1))

    @property
    def value(self) -> Float[Array, " size"]:
        """The sum."""
        return self.whole.astype(jnp.float32) + self.part.astype(jnp.float32) / LARGEST_FACTOR


class Factors(eqx.Module):
    """One factor for each step, in natural parameters.

    Attributes:
        precision: λ_n, at least 0.
        weighted: η_n, mean times precision.
    """

    precision: Float[Array, "*batch steps size"]
    weighted: Float[Array, "*batch steps size"]

    def product(self) -> tuple[Float[Array, "*batch size"], Float[Array, "*batch size"]]:
        """Mean and variance of all factors and the prior together."""
        return moments_of(jnp.sum(self.precision, -2), jnp.sum(self.weighted, -2))


def moments_of(
    precision: Float[Array, "*batch size"], weighted: Float[Array, "*batch size"]
) -> tuple[Float[Array, "*batch size"], Float[Array, "*batch size"]]:
    """Mean and variance of a product, from the sums over its factors; of none, those of the prior: 0 and 1."""
    variance = 1 / (1 + precision)
    return weighted * variance, variance


def kl_from_prior(mean: Float[Array, "*batch size"], variance: Float[Array, "*batch size"]) -> Float[Array, "*batch"]:
    """KL(N(mean, variance) ‖ N(0, I)) in nats, summed over dimensions."""
    return 0.5 * jnp.sum(variance + mean**2 - 1 - jnp.log(variance), -1)


class ContextEncoder(eqx.Module):
    """From a step, as a vector, to its factor.

    Attributes:
        body: Dense layers.
        head: To λ, before a softplus, and η.
    """

    body: MLP
    head: Linear

    def __init__(self, input_size: int, sizes: tuple[int, ...], latent_size: int, key: Key[Array, ""]):
        body_key, head_key = jax.random.split(key)
        self.body = MLP(input_size, sizes, "relu", body_key)
        self.head = Linear(sizes[-1], 2 * latent_size, 1.0, head_key)

    def __call__(self, context: Float[Array, "*batch steps features"], valid: Bool[Array, "*batch steps"]) -> Factors:
        """Factors of steps; of those that are not valid, factors that say nothing."""
        precision, weighted = jnp.split(self.head(self.body(context)), 2, -1)
        there = valid[..., None]
        return Factors(
            jnp.where(there, jnp.clip(jax.nn.softplus(precision), 0.0, LARGEST_FACTOR), 0.0),
            jnp.where(there, jnp.clip(weighted, -LARGEST_FACTOR, LARGEST_FACTOR), 0.0),
        )


def in_one_order(
    context: Float[Array, "steps features"], valid: Bool[Array, " steps"]
) -> tuple[Float[Array, "steps features"], Bool[Array, " steps"]]:
    """The same steps in an order that depends on what they are, and not on where they stood.

    Which row of a product it is in may change a number's last bit. Rows are sorted by two hashes of their bits; rows
    that are not valid are all zeros.
    """
    context = jnp.where(valid[:, None], context, 0.0)
    bits = jax.lax.bitcast_convert_type(context, jnp.uint32)
    mixed = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    mixed = mixed ^ (mixed >> np.uint32(12))
    columns = 2 * np.arange(context.shape[1], dtype=np.uint32) + 1
    hashes = [
        jnp.sum(mixed * (columns * np.uint32(odd))[None], 1, dtype=jnp.uint32) for odd in (0x9E3779B1, 0x85EBCA77)
    ]
    order = jnp.lexsort((hashes[1], hashes[0], ~valid))
    return context[order], valid[order]
