"""The LSTM meta-learner: an update rule for policies that is learned, with the initial policy.

Ravi & Larochelle 2017, "Optimization as a model for few-shot learning" (ICLR 2017), algorithm 1.

    θ*, Θ* = argmax_{θ, Θ} E_task [ J(φ_K) ],   φ_0 = θ,   φ_{k+1} = f_k ∘ φ_k − i_k ∘ ∇L̂(φ_k; D_k)

with gates f and i from an LSTM with weights Θ that reads each coordinate's gradient and the loss
(`adaptax.optimization.update_rules`).

Differences from the paper:
    - Policies that learn from policy gradients instead of classifiers; the outer step is the family's (TRPO, say).
    - As in the paper, gradients count as constants in the outer derivative (`first_order`), but this can be changed,
      and the presets do: a line search soon accepts no more steps along a first-order gradient of the return. What the
      gates *read* of gradients is a constant in any case.
    - The loss that the rule reads is the negative mean reward of the window. The surrogate that is differentiated has
      the same gradient, but its value is nearly 0, whatever happened. In 2D navigation a poor return means that the
      goal is far, so that steps may be long.
    - The inner loop starts as MAML's (f = 1, i = α), and the gates learn more slowly than the policy (`rule_speed`).
    - Those of MAML (`adaptax.algorithms.gradient.maml`).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.algorithms.gradient.inner_loop import GradientParams, Recomputed, WholePolicy
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.algorithms.gradient.settings import MetaLSTMSettings
from adaptax.core.types import AgentState, Transition, replace
from adaptax.optimization.update_rules import Gates, LSTMOptimizer


@dataclasses.dataclass(frozen=True)
class MetaLSTM(MetaLSTMSettings, WholePolicy, MetaGradient):
    """The LSTM meta-learner; see the module and `MetaLSTMSettings`."""

    @property
    def inner(self) -> LSTMOptimizer:
        """φ' = f ∘ φ − i ∘ ∇L(φ)."""
        return LSTMOptimizer(
            self.inner_learning_rate,
            self.rule_size,
            self.inner_decay,
            self.rule_speed,
            gate_range=self.gate_range,
        )

    def inner_step(self, meta: GradientParams, agent: AgentState, trajectory: Transition) -> tuple[AgentState, Any]:
        """One inner step, for which the rule reads the window's mean reward: the surrogate's own value says nothing."""
        level = -jnp.sum(trajectory.reward) / jnp.maximum(jnp.sum(trajectory.valid), 1).astype(trajectory.reward.dtype)
        fast = replace(agent.adapted, optimizer=replace(agent.adapted.optimizer, offset=level))
        return super().inner_step(meta, replace(agent, adapted=fast), trajectory)

    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """The adapted policy's return."""
        return self.adapted_gain(recomputed, batch)

    def gates(self, meta: GradientParams, trajectories: Transition) -> Gates:
        """The gates in each inner step on one task's windows, leaves `[step, coordinate]`.

        `adaptax.optimization.update_rules.spread_by_group` sums them up, `adaptax.reports.gate_figures.plot_gates`
        draws them.

        Args:
            meta: What was learned.
            trajectories: Windows of experience, leaves `[window, time, env, ...]`; nothing is learned from the last.
        """
        key = jax.random.key(0)  # the inner loop uses none

        def step(agent: AgentState, window: Transition) -> tuple[AgentState, Gates]:
            agent = self.adapt(meta, agent, window, key)
            return agent, agent.adapted.optimizer

        return jax.lax.scan(step, self.begin(meta, key), jax.tree.map(lambda x: x[:-1], trajectories))[1]
