"""The LSTM meta-learner: an update rule for policies that is learned, with the initial policy.

Ravi & Larochelle 2017, "Optimization as a model for few-shot learning" (ICLR 2017), algorithm 1.

    θ*, Θ* = argmax_{θ, Θ} E_task [ J(φ_K) ],   φ_0 = θ,   φ_{k+1} = f_k ∘ φ_k − i_k ∘ ∇L̂(φ_k; D_k)

with gates f and i from an LSTM with weights Θ that reads each coordinate's gradient and the loss
(`adaptax.update_rules`).

Differences from the paper:
    - Policies that learn from policy gradients instead of classifiers; the outer step is the family's (TRPO, say).
    - As in the paper, gradients count as constants in the outer derivative (`first_order`); here that can be changed.
    - Those of MAML (`adaptax.algorithms.maml`).
"""

import dataclasses

from jaxtyping import Array, Float

from adaptax.gradient_based import Batch, MetaGradient, Replay, WholePolicy
from adaptax.gradient_settings import MetaLSTMSettings
from adaptax.update_rules import LSTMOptimizer


@dataclasses.dataclass(frozen=True)
class MetaLSTM(MetaLSTMSettings, WholePolicy, MetaGradient):
    """The LSTM meta-learner; see the module and `MetaLSTMSettings`."""

    @property
    def inner(self) -> LSTMOptimizer:
        """φ' = f ∘ φ − i ∘ ∇L(φ)."""
        return LSTMOptimizer(self.inner_learning_rate, self.rule_size, self.inner_decay)

    def gain(self, replay: Replay, batch: Batch) -> Float[Array, ""]:
        """The adapted policy's return."""
        return self.adapted_gain(replay, batch)
