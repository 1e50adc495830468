"""REINFORCE with a learned baseline, from nothing on every task.

Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"; Sutton &
Barto 2018, section 13.4.

    θ ← θ + α Σ_t ρ_t (G_t − V(s_t)) ∇ log π(a_t | s_t),   G_t = Σ_{i ≥ t} γ^{i−t} r_i

and V is regressed on G, after every window of whole episodes. ρ_t = min(ρ̄, π(a_t | s_t) / μ(a_t | s_t)) corrects for
actions of another policy μ (Degris, White & Sutton 2012, arXiv 1205.4839); on its own experience it is 1.

Differences from the papers: Adam; a mean over steps instead of a sum; advantages in units of the returns' deviation; an
entropy bonus; what a time limit cuts off is estimated by V; with the baseline, where episodes have one length, rewards
are compared with the mean of the first window.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Key

from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.actor_critic import ActorCriticFromScratch, Spaces
from adaptax.algorithms.standard_rl.settings import ReinforceSettings
from adaptax.core.types import AgentState, Transition


@dataclasses.dataclass(frozen=True)
class Reinforce(ReinforceSettings, ActorCriticFromScratch):
    """REINFORCE with a baseline; see the module and `ReinforceSettings`."""

    def adapt(self, meta: Spaces, agent: AgentState, trajectory: Transition, key: Key[Array, ""]) -> AgentState:
        """One gradient step on a window of whole episodes, leaves `[time, env, ...]`."""
        learner, window, seen = actor_critic.looking(agent.adapted, trajectory)
        if self.baseline == "value":
            learner = actor_critic.centered(learner, window)
        batch = actor_critic.make_batch(self, learner, window, discount=self.discount, gae_lambda=1.0)
        gain = batch.advantage if self.baseline == "value" else jnp.where(batch.valid, batch.target, 0.0)
        weights = actor_critic.importance(learner, window, self.max_ratio)
        batch = dataclasses.replace(batch, advantage=weights * gain)
        returns = actor_critic.observe(learner, batch)
        learner = actor_critic.descend(actor_critic.adam(self), learner, returns, batch, entropy_cost=self.entropy_cost)
        return AgentState(dataclasses.replace(learner, observed=seen), agent.memory)
