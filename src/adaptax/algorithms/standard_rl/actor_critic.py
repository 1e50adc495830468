"""What learners with a policy and a value network share: networks, acting, advantages, and one loss.

They have no outer loop and no memory: φ is a policy, a value network, and their optimiser's state, and `adapt` improves
them on a window of experience. A final class says how, and is one file in `adaptax.algorithms`.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree

from adaptax.algorithms.standard_rl.settings import ActorCriticSettings
from adaptax.core.algorithm import FromScratch
from adaptax.core.composite_spaces import Encoded
from adaptax.core.problem import Problem
from adaptax.core.spaces import Space
from adaptax.core.splits import fold_in_name
from adaptax.core.types import AgentState, Metrics, TimeStep, Transition, Window
from adaptax.networks import MLP, Encoder, Linear, Policy
from adaptax.networks.distributions import Distribution
from adaptax.networks.encoders import make_encoder
from adaptax.optimization import observations
from adaptax.optimization.losses import generalized_advantages, masked_mean
from adaptax.optimization.moments import Moments, no_moments


class Spaces(eqx.Module):
    """What a learner is told of a problem.

    Attributes:
        observation: The observation space.
        action: The action space.
        ends_early: Whether episodes may end before their horizon. Elsewhere a constant that is added to all rewards
            changes nothing of what is best, and is nothing to learn from (trap E32).
    """

    observation: Space = eqx.field(static=True)
    action: Space = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True, default=True)

    @classmethod
    def of(cls, problem: Problem) -> "Spaces":
        """Those of a problem."""
        return cls(problem.env.observation_space, problem.env.action_space, problem.env.ends_early)


class ValueNetwork(eqx.Module):
    """V(s), in deviations from the mean return.

    Attributes:
        body: Dense layers.
        head: To one number.
        observation_space: How observations are read.
        encoder: What reads them first, one of its own; None: the body does.
    """

    body: MLP
    head: Linear
    observation_space: Space = eqx.field(static=True)
    encoder: Encoder | None = None

    def __call__(self, observation: PyTree[Array]) -> Float[Array, "*batch"]:
        """Values of observations with any batch axes."""
        x = self.observation_space.encode(observation)
        return self.head(self.body(x if self.encoder is None else self.encoder(x)))[..., 0]


class ActorCritic(eqx.Module):
    """Everything that gradients change.

    Attributes:
        policy: π.
        critic: V.
    """

    policy: Policy
    critic: ValueNetwork


class ActorCriticState(eqx.Module):
    """φ.

    Attributes:
        network: Policy and value network.
        opt_state: Their optimiser's state; None if nothing more is learned.
        returns: Moments of the critic's targets so far: what its outputs are in units of.
        center: What rewards are compared with, the mean of the first window; None: they are taken as they are.
        observed: Moments of what was observed, entry by entry; None: observations are read as they are. The networks
            are for what `read` returns then.
    """

    network: ActorCritic
    opt_state: PyTree[Array]
    returns: Moments
    center: Float[Array, ""] | None = None
    observed: Moments | None = None

    @property
    def space(self) -> Space:
        """The observation space."""
        space = self.network.policy.observation_space
        if self.observed is None:
            return space
        assert isinstance(space, Encoded)
        return space.of

    def read(self, observation: PyTree[Array]) -> PyTree[Array]:
        """An observation as the networks see it, for any batch axes."""
        return observations.read(self.observed, self.space, observation)

    def read_all(self, trajectory: Transition) -> Transition:
        """A trajectory with what the networks see, for any batch axes."""
        return observations.read_all(self.observed, self.space, trajectory)

    def values(self, observation: PyTree[Array]) -> Float[Array, "*batch"]:
        """V of what `rewards` gives, where `read` has read what."""
        return self.returns.mean + self.returns.std * self.network.critic(observation)

    def rewards(self, trajectory: Transition) -> Float[Array, "time env"]:
        """Rewards, compared with the center."""
        return trajectory.reward if self.center is None else trajectory.reward - self.center


class Batch(eqx.Module):
    """What a step of experience teaches; leaves `[time, env, ...]`, or flattened.

    Attributes:
        observation: What was seen, as the networks read it.
        action: What was done, as the policy's distribution has it.
        log_prob: Its log-probability when it was done.
        advantage: Weight of ∇ log π; 0 where nothing happened.
        target: For the critic, in units of reward.
        valid: Whether it happened.
    """

    observation: PyTree[Array]
    action: PyTree[Array]
    log_prob: Float[Array, "*batch"]
    advantage: Float[Array, "*batch"]
    target: Float[Array, "*batch"]
    valid: Bool[Array, "*batch"]


def build(settings: ActorCriticSettings, spaces: Spaces, key: Key[Array, ""]) -> ActorCritic:
    """Fresh networks."""
    policy_key, body_key, head_key = jax.random.split(key, 3)
    sizes = (settings.hidden_size,) * settings.num_layers
    seen = observations.space_read(spaces.observation, normalize=settings.normalize_observations)
    policy = Policy(
        seen,
        spaces.action,
        sizes,
        policy_key,
        activation=settings.activation,
        initial_std=settings.initial_std,
        encoder=settings.encoder,
    )
    encoder = make_encoder(settings.encoder, seen, fold_in_name(key, "critic's encoder"))
    size = policy.features_size
    body = MLP(size, sizes, settings.activation, body_key)
    head = Linear(sizes[-1] if sizes else size, 1, 0.0, head_key)
    return ActorCritic(policy, ValueNetwork(body, head, seen, encoder))


TINY = 1e-30
"""Added to a squared norm: its root has a derivative then, and no norm that matters is changed by it."""


def adam(
    settings: ActorCriticSettings, learning_rate: float | Array | None = None, *, eps_root: float = 0.0
) -> optax.GradientTransformation:
    """Adam at a constant rate, gradients scaled down to a norm.

    Args:
        settings: Of the learner.
        learning_rate: Instead of the settings' own.
        eps_root: Added under Adam's square root, whose derivative at 0 is infinite, for who differentiates a step.
    """
    rate: Any = settings.learning_rate if learning_rate is None else learning_rate
    adam = optax.adam(rate, eps=1e-5, eps_root=eps_root)
    # The derivative of a norm at 0 is NaN, and a gradient is 0 where a window has brought no reward and no surprise.
    clip = _differentiable_clip if eps_root else optax.clip_by_global_norm
    return optax.chain(clip(settings.max_gradient_norm), adam)


def _differentiable_clip(max_norm: float | Array) -> optax.GradientTransformation:
    """`optax.clip_by_global_norm`, with derivative 1 at a gradient of 0."""

    def clip(gradient: PyTree[Array], _: Any) -> PyTree[Array]:
        norm = jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(gradient)) + TINY)
        return jax.tree.map(lambda x: jnp.where(norm < max_norm, x, x / norm * max_norm), gradient)

    return optax.stateless(clip)


def window_of(settings: ActorCriticSettings, problem: Problem) -> Window:
    """Whole episodes, or as many steps as the settings say."""
    steps = problem.env.horizon if settings.whole_episodes else getattr(settings, "num_steps", 1)
    return Window(settings.streams, steps)


def act(
    learner: ActorCriticState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
) -> tuple[PyTree[Array], dict[str, Array]]:
    """Sample an action from π (or take its mode, if not `explore`); return it with its log-probability."""
    policy = learner.network.policy(learner.read(timestep.observation))
    action = policy.sample(key) if explore else policy.mode()
    return learner.network.policy.head.space.from_policy(action), {"log_prob": policy.log_prob(action)}


def boundaries(settings: ActorCriticSettings, trajectory: Transition) -> tuple[Array, Array]:
    """Where nothing comes after a step, and where only the experience stops (trap E11)."""
    last = jnp.arange(trajectory.valid.shape[0]).reshape(-1, *(1,) * (trajectory.valid.ndim - 1))
    last = last == trajectory.valid.shape[0] - 1
    if settings.time_limits == "end":
        return trajectory.terminated | trajectory.truncated, jnp.broadcast_to(last, trajectory.valid.shape)
    return trajectory.terminated, trajectory.truncated | last


def importance(learner: ActorCriticState, trajectory: Transition, max_ratio: float | Array) -> Float[Array, "time env"]:
    """min(ρ̄, π/μ) of every action, μ the policy that acted; a constant."""
    action = learner.network.policy.head.space.policy_action(trajectory.action)
    log_prob = learner.network.policy(trajectory.timestep.observation).log_prob(action)
    log_ratio = jnp.where(trajectory.valid, log_prob - trajectory.aux["log_prob"], 0.0)
    return jax.lax.stop_gradient(jnp.minimum(jnp.exp(jnp.minimum(log_ratio, 80.0)), max_ratio))


def new_learner(
    settings: ActorCriticSettings, spaces: Spaces, optimizer: optax.GradientTransformation, key: Key[Array, ""]
) -> ActorCriticState:
    """One that has seen nothing."""
    network = build(settings, spaces, key)
    observed = observations.unseen(spaces.observation, normalize=settings.normalize_observations)
    center = None if spaces.ends_early else jnp.zeros(())
    return ActorCriticState(network, optimizer.init(network), no_moments(), center, observed)


def centered(learner: ActorCriticState, trajectory: Transition) -> ActorCriticState:
    """The learner as it looks at a window: at its first, it sees what rewards there are."""
    if learner.center is None:
        return learner
    first = learner.returns.count == 0
    return dataclasses.replace(
        learner, center=jnp.where(first, masked_mean(trajectory.reward, trajectory.valid), learner.center)
    )


def looking(learner: ActorCriticState, trajectory: Transition) -> tuple[ActorCriticState, Transition, Moments | None]:
    """The learner as it looks at a window, the window as it reads it, and what it has `observed` after it.

    A window is learned from as it was read when the learner acted in it. The first was read as nothing but its mean:
    its actions were by chance, and it is looked at in deviations of its own.
    """
    seen = observations.take_in(learner.observed, learner.space, trajectory)
    if learner.observed is not None:
        first = learner.observed.count == 0
        now = jax.tree.map(lambda new, old: jnp.where(first, new, old), seen, learner.observed)
        learner = dataclasses.replace(learner, observed=now)
    return learner, learner.read_all(trajectory), seen


def make_batch(
    settings: ActorCriticSettings,
    learner: ActorCriticState,
    trajectory: Transition,
    *,
    discount: float | Array,
    gae_lambda: float | Array,
    max_ratio: float | Array | None = None,
) -> Batch:
    """What a window, leaves `[time, env, ...]`, teaches a learner: a function of γ and λ, not of φ (trap E6).

    Args:
        settings: Of the learner.
        learner: As it is before it learns.
        trajectory: The window as it is read; `aux["log_prob"]` has the log-probabilities under whichever policy acted.
        discount: γ.
        gae_lambda: λ.
        max_ratio: Where importance weights are cut off, if another policy may have acted; None: none are needed.
    """
    action = learner.network.policy.head.space.policy_action(trajectory.action)
    weights = None if max_ratio is None else importance(learner, trajectory, max_ratio)
    ended, cut = boundaries(settings, trajectory)
    values, bootstraps = jax.lax.stop_gradient(
        (learner.values(trajectory.timestep.observation), learner.values(trajectory.next_observation))
    )
    advantages = generalized_advantages(
        learner.rewards(trajectory),
        values,
        discount=discount,
        gae_lambda=gae_lambda,
        ended=ended,
        cut=cut,
        bootstraps=bootstraps,
        valid=trajectory.valid,
        weights=weights,
    )
    log_prob = jnp.where(trajectory.valid, trajectory.aux["log_prob"], 0.0)
    targets = values + advantages
    return Batch(trajectory.timestep.observation, action, log_prob, advantages, targets, trajectory.valid)


def observe(learner: ActorCriticState, batch: Batch) -> Moments:
    """Moments of the critic's targets, with those of a new window; constants."""
    weight = batch.valid.ravel().astype(batch.target.dtype)
    return jax.lax.stop_gradient(learner.returns.observe(batch.target.ravel(), weight))


def loss(
    policy_gain: Any,
    returns: Moments,
    entropy_cost: float | Array,
    network: ActorCritic,
    batch: Batch,
    value_cost: float | Array = 1.0,
) -> tuple[Float[Array, ""], Metrics]:
    """½ c mean (V − target)² − mean gain − entropy bonus, the values in deviations.

    Args:
        policy_gain: What to maximise in each step, from log π(a) and the batch.
        returns: Moments that targets are normalised by.
        entropy_cost: Weight of the entropy bonus.
        network: What to improve.
        batch: What to learn from.
        value_cost: c, weight of the critic's part.
    """
    policy: Distribution = network.policy(batch.observation)
    log_prob = jnp.where(batch.valid, policy.log_prob(batch.action), 0.0)
    gain = masked_mean(policy_gain(log_prob, batch), batch.valid)
    error = (batch.target - returns.mean) / returns.std - network.critic(batch.observation)
    value_loss = 0.5 * masked_mean(error**2, batch.valid)
    entropy = masked_mean(policy.entropy(), batch.valid)
    metrics = {"value_loss": value_loss, "entropy": entropy, "policy_gain": gain}
    return value_cost * value_loss - gain - entropy_cost * entropy, metrics


def policy_gradient(log_prob: Array, batch: Batch) -> Array:
    """Log π(a) A."""
    return log_prob * batch.advantage


def descend(
    optimizer: optax.GradientTransformation,
    learner: ActorCriticState,
    returns: Moments,
    batch: Batch,
    *,
    entropy_cost: float | Array,
    value_cost: float | Array = 1.0,
) -> ActorCriticState:
    """One step along the policy gradient, with advantages in deviations of the return, and towards the targets.

    No step at all if nothing happened: Adam would go on along its momentum.
    """
    batch = dataclasses.replace(batch, advantage=batch.advantage / returns.std)

    def cost(network: ActorCritic) -> Float[Array, ""]:
        return loss(policy_gradient, returns, entropy_cost, network, batch, value_cost)[0]

    gradient = jax.grad(cost)(learner.network)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
        updates, opt_state = optimizer.update(gradient, learner.opt_state, learner.network)
    network = eqx.apply_updates(learner.network, updates)
    improved = dataclasses.replace(learner, network=network, opt_state=opt_state, returns=returns)
    happened = jnp.any(batch.valid)
    return jax.tree.map(lambda new, old: jnp.where(happened, new, old), improved, learner)


@dataclasses.dataclass(frozen=True)
class ActorCriticFromScratch(ActorCriticSettings, FromScratch):
    """Fresh networks in every task; final classes say how `adapt` improves them."""

    def describe(self, problem: Problem) -> Spaces:
        """What `begin` needs of a problem: its spaces; nothing is meta-learned."""
        return Spaces.of(problem)

    def window(self, problem: Problem) -> Window:
        """The experience that one `adapt` consumes."""
        return window_of(self, problem)

    def begin(self, meta: Spaces, key: Key[Array, ""]) -> AgentState:
        """Draw networks."""
        return AgentState(new_learner(self, meta, adam(self), key), None)

    def act(
        self, meta: Spaces, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[PyTree[Array], None, Any]:
        """Sample from π, or take its mode."""
        action, aux = act(agent.adapted, timestep, key, explore=explore)
        return action, None, aux
