"""What an agent believes of a grid's goal at every step, beside the exact posterior.

Agents that decode rewards from a belief (VariBAD) say for each cell how probable it is that a step to it is rewarded.
Of grid navigation the posterior over goals is known (`adaptax.problems.exact.grid_posterior`), so it can be said how
far a belief is from what can be known: by the divergence at every step, by what is still given to cells that were seen
empty, and by calibration: of the cells that are believed to be the goal with probability .2, a fifth should be.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from adaptax.core.rollout import run_trial
from adaptax.core.splits import fold_in_name
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import Task
from adaptax.evaluation.encounters import evaluation_key, sample_tasks
from adaptax.evaluation.linear_probes import fit_decoder, r_squared
from adaptax.evaluation.statistics import plain
from adaptax.evaluation.trials import run_trials
from adaptax.problems.exact import grid_posterior
from adaptax.problems.grid_worlds import GridNavigation

SAMPLES, TOGETHER = 4096, 256
"""Latent variables that are drawn of each belief, and how many of them at a time.

A mean of N draws, each of which is sure of one of K cells, is (K − 1) / 2N nats from what it estimates: .003 for a grid
of 5 × 5, and .045 if 256 were drawn.
"""
BINS = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0])
"""Ends of the intervals of probability in which calibration is looked at."""
LEAST = 1e-12
"""What is believed to be impossible is believed so much, so that a divergence stays finite."""


@dataclasses.dataclass(frozen=True)
class Beliefs:
    """Beliefs before every step of trials on a grid.

    Attributes:
        decoded: Probability of each cell to be the goal, `[task, time, cell]`, which sums to 1.
        exact: The posterior, likewise.
        cells: Where each step ended, `[task, time]`.
        goals: The goal of each task, `[task]`.
        latents: The beliefs themselves, means and logarithms of deviations, `[task, time, number]`.
        size: Cells along one side.
        horizon: Steps of an episode.
    """

    decoded: Float[np.ndarray, "task time cell"]
    exact: Float[np.ndarray, "task time cell"]
    cells: np.ndarray
    goals: np.ndarray
    latents: np.ndarray
    size: int
    horizon: int

    @property
    def divergence(self) -> Float[np.ndarray, " time"]:
        """Mean of KL(exact ‖ decoded) before each step, in nats."""
        ratio = np.log(np.maximum(self.exact, LEAST)) - np.log(np.maximum(self.decoded, LEAST))
        return (self.exact * ratio).sum(-1).mean(0)

    @property
    def on_empty(self) -> Float[np.ndarray, " time"]:
        """Mean probability, before each step, of what cannot be the goal any more."""
        return (self.decoded * (self.exact == 0)).sum(-1).mean(0)

    @property
    def calibration(self) -> list[dict[str, float]]:
        """By how probable cells are said to be: how many there are, what is said on average, and how many are goals."""
        said = self.decoded.ravel()
        is_goal = np.broadcast_to(np.eye(self.size**2)[self.goals][:, None], self.decoded.shape).ravel()
        place = np.digitize(said, BINS[1:-1])
        rows = [(said[place == i], is_goal[place == i]) for i in range(len(BINS) - 1)]
        return [
            {"cells": len(p), "said": float(p.mean()), "are_goals": float(goal.mean())} for p, goal in rows if len(p)
        ]

    @property
    def r2(self) -> Float[np.ndarray, " time"]:
        """How well the goal's row and column can be told from the latents, linearly, on the other half of the tasks."""
        half = len(self.goals) // 2
        targets = np.stack(np.divmod(self.goals, self.size), 1).astype(np.float64)
        ones = np.ones((len(self.goals) - half, 1))
        told = [fit_decoder(x[:half], targets[:half])(x[half:]) for x in self.latents.swapaxes(0, 1)]
        return np.array([r_squared(targets[half:], x, ones, [[0, 1]])[0, 0] for x in told])

    def to_json(self) -> dict[str, Any]:
        """As `adaptax inspect --json` prints it."""
        return {
            "divergence": plain(self.divergence),
            "on_empty": plain(self.on_empty),
            "calibration": self.calibration,
            "latents_r2": plain(self.r2),
            "tasks": len(self.goals),
        }


def has_beliefs(agent: TrainedAgent) -> bool:
    """Whether an agent says where it believes the goal of a grid to be."""
    return isinstance(agent.problem.env, GridNavigation) and getattr(agent.algorithm, "decodes_goals", False)


def record_beliefs(agent: TrainedAgent, *, num_tasks: int, seed: int = 0, explore: bool = False) -> Beliefs:
    """Ask an agent before every step of a trial in each of some held-out tasks.

    Args:
        agent: The agent, of one training seed, for which `has_beliefs` holds.
        num_tasks: How many tasks; the ones that `evaluate` has with this number and seed.
        seed: Decides the tasks and all randomness.
        explore: Whether to act as in training instead of by the best action known.
    """
    problem, env = agent.problem, agent.problem.env
    assert isinstance(env, GridNavigation)
    task_key, trial_key = jax.random.split(evaluation_key(seed))
    tasks: Any = sample_tasks(problem.test, num_tasks, task_key)

    def trial(agent: TrainedAgent, task: Task, key: Key[Array, ""]) -> tuple[Array, ...]:
        algorithm: Any = agent.algorithm
        trajectory = run_trial(algorithm, problem, agent.meta, task, key, explore=explore)
        beliefs = algorithm.beliefs(agent.meta, trajectory)[:, 0]
        keys = jax.random.split(fold_in_name(key, "latents"), (len(beliefs), SAMPLES // TOGETHER))

        def goal(now: tuple[Array, Key[Array, " part"]]) -> Array:
            belief, parts = now
            ask = lambda part: algorithm.goal_probabilities(agent.meta, belief, part, TOGETHER)  # noqa: E731
            return jnp.mean(jax.lax.map(ask, parts), 0)

        return jax.lax.map(goal, (beliefs, keys)), beliefs, trajectory.next_observation[:, 0], trajectory.reward[:, 0]

    keys = jax.random.split(trial_key, num_tasks)
    found = run_trials(agent, tasks, keys, trial)
    decoded, latents, cells, rewards = (np.asarray(x[0]) for x in found)
    decoded = decoded.astype(np.float64)
    decoded[:, 0] = decoded[:, 0].mean(
        0
    )  # before the first step nothing is known of any task: all draws are of one belief
    exact = grid_posterior(cells.T, rewards.T, env.size)[:-1].swapaxes(0, 1)
    total = np.maximum(decoded.sum(-1, keepdims=True), LEAST)
    return Beliefs(decoded / total, exact, cells, np.asarray(tasks.cell), latents, env.size, env.horizon)
