"""CAVIA: fast context adaptation. The network is shared by all tasks; a short vector that it reads adapts.

Zintgraf, Shiarlis, Kurin, Hofmann & Whiteson 2019, "Fast context adaptation via meta-learning" (arXiv 1810.03642),
section 3.2.

    φ_0 = 0,   φ_{k+1} = φ_k + α ∇_φ Ĵ(θ, φ_k; D_k),   θ* = argmax_θ E_task [ J(θ, φ_K) ]

The context φ is appended to the observation, so it acts as a bias of the first layer.

Differences from the paper:
    - Those of MAML (`adaptax.algorithms.gradient.maml`).
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from adaptax.algorithms.gradient.inner_loop import Recomputed, Theta
from adaptax.algorithms.gradient.outer_loop import MetaGradient, OuterBatch
from adaptax.algorithms.gradient.settings import CAVIASettings
from adaptax.core.problem import Problem
from adaptax.networks.distributions import Distribution
from adaptax.optimization.inner_optimizers import SGD


@dataclasses.dataclass(frozen=True)
class CAVIA(CAVIASettings, MetaGradient):
    """CAVIA; see the module and `CAVIASettings`."""

    @property
    def inner(self) -> SGD:
        """φ' = φ − α ∇L(φ)."""
        return SGD(self.inner_learning_rate, self.inner_decay)

    def build(self, problem: Problem, key: Key[Array, ""]) -> Theta:
        """θ: the policy, which reads a context."""
        return Theta(self.network(problem, key, self.context_size))

    def initial(self, theta: Theta) -> Float[Array, " context_size"]:
        """φ_0 = 0; a learned one would be one of the first layer's biases."""
        return jnp.zeros(self.context_size, theta.policy.head.layer.weight.dtype)

    def policy(
        self, theta: Theta, parameters: Float[Array, " context_size"], observation: PyTree[Array]
    ) -> Distribution:
        """π_θ(· | observation, φ)."""
        return theta.policy(observation, parameters)

    def gain(self, recomputed: Recomputed, batch: OuterBatch) -> Float[Array, ""]:
        """The adapted policy's return."""
        return self.adapted_gain(recomputed, batch)
