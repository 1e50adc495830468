"""Two-armed bandits with dependent arms: p₂ = 1 − p₁ (Wang et al. 2016, section 3.1; arXiv 1611.05763).

One arm tells all about the other, so that a learner that has grasped the structure of the family needs half
the pulls of one that has not. The variants are the paper's: "uniform", p₁ ~ U[0, 1]; "easy", p₁ ∈ {.1, .9};
"medium", {.25, .75}; "hard", {.4, .6}; and as its control "independent", both arms ~ U[0, 1] on their own.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Problem, TaskDistribution, make_problem
from adaptax.core.types import replace
from adaptax.problems.bandit import BernoulliArms, BernoulliBandit, UniformBernoulliArms, bernoulli_bandit
from adaptax.problems.exact import correlated_rewards
from adaptax.problems.settings import CorrelatedBanditSettings

LOWER_PROBABILITY = {"uniform": None, "easy": 0.1, "medium": 0.25, "hard": 0.4}
"""The worse arm's success probability by variant; None where it is drawn."""


class CorrelatedArms(TaskDistribution):
    """Two arms with p₂ = 1 − p₁.

    Attributes:
        low: p₁ is `low` or 1 − `low` with equal chances, which makes two tasks in all; None for p₁ ~ U[0, 1].
    """

    low: float | None = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, low: float | None, split: str):
        self.low = low
        self.split = split
        self.finite = None if low is None else 2

    def draw(self, key: Key[Array, ""]) -> BernoulliArms:
        """Draw the arms' success probabilities."""
        if self.low is None:
            first = jax.random.uniform(key)
        else:
            first = jnp.where(jax.random.bernoulli(key), self.low, 1 - self.low)
        return BernoulliArms(jnp.stack([first, 1 - first]))

    def oracle(self, task: BernoulliArms) -> Float[Array, ""]:
        """The better arm's success probability."""
        return jnp.max(task.probabilities)


def correlated_bandit(
    variant: str = CorrelatedBanditSettings.variant,
    num_pulls: int = CorrelatedBanditSettings.num_pulls,
) -> Problem:
    """Two-armed bandits of Wang et al. 2016 with p₂ = 1 − p₁.

    The optimum is exact: see `adaptax.problems.exact.correlated_rewards`. In shifted tasks the arms are what they are
    not in training: independent, or, for the control, correlated.

    Args:
        variant: "uniform", "easy", "medium", "hard", or "independent" for the control with independent arms.
        num_pulls: n, pulls in a trial.

    Raises:
        UseError: If there is no such variant.
    """
    if variant == "independent":
        correlated, shift = CorrelatedArms(None, "test"), "correlated arms: p₂ = 1 − p₁ instead of independent ones"
        return replace(bernoulli_bandit(num_arms=2, num_pulls=num_pulls), shifted=correlated, shift=shift)
    if variant not in LOWER_PROBABILITY:
        names = ", ".join([*LOWER_PROBABILITY, "independent"])
        raise UseError(f"correlated_bandit(variant): expected one of {names}, got {variant!r}")
    low = LOWER_PROBABILITY[variant]
    optimum = correlated_rewards(low, num_pulls)
    return make_problem(
        BernoulliBandit(2),
        lambda split: CorrelatedArms(low, split),
        num_pulls,
        optimum,
        shifted=UniformBernoulliArms(num_arms=2, split="shifted"),
        shift="independent arms: p₁, p₂ ~ U[0, 1] instead of p₂ = 1 − p₁",
    )
