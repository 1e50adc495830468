"""Proximal policy optimisation, from nothing on every task.

Schulman et al. 2017, "Proximal policy optimization algorithms" (arXiv 1707.06347), equation 7, with generalised
advantages:

    maximise mean_t min(ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t),   ρ_t = π(a_t | s_t) / π_old(a_t | s_t)

It starts anew in every task: its learning curve is its adaptation curve.

Differences from the paper: advantages are normalised over a window; targets of V in units of their deviation; V's loss
is not clipped; steps are shuffled once per window; where episodes have one length, rewards are compared with the mean
of the first window; observations may be read in deviations from their running mean (`normalize_observations`).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.actor_critic import ActorCriticFromScratch, ActorCriticState, Batch, Spaces
from adaptax.algorithms.standard_rl.settings import PPOLearnerSettings
from adaptax.core.types import AgentState, Metrics, Transition, replace
from adaptax.optimization import minibatches as optim
from adaptax.optimization.losses import clipped_surrogate
from adaptax.optimization.moments import Moments, no_moments


def normalized(batch: Batch) -> Batch:
    """Advantages with mean 0 and deviation 1 over all steps that happened; 0 elsewhere."""
    spread = no_moments().observe(batch.advantage.ravel(), batch.valid.ravel().astype(jnp.float32))
    advantage = jnp.where(batch.valid, (batch.advantage - spread.mean) / spread.std, 0.0)
    return dataclasses.replace(batch, advantage=advantage)


def epochs(
    settings: PPOLearnerSettings,
    optimizer: optax.GradientTransformation,
    learner: ActorCriticState,
    returns: Moments,
    batch: Batch,
    axis: int,
) -> tuple[ActorCriticState, Metrics]:
    """Several passes over a batch in minibatches along `axis`."""

    def gain(log_prob: Array, batch: Batch) -> Array:
        return clipped_surrogate(log_prob, batch.log_prob, batch.advantage, settings.clip)

    loss = functools.partial(actor_critic.loss, gain, returns, settings.entropy_cost)
    network, opt_state, metrics = optim.minibatch_epochs(
        lambda network, batch: loss(network, batch[0]),
        optimizer,
        learner.network,
        learner.opt_state,
        (batch,),
        (axis,),
        num_epochs=settings.num_epochs,
        num_minibatches=settings.num_minibatches,
    )
    return dataclasses.replace(learner, network=network, opt_state=opt_state, returns=returns), metrics


def improve(
    settings: PPOLearnerSettings,
    optimizer: optax.GradientTransformation,
    learner: ActorCriticState,
    trajectory: Transition,
    key: Key[Array, ""],
) -> ActorCriticState:
    """One task's learner after a window of its own as it reads it, leaves `[time, env, ...]`."""
    learner = actor_critic.centered(learner, trajectory)
    batch = actor_critic.make_batch(
        settings, learner, trajectory, discount=settings.discount, gae_lambda=settings.gae_lambda
    )
    returns = actor_critic.observe(learner, batch)
    order = jax.random.permutation(key, batch.valid.size)
    steps = jax.tree.map(lambda x: jax.lax.collapse(x, 0, 2)[order], normalized(batch))
    return epochs(settings, optimizer, learner, returns, steps, 0)[0]


def with_own_chances(learner: ActorCriticState, trajectory: Transition) -> Transition:
    """A window whose actions have the log-probabilities that they have as the learner reads it now.

    Those of its first window were others. With these π_old is where the first epoch begins: every ratio there is 1.
    """
    if learner.observed is None:
        return trajectory
    log_prob = learner.network.policy.log_prob(trajectory.timestep.observation, trajectory.action)
    return replace(trajectory, aux={"log_prob": jax.lax.stop_gradient(log_prob)})


@dataclasses.dataclass(frozen=True)
class PPO(PPOLearnerSettings, ActorCriticFromScratch):
    """PPO from nothing on every task; see the module and `PPOLearnerSettings`."""

    def adapt(self, meta: Spaces, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """Several passes over a window of whole episodes."""
        learner, window, seen = actor_critic.looking(agent.adapted, trajectory)
        learner = improve(self, actor_critic.adam(self), learner, with_own_chances(learner, window), key)
        return AgentState(dataclasses.replace(learner, observed=seen), agent.memory)
