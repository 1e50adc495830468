"""What reads a memory: a policy, and a critic that may be told the task."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from adaptax.core.spaces import Space
from adaptax.networks.dense import dense
from adaptax.networks.distributions import (
    Categorical,
    Distribution,
    MultiCategorical,
    Normal,
    SquashedNormal,
    categorical,
)

LOG_STD_BOUNDS = (-10.0, 2.0)
"""Between these lie the logarithms of a squashed policy's deviations (Haarnoja et al. 2018: −20 and 2)."""


def orthogonal(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "inputs outputs"]:
    """Random orthonormal columns (or rows, if they are fewer), uniform over all such (Saxe et al. 2014).

    As `jax.nn.initializers.orthogonal()`, up to rounding, but by Gram and Schmidt's method, twice for accuracy.
    LAPACK's decomposition may wait for ever when a program for several CPU devices calls it, and learners from scratch
    draw their networks in such programs.
    """
    columns = jax.random.normal(key, (max(shape), min(shape)))

    def add(index: Array, basis: Array) -> Array:
        column = columns[:, index]
        for _ in range(2):
            column = column - basis @ (basis.T @ column)
        return basis.at[:, index].set(column / jnp.linalg.norm(column))

    basis = jax.lax.fori_loop(0, min(shape), add, jnp.zeros_like(columns))
    return basis if shape[0] >= shape[1] else basis.T


class Linear(eqx.Module):
    """x W + b on the last axis, for any leading axes.

    Attributes:
        weight: W.
        bias: b.
    """

    weight: Float[Array, "input_size output_size"]
    bias: Float[Array, " output_size"]

    def __init__(self, input_size: int, output_size: int, scale: float, key: Key[Array, ""]):
        """Orthogonal weights times `scale`, no bias."""
        shape = (input_size, output_size)
        self.weight = scale * orthogonal(key, shape) if input_size else jnp.zeros(shape)
        self.bias = jnp.zeros(output_size)

    def __call__(self, x: Float[Array, "*batch input_size"]) -> Float[Array, "*batch output_size"]:
        """Apply the layer to inputs with any leading axes."""
        y = dense(x, self.weight)
        return y + self.bias.reshape((1,) * (y.ndim - 1) + (-1,))


class PolicyHead(eqx.Module):
    """From features to an action distribution: discrete, or normal with a learned constant deviation.

    Attributes:
        layer: To logits or means; starts near zero, that is, near the uniform policy.
        log_std: Per action dimension; None for discrete actions.
        space: The action space.
    """

    layer: Linear
    log_std: Float[Array, " action_size"] | None
    space: Space = eqx.field(static=True)

    def __init__(self, feature_size: int, space: Space, initial_std: float | Array, key: Key[Array, ""]):
        self.space = space
        self.layer = Linear(feature_size, space.encoded_size, 0.01, key)
        self.log_std = None
        if not space.integers:
            log_std = math.log(initial_std) if isinstance(initial_std, int | float) else jnp.log(initial_std)
            self.log_std = jnp.full((space.encoded_size,), log_std, self.layer.bias.dtype)

    def __call__(
        self, features: Float[Array, "*batch feature_size"], legal: Bool[Array, "*batch actions"] | None = None
    ) -> Distribution:
        """The distribution of the space's `policy_action`; of discrete ones, those that are not `legal` never."""
        out = self.layer(features)
        if self.log_std is None:
            return categorical(self.space, out, legal)
        return Normal(out, jnp.broadcast_to(self.log_std, out.shape))


class SoftPolicyHead(eqx.Module):
    """From features to the action distribution of a soft actor-critic, whose deviations depend on the features.

    Attributes:
        layer: To logits, or to means and logarithms of deviations; starts near zero.
        space: The action space.
    """

    layer: Linear
    space: Space = eqx.field(static=True)

    def __init__(self, feature_size: int, space: Space, key: Key[Array, ""]):
        self.space = space
        self.layer = Linear(feature_size, space.encoded_size * (1 if space.integers else 2), 0.01, key)

    def __call__(
        self, features: Float[Array, "*batch feature_size"], legal: Bool[Array, "*batch actions"] | None = None
    ) -> Categorical | MultiCategorical | SquashedNormal:
        """The distribution of the space's `policy_action`; entries without bounds are not squashed."""
        out = self.layer(features)
        if self.space.integers:
            return categorical(self.space, out, legal)
        mean, log_std = jnp.split(out, 2, -1)
        low, high = self.space.limits()
        bounded = (np.isfinite(low) & np.isfinite(high)).ravel()
        squashed = None if bounded.all() else tuple(bounded.tolist())
        return SquashedNormal(mean, jnp.clip(log_std, *LOG_STD_BOUNDS), squashed)


class ScoreHead(eqx.Module):
    """From features whose first entries are the actions' logits to a categorical distribution: nothing to learn.

    Attributes:
        space: The action space, discrete.
    """

    space: Space = eqx.field(static=True)

    def __call__(
        self, features: Float[Array, "*batch feature_size"], legal: Bool[Array, "*batch actions"] | None = None
    ) -> Distribution:
        """The distribution of the space's `policy_action`; those that are not `legal` never."""
        return categorical(self.space, features[..., : self.space.encoded_size], legal)


class Readout(eqx.Module):
    """relu(W h + U o): looks up, in a memory of many things, what matters for the present observation.

    A linear policy reads the same from h whatever is observed, unless the memory itself has selected it.

    Attributes:
        from_memory: W.
        from_observation: U.
    """

    from_memory: Linear
    from_observation: Linear

    def __init__(self, memory_size: int, observation_size: int, size: int, key: Key[Array, ""]):
        memory_key, observation_key = jax.random.split(key)
        self.from_memory = Linear(memory_size, size, 2.0**0.5, memory_key)
        self.from_observation = Linear(observation_size, size, 2.0**0.5, observation_key)

    def __call__(
        self, memory: Float[Array, "*batch memory_size"], observation: Float[Array, "*batch observation_size"]
    ) -> Float[Array, "*batch size"]:
        """The vector that the policy reads."""
        return jax.nn.relu(self.from_memory(memory) + self.from_observation(observation))


class Critic(eqx.Module):
    """V(h_t, task, t): how much each of the remaining steps will bring on average, in units of the reward.

    Knowing the task in training makes the critic's estimates sharp where memory cannot know it yet, which
    takes the differences between tasks out of the advantages' noise. They stay unbiased: given the memory, the
    action does not depend on the task (Baisero & Amato 2022, arXiv 2105.11674). The policy never sees it.

    Attributes:
        from_memory: First layer's part for h_t.
        from_task: First layer's part for the task's features, computed once per trial; None: not told.
        from_time: First layer's part for the fraction of the trial that is over.
        hidden: Second layer.
        out: Last layer.
    """

    from_memory: Linear
    from_task: Linear | None
    from_time: Linear
    hidden: Linear
    out: Linear

    def __init__(self, memory_size: int, task_size: int, size: int, key: Key[Array, ""]):
        keys = jax.random.split(key, 5)
        self.from_memory = Linear(memory_size, size, 1.0, keys[0])
        self.from_task = Linear(task_size, size, 1.0, keys[1]) if task_size else None
        self.from_time = Linear(1, size, 1.0, keys[2])
        self.hidden = Linear(size, size, 1.0, keys[3])
        self.out = Linear(size, 1, 0.0, keys[4])

    def __call__(
        self, memory: Float[Array, "time batch memory_size"], task: Float[Array, "batch task_size"]
    ) -> Float[Array, "time batch"]:
        """Value of every step of whole trials."""
        time = jnp.linspace(0.0, 1.0, memory.shape[0])[:, None]
        features = self.from_memory(memory) + self.from_time(time)[:, None]
        if self.from_task is not None:
            features = features + self.from_task(task)[None]
        return self.out(jnp.tanh(self.hidden(jnp.tanh(features))))[..., 0]
