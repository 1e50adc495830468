"""Values as categories: a critic that says how probable each of some values is, and learns by classification.

Bellemare et al. 2017 (arXiv 1707.06887); two-hot targets and symlog as in Hafner et al. 2023 (arXiv 2301.04104);
Farebrother et al. 2024, "Stop regressing" (arXiv 2403.03950).

    v = Σ_i p_i b_i,    b_i = symexp(x_i),  x_i evenly spaced,    loss = −Σ_i w_i log p_i

where the target's weights w are on the two bins beside it, so that Σ_i w_i b_i is the target. The gradient of the
cross-entropy is p − w, however large the value is: the scale of returns does not matter.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def symlog(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """sign(x) log(1 + |x|): x near 0, and a logarithm far from it."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def symexp(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The inverse of `symlog`."""
    return jnp.sign(x) * jnp.expm1(jnp.abs(x))


@dataclasses.dataclass(frozen=True)
class ValueCategories:
    """Bins, evenly spaced on the scale of `symlog`, with 0 in the middle.

    Attributes:
        num: How many; odd, so that there is one at 0.
        bound: The largest value: larger ones are taken for it.
    """

    num: int
    bound: float

    @property
    def values(self) -> Float[np.ndarray, " bins"]:
        """b: the value of each bin."""
        ends = np.linspace(-1.0, 1.0, self.num) * np.log1p(self.bound)
        return (np.sign(ends) * np.expm1(np.abs(ends))).astype(np.float32)

    def two_hot(self, value: Float[Array, "*batch"]) -> Float[Array, "*batch bins"]:
        """w: weights on the two bins beside a value, the more the nearer, so that their mean is the value."""
        bins = jnp.asarray(self.values)
        value = jnp.clip(value, bins[0], bins[-1])
        below = jnp.clip(jnp.searchsorted(bins, value, side="right") - 1, 0, self.num - 2)
        share = (value - bins[below]) / (bins[below + 1] - bins[below])
        lower, upper = (jax.nn.one_hot(index, self.num) for index in (below, below + 1))
        return (1 - share)[..., None] * lower + share[..., None] * upper

    def mean(self, logits: Float[Array, "*batch bins"]) -> Float[Array, "*batch"]:
        """v: the value that categories of these logits stand for. Of equal ones it is 0."""
        return jnp.sum(jax.nn.softmax(logits) * jnp.broadcast_to(jnp.asarray(self.values), logits.shape), -1)

    def loss(self, logits: Float[Array, "*batch bins"], target: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Cross-entropy of the categories with the target's two; no gradient goes through the target."""
        weights = self.two_hot(jax.lax.stop_gradient(target))
        return -jnp.sum(weights * jax.nn.log_softmax(logits), -1)
