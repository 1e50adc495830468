"""Networks that read a latent vector beside what is observed: a policy, twin critics, a model of rewards."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from adaptax.core.combinations import choices_of, over_combinations
from adaptax.core.spaces import Space
from adaptax.networks.distributions import Categorical, MultiCategorical, SquashedNormal
from adaptax.networks.heads import Linear, SoftPolicyHead
from adaptax.networks.mlp import MLP


def beside(x: Float[Array, "*batch size"], *more: Float[Array, "*extra"]) -> Float[Array, "*batch all"]:
    """Features and others, which are the same for all entries of a batch where they lack its axes."""
    return jnp.concatenate([x, *(jnp.broadcast_to(y, (*x.shape[:-1], y.shape[-1])) for y in more)], -1)


class LatentPolicy(eqx.Module):
    """π(a | s, z).

    Attributes:
        body: Dense layers.
        head: To an action distribution.
    """

    body: MLP
    head: SoftPolicyHead

    def __init__(self, input_size: int, sizes: tuple[int, ...], space: Space, key: Key[Array, ""]):
        body_key, head_key = jax.random.split(key)
        self.body = MLP(input_size, sizes, "relu", body_key)
        self.head = SoftPolicyHead(sizes[-1], space, head_key)

    def __call__(
        self,
        features: Float[Array, "*batch size"],
        latent: Float[Array, "*extra latent_size"],
        legal: Bool[Array, "*batch actions"] | None = None,
    ) -> Categorical | MultiCategorical | SquashedNormal:
        """The distribution of the space's `policy_action`."""
        return self.head(self.body(beside(features, latent)), legal)


class Quality(eqx.Module):
    """Q(s, a, z) of continuous actions; Q(s, ·, z) of discrete ones.

    Attributes:
        body: Dense layers.
        head: To one value, or to one for each action.
    """

    body: MLP
    head: Linear

    def __init__(self, input_size: int, sizes: tuple[int, ...], num_values: int, key: Key[Array, ""]):
        body_key, head_key = jax.random.split(key)
        self.body = MLP(input_size, sizes, "relu", body_key)
        self.head = Linear(sizes[-1], num_values, 0.01, head_key)

    def __call__(self, inputs: Float[Array, "*batch size"]) -> Float[Array, "*batch values"]:
        """Values."""
        return self.head(self.body(inputs))


class TwinCritics(eqx.Module):
    """Two critics of which the lesser is believed.

    Attributes:
        first: Q₁.
        second: Q₂.
        nums: Of discrete actions, how many each choice has: there is a value for each combination. () if continuous.
    """

    first: Quality
    second: Quality
    nums: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, feature_size: int, latent_size: int, space: Space, sizes: tuple[int, ...], key: Key[Array, ""]):
        self.nums = choices_of(space)
        inputs = feature_size + latent_size + (0 if self.nums else space.encoded_size)
        values = math.prod(self.nums)
        self.first, self.second = (Quality(inputs, sizes, values, k) for k in jax.random.split(key))

    def of_all(
        self, features: Float[Array, "*batch size"], latent: Float[Array, "*extra latent_size"]
    ) -> tuple[Float[Array, "*batch actions"], Float[Array, "*batch actions"]]:
        """Values of all discrete actions; of several choices at once, of all combinations."""
        inputs = beside(features, latent)
        return self.first(inputs), self.second(inputs)

    def __call__(
        self,
        features: Float[Array, "*batch size"],
        latent: Float[Array, "*extra latent_size"],
        action: Float[Array, "*batch action_size"],
    ) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
        """Values of actions, encoded."""
        if self.nums:
            first, second = self.of_all(features, latent)
            action = over_combinations(action, self.nums, jnp.multiply)
            return jnp.sum(first * action, -1), jnp.sum(second * action, -1)
        inputs = beside(features, action, latent)
        return self.first(inputs)[..., 0], self.second(inputs)[..., 0]


class RewardModel(eqx.Module):
    """p(r | s, a, s', z): a normal distribution, one deviation for all.

    Attributes:
        body: Dense layers.
        head: To the mean.
        log_std: Logarithm of the deviation.
    """

    body: MLP
    head: Linear
    log_std: Float[Array, ""]

    def __init__(self, input_size: int, sizes: tuple[int, ...], key: Key[Array, ""]):
        body_key, head_key = jax.random.split(key)
        self.body = MLP(input_size, sizes, "relu", body_key)
        self.head = Linear(sizes[-1], 1, 1.0, head_key)
        self.log_std = jnp.zeros(())

    def log_prob(
        self,
        step: Float[Array, "*batch size"],
        latent: Float[Array, "*extra latent_size"],
        reward: Float[Array, "*batch"],
    ) -> Float[Array, "*batch"]:
        """Log-density of rewards, without the constant −½ log 2π."""
        mean = self.head(self.body(beside(step, latent)))[..., 0]
        return -0.5 * ((reward - mean) * jnp.exp(-self.log_std)) ** 2 - self.log_std
