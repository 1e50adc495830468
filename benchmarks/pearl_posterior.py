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
import json

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from adaptax.algorithms import PEARL
from adaptax.core.algorithm import init
from adaptax.core.problem import Problem
from adaptax.core.rollout import collect
from adaptax.evaluation.encounters import encounters
from adaptax.networks.context import moments_of
from adaptax.networks.latent import beside
from adaptax.problems.linear_bandits import conjugate_posterior, linear_bandit
from adaptax.registry.presets import settings_for
from adaptax.training.loop import train

PULLS = 20


def believed(algorithm: PEARL, problem: Problem, meta: object, tasks: int, seed: int) -> tuple[Array, ...]:
    """Actions and rewards, and mean and variance of z after each pull, all `[task, pull]`."""
    entered, keys = encounters(problem.test, tasks, seed)

    def run(meta: object) -> tuple[Array, ...]:
        trials = collect(algorithm, problem, meta, entered, keys)
        trials = jax.tree.map(lambda x: jnp.swapaxes(x.squeeze(2), 0, 1), trials)
        step, reward = meta.told(meta.experienced(trials))
        factors = meta.network.context(beside(step, reward[..., None]), trials.valid)
        mean, variance = moments_of(jnp.cumsum(factors.precision, 1), jnp.cumsum(factors.weighted, 1))
        return trials.action[..., 0], trials.reward, mean[..., 0], variance[..., 0]

    return tuple(np.asarray(x, np.float64) for x in jax.jit(run)(meta))


def exact(actions: np.ndarray, rewards: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of w after each pull, `[task, pull]`."""
    means, variances = np.zeros(actions.shape), np.zeros(actions.shape)
    for task, pull in np.ndindex(*actions.shape):
        seen = slice(0, pull + 1)
        mean, covariance = conjugate_posterior(actions[task, seen, None], rewards[task, seen], noise)
        means[task, pull], variances[task, pull] = mean[0], covariance[0, 0]
    return means, variances


def compared(beliefs: tuple[np.ndarray, ...], noise: float) -> dict[str, list[float]]:
    """R² and ratio of variances after each pull."""
    actions, rewards, mean, variance = beliefs
    true_mean, true_variance = exact(actions, rewards, noise)
    half = len(actions) // 2
    slope, offset = np.polyfit(mean[:half].ravel(), true_mean[:half].ravel(), 1)
    mapped, target = slope * mean[half:] + offset, true_mean[half:]
    unexplained = np.mean((mapped - target) ** 2, 0) / np.var(target, 0)
    ratio = np.mean(slope**2 * variance[half:] / true_variance[half:], 0)
    return {"R²": (1 - unexplained).tolist(), "ratio": ratio.tolist()}


def run(seed: int, tasks: int) -> dict[str, object]:
    """Train with one seed; measure."""
    settings = settings_for("pearl", "linear-bandit")[0]
    algorithm, problem = PEARL(**dataclasses.asdict(settings)), linear_bandit(1, PULLS)
    state = train(algorithm, problem, init(algorithm, problem, seed=seed), num_updates=algorithm.num_updates)
    beliefs = believed(algorithm, problem, state.meta, tasks, seed + 1)
    assert problem.optimum is not None
    earned = [beliefs[1][:, 0].mean(), beliefs[1][:, -1].mean(), problem.optimum[-1]]
    return {"seed": seed, **compared(beliefs, problem.env.noise), "earned": [float(x) for x in earned]}


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
