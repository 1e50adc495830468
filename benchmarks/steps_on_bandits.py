"""What a policy-gradient step can know of a bandit, whatever it starts from and however long it is.

    python benchmarks/steps_on_bandits.py

A policy without observations is one vector of scores. Arms are exchangeable, so nothing says more than uniform ones
before the first pull, and of a step from there the best arm is the same however long the step is: meta-training can
choose the length of steps, and nothing else. So all lengths are tried here, the same in each of four steps: scores
move along the gradient of a window of 20 pulls, with normalised advantages. Printed: mean of the arm with the highest
score after 0 to 4 steps, over 20,000 bandits; the best arm's mean is the ceiling.
"""

import argparse
import json
from collections.abc import Callable

import numpy as np

PULLS, WINDOWS = 20, 5
LENGTHS = (0.3, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities `[task, arm]`."""
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def known(means: np.ndarray, pull: Callable[[np.ndarray], np.ndarray], length: float, rng: np.random.Generator) -> list:
    """Mean of the best-known arm before each window."""
    scores, found = 1e-6 * rng.normal(size=means.shape), []  # ties go to any arm
    for _ in range(WINDOWS):
        found.append(round(float(means[np.arange(len(means)), scores.argmax(1)].mean()), 3))
        policy = softmax(scores)
        drawn = policy.cumsum(1)[:, None, :] < rng.uniform(size=(len(means), PULLS, 1))
        arms = drawn.sum(2).clip(0, means.shape[1] - 1)
        rewards = pull(np.take_along_axis(means, arms, 1))
        advantages = rewards - (rewards.sum(1, keepdims=True) - rewards) / (PULLS - 1)
        advantages -= advantages.mean(1, keepdims=True)
        advantages /= advantages.std(1, keepdims=True) + 1e-8
        pulled = np.zeros((len(means), PULLS, means.shape[1]))
        np.put_along_axis(pulled, arms[:, :, None], 1.0, 2)
        scores = scores + length * np.einsum("tp,tpa->ta", advantages, pulled - policy[:, None]) / PULLS
    return found


def main() -> None:
    """Print one line per family and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)

    def bernoulli(means: np.ndarray) -> np.ndarray:
        return (rng.uniform(size=means.shape) < means).astype(float)

    def gaussian(means: np.ndarray) -> np.ndarray:
        return means + rng.normal(size=means.shape)

    first = rng.uniform(size=(options.tasks, 1))
    families = {
        "bandit": (rng.uniform(size=(options.tasks, 10)), bernoulli),
        "gaussian-bandit": (rng.normal(size=(options.tasks, 10)), gaussian),
        "correlated-bandit": (np.concatenate([first, 1 - first], 1), bernoulli),
    }
    for name, (means, pull) in families.items():
        best = round(float(means.max(1).mean()), 3)
        for length in LENGTHS:
            line = {"family": name, "length": length, "best arm": best, "known": known(means, pull, length, rng)}
            print(json.dumps(line))


if __name__ == "__main__":
    main()
