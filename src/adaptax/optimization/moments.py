"""Running mean and variance, for normalising what differs in scale between problems."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from adaptax.core import parallel


class Moments(eqx.Module):
    """Mean and variance of everything seen so far, per feature.

    Attributes:
        count: How many were seen.
        mean: Their mean.
        variance: Their variance.
    """

    count: Float[Array, ""]
    mean: Float[Array, "*features"]
    variance: Float[Array, "*features"]

    @property
    def std(self) -> Float[Array, "*features"]:
        """Standard deviation; 1 where everything seen was the same, so that division by it is safe."""
        # Relative to the mean: a constant feature's variance is rounding noise and not exactly zero.
        constant = self.variance <= 1e-10 * self.mean**2
        return jnp.where(constant, 1.0, jnp.sqrt(jnp.where(constant, 1.0, self.variance)))

    def deviations(
        self, x: Float[Array, "*batch features"], bound: float, numeric: Bool[np.ndarray, " features"] | None = None
    ) -> Float[Array, "*batch features"]:
        """`x` in deviations from the mean, at most `bound` of them, for any batch axes; 0 while nothing was seen.

        Args:
            x: The features.
            bound: How many deviations at most.
            numeric: Which features; others stay as they are. None: all.
        """
        shape = (1,) * (x.ndim - 1) + (-1,)
        found = jnp.clip((x - self.mean.reshape(shape)) / self.std.reshape(shape), -bound, bound)
        found = jnp.where(self.count > 0, found, 0.0)
        return found if numeric is None or numeric.all() else jnp.where(numeric.reshape(shape), found, x)

    def observe(self, x: Float[Array, "batch *features"], weight: Float[Array, " batch"] | None = None) -> "Moments":
        """Take in a batch, joined over devices (Chan et al. 1979's parallel update).

        Args:
            x: The batch.
            weight: 0 for entries to leave out.
        """
        weight = jnp.ones(x.shape[0]) if weight is None else weight

        def share(total: Array) -> Array:
            return parallel.mean(jnp.tensordot(weight, total, 1))

        count = share(jnp.ones(x.shape[0])) * parallel.num_devices()
        scale = parallel.num_devices() / jnp.maximum(count, 1.0)
        mean = share(x) * scale
        variance = share((x - mean[None]) ** 2) * scale
        total = self.count + count
        part = count / jnp.maximum(total, 1.0)
        shift = mean - self.mean
        return Moments(
            total,
            self.mean + part * shift,
            self.variance + part * (variance - self.variance) + part * (1 - part) * shift**2,
        )


def no_moments(features: tuple[int, ...] = ()) -> Moments:
    """Moments of nothing: mean 0, deviation 1."""
    return Moments(jnp.zeros(()), jnp.zeros(features), jnp.zeros(features))
