"""What an agent believes of a linear bandit's weights after every pull, beside the exact posterior.

An agent with a posterior over latent variables (PEARL) may call things as it likes: its z says the weights w up to a
linear map. On linear bandits the posterior of w given the same pulls is known
(`adaptax.problems.linear_bandits.conjugate_posteriors`). So a line is fitted on half of the tasks, from the latents'
means to the exact ones; of the others it can be said how much of the exact mean the latents hold, whether they are as
wide as they should be, and how often the true weights lie where they are believed to be.
"""

import dataclasses
import functools
from statistics import NormalDist
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from adaptax.core.rollout import run_trial
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import Task
from adaptax.evaluation.encounters import evaluation_key, sample_tasks
from adaptax.evaluation.memory_recording import has_posteriors
from adaptax.evaluation.statistics import plain
from adaptax.evaluation.trials import run_trials
from adaptax.problems.linear_bandits import LinearBandit, conjugate_posteriors

MOST_DIMENSIONS = 50
"""Of w. Of more, covariances of all tasks would fill the memory."""
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Of central intervals that are believed to hold a weight."""


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """Posteriors in trials on a linear bandit: before the first pull, and after each.

    Attributes:
        mean: Of the latent variables, `[task, pull + 1, latent]`.
        variance: The same.
        exact_mean: Of the weights, `[task, pull + 1, d]`.
        exact_variance: The same.
        weights: The true ones, `[task, d]`.
    """

    mean: Float[np.ndarray, "task pulls latent"]
    variance: Float[np.ndarray, "task pulls latent"]
    exact_mean: Float[np.ndarray, "task pulls d"]
    exact_variance: Float[np.ndarray, "task pulls d"]
    weights: Float[np.ndarray, "task d"]

    @property
    def half(self) -> int:
        """So many tasks are there to fit the map on; all figures are of the others."""
        return len(self.weights) // 2

    @functools.cached_property
    def mapped(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances of the weights, as the latents of the other half have them, `[task, pull + 1, d]`."""
        seen = self.mean[: self.half, 1:].reshape(-1, self.mean.shape[2])
        target = self.exact_mean[: self.half, 1:].reshape(-1, self.weights.shape[1])
        fitted = np.linalg.lstsq(np.concatenate([seen, np.ones((len(seen), 1))], 1), target, rcond=None)[0]
        return self.mean[self.half :] @ fitted[:-1] + fitted[-1], self.variance[self.half :] @ fitted[:-1] ** 2

    @property
    def exact(self) -> tuple[np.ndarray, np.ndarray]:
        """Exact means and variances of the other half of the tasks, `[task, pull + 1, d]`."""
        return self.exact_mean[self.half :], self.exact_variance[self.half :]

    @property
    def r2(self) -> Float[np.ndarray, " pulls"]:
        """R² of the exact mean by the mapped one; NaN before the first pull, where there is nothing to explain."""
        target = self.exact[0]
        wrong, there = (x.sum(-1) for x in (np.mean((self.mapped[0] - target) ** 2, 0), np.var(target, 0)))
        return 1 - np.divide(wrong, there, out=np.full(len(there), np.nan), where=there > 0)

    @property
    def variance_ratio(self) -> Float[np.ndarray, " pulls"]:
        """Mapped variance over the exact one, mean over tasks and weights: 1 is as sure as one may be."""
        return np.mean(self.mapped[1] / self.exact[1], (0, 2))

    @property
    def calibration(self) -> list[dict[str, float]]:
        """By level: how often a weight is in the central interval that should hold it so often, after any pull."""
        rows = []
        for level in LEVELS:
            reach = NormalDist().inv_cdf(0.5 + level / 2)
            held = [
                float(
                    np.mean(np.abs(self.weights[self.half :, None] - mean)[:, 1:] <= reach * np.sqrt(variance[:, 1:]))
                )
                for mean, variance in (self.mapped, self.exact)
            ]
            rows.append({"level": level, "held": held[0], "held_by_the_exact": held[1]})
        return rows

    def to_json(self) -> dict[str, Any]:
        """As `adaptax inspect --json` prints it."""
        return {
            "r2": plain(self.r2),
            "variance_ratio": plain(self.variance_ratio),
            "calibration": self.calibration,
            "tasks": len(self.weights) - self.half,
            "fitted_on": self.half,
        }


def can_be_compared(agent: TrainedAgent) -> bool:
    """Whether an agent has a posterior, and its problem's is known."""
    env = agent.problem.env
    known = isinstance(env, LinearBandit) and env.noise > 0 and env.dimension <= MOST_DIMENSIONS
    return known and has_posteriors(agent)


def record_posteriors(agent: TrainedAgent, *, num_tasks: int, seed: int = 0, explore: bool = False) -> Posteriors:
    """Read an agent's posterior after every pull of a trial in each of some held-out tasks.

    Args:
        agent: The agent, of one training seed, for which `can_be_compared` holds.
        num_tasks: How many tasks, two at least; the ones that `evaluate` has with this number and seed.
        seed: Decides the tasks and all randomness.
        explore: Whether to act as in training; who learns from windows does so anyway.
    """
    problem, env = agent.problem, agent.problem.env
    assert isinstance(env, LinearBandit)
    explore = explore or agent.learns_from_windows
    task_key, trial_key = jax.random.split(evaluation_key(seed))
    tasks: Any = sample_tasks(problem.test, num_tasks, task_key)

    def trial(agent: TrainedAgent, task: Task, key: Key[Array, ""]) -> tuple[Array, ...]:
        algorithm: Any = agent.algorithm
        pulls = run_trial(algorithm, problem, agent.meta, task, key, explore=explore)
        action = env.action_space.clip(pulls.action[:, 0])
        features = env.features(pulls.timestep.observation[:, 0], action)
        return *algorithm.posteriors(agent.meta, pulls), features, pulls.reward[:, 0]

    found = run_trials(agent, tasks, jax.random.split(trial_key, num_tasks), trial)
    mean, variance, features, rewards = (np.asarray(x[0], np.float64) for x in found)
    exact = conjugate_posteriors(features, rewards, env.noise)
    return Posteriors(mean, variance, *exact, np.asarray(tasks.weights, np.float64))
