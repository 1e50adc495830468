"""What PEARL has learned (θ), what it knows in a task (φ), and what it keeps and learns from in training."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.algorithms.standard_rl.dqn import Paid
from adaptax.core.spaces import Space
from adaptax.core.task_buffers import Steps, TaskBuffers
from adaptax.core.types import Transition, replace
from adaptax.networks import Encoder
from adaptax.networks.context import ContextEncoder, ExactSum, moments_of
from adaptax.networks.latent import LatentPolicy, RewardModel, TwinCritics, beside
from adaptax.optimization import observations
from adaptax.optimization.moments import Moments

REWARD_BOUND = 10.0
"""Rewards enter the context clipped to this many deviations from their center."""


class PEARLNetwork(eqx.Module):
    """Everything that gradients change.

    Attributes:
        context: From steps to factors of the posterior.
        policy: π(a | s, z).
        critics: Q₁ and Q₂.
        rewards: What teaches the encoder in the critics' place; None: they do.
        log_temperature: log α.
        encoder: What reads observations first; None: they are read as they are.
    """

    context: ContextEncoder
    policy: LatentPolicy
    critics: TwinCritics
    rewards: RewardModel | None
    log_temperature: Float[Array, ""]
    encoder: Encoder | None


class PEARLParams(eqx.Module):
    """θ.

    Attributes:
        network: The learned part.
        paid: What rewards there were.
        observed: Moments of the training's observations, entry by entry; None: they are read as they are.
        observation_space: What is observed.
    """

    network: PEARLNetwork
    paid: Paid
    observed: Moments | None
    observation_space: Space = eqx.field(static=True)

    @property
    def action_space(self) -> Space:
        """What is done."""
        return self.network.policy.head.space

    def read(self, encoded: Float[Array, "*batch size"]) -> Float[Array, "*batch features"]:
        """Encoded observations as networks see them."""
        if self.observed is not None:
            encoded = observations.in_deviations(self.observed, self.observation_space, encoded)
        return encoded if self.network.encoder is None else self.network.encoder(encoded)

    def experienced(self, trajectory: Transition) -> Steps:
        """What is kept of a trajectory, for any batch axes."""
        space, acts = self.observation_space, self.action_space
        return Steps(
            space.encode(trajectory.timestep.observation),
            acts.encode_action(acts.clip(trajectory.action)),
            trajectory.reward,
            space.encode(trajectory.next_observation),
            trajectory.terminated,
        )

    def told(self, steps: Steps) -> tuple[Float[Array, "*batch features"], Float[Array, "*batch"]]:
        """What a step is and what it brought, as the context has them."""
        reward = jnp.clip(self.paid.units(steps.reward), -REWARD_BOUND, REWARD_BOUND)
        return beside(self.read(steps.before), steps.action, self.read(steps.after)), reward

    def take_in(self, trajectory: Transition, *, centers: bool = False) -> "PEARLParams":
        """With what a trajectory saw and earned, for any batch axes; it may say what rewards are compared with."""
        paid = self.paid.moments.observe(trajectory.reward.ravel(), trajectory.valid.ravel().astype(jnp.float32))
        observed = observations.take_in(self.observed, self.observation_space, trajectory)
        return replace(self, paid=Paid(paid, paid.mean if centers else self.paid.center), observed=observed)


class Posterior(eqx.Module):
    """φ: q(z | c), and the z that is held.

    Attributes:
        precision: Σ λ_n.
        weighted: Σ η_n.
        latent: z.
    """

    precision: ExactSum
    weighted: ExactSum
    latent: Float[Array, " latent_size"]

    @property
    def moments(self) -> tuple[Float[Array, " latent_size"], Float[Array, " latent_size"]]:
        """Mean and variance of z."""
        return moments_of(self.precision.value, self.weighted.value)

    def drawn(self, key: Key[Array, ""]) -> "Posterior":
        """The same with another z."""
        mean, variance = self.moments
        return replace(self, latent=mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape))


class PEARLMemory(eqx.Module):
    """What decides the future of a training beside θ.

    Attributes:
        optimizer: The optimiser's state.
        targets: Averages of the critics over time.
        buffers: Past experience of each training task.
    """

    optimizer: PyTree[Array]
    targets: TwinCritics
    buffers: TaskBuffers


class Batch(eqx.Module):
    """What one gradient step learns from in each task; leaves `[task, ...]`.

    Attributes:
        steps: From all of its experience, `[task, step, ...]`.
        context: The beginning of a recent trial, `[task, step, ...]`.
        there: Which steps of the context there are.
        key: Randomness.
    """

    steps: Steps
    context: Steps
    there: Bool[Array, "task size"]
    key: Key[Array, " task"]
