"""Learned discount, λ and loss weights against the best of a grid of fixed ones, on the same lives.

    python benchmarks/meta_gradient.py [--problem tabular-mdp] [--tasks 128] [--episodes 500] [--json]

A2C learns each task from nothing, with each pair (γ, λ) of the grid; the best is chosen on one set of tasks and
measured on another. `MetaGradientRL` is the same learner at the same learning rate, and learns η online, from several
starts. A score is the mean return of an episode over the whole life. Differences are paired: both live in the same
tasks.
"""

import argparse
import dataclasses
import json
import sys
from typing import Any

import numpy as np

from adaptax.algorithms import A2C, MetaGradientRL
from adaptax.envs.base import Problem
from adaptax.evaluation import evaluate
from adaptax.presets import settings_for
from adaptax.problem_settings import episodes_of
from adaptax.registry import PROBLEMS, build
from adaptax.settings import Settings
from adaptax.statistics import bootstrap_interval, iqm, mean

DISCOUNTS = (0.5, 0.8, 0.9, 0.95, 0.99)
LAMBDAS = (0.0, 0.5, 0.9, 1.0)
STARTS = ((0.9, 0.9), (0.5, 0.5), (0.99, 1.0))
LEARNER = {"learning_rate": 0.01}


def scores(algorithm: Any, problem: Problem, tasks: int, seed: int) -> np.ndarray:
    """Mean return of an episode over each life, `[1, task]`."""
    found = evaluate(algorithm, problem, algorithm.describe(problem), num_tasks=tasks, seed=seed)
    return found.returns.mean(-1, dtype=np.float64)


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


def contest(name: str, episodes: int, tasks: int) -> dict[str, Any]:
    """Choose on one set of tasks, measure on another."""
    problem = build(PROBLEMS[name], settings_of_problem(name, episodes))
    grid = {}
    for discount in DISCOUNTS:
        for gae_lambda in LAMBDAS:
            fixed = A2C(**LEARNER, discount=discount, gae_lambda=gae_lambda)
            grid[discount, gae_lambda] = float(scores(fixed, problem, tasks, seed=1).mean())
            print(f"γ {discount} λ {gae_lambda}: {grid[discount, gae_lambda]:.3f}", file=sys.stderr, flush=True)
    best = max(grid, key=lambda pair: grid[pair])
    fixed = scores(A2C(**LEARNER, discount=best[0], gae_lambda=best[1]), problem, tasks, seed=2)
    result: dict[str, Any] = {
        "problem": name,
        "episodes": episodes,
        "tasks": tasks,
        "grid": {f"{pair[0]}, {pair[1]}": value for pair, value in grid.items()},
        "best": {"discount": best[0], "gae_lambda": best[1], **described(fixed)},
        "learned": [],
    }
    for per_state in (False, True):
        for discount, gae_lambda in STARTS:
            start = {"discount": discount, "gae_lambda": gae_lambda, "per_state": per_state}
            learned = scores(MetaGradientRL(**LEARNER, **start), problem, tasks, seed=2)
            same = scores(A2C(**LEARNER, discount=discount, gae_lambda=gae_lambda), problem, tasks, seed=2)
            row = {
                **start,
                **described(learned),
                "less the best of the grid": described(learned - fixed),
                "less fixed at its start": described(learned - same),
            }
            result["learned"].append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="tabular-mdp", choices=list(PROBLEMS))
    parser.add_argument("--tasks", type=int, default=128)
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = contest(options.problem, options.episodes, options.tasks)
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
