"""A learned baseline: one network for all tasks, fitted between outer steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from adaptax.core import parallel
from adaptax.core.types import Metrics
from adaptax.networks import MLP, Linear
from adaptax.optimization import minibatches
from adaptax.optimization.moments import Moments, no_moments

SIZES = (64, 64)
NUM_STEPS = 20
"""Steps of regression after each update."""


class ReturnCritic(eqx.Module):
    """Expected return to go from observation, time and the number of inner steps so far, for all tasks alike.

    It does not know the task, because it must serve where the task is not known.

    Attributes:
        body: Dense layers.
        head: To a normalised return.
        returns: Moments of the returns.
    """

    body: MLP
    head: Linear
    returns: Moments

    def __init__(self, observation_size: int, key: Key[Array, ""]):
        body_key, head_key = jax.random.split(key)
        self.body = MLP(observation_size + 3, SIZES, "tanh", body_key)
        self.head = Linear(SIZES[-1], 1, 0.0, head_key)
        self.returns = no_moments()

    def normalized(self, observations: Float[Array, "time *batch size"], steps: Array) -> Float[Array, "time *batch"]:
        """Predictions in deviations from the mean."""
        times = jnp.arange(observations.shape[0]) / observations.shape[0]
        adapted = jnp.minimum(steps, 1).astype(observations.dtype)
        more = jnp.log1p(jnp.maximum(steps - 1, 0).astype(observations.dtype))
        extra = jnp.stack([times, jnp.full_like(times, adapted), jnp.full_like(times, more)], -1)
        extra = extra.reshape(len(times), *(1,) * (observations.ndim - 2), 3)
        x = jnp.concatenate([observations, jnp.broadcast_to(extra, (*observations.shape[:-1], 3))], -1)
        return self.head(self.body(x))[..., 0]

    def __call__(self, observations: Float[Array, "time *batch size"], steps: Array) -> Float[Array, "time *batch"]:
        """Predicted returns, for whole episodes from their first step."""
        return self.returns.mean + self.returns.std * self.normalized(observations, steps)


def _with_parts(critic: ReturnCritic, parts: tuple[MLP, Linear]) -> ReturnCritic:
    return eqx.tree_at(lambda critic: (critic.body, critic.head), critic, parts)


def critic_optimizer(learning_rate: float | Array) -> optax.GradientTransformation:
    """Adam at a constant rate."""
    return optax.adam(learning_rate)


def fit(
    critic: ReturnCritic,
    opt_state: PyTree[Array],
    learning_rate: float | Array,
    observations: Float[Array, "task window time env size"],
    returns: Float[Array, "task window time env"],
    valid: Array,
) -> tuple[ReturnCritic, PyTree[Array], Metrics]:
    """Regress on the newest returns, after they were used: they were compared with an older fit."""
    weight = valid.astype(returns.dtype)
    moments = critic.returns.observe(returns.ravel(), weight.ravel())
    critic = eqx.tree_at(lambda critic: critic.returns, critic, moments)
    targets = (returns - critic.returns.mean) / critic.returns.std
    count = jnp.maximum(parallel.mean(jnp.sum(weight)), 1.0)
    per_window = jax.vmap(lambda c, o, k: c.normalized(o, k), (None, 0, 0))
    per_task = jax.vmap(per_window, (None, 0, None))
    steps = jnp.arange(returns.shape[1])

    def loss(parts: tuple[MLP, Linear], batch: tuple[Array, Array, Array]) -> tuple[Array, Metrics]:
        observations, targets, weight = batch
        predicted = per_task(_with_parts(critic, parts), observations, steps)
        error = jnp.sum(weight * (predicted - targets) ** 2) / count
        return error, {"critic_loss": error}

    parts, opt_state, metrics = minibatches.minibatch_epochs(
        loss,
        critic_optimizer(learning_rate),
        (critic.body, critic.head),
        opt_state,
        (observations, targets, weight),
        (0, 0, 0),
        num_epochs=NUM_STEPS,
        num_minibatches=1,
    )
    return _with_parts(critic, parts), opt_state, {"critic_loss": metrics["critic_loss"]}
