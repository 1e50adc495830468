"""HyperX: rewards, in training only, for hyper-states that are new and for steps that the decoder expected otherwise.

Zintgraf et al. 2021 (arXiv 2010.01062). Novelty is by random network distillation (Burda et al. 2019): a network g_ω
learns to put out what a fixed random one f puts out, so that ‖f(s⁺) − g_ω(s⁺)‖² is large where it has not been.

Errors fall by orders of magnitude as soon as g_ω has learned anything at all. So they are in units of their mean in the
last update: what is rarer than usual is paid to the end, and how much in all is for the weight and its fading to say.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from adaptax.networks import MLP, Linear
from adaptax.optimization import minibatches
from adaptax.optimization.losses import masked_mean
from adaptax.optimization.moments import Moments, no_moments

SIZE, FEATURES = 64, 16
"""Units of the hidden layers of both networks, and what they put out."""
LEARNING_RATE = 1e-3


class Distilled(eqx.Module):
    """A network from hyper-states to features.

    Attributes:
        body: Two layers.
        out: To the features.
    """

    body: MLP
    out: Linear

    def __init__(self, size: int, key: Key[Array, ""]):
        body_key, out_key = jax.random.split(key)
        self.body = MLP(size, (SIZE, SIZE), "relu", body_key)
        self.out = Linear(SIZE, FEATURES, 1.0, out_key)

    def __call__(self, x: Float[Array, "*batch size"]) -> Float[Array, "*batch features"]:
        """The features."""
        return self.out(self.body(x))


class Novelty(eqx.Module):
    """What is known of where the agent has been.

    Attributes:
        target: f.
        learned: g_ω.
        opt_state: Adam's state.
        errors: Moments of the last update's errors; bonuses are in units of their mean.
    """

    target: Distilled
    learned: Distilled
    opt_state: PyTree[Array]
    errors: Moments

    @classmethod
    def unseen(cls, size: int, key: Key[Array, ""]) -> "Novelty":
        """Of hyper-states of `size` numbers, none of which was seen."""
        target, learned = (Distilled(size, k) for k in jax.random.split(key))
        return cls(target, learned, _optimizer().init(learned), no_moments())

    def bonus(self, hyper_states: Float[Array, "*batch size"]) -> Float[Array, "*batch"]:
        """How new each is: 1 is what was usual in the update before, however well all that is known by now."""
        usual = jnp.where(self.errors.count > 0, self.errors.mean, 1.0)
        return _error(self.target, self.learned, hyper_states) / jnp.maximum(usual, 1e-8)

    def learn(self, hyper_states: Float[Array, "time task size"], valid: Any, *, num_minibatches: int) -> "Novelty":
        """Get used to what was seen, in one pass."""

        def loss(learned: Distilled, batch: Any) -> tuple[Array, dict[str, Array]]:
            seen, happened = batch
            return masked_mean(_error(self.target, learned, seen), happened), {}

        learned, opt_state, _ = minibatches.minibatch_epochs(
            loss, _optimizer(), self.learned, self.opt_state, (hyper_states, valid), (1, 1),
            num_epochs=1, num_minibatches=num_minibatches,
        )  # fmt: skip
        errors = _error(self.target, self.learned, hyper_states).ravel()
        weight = None if valid is None else valid.ravel().astype(jnp.float32)
        return Novelty(self.target, learned, opt_state, no_moments().observe(errors, weight))


def _optimizer() -> optax.GradientTransformation:
    return optax.adam(LEARNING_RATE)


def _error(target: Distilled, learned: Distilled, seen: Float[Array, "*batch size"]) -> Float[Array, "*batch"]:
    return jnp.mean((target(seen) - learned(seen)) ** 2, -1)
