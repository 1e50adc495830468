"""ANIL: almost no inner loop. Features are meta-learned, and only the last layer adapts.

Raghu, Raghu, Bengio & Vinyals 2020, "Rapid learning or feature reuse?" (arXiv 1909.09157), section 4.

    φ_{k+1} = φ_k + α ∇_φ Ĵ(θ_body, φ_k; D_k),   φ_0 = θ_head,   θ* = argmax_θ E_task [ J(θ_body, φ_K) ]

Differences from the paper:
    - The deviation of continuous actions belongs to the last layer, and adapts.
    - Those of MAML (`adaptax.algorithms.gradient.maml`).
"""

import dataclasses

import equinox as eqx
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.gradient.inner_loop import Recomputed, Theta
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.algorithms.gradient.settings import ANILSettings
from adaptax.core.problem import Problem
from adaptax.networks import PolicyHead
from adaptax.networks.distributions import Distribution
from adaptax.optimization.inner_optimizers import SGD


@dataclasses.dataclass(frozen=True)
class ANIL(ANILSettings, MetaGradient):
    """ANIL; see the module and `ANILSettings`."""

    @property
    def inner(self) -> SGD:
        """φ' = φ − α ∇L(φ)."""
        return SGD(self.inner_learning_rate, self.inner_decay)

    def build(self, problem: Problem, key: Key[Array, ""]) -> Theta:
        """θ: the policy."""
        return Theta(self.network(problem, key))

    def initial(self, theta: Theta) -> PolicyHead:
        """φ_0: the last layer."""
        return theta.policy.head

    def policy(self, theta: Theta, parameters: PolicyHead, observation: PyTree[Array]) -> Distribution:
        """The body of θ under the head φ."""
        return eqx.tree_at(lambda policy: policy.head, theta.policy, parameters)(observation)

    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """The adapted policy's return."""
        return self.adapted_gain(recomputed, batch)
