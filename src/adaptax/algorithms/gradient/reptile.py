"""Reptile: move the initialisation towards where adaptation leads.

Nichol, Achiam & Schulman 2018, "On first-order meta-learning algorithms" (arXiv 1803.02999), algorithm 2 (batched):

    θ ← θ + ε mean_task (φ_K − θ),   φ_0 = θ,   φ_{k+1} = φ_k + α ∇Ĵ(φ_k; D_k)

No meta-gradient: the direction φ_K − θ contains, for K > 1 steps on different data, the inner product of their
gradients.

Differences from the paper:
    - Policy gradients on fresh episodes take the place of supervised minibatches; ε falls to 0 linearly.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from adaptax.algorithms.gradient.inner_loop import Fast, GradientParams, WholePolicy
from adaptax.algorithms.gradient.outer_loop import by_window, fit_critic, report
from adaptax.algorithms.gradient.settings import ReptileSettings
from adaptax.core import parallel
from adaptax.core.experience import Experience
from adaptax.core.problem import Problem
from adaptax.core.types import AgentState, Metrics, TrainState, Transition, replace
from adaptax.optimization.inner_optimizers import SGD


@dataclasses.dataclass(frozen=True)
class Reptile(ReptileSettings, WholePolicy):
    """Reptile; see the module and `ReptileSettings`."""

    @property
    def inner(self) -> SGD:
        """φ' = φ − α ∇L(φ)."""
        return SGD(self.inner_learning_rate, self.inner_decay)

    def init(self, problem: Problem, key: Key[Array, ""]) -> TrainState:
        """θ: the policy."""
        meta, critic_state = self.begin_meta(problem, key)
        return TrainState(meta, critic_state, jnp.asarray(0), key)

    def learn(self, problem: Problem, state: TrainState, experience: Experience) -> tuple[TrainState, Metrics]:
        """Adapt in all tasks, then move θ a part of the way."""
        meta: GradientParams = state.meta
        seen = by_window(self, experience)
        trajectories = meta.read_all(seen)
        adapted = jax.vmap(lambda trajectories: self._adapted(meta, trajectories))(trajectories)
        step = self.outer_step * jnp.maximum(1 - state.step / self.num_updates, 0.0)
        ways = jax.tree.map(lambda end, begin: jnp.mean(end - begin[None], 0), adapted.parameters, meta.theta.policy)
        policy = jax.tree.map(lambda begin, way: begin + step * way, meta.theta.policy, parallel.mean(ways))
        meta = replace(meta, theta=replace(meta.theta, policy=policy))
        meta, critic_state, metrics = fit_critic(self, meta, state.opt_state, trajectories)
        meta = meta.observe(seen)
        return replace(state, meta=meta, opt_state=critic_state, step=state.step + 1), {
            **report(trajectories),
            **parallel.mean(metrics),
        }

    def _adapted(self, meta: GradientParams, trajectories: Transition) -> Fast:
        """φ_K, from all windows but the last, which shows what it is worth."""
        key = jax.random.key(0)  # the inner loop uses none
        windows = jax.tree.map(lambda x: x[:-1], trajectories)

        def step(agent: AgentState, window: Transition) -> tuple[AgentState, None]:
            return self.inner_step(meta, agent, window)[0], None

        return jax.lax.scan(step, self.begin(meta, key), windows)[0].adapted
