"""Learned discount, λ and loss weights against the best of a grid of fixed ones, in the same trials.

    python benchmarks/meta_gradient.py [--problem tabular-mdp] [--tasks 64] [--episodes 400] [--json]

A2C learns each task from nothing, with each pair (γ, λ) of the grid; the best is chosen on one set of tasks and
measured on another. `MetaGradientRL` is the same learner at the same learning rate, and learns η online, from several
starts. A score is the mean return of an episode over the whole trial. Differences are paired: both are in the same
tasks.
"""

import argparse
import dataclasses
import itertools
import json
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.algorithms import A2C, MetaGradientRL
from adaptax.core.problem import Problem
from adaptax.core.rollout import evaluate_trial
from adaptax.core.settings import Settings
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.statistics import bootstrap_interval, iqm, mean
from adaptax.problems.settings import episodes_of
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import PROBLEMS, build

DISCOUNTS = (0.5, 0.8, 0.9, 0.95, 0.99)
LAMBDAS = (0.0, 0.5, 0.9, 1.0)
STARTS = ((0.9, 0.9), (0.5, 0.5), (0.99, 1.0))
LEARNER = {"learning_rate": 0.01}


def scores(algorithm: Any, pairs: Sequence[tuple[float, float]], problem: Problem, tasks: int, seed: int) -> np.ndarray:
    """Mean return of an episode over each trial, `[pair, task]`, for all pairs (γ, λ) in one program."""
    drawn, keys = encounters(problem.test, tasks, seed)

    def one(discount: jax.Array, gae_lambda: jax.Array, task: Any, key: jax.Array) -> jax.Array:
        agent = dataclasses.replace(algorithm, discount=discount, gae_lambda=gae_lambda)
        return jnp.mean(evaluate_trial(agent, problem, agent.describe(problem), task, key).returns)

    over_tasks = jax.vmap(one, (None, None, 0, 0))
    every = jax.jit(jax.vmap(over_tasks, (0, 0, None, None)))
    columns = (jnp.asarray(column, jnp.float32) for column in zip(*pairs, strict=True))
    return np.asarray(every(*columns, drawn, keys), np.float64)


def described(values: np.ndarray) -> dict[str, Any]:
    """Mean and interquartile mean, with 95 % bootstrap intervals over tasks."""
    return {
        "mean": float(values.mean()),
        "interval": bootstrap_interval(values, mean),
        "iqm": iqm(values),
        "iqm interval": bootstrap_interval(values, iqm),
    }


def settings_of_problem(name: str, episodes: int) -> Settings:
    """The problem's preset for learners from scratch, with another number of episodes."""
    settings = settings_for("a2c", name)[1]
    field, _ = episodes_of(settings)
    assert field is not None
    return dataclasses.replace(settings, **{field: episodes})


def contest(name: str, episodes: int, tasks: int, meta_learning_rate: float) -> dict[str, Any]:
    """Choose on one set of tasks, measure on another."""
    problem = build(PROBLEMS[name], settings_of_problem(name, episodes))
    learner = A2C(**LEARNER)
    pairs = list(itertools.product(DISCOUNTS, LAMBDAS))
    grid = dict(zip(pairs, scores(learner, pairs, problem, tasks, seed=1).mean(1).tolist(), strict=True))
    best = max(grid, key=lambda pair: grid[pair])
    fixed, *starts = scores(learner, [best, *STARTS], problem, tasks, seed=2)[:, None]
    result: dict[str, Any] = {
        "problem": name,
        "episodes": episodes,
        "tasks": tasks,
        "meta_learning_rate": meta_learning_rate,
        "grid": {f"{pair[0]}, {pair[1]}": value for pair, value in grid.items()},
        "best": {"discount": best[0], "gae_lambda": best[1], **described(fixed)},
        "learned": [],
    }
    for per_state in (False, True):
        agent = MetaGradientRL(**LEARNER, per_state=per_state, meta_learning_rate=meta_learning_rate)
        learned = scores(agent, STARTS, problem, tasks, seed=2)[:, None]
        for (discount, gae_lambda), own, same in zip(STARTS, learned, starts, strict=True):
            row = {
                "discount": discount,
                "gae_lambda": gae_lambda,
                "per_state": per_state,
                **described(own),
                "less the best of the grid": described(own - fixed),
                "less fixed at its start": described(own - same),
            }
            result["learned"].append(row)
    return result


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="tabular-mdp", choices=list(PROBLEMS))
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--meta-learning-rate", type=float, default=0.01)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = contest(options.problem, options.episodes, options.tasks, options.meta_learning_rate)
    if options.json:
        print(json.dumps(result))
        return
    best = result["best"]
    print(
        f"best of the grid: γ {best['discount']}, λ {best['gae_lambda']}: {best['mean']:.3f}, 95 % {best['interval']}"
    )
    for row in result["learned"]:
        gap, gain = row["less the best of the grid"], row["less fixed at its start"]
        print(
            f"learned from γ {row['discount']}, λ {row['gae_lambda']}{', per state' if row['per_state'] else ''}: "
            f"{row['mean']:.3f}; less the best {gap['mean']:+.3f} {gap['interval']}; "
            f"less its start {gain['mean']:+.3f} {gain['interval']}"
        )


if __name__ == "__main__":
    main()
