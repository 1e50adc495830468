"""ProMP: proximal meta-policy search.

Rothfuss, Lee, Clavera, Asfour & Abbeel 2019, "ProMP: Proximal meta-policy search" (arXiv 1810.06784), algorithm 1 and
equation 14:

    J^ProMP(θ) = J^CLIP(φ_K(θ)) − η Σ_{k<K} KL(π_old,k ‖ π_{φ_k(θ)}) / K,   inner steps on J^LR = E [π_θ/π_old A].

The inner surrogate J^LR has the low-variance curvature (LVC) and corrects for θ having moved since the data were
collected, so several outer epochs can use the same episodes; PPO's clipping keeps the adapted policy near, the KL the
others.

Differences from the paper:
    - η is constant.
    - Baseline, normalisation and network are those of MAML here (`adaptax.algorithms.gradient.maml`).
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from adaptax.algorithms.gradient.inner_loop import Recomputed, WholePolicy
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.algorithms.gradient.settings import ProMPSettings
from adaptax.networks.distributions import kl_divergence
from adaptax.optimization.inner_optimizers import SGD


@dataclasses.dataclass(frozen=True)
class ProMP(ProMPSettings, WholePolicy, MetaGradient):
    """ProMP; see the module and `ProMPSettings`."""

    estimator: ClassVar[str] = "lvc"
    outer: ClassVar[str] = "ppo"

    @property
    def inner(self) -> SGD:
        """φ' = φ − α ∇L(φ)."""
        return SGD(self.inner_learning_rate, self.inner_decay)

    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """The clipped gain of the adapted policy, less the price of moving the policies before it."""
        valid = batch.trajectories.valid[:-1]
        kl = kl_divergence(batch.policies, recomputed.policies)[:-1]
        moved = jnp.sum(jnp.where(valid, kl, 0.0)) / jnp.maximum(jnp.sum(valid), 1).astype(kl.dtype)
        return self.adapted_gain(recomputed, batch) - self.kl_cost * moved
