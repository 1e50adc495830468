"""Gaussian bandits: k arms, rewards N(μ, σ²), means μ ~ N(0, 1).

As for Bernoulli bandits, a pull is an episode of one step and there is no observation.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box, Discrete
from adaptax.problems.settings import GaussianBanditSettings

WIDE = 3.0
"""Standard deviation of the arms' means in shifted tasks."""


class GaussianArms(eqx.Module):
    """A Gaussian bandit's task.

    Attributes:
        means: Mean reward μ of each arm.
    """

    means: Float[Array, "*batch num_arms"]


class GaussianBandit(Environment):
    """k arms that pay N(μ, σ²).

    Attributes:
        num_arms: k.
        noise: σ, the standard deviation of every arm's reward.
    """

    num_arms: int = eqx.field(static=True)
    noise: float = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, num_arms: int, noise: float):
        if noise < 0:
            raise UseError(f"GaussianBandit(noise): expected a standard deviation of at least 0, got {noise!r}")
        self.num_arms = num_arms
        self.noise = noise
        self.observation_space = Box((0,))
        self.action_space = Discrete(num_arms)
        self.horizon = 1
        self.ends_early = False

    def reset(self, task: GaussianArms, key: Key[Array, ""]) -> tuple[None, Float[Array, "0"]]:
        """A bandit has no state and shows nothing."""
        return None, jnp.zeros((0,))

    def step(self, state: None, action: Int[Array, ""], task: GaussianArms, key: Key[Array, ""]) -> Step:
        """Pull arm `action`."""
        reward = task.means[action] + self.noise * jax.random.normal(key)
        return Step(None, jnp.zeros((0,)), reward, jnp.asarray(True))


class NormalGaussianArms(TaskDistribution):
    """μ ~ N(0, `deviation`²) for each arm, independently.

    Attributes:
        num_arms: k.
        deviation: Standard deviation of the means.
    """

    num_arms: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)
    deviation: float = eqx.field(static=True, default=1.0)

    def draw(self, key: Key[Array, ""]) -> GaussianArms:
        """Draw the arms' means."""
        return GaussianArms(self.deviation * jax.random.normal(key, (self.num_arms,)))

    def oracle(self, task: GaussianArms) -> Float[Array, ""]:
        """The best arm's mean."""
        return jnp.max(task.means)


def gaussian_bandit(
    num_arms: int = GaussianBanditSettings.num_arms,
    num_pulls: int = GaussianBanditSettings.num_pulls,
    noise: float = GaussianBanditSettings.noise,
) -> Problem:
    """Gaussian bandits: `num_arms` arms N(μ, `noise`²) with μ ~ N(0, 1), `num_pulls` pulls.

    Args:
        num_arms: k, number of arms.
        num_pulls: n, pulls in a trial.
        noise: σ, standard deviation of a reward given its arm, in units of the means' standard deviation.
    """
    env = GaussianBandit(num_arms, noise)
    return make_problem(
        env,
        lambda split: NormalGaussianArms(num_arms=num_arms, split=split),
        num_pulls,
        shifted=NormalGaussianArms(num_arms=num_arms, split="shifted", deviation=WIDE),
        shift=f"means further apart: μ ~ N(0, {WIDE:g}²) instead of N(0, 1)",
    )
