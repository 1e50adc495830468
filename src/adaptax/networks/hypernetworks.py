"""A policy whose weights are put out by a linear map of the memory.

Beck, Jackson, Vuorio & Whiteson 2022, "Hypernetworks in meta-reinforcement learning" (arXiv 2210.11348); Beck, Vuorio,
Xiong & Whiteson 2023, "Recurrent hypernetworks are surprisingly strong in meta-RL" (arXiv 2309.14970).

    c = A h + a,    w = W c + b,    π(· | o) = f_w(o)

where f_w is a network of dense layers with the weights w. A readout adds what it knows of the task to what it sees; a
hypernetwork multiplies the two, so that each task may have a policy of its own.

How it begins decides whether it learns (paper, section 4): with *Bias-HyperInit* W is zero and b holds the weights of a
policy as it would begin alone, so that there is one policy for all contexts. With Kaiming's rule for W the weights that
it puts out have a size that suits no layer; it is here as the control.

Differences from the papers: biases of the policy's layers begin at 0; a task's policy may have no hidden layer.
"""

import itertools
import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adaptax.networks.heads import Linear, ScoreHead
from adaptax.networks.memory.base import MemorySizes

HyperInit = Literal["bias", "kaiming"]
"""How a hypernetwork begins."""


class Hypernetwork(eqx.Module):
    """From a memory, or what comes first in it, to the weights of a network; from what that reads to what it puts out.

    Attributes:
        context: A and a.
        weights: W and b.
        sizes: Units of the layers of the network that is put out, its input first.
    """

    context: Linear
    weights: Linear
    sizes: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self, memory_size: int, context_size: int, sizes: tuple[int, ...], init: HyperInit, key: Key[Array, ""]
    ):
        """Begin with one network for all contexts ("bias"), or by Kaiming's rule ("kaiming").

        Args:
            memory_size: Length of h: what is read of the memory, its first numbers.
            context_size: Length of c.
            sizes: Units of each layer of the network that is put out, its input first and its output last.
            init: How it begins.
            key: Of all weights.
        """
        context_key, weights_key, policy_key = jax.random.split(key, 3)
        self.sizes = sizes
        self.context = Linear(memory_size, context_size, 1.0, context_key)
        shape = (context_size, sum((i + 1) * o for i, o in itertools.pairwise(sizes)))
        if init == "bias":
            weight, bias = jnp.zeros(shape), self._alone(policy_key)
        else:
            weight, bias = math.sqrt(2 / context_size) * jax.random.normal(weights_key, shape), jnp.zeros(shape[1])
        empty = Linear(0, shape[1], 1.0, weights_key)  # nothing to orthogonalise
        self.weights = eqx.tree_at(lambda x: (x.weight, x.bias), empty, (weight, bias))

    def _alone(self, key: Key[Array, ""]) -> Float[Array, " weights"]:
        """The weights of such a network as it would begin by itself: near the uniform policy."""
        pairs = list(itertools.pairwise(self.sizes))
        scales = [2.0**0.5] * (len(pairs) - 1) + [0.01]
        keys = jax.random.split(key, len(pairs))
        layers = [Linear(i, o, scale, k) for (i, o), scale, k in zip(pairs, scales, keys, strict=True)]
        return jnp.concatenate([x.ravel() for layer in layers for x in (layer.weight, layer.bias)])

    def __call__(
        self, memory: Float[Array, "*batch memory_size"], observation: Float[Array, "*batch observation_size"]
    ) -> Float[Array, "*batch output_size"]:
        """What the memory's network puts out for the observation."""
        known = memory[..., : self.context.weight.shape[0]]
        weights, x, start = self.weights(self.context(known)), observation, 0
        last = len(self.sizes) - 2
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(self.sizes)):
            end = start + inputs * outputs
            matrix = weights[..., start:end].reshape(*weights.shape[:-1], inputs, outputs)
            # Each has a matrix of its own: as sums these are faster than as products on XLA's CPU backend.
            x = jnp.sum(x[..., None] * matrix, -2) + weights[..., end : end + outputs]
            x, start = (jax.nn.relu(x) if layer < last else x), end + outputs
        return x


def hypernetwork_heads(
    sizes: MemorySizes,
    belief_size: int,
    initial_std: float | Array,
    key: Key[Array, ""],
    *,
    context_size: int,
    init: HyperInit,
) -> tuple[Hypernetwork, ScoreHead]:
    """What reads a memory as a hypernetwork: in the place of `Memory.heads`.

    Args:
        sizes: What the memory is built for; `policy_size` are the units of each of the policy's two hidden layers, and
            0 means none.
        belief_size: How much of the memory's outputs tells of the task (`Memory.belief_size`).
        initial_std: Standard deviation of continuous actions at the start.
        key: Of all weights.
        context_size: Length of what the policy's weights are a linear map of.
        init: How it begins.
    """
    hidden = (sizes.policy_size,) * 2 if sizes.policy_size else ()
    layers = (sizes.observation.encoded_size, *hidden, sizes.action.encoded_size)
    return Hypernetwork(belief_size, context_size, layers, init, key), ScoreHead.of(sizes.action, initial_std)
