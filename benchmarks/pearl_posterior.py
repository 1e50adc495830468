"""What PEARL believes on linear-Gaussian bandits, beside the exact posterior.

    python benchmarks/pearl_posterior.py --seeds 3

For each seed an agent is trained (`adaptax train pearl linear-bandit` with its preset, one weight w). In held-out tasks
it explores for 20 pulls. After each of n = 1, …, 20 of them its posterior N(mean, variance) of z is set beside the
conjugate posterior of w given the same actions and rewards. z says w up to a sign and a scale: one line through the
pairs of means of the first half of the tasks maps it. Of the other half, the table has

R²        of the exact posterior's mean by the mapped one, over tasks
ratio     of the mapped variance to the exact one, mean over tasks
earned    in the first pull, by z of the prior, in the last, by z of the posterior, and what is optimal there
"""

import argparse
import dataclasses
import functools
import json

import jax
import numpy as np
from jaxtyping import Array

from adaptax.algorithms import PEARL
from adaptax.core.algorithm import init
from adaptax.core.problem import Problem
from adaptax.core.rollout import collect
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.posteriors import Posteriors
from adaptax.problems.linear_bandits import conjugate_posteriors, linear_bandit
from adaptax.registry.presets import settings_for
from adaptax.training.loop import train

PULLS = 20


def believed(algorithm: PEARL, problem: Problem, meta: object, tasks: int, seed: int) -> tuple[Posteriors, np.ndarray]:
    """What is believed and what is known, and rewards, `[task, pull]`, in trials as in training."""
    entered, keys = encounters(problem.test, tasks, seed)

    def run(meta: object) -> tuple[Array, ...]:
        trials = collect(algorithm, problem, meta, entered, keys)
        mean, variance = jax.vmap(functools.partial(algorithm.posteriors, meta), 1)(trials)
        return mean, variance, trials.action.squeeze(2), trials.reward.squeeze(2)

    mean, variance, actions, rewards = (np.asarray(x, np.float64) for x in jax.jit(run)(meta))
    exact = conjugate_posteriors(actions.swapaxes(0, 1), rewards.T, problem.env.noise)
    return Posteriors(mean, variance, *exact, np.asarray(entered.weights, np.float64)), rewards.T


def run(seed: int, tasks: int) -> dict[str, object]:
    """Train with one seed; measure."""
    settings = settings_for("pearl", "linear-bandit")[0]
    algorithm, problem = PEARL(**dataclasses.asdict(settings)), linear_bandit(1, PULLS)
    state = train(algorithm, problem, init(algorithm, problem, seed=seed), num_updates=algorithm.num_updates)
    found, rewards = believed(algorithm, problem, state.meta, tasks, seed + 1)
    assert problem.optimum is not None
    earned = [rewards[:, 0].mean(), rewards[:, -1].mean(), problem.optimum[-1]]
    figures = {"R²": found.r2[1:].tolist(), "ratio": found.variance_ratio[1:].tolist()}
    return {"seed": seed, **figures, "earned": [float(x) for x in earned]}


def main() -> None:
    """Train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, …")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        found = run(seed, options.tasks)
        if options.json:
            print(json.dumps(found), flush=True)
            continue
        print(f"seed {seed}\n   n      R²   ratio")
        for pull, (r2, ratio) in enumerate(zip(found["R²"], found["ratio"], strict=True), start=1):
            print(f"{pull:4} {r2:7.4f} {ratio:7.3f}")
        print("earned: first {:.3f}, last {:.3f}, optimal {:.3f}".format(*found["earned"]), flush=True)


if __name__ == "__main__":
    main()
