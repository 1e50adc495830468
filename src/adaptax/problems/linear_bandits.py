"""Linear-Gaussian bandits: rewards ⟨w, φ⟩ + N(0, σ²), w ~ N(0, I); what is known of w after any pulls is exact.

The conjugate posterior after features Φ (a row for each pull) and rewards r is

    N(m, S),    S = (I + ΦᵀΦ / σ²)⁻¹,    m = S Φᵀr / σ².

Without contexts the features are the action, a ∈ [−1, 1]^d. With contexts, an observation x says what the only number
a ∈ [−1, 1] is multiplied with: φ = a x. They are "axes", one of the d unit vectors, so that the posterior has no
correlations, or on the "sphere", uniform over all directions. A pull is an episode of one step.

With one number to choose, a = ±1 tells most whatever its sign, since a² is all that S depends on. So acting by the sign
of the mean reward that is expected is optimal for what is earned now and for what is learned: the optimum is exact.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box
from adaptax.problems.settings import LinearBanditSettings

WIDE = 3.0
"""Standard deviation of w in shifted tasks."""
CONTEXTS = ("none", "axes", "sphere")


class LinearReward(eqx.Module):
    """A linear bandit's task.

    Attributes:
        weights: w.
    """

    weights: Float[Array, "*batch dimension"]


class LinearBandit(Environment):
    """Rewards that are linear in what is done.

    Attributes:
        dimension: d.
        noise: σ, the standard deviation of a reward given w.
        contexts: "none", "axes" or "sphere".
    """

    dimension: int = eqx.field(static=True)
    noise: float = eqx.field(static=True)
    contexts: str = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)
    action_space: Box = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, dimension: int, noise: float, contexts: str):
        if contexts not in CONTEXTS:
            raise UseError(f"LinearBandit(contexts): expected one of {', '.join(CONTEXTS)}, got {contexts!r}")
        if noise < 0:
            raise UseError(f"LinearBandit(noise): expected a standard deviation of at least 0, got {noise!r}")
        self.dimension, self.noise, self.contexts = dimension, noise, contexts
        none = contexts == "none"
        self.observation_space = Box((0,)) if none else Box((dimension,), -1.0, 1.0)
        self.action_space = Box((dimension,) if none else (1,), -1.0, 1.0)
        self.horizon = 1
        self.ends_early = False

    def reset(self, task: LinearReward, key: Key[Array, ""]) -> tuple[Float[Array, " size"], Float[Array, " size"]]:
        """Show a context, if there are any."""
        if self.contexts == "none":
            context = jnp.zeros((0,))
        elif self.contexts == "axes":
            context = jax.nn.one_hot(jax.random.randint(key, (), 0, self.dimension), self.dimension)
        else:
            direction = jax.random.normal(key, (self.dimension,))
            context = jnp.clip(direction / jnp.linalg.norm(direction), -1.0, 1.0)
        return context, context

    def features(self, context: Float[Array, "*batch size"], action: Float[Array, "*batch n"]) -> Float[Array, "..."]:
        """φ, `[*batch, dimension]`."""
        return action if self.contexts == "none" else action * context

    def step(
        self, state: Float[Array, " size"], action: Float[Array, " n"], task: LinearReward, key: Key[Array, ""]
    ) -> Step:
        """Earn ⟨w, φ⟩ and noise."""
        action = jnp.clip(action, -1.0, 1.0)
        reward = jnp.sum(self.features(state, action) * task.weights) + self.noise * jax.random.normal(key)
        return Step(state, state, reward, jnp.asarray(True))


class NormalWeights(TaskDistribution):
    """w ~ N(0, `deviation`² I).

    Attributes:
        dimension: d.
        contexts: "none", "axes" or "sphere".
        deviation: Standard deviation of each entry of w.
    """

    dimension: int = eqx.field(static=True)
    contexts: str = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)
    deviation: float = eqx.field(static=True, default=1.0)

    def draw(self, key: Key[Array, ""]) -> LinearReward:
        """Draw w."""
        return LinearReward(self.deviation * jax.random.normal(key, (self.dimension,)))

    def oracle(self, task: LinearReward) -> Float[Array, ""]:
        """Exact: Σ |w_i| without contexts; the mean of |⟨w, x⟩| over contexts x with them."""
        sizes = jnp.abs(task.weights)
        if self.contexts == "none":
            return jnp.sum(sizes)
        if self.contexts == "axes":
            return jnp.mean(sizes)
        # E|x₁| of x uniform on the sphere: Γ(d/2) / (√π Γ((d + 1)/2)).
        share = math.exp(math.lgamma(self.dimension / 2) - math.lgamma((self.dimension + 1) / 2)) / math.sqrt(math.pi)
        return share * jnp.sqrt(jnp.sum(task.weights**2))


def linear_bandit(
    dimension: int = LinearBanditSettings.dimension,
    num_pulls: int = LinearBanditSettings.num_pulls,
    noise: float = LinearBanditSettings.noise,
    contexts: str = LinearBanditSettings.contexts,
) -> Problem:
    """Linear-Gaussian bandits: w ~ N(0, I) in `dimension` dimensions, `num_pulls` pulls.

    The optimum is exact where one number is to be chosen and the posterior has no correlations: in one dimension, and
    with contexts that are axes.

    Args:
        dimension: d, entries of w.
        num_pulls: n, pulls in a trial.
        noise: σ, standard deviation of a reward given w.
        contexts: "none": the action is a vector; "axes" or "sphere": it is a number that a context is multiplied with.
    """
    optimum = None
    if contexts == "axes" or dimension == 1:
        optimum = optimal_rewards(dimension, num_pulls, noise)
    return make_problem(
        LinearBandit(dimension, noise, contexts),
        lambda split: NormalWeights(dimension=dimension, contexts=contexts, split=split),
        num_pulls,
        optimum,
        shifted=NormalWeights(dimension=dimension, contexts=contexts, split="shifted", deviation=WIDE),
        shift=f"rewards of other sizes: w ~ N(0, {WIDE:g}² I) instead of N(0, I)",
    )


def optimal_rewards(num_axes: int, num_pulls: int, noise: float) -> tuple[float, ...]:
    """What a Bayes-optimal agent earns in each pull, where each is along one of `num_axes` axes, drawn uniformly.

    After n pulls along an axis, the mean of its weight is N(0, n / (n + σ²)), and what is earned next along it is the
    mean's size: √(2/π · n / (n + σ²)) on average. n is binomial.
    """
    rewards = []
    for pull in range(num_pulls):
        seen = np.arange(pull + 1)
        chances = _binomial(pull, 1 / num_axes)
        rewards.append(float(np.sum(chances * np.sqrt(2 / math.pi * seen / np.maximum(seen + noise**2, 1e-300)))))
    return tuple(rewards)


def _binomial(number: int, chance: float) -> np.ndarray:
    """P(k) for k = 0, …, `number`."""
    if chance == 1:
        return (np.arange(number + 1) == number).astype(np.float64)
    logs = [math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1) for k in range(number + 1)]
    seen = np.arange(number + 1)
    return np.exp(np.asarray(logs) + seen * math.log(chance) + (number - seen) * math.log1p(-chance))


def conjugate_posterior(features: np.ndarray, rewards: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean `[d]` and covariance `[d, d]` of w after pulls, in double precision.

    Args:
        features: Φ, `[pull, d]`.
        rewards: r, `[pull]`.
        noise: σ, above 0.
    """
    features, rewards = np.asarray(features, np.float64), np.asarray(rewards, np.float64)
    covariance = np.linalg.inv(np.eye(features.shape[1]) + features.T @ features / noise**2)
    return covariance @ features.T @ rewards / noise**2, covariance


def conjugate_posteriors(features: np.ndarray, rewards: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variances of w before the first pull of trials and after each, `[task, pull + 1, d]` both.

    One pull after the other, by Sherman and Morrison's formula, in double precision.

    Args:
        features: Φ, `[task, pull, d]`.
        rewards: r, `[task, pull]`.
        noise: σ, above 0.
    """
    features, rewards = np.asarray(features, np.float64), np.asarray(rewards, np.float64)
    tasks, _, size = features.shape
    mean, covariance = np.zeros((tasks, size)), np.tile(np.eye(size), (tasks, 1, 1))
    means, variances = [mean], [np.ones((tasks, size))]
    for x, reward in zip(features.swapaxes(0, 1), rewards.T, strict=True):
        along = np.einsum("tij,tj->ti", covariance, x)
        gain = along / (noise**2 + np.sum(along * x, 1))[:, None]
        mean = mean + gain * (reward - np.sum(mean * x, 1))[:, None]
        covariance = covariance - gain[:, :, None] * along[:, None, :]
        means.append(mean)
        variances.append(np.einsum("tii->ti", covariance).copy())
    return np.stack(means, 1), np.stack(variances, 1)
