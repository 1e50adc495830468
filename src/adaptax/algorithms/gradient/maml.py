"""MAML and its first-order version.

Finn, Abbeel & Levine 2017, "Model-agnostic meta-learning for fast adaptation of deep networks" (arXiv 1703.03400),
algorithm 3, with sections 5.2 (first order) and 5.3 (reinforcement learning).

Find an initialisation from which K policy-gradient steps suffice:

    θ* = argmax_θ E_task [ J(φ_K) ],   φ_0 = θ,   φ_{k+1} = φ_k + α ∇Ĵ(φ_k; D_k),   D_k ~ π_{φ_k}.

Every inner step uses fresh episodes of the policy as it then is, and J(φ_K) is estimated on episodes of the adapted
policy.

Differences from the paper:
    - The inner surrogate can be chosen. The paper's (`policy-gradient`) gives a biased meta-gradient; the default, LVC,
      is that of ProMP (Rothfuss et al. 2019), and `dice` is exact in expectation.
    - Returns are compared with a linear baseline fitted on the window's *other* episodes, which adds no bias.
    - Inner advantages are normalised within each window, so that α means the same whatever the rewards' scale.
    - Observations may be read in deviations from what training has seen (`normalize_observations`).
    - 64 tanh units per layer instead of 100 ReLU units.
"""

import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float

from adaptax.algorithms.gradient.inner_loop import Recomputed, WholePolicy
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.algorithms.gradient.settings import FOMAMLSettings, MAMLSettings
from adaptax.optimization.inner_optimizers import SGD


class _MAML(WholePolicy, MetaGradient):
    """What both orders share."""

    @property
    def inner(self) -> SGD:
        """φ' = φ − α ∇L(φ)."""
        return SGD(self.inner_learning_rate, self.inner_decay)

    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """The adapted policy's return."""
        return self.adapted_gain(recomputed, batch)


@dataclasses.dataclass(frozen=True)
class MAML(MAMLSettings, _MAML):
    """MAML with the second-order meta-gradient; see the module and `MAMLSettings`."""


@dataclasses.dataclass(frozen=True)
class FOMAML(FOMAMLSettings, _MAML):
    """First-order MAML: dφ_K/dθ is taken to be the identity; see the module and `FOMAMLSettings`."""

    first_order: ClassVar[bool] = True
