"""What is subtracted from returns to make gradients less noisy."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

RIDGE = 1e-4
"""Relative to each feature's mean square, so that neither its scale nor the number of idle slots matters."""

_TINY = 1e-30


def returns_to_go(
    rewards: Float[Array, "time *batch"], discount: float | Float[Array, ""]
) -> Float[Array, "time *batch"]:
    """Σ_{i≥t} γ^{i−t} r_i. Steps that did not happen have reward 0 and come last."""

    def backward(after: Array, reward: Array) -> tuple[Array, Array]:
        after = reward + discount * after
        return after, after

    return jax.lax.scan(backward, jnp.zeros_like(rewards[0]), rewards, reverse=True)[1]


def time_features(observations: Float[Array, "time *batch size"]) -> Float[Array, "time *batch features"]:
    """o, o², t, t², t³ and 1, with t the part of the episode that is over (Duan et al. 2016b, arXiv 1604.06778)."""
    times = jnp.arange(observations.shape[0]) / observations.shape[0]
    powers = jnp.stack([jnp.ones_like(times), times, times**2, times**3], -1).astype(observations.dtype)
    powers = powers.reshape(len(times), *(1,) * (observations.ndim - 2), 4)
    powers = jnp.broadcast_to(powers, (*observations.shape[:-1], 4))
    bounded = jnp.clip(observations, -10.0, 10.0)
    return jnp.concatenate([bounded, bounded**2, powers], -1)


def linear_baseline(
    features: Float[Array, "time env size"],
    targets: Float[Array, "time env"],
    valid: Bool[Array, "time env"],
    worth: Float[Array, "time env"] | None = None,
) -> Float[Array, "time env"]:
    """Predictions of `targets` that are linear in `features`, by ridge regression on the *other* environments.

    Duan et al. 2016b (arXiv 1604.06778, section 3) fit on the data that they predict. Then a return is compared with
    a prediction that it took part in, which biases the gradient towards 0 (trap E6). Leaving out the environment's own
    episode costs a small linear system each, and leaves the gradient unbiased. A single environment gets 0.

    Args:
        features: What predictions are linear in.
        targets: Returns to go.
        valid: Steps that happened.
        worth: What the steps to go have brought at 1 each. The others' mean reward, times what there was to go for them
            at that time, is predicted first, and the ridge only shrinks what is on top of it. Without, of a reward of
            1000 in each step it shrinks away more than there is to learn (trap E32).
    """
    spread = jnp.zeros_like(targets) if worth is None else jnp.where(valid, worth, 0.0)
    size = jnp.sum(spread**2, 0)
    level = jnp.sum(spread * targets) / jnp.maximum(jnp.sum(size), _TINY)  # it cancels, and keeps numbers small
    targets = targets - level * spread
    rows = jnp.where(valid[..., None], features, 0.0)
    squares = jnp.einsum("tsi,tsj->sij", rows, rows)
    products = jnp.einsum("tsi,ts->si", rows, targets)

    def others(x: Array) -> Array:
        return jnp.sum(x, 0, keepdims=True) - x

    slopes = others(jnp.sum(spread * targets, 0)) / jnp.maximum(others(size), _TINY)
    squares = others(squares)
    products = others(products) - slopes[:, None] * others(jnp.einsum("tsi,ts->si", rows, spread))
    sizes = jnp.sqrt(jnp.diagonal(squares, axis1=-2, axis2=-1))
    sizes = jnp.where(sizes > 0, sizes, 1.0)  # a feature that is always 0 gets weight 0
    ridge = RIDGE * jnp.eye(features.shape[-1], dtype=features.dtype)[None]
    weights = solve_positive(squares / (sizes[:, :, None] * sizes[:, None]) + ridge, products / sizes) / sizes
    to_go, count = (jnp.sum(x, 1, keepdims=True) - x for x in (spread, valid.astype(targets.dtype)))
    first = jnp.where(others(size) > 0, level + slopes, 0.0)[None] * to_go / jnp.maximum(count, 1.0)
    return jnp.where(valid, first + jnp.einsum("tsi,si->ts", features, weights), 0.0)


def solve_positive(matrices: Float[Array, "env size size"], targets: Float[Array, "env size"]) -> Array:
    """Solutions of many small positive definite systems, `[env, size]`, by Gauss-Jordan elimination.

    Such systems need no pivoting. `jax.scipy.linalg.solve` hands many systems at once to LAPACK in threads of XLA's own
    pool (jaxlib 0.10); on two cores these can wait for each other for ever, and a training then stands still.
    """
    table = jnp.concatenate([matrices, targets[..., None]], -1)

    def eliminate(index: int, table: Array) -> Array:
        row = table[:, index] / table[:, index, index][:, None]
        table = table - table[:, :, index][..., None] * row[:, None]
        return table.at[:, index].set(row)

    return jax.lax.fori_loop(0, targets.shape[-1], eliminate, table)[..., -1]
