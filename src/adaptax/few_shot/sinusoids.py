"""Sinusoid regression, the family of Finn et al. 2017, section 5.1 (arXiv 1703.03400).

A task is y = A sin(x − ϕ) with A ~ U[0.1, 5] and ϕ ~ U[0, π]; K points with x ~ U[−5, 5] are shown.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

AMPLITUDES = (0.1, 5.0)
PHASES = (0.0, jnp.pi)
INPUTS = (-5.0, 5.0)

Model = Callable[[Float[Array, "1"]], Float[Array, "1"]]


class SinusoidTask(eqx.Module):
    """One sinusoid, with the points that are shown and those that are asked for.

    Attributes:
        amplitude: A.
        phase: ϕ, in radians.
        support_inputs: x of the points that a model adapts to.
        query_inputs: x of the points that it is scored on.
    """

    amplitude: Float[Array, ""]
    phase: Float[Array, ""]
    support_inputs: Float[Array, "num_shots"]
    query_inputs: Float[Array, "num_queries"]

    def targets(self, inputs: Float[Array, "points"]) -> Float[Array, "points"]:
        """A sin(x − ϕ)."""
        return self.amplitude * jnp.sin(inputs - self.phase)

    def mean_squared_error(self, model: Model, inputs: Float[Array, "points"]) -> Float[Array, ""]:
        """Of the model at these inputs."""
        return jnp.mean((jax.vmap(model)(inputs[:, None])[:, 0] - self.targets(inputs)) ** 2)

    def support_loss(self, model: Model) -> Float[Array, ""]:
        """The mean squared error at the points that are shown."""
        return self.mean_squared_error(model, self.support_inputs)

    def query_loss(self, model: Model) -> Float[Array, ""]:
        """The mean squared error at other points."""
        return self.mean_squared_error(model, self.query_inputs)


@dataclasses.dataclass(frozen=True)
class Sinusoids:
    """The sampler of sinusoids.

    Attributes:
        num_shots: K, points to adapt to.
        num_queries: Points to be scored on.
    """

    num_shots: int = 10
    num_queries: int = 10

    def __call__(self, key: Key[Array, ""]) -> SinusoidTask:
        """Draw a sinusoid and its points."""
        amplitude, phase, support, query = jax.random.split(key, 4)
        return SinusoidTask(
            jax.random.uniform(amplitude, (), minval=AMPLITUDES[0], maxval=AMPLITUDES[1]),
            jax.random.uniform(phase, (), minval=PHASES[0], maxval=PHASES[1]),
            jax.random.uniform(support, (self.num_shots,), minval=INPUTS[0], maxval=INPUTS[1]),
            jax.random.uniform(query, (self.num_queries,), minval=INPUTS[0], maxval=INPUTS[1]),
        )


def sinusoid_network(key: Key[Array, ""]) -> eqx.nn.MLP:
    """The paper's regressor: one number in, two hidden layers of 40 with ReLU, one number out."""
    return eqx.nn.MLP(1, 1, 40, 2, key=key)
