"""Learned update rules: inner optimisers whose step is the output of a network.

Ravi & Larochelle 2017, "Optimization as a model for few-shot learning" (ICLR 2017), section 3.

Gradient descent φ_t = φ_{t−1} − α ∇L_t looks like the update of an LSTM's cell state, c_t = f_t ∘ c_{t−1} + i_t ∘ c̃_t,
with c = φ, f = 1, i = α and c̃ = −∇L. So let the cell state *be* the learner's parameters and learn the gates,

    φ_t = f_t ∘ φ_{t−1} − i_t ∘ ∇L_t
    i_t = σ(W_I · [h_t, φ_{t−1}, i_{t−1}] + b_I),    f_t = σ(W_F · [h_t, φ_{t−1}, f_{t−1}] + b_F)

where h_t is the output of an ordinary LSTM that reads the gradient and the loss. All weights W are shared by all
coordinates of φ; each coordinate has a state of its own.

Differences from the paper:
    - i_t is `RANGE` × `learning_rate` × the σ above, so that it can exceed 1 and starts at the learning rate.
    - The gates do not depend on anything at first (W_I = W_F = 0): the rule starts as gradient descent with a slight
      decay of the weights (σ(b_F) = 0.993).
    - No batch normalisation in the learner, so nothing of it leaks from training to test tasks.
"""

import dataclasses
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from adaptax.networks import Recurrent

Parameters = TypeVar("Parameters")
RANGE = 10.0
"""How many times the learning rate an input gate may become."""
FORGET_BIAS = 5.0
"""b_F at the start: the middle of the paper's U[4, 6]."""
SMALLEST = 10.0
"""p: values below e^{−p} are not told apart by their logarithm."""


def preprocess(x: Float[Array, "*shape"]) -> Float[Array, "*shape 2"]:
    """Magnitude and sign, each of order 1, of values of any order (Andrychowicz et al. 2016, appendix A).

    (log|x| / p, sign x) where |x| ≥ e^{−p}, (−1, e^p x) elsewhere.
    """
    large = jnp.abs(x) >= jnp.exp(-SMALLEST)
    magnitude = jnp.log(jnp.where(large, jnp.abs(x), 1.0)) / SMALLEST
    first = jnp.where(large, magnitude, -1.0)
    return jnp.stack([first, jnp.where(large, jnp.sign(x), jnp.exp(SMALLEST) * x)], -1)


class Gate(eqx.Module):
    """σ(W · [h, φ, gate before] + b) of every coordinate.

    Attributes:
        weight: W.
        bias: b.
    """

    weight: Float[Array, " inputs"]
    bias: Float[Array, ""]

    def __call__(
        self, hidden: Float[Array, "number size"], parameters: Float[Array, " number"], before: Float[Array, " number"]
    ) -> Float[Array, " number"]:
        """The gate's value, between 0 and 1."""
        inputs = jnp.concatenate([hidden, parameters[:, None], before[:, None]], -1)
        return jax.nn.sigmoid(inputs @ self.weight + self.bias)


class Rule(eqx.Module):
    """The weights W, b of a learned update rule: what the outer loop learns.

    Attributes:
        reader: The LSTM that reads gradients and losses.
        forget: f.
        input: i, in units of the largest that it may be.
    """

    reader: Recurrent
    forget: Gate
    input: Gate


class Gates(eqx.Module):
    """What the rule remembers of each coordinate.

    Attributes:
        reader: The LSTM's state, leaves `[coordinate, size]`.
        forget: f_{t−1}, `[coordinate]`.
        input: i_{t−1}, in units of the largest that it may be, `[coordinate]`.
        steps: Number of steps so far.
    """

    reader: tuple[Array, ...]
    forget: Float[Array, " number"]
    input: Float[Array, " number"]
    steps: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class LSTMOptimizer:
    """The LSTM meta-learner as an inner optimiser: see the module.

    Attributes:
        learning_rate: i at the start of meta-training.
        size: Units of the LSTM that reads gradients. Paper: 20.
        decay: Factor on i from each step to the next, besides what is learned.
    """

    learning_rate: float | Float[Array, ""] = 0.01
    size: int = 20
    decay: float | Float[Array, ""] = 1.0

    def init(self, parameters: PyTree[Array]) -> Rule:
        """A rule that is gradient descent, but for a slight decay."""
        dtype = jnp.result_type(*jax.tree.leaves(parameters))
        reader = Recurrent("lstm", 4, self.size, 10, jax.random.key(0))  # the gates ignore it at first
        start = -jnp.log(RANGE - 1.0)  # σ of it is 1 / RANGE
        gate = lambda bias: Gate(jnp.zeros(self.size + 2), jnp.asarray(bias))  # noqa: E731
        rule = Rule(reader, gate(FORGET_BIAS), gate(start))
        return jax.tree.map(lambda x: x.astype(dtype), rule)

    def start(self, learned: Rule, parameters: PyTree[Array]) -> Gates:
        """Nothing was read; the gates before the first step are what they are without any input."""
        flat, _ = ravel_pytree(parameters)
        states = tuple(jnp.zeros((flat.size, self.size), flat.dtype) for _ in learned.reader.initial())
        at_rest = lambda gate: jnp.full(flat.shape, jax.nn.sigmoid(gate.bias))  # noqa: E731
        return Gates(states, at_rest(learned.forget), at_rest(learned.input), jnp.asarray(0))

    def step(
        self, learned: Rule, state: Gates, parameters: Parameters, gradient: Parameters, loss: Float[Array, ""]
    ) -> tuple[Parameters, Gates]:
        """φ_t = f_t ∘ φ_{t−1} − i_t ∘ ∇L_t."""
        flat, unravel = ravel_pytree(parameters)
        slope, _ = ravel_pytree(gradient)
        seen = jnp.concatenate([preprocess(slope), jnp.broadcast_to(preprocess(loss), (flat.size, 2))], -1)
        reader, hidden = jax.vmap(learned.reader.step)(state.reader, seen)
        forget = learned.forget(hidden, flat, state.forget)
        gate = learned.input(hidden, flat, state.input)
        rate = jnp.asarray(RANGE * self.learning_rate * self.decay**state.steps).astype(flat.dtype)
        return unravel(forget * flat - rate * gate * slope), Gates(reader, forget, gate, state.steps + 1)
