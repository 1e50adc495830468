"""Bernoulli bandits: k arms, success probabilities p ~ U[0, 1].

The family of Duan et al. 2016, section 3.1 (arXiv 1611.02779). A pull is an episode of one step, so that n
pulls are n episodes and the adaptation curve of a bandit is its learning curve. There is no observation.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box, Discrete
from adaptax.problems.exact import bernoulli_plan
from adaptax.problems.settings import BanditSettings

POOR = 0.3
"""Highest success probability of an arm in a shifted task."""


class BernoulliArms(eqx.Module):
    """A Bernoulli bandit's task.

    Attributes:
        probabilities: Success probability of each arm.
    """

    probabilities: Float[Array, "*batch num_arms"]


class BernoulliBandit(Environment):
    """k arms that pay 0 or 1.

    Attributes:
        num_arms: k.
    """

    num_arms: int = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, num_arms: int):
        self.num_arms = num_arms
        self.observation_space = Box((0,))
        self.action_space = Discrete(num_arms)
        self.horizon = 1
        self.ends_early = False

    def reset(self, task: BernoulliArms, key: Key[Array, ""]) -> tuple[None, Float[Array, "0"]]:
        """A bandit has no state and shows nothing."""
        return None, jnp.zeros((0,))

    def step(self, state: None, action: Array, task: BernoulliArms, key: Key[Array, ""]) -> Step:
        """Pull arm `action`."""
        success = jax.random.uniform(key) < task.probabilities[action]
        return Step(None, jnp.zeros((0,)), success.astype(jnp.float32), jnp.asarray(True))


class UniformBernoulliArms(TaskDistribution):
    """p ~ U[0, `highest`] for each arm, independently.

    Attributes:
        num_arms: k.
        highest: The highest success probability that there may be.
    """

    num_arms: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)
    highest: float = eqx.field(static=True, default=1.0)

    def draw(self, key: Key[Array, ""]) -> BernoulliArms:
        """Draw the arms' success probabilities."""
        return BernoulliArms(jax.random.uniform(key, (self.num_arms,), maxval=self.highest))

    def oracle(self, task: BernoulliArms) -> Float[Array, ""]:
        """The best arm's success probability."""
        return jnp.max(task.probabilities)


def bernoulli_bandit(
    num_arms: int = BanditSettings.num_arms,
    num_pulls: int = BanditSettings.num_pulls,
) -> Problem:
    """Bandits of Duan et al. 2016: `num_arms` Bernoulli arms, `num_pulls` pulls.

    The optimum is exact for two arms and up to 50 pulls, where computing it is quick, and for one arm. No probability
    lies outside of the training range; the shifted tasks are a corner of it, in which all arms are poor.

    Args:
        num_arms: k, number of arms.
        num_pulls: n, pulls in a trial.
    """
    optimum = None
    if num_arms == 1:
        optimum = (0.5,) * num_pulls
    elif num_arms == 2 and num_pulls <= 50:
        optimum = bernoulli_plan(num_pulls).rewards
    env = BernoulliBandit(num_arms)
    return make_problem(
        env,
        lambda split: UniformBernoulliArms(num_arms=num_arms, split=split),
        num_pulls,
        optimum,
        shifted=UniformBernoulliArms(num_arms=num_arms, split="shifted", highest=POOR),
        shift=f"all arms poor: p ~ U[0, {POOR:g}], a corner of the training range",
    )
