"""Meta-SGD: MAML that learns how fast each weight should learn, and in which direction.

Li, Zhou, Chen & Li 2017, "Meta-SGD: learning to learn quickly for few-shot learning" (arXiv 1707.09835), algorithm 2.

    θ*, α* = argmax_{θ, α} E_task [ J(φ_K) ],   φ_0 = θ,   φ_{k+1} = φ_k + α ∘ ∇Ĵ(φ_k; D_k)

with α of the shape of θ, of any sign.

Differences from the paper:
    - All of α starts at one value (`inner_learning_rate`) instead of random ones.
    - Those of MAML (`adaptax.algorithms.gradient.maml`).
"""

import dataclasses

from jaxtyping import Array, Float

from adaptax.algorithms.gradient.inner_loop import Recomputed, WholePolicy
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.algorithms.gradient.settings import MetaSGDSettings
from adaptax.optimization.inner_optimizers import MetaSGD as LearnedRates


@dataclasses.dataclass(frozen=True)
class MetaSGD(MetaSGDSettings, WholePolicy, MetaGradient):
    """Meta-SGD; see the module and `MetaSGDSettings`."""

    @property
    def inner(self) -> LearnedRates:
        """φ' = φ − α ∘ ∇L(φ)."""
        return LearnedRates(self.inner_learning_rate, self.inner_decay)

    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """The adapted policy's return."""
        return self.adapted_gain(recomputed, batch)
