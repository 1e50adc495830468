"""Learned update rules: inner optimisers whose step is the output of a network.

Ravi & Larochelle 2017, "Optimization as a model for few-shot learning" (ICLR 2017), section 3.

Gradient descent φ_t = φ_{t−1} − α ∇L_t looks like the update of an LSTM's cell state, c_t = f_t ∘ c_{t−1} + i_t ∘ c̃_t,
with c = φ, f = 1, i = α and c̃ = −∇L. So let the cell state *be* the learner's parameters and learn the gates,

    φ_t = f_t ∘ φ_{t−1} − i_t ∘ ∇L_t
    i_t = σ(W_I · [h_t, φ_{t−1}, i_{t−1}] + b_I),    f_t = σ(W_F · [h_t, φ_{t−1}, f_{t−1}] + b_F)

where h_t is the output of an ordinary LSTM that reads the gradient and the loss. All weights W are shared by all
coordinates of φ; each coordinate has a state of its own.

Differences from the paper:
    - Both σ count in units of what they are at the start: f_t = σ(…) / σ(b_F), i_t = α σ(…) / σ(b_I), with the inner
      learning rate α. So the rule starts as gradient descent and nothing else (W_I = W_F = 0, f = 1 and i = α; the
      paper's f = σ(b_F) takes a little off all weights at each step), and i_t may grow to `gate_range` × α.
    - α may fall from step to step by a factor, as it may for all inner optimisers.
    - The paper takes gradients for constants. Where they are differentiated instead (MAML's second order), what the
      gates *read* of them still counts as a constant, unless `read_through`: d log|g| / dg = 1/g has no bound, and
      drowns the rest of the derivative as soon as W is no longer 0.
    - No batch normalisation in the learner, so nothing of it leaks from training to test tasks.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from adaptax.networks import Recurrent
from adaptax.optimization.inner_optimizers import descend

Parameters = TypeVar("Parameters")
FORGET_BIAS = 5.0
"""b_F at the start: the middle of the paper's U[4, 6]. A forget gate may grow to 1 / σ(5) = 1.007."""
SMALLEST = 10.0
"""p: values below e^{−p} are not told apart by their logarithm."""
FINENESS = 10.0
"""Logarithms are read by tenths; the weights of what reads them are so much larger at the start."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of a group's gates, where they are summed up."""


def preprocess(x: Float[Array, "*shape"]) -> Float[Array, "*shape 2"]:
    """Magnitude and sign, each of order 1, of values of any order (Andrychowicz et al. 2016, appendix A).

    (log|x| / p, sign x) where |x| ≥ e^{−p}, (−1, e^p x) elsewhere.
    """
    large = jnp.abs(x) >= jnp.exp(-SMALLEST)
    magnitude = jnp.log(jnp.where(large, jnp.abs(x), 1.0)) / SMALLEST
    first = jnp.where(large, magnitude, -1.0)
    return jnp.stack([first, jnp.where(large, jnp.sign(x), jnp.exp(SMALLEST) * x)], -1)


class Gate(eqx.Module):
    """σ(W · [h, φ, gate before] + b) of every coordinate, in units of what it is at the start.

    Attributes:
        weight: W, in units of the optimiser's `speed`.
        bias: b less what it is at the start, in the same units.
    """

    weight: Float[Array, " inputs"]
    bias: Float[Array, ""]

    def __call__(
        self,
        hidden: Float[Array, "number size"],
        parameters: Float[Array, " number"],
        before: Float[Array, " number"],
        start: float | Float[Array, ""],
        speed: float | Float[Array, ""],
    ) -> Float[Array, " number"]:
        """The gate's value: positive, and 1 at the start of meta-training, where b is `start`."""
        inputs = jnp.concatenate([hidden, parameters[:, None], before[:, None]], -1)
        return self.relative(inputs @ self.weight, start, speed)

    def relative(
        self, seen: Float[Array, "*shape"], start: float | Float[Array, ""], speed: float | Float[Array, ""]
    ) -> Float[Array, "*shape"]:
        """σ(W · [...] + b), where `seen` is W · [...], in units of what it is at the start."""
        start = jnp.asarray(start, seen.dtype)
        return jax.nn.sigmoid(start + speed * (seen + self.bias)) / jax.nn.sigmoid(start)


class Rule(eqx.Module):
    """The weights W, b of a learned update rule: what the outer loop learns.

    Attributes:
        reader: The LSTM that reads gradients and losses.
        forget: f.
        input: i, in units of the learning rate.
    """

    reader: Recurrent
    forget: Gate
    input: Gate


class Gates(eqx.Module):
    """What the rule remembers of each coordinate.

    Attributes:
        reader: The LSTM's state, leaves `[coordinate, size]`.
        forget: f_{t−1}, `[coordinate]`.
        input: i_{t−1}, in units of the learning rate, `[coordinate]`.
        steps: Number of steps so far.
        offset: What is to be added to the loss before it is read.
    """

    reader: tuple[Array, ...]
    forget: Float[Array, " number"]
    input: Float[Array, " number"]
    steps: Int[Array, ""]
    offset: Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class LSTMOptimizer:
    """The LSTM meta-learner as an inner optimiser: see the module.

    Attributes:
        learning_rate: α, what i is at the start of meta-training.
        size: Units of the LSTM that reads gradients. Paper: 20.
        decay: Factor on i from each step to the next, besides what is learned.
        speed: Factor on the gates' W and b: how fast they learn beside φ_0, if one outer optimiser changes both.
        read_through: Differentiate what the gates read of gradients and losses, too.
        gate_range: How many times α an input gate may become: σ(b_I) at the start is 1 / `gate_range`.
    """

    learning_rate: float | Float[Array, ""] = 0.01
    size: int = 20
    decay: float | Float[Array, ""] = 1.0
    speed: float | Float[Array, ""] = 1.0
    read_through: bool = False
    gate_range: float | Float[Array, ""] = 10.0

    @property
    def input_bias(self) -> float | Float[Array, ""]:
        """b_I at the start."""
        if isinstance(self.gate_range, int | float):
            return -math.log(self.gate_range - 1.0)
        return -jnp.log(self.gate_range - 1.0)  # one of several that are tried in one program

    def init(self, parameters: PyTree[Array]) -> Rule:
        """A rule that is gradient descent."""
        dtype = jnp.result_type(*jax.tree.leaves(parameters))
        reader = Recurrent("lstm", 4, self.size, 10, jax.random.key(0))  # the gates ignore it at first
        finer = jnp.asarray([FINENESS, 1.0, FINENESS, 1.0])[:, None]
        reader = eqx.tree_at(lambda reader: reader.input_weight, reader, finer * reader.input_weight)

        def gate() -> Gate:
            return Gate(jnp.zeros(self.size + 2), jnp.zeros(()))

        rule = Rule(reader, gate(), gate())
        return jax.tree.map(lambda x: x.astype(dtype), rule)

    def start(self, learned: Rule, parameters: PyTree[Array]) -> Gates:
        """Nothing was read; the gates before the first step are what they are without any input."""
        flat, _ = ravel_pytree(parameters)
        states = tuple(jnp.zeros((flat.size, self.size), flat.dtype) for _ in learned.reader.initial())

        def at_rest(gate: Gate, start: float | Array) -> Array:
            return gate.relative(jnp.zeros_like(flat), start, self.speed)

        forget, gate = at_rest(learned.forget, FORGET_BIAS), at_rest(learned.input, self.input_bias)
        return Gates(states, forget, gate, jnp.asarray(0), jnp.zeros((), flat.dtype))

    def step(
        self, learned: Rule, state: Gates, parameters: Parameters, gradient: Parameters, loss: Float[Array, ""]
    ) -> tuple[Parameters, Gates]:
        """φ_t = f_t ∘ φ_{t−1} − i_t ∘ ∇L_t."""
        flat, unravel = ravel_pytree(parameters)
        slope, _ = ravel_pytree(gradient)
        level = preprocess(loss + state.offset)
        seen = jnp.concatenate([preprocess(slope), jnp.broadcast_to(level, (flat.size, 2))], -1)
        seen = seen if self.read_through else jax.lax.stop_gradient(seen)
        reader, hidden = jax.vmap(learned.reader.step)(state.reader, seen)
        forget = learned.forget(hidden, flat, state.forget, FORGET_BIAS, self.speed)
        gate = learned.input(hidden, flat, state.input, self.input_bias, self.speed)
        rate = jnp.asarray(self.learning_rate * self.decay ** jnp.asarray(state.steps, flat.dtype))
        after = Gates(reader, forget, gate, state.steps + 1, state.offset)
        return unravel(forget * flat - rate * gate * slope), after


class Spread(NamedTuple):
    """What the gates of a group of weights are like after each step.

    Attributes:
        mean: `[step]`.
        quantiles: At `QUANTILES`, `[step, quantile]`.
    """

    mean: Float[Array, " step"]
    quantiles: Float[Array, "step quantile"]


class GroupGates(NamedTuple):
    """Both gates of a group of weights.

    Attributes:
        forget: f; 1 keeps a weight as it is.
        input: i, in units of the inner learning rate of that step.
    """

    forget: Spread
    input: Spread


def spread_by_group(gates: Gates, parameters: PyTree[Array]) -> dict[str, GroupGates]:
    """Sum up gates by group of weights; a group is a leaf of φ, such as one layer's matrix.

    Args:
        gates: Of an adaptation, leaves `[..., step, coordinate]`, where the leading axes are tasks, say.
        parameters: φ, whatever its values.

    Returns:
        Means and quantiles over tasks and coordinates, by the leaf's path.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(parameters)
    groups, start = {}, 0
    for path, leaf in paths:
        cut = slice(start, start + leaf.size)
        start = cut.stop
        if leaf.size:
            name = jax.tree_util.keystr(path).removeprefix(".")
            groups[name] = GroupGates(_spread(gates.forget[..., cut]), _spread(gates.input[..., cut]))
    return groups


def _spread(values: Float[Array, "*tasks step number"]) -> Spread:
    rows = jnp.moveaxis(values, -2, 0).reshape(values.shape[-2], -1)
    return Spread(jnp.mean(rows, 1), jnp.quantile(rows, jnp.asarray(QUANTILES, rows.dtype), axis=1).T)


def gates_of_adaptation(
    optimizer: LSTMOptimizer,
    learned: Rule,
    parameters: Parameters,
    loss: Callable[[Parameters], Float[Array, ""]],
    steps: int,
) -> Gates:
    """The gates in each of `steps` inner steps on `loss`, leaves `[step, coordinate]`. May be mapped over tasks."""

    def step(carry: tuple[Parameters, Gates], _: None) -> tuple[tuple[Parameters, Gates], Gates]:
        carry = descend(optimizer, learned, carry[1], carry[0], loss)[:2]
        return carry, carry[1]

    return jax.lax.scan(step, (parameters, optimizer.start(learned, parameters)), None, length=steps)[1]


def gates_over_steps(
    optimizer: LSTMOptimizer,
    learned: Rule,
    parameters: Parameters,
    loss: Callable[[Parameters], Float[Array, ""]],
    steps: int,
) -> dict[str, GroupGates]:
    """Adapt, and return the spread of the gates of every group of weights in each step.

    Args:
        optimizer: The inner optimiser.
        learned: What it learned in meta-training.
        parameters: φ_0.
        loss: What is descended.
        steps: How many steps.

    Returns:
        By the path of the leaf of φ.
    """
    return spread_by_group(gates_of_adaptation(optimizer, learned, parameters, loss, steps), parameters)
