"""E-MAML: the policy that explores is paid for what the adapted policy earns.

Stadie, Yang, Houthooft, Chen, Duan, Wu, Abbeel & Sutskever 2018, "Some considerations on learning to explore via
meta-reinforcement learning" (arXiv 1803.01118), section 3.

The objective of a learner with *finite* data D ~ π_θ is J(θ) = E_{D ~ π_θ} [ V(U(θ, D)) ]. Its gradient has two terms,

    ∇J = E [ ∇_θ V(U(θ, D))|_D  +  V(U(θ, D)) ∇_θ Σ_k log π_{φ_k}(D_k) ],

the derivative of the update with its data held fixed, and the score of the data that made the update good.

The inner surrogate is the plain policy gradient, whose derivative is that with data held fixed. An estimator that puts
the sampling into the second derivative (LVC, DiCE) would count it twice. With one step and much data both lead to the
same gradient; with little data only this one is exact.

Differences from the paper:
    - The score is that of all windows before adaptation ended, each under the policy that collected it.
    - The score is of a task's adapted return less the mean of the other tasks', which does not change its mean. It can
      be given less weight than the exact gradient gives it, because its noise grows with the length of the windows.
    - Those of MAML (`adaptax.algorithms.gradient.maml`), but for the estimator.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.algorithms.gradient.inner_loop import Recomputed, WholePolicy
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.algorithms.gradient.settings import EMAMLSettings
from adaptax.optimization.inner_optimizers import SGD


@dataclasses.dataclass(frozen=True)
class EMAML(EMAMLSettings, WholePolicy, MetaGradient):
    """E-MAML; see the module and `EMAMLSettings`."""

    estimator: ClassVar[str] = "policy-gradient"
    pays_explorers: ClassVar[bool] = True

    @property
    def inner(self) -> SGD:
        """φ' = φ − α ∇L(φ)."""
        return SGD(self.inner_learning_rate, self.inner_decay)

    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """The adapted policy's return, and the explorers' share in it."""
        return self.adapted_gain(recomputed, batch) + self.score_weight * self.score_gain(recomputed, batch)

    def score_gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """Σ over all steps before the last window: its gradient is V(U(θ, D)) ∇ log p(D)."""
        weights = jnp.where(batch.trajectories.valid[:-1], batch.outcome_advantage[:-1, None, None], 0.0)
        return jnp.sum(self.optimizer.surrogate(recomputed.log_probs[:-1], batch.log_probs[:-1], weights))
