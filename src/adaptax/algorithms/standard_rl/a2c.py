"""Advantage actor-critic, from nothing on every task, on its own experience or on another's.

Mnih et al. 2016, "Asynchronous methods for deep reinforcement learning" (arXiv 1602.01783), in its synchronous form;
Espeholt et al. 2018, "IMPALA" (arXiv 1802.01561), for experience that another policy μ has collected:

    θ ← θ + α mean_t A_t ∇ log π(a_t | s_t),   A_t = ρ_t (δ_t + γλ A_{t+1}),   ρ_t = min(ρ̄, π(a_t | s_t) / μ(a_t | s_t))

On its own experience ρ = 1, and A are generalised advantages.

Differences from the papers: Adam; advantages in units of the returns' deviation; c̄ = ρ̄; where
episodes have one length, rewards are compared with the mean of the first window.
"""

import dataclasses

from jaxtyping import Array, Key

from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.actor_critic import ActorCriticFromScratch, Spaces
from adaptax.algorithms.standard_rl.settings import A2CSettings
from adaptax.core.types import AgentState, Transition


@dataclasses.dataclass(frozen=True)
class A2C(A2CSettings, ActorCriticFromScratch):
    """Advantage actor-critic; see the module and `A2CSettings`."""

    def adapt(self, meta: Spaces, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """One gradient step on a window, leaves `[time, env, ...]`."""
        learner, window, seen = actor_critic.looking(agent.adapted, trajectory)
        learner = actor_critic.centered(learner, window)
        batch = actor_critic.make_batch(
            self,
            learner,
            window,
            discount=self.discount,
            gae_lambda=self.gae_lambda,
            max_ratio=self.max_ratio,
        )
        returns = actor_critic.observe(learner, batch)
        learner = actor_critic.descend(actor_critic.adam(self), learner, returns, batch, entropy_cost=self.entropy_cost)
        return AgentState(dataclasses.replace(learner, observed=seen), agent.memory)
