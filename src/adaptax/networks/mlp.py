"""Policies without memory: what gradients adapt."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core.spaces import Space
from adaptax.networks.dense import tanh
from adaptax.networks.distributions import Distribution
from adaptax.networks.encoders import AUTOMATIC, Encoder, make_encoder
from adaptax.networks.heads import Linear, PolicyHead

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": tanh, "relu": jax.nn.relu}


class MLP(eqx.Module):
    """Dense layers with an activation after each.

    Attributes:
        layers: The layers.
        activation: "tanh" or "relu".
    """

    layers: tuple[Linear, ...]
    activation: str = eqx.field(static=True)

    def __init__(self, input_size: int, sizes: tuple[int, ...], activation: str, key: Key[Array, ""]):
        gain = {"tanh": 1.0, "relu": 2.0**0.5}[activation]
        keys = jax.random.split(key, max(len(sizes), 1))
        inputs = (input_size, *sizes[:-1])
        self.layers = tuple(Linear(i, o, gain, k) for i, o, k in zip(inputs, sizes, keys, strict=False))
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch input_size"]) -> Float[Array, "*batch output_size"]:
        """Features of the last layer."""
        for layer in self.layers:
            x = ACTIVATIONS[self.activation](layer(x))
        return x


class Policy(eqx.Module):
    """π(a | s, z): dense layers, then a head; z is a context vector that is appended to the observation.

    Attributes:
        body: From observation and context to features.
        head: From features to action distributions.
        observation_space: How observations are read.
        encoder: What reads them first; None: the body does.
    """

    body: MLP
    head: PolicyHead
    observation_space: Space = eqx.field(static=True)
    encoder: Encoder | None = None

    def __init__(
        self,
        observation_space: Space,
        action_space: Space,
        sizes: tuple[int, ...],
        key: Key[Array, ""],
        *,
        activation: str = "tanh",
        initial_std: float | Array = 1.0,
        context_size: int = 0,
        encoder: str = AUTOMATIC,
    ):
        body_key, head_key = jax.random.split(key)
        self.encoder = make_encoder(encoder, observation_space, jax.random.fold_in(key, 2))
        self.observation_space = observation_space
        input_size = self.features_size + context_size
        self.body = MLP(input_size, sizes, activation, body_key)
        feature_size = sizes[-1] if sizes else input_size
        self.head = PolicyHead(feature_size, action_space, initial_std, head_key)

    def __call__(
        self, observation: PyTree[Array], context: Float[Array, " context_size"] | None = None
    ) -> Distribution:
        """The distribution of the action space's `policy_action`, for any batch axes of `observation`."""
        x = self.read(observation)
        if context is not None:
            x = jnp.concatenate([x, jnp.broadcast_to(context, (*x.shape[:-1], context.size))], -1)
        return self.head(self.body(x), self.observation_space.legal_in(observation))

    @property
    def features_size(self) -> int:
        """Length of what `read` returns."""
        return self.observation_space.encoded_size if self.encoder is None else self.encoder.size

    def read(self, observation: PyTree[Array]) -> Float[Array, "*batch size"]:
        """What the body reads of an observation."""
        features = self.observation_space.encode(observation)
        return features if self.encoder is None else self.encoder(features)

    def log_prob(self, observation: PyTree[Array], action: PyTree[Array], *context: Any) -> Float[Array, "*batch"]:
        """Log-probability of environment actions."""
        return self(observation, *context).log_prob(self.head.space.policy_action(action))
