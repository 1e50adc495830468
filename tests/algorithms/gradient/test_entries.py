"""Names of the gradient-based family, and what is said of bandits."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from adaptax.algorithms.gradient.entries import TRAINABLE

ROOT = Path(__file__).parents[3]
BANDITS = {"bandit", "gaussian-bandit", "correlated-bandit"}


def benchmark():
    spec = importlib.util.spec_from_file_location("steps", ROOT / "benchmarks" / "steps_on_bandits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", TRAINABLE)
def test_bandits_are_off_the_list_of_whatever_adapts_scores(name):
    others = {"fomaml": {"cue"}, "cavia": {"correlated-bandit"}}.get(name, set())
    assert set(TRAINABLE[name].gains_nothing) == others | (set() if name == "cavia" else BANDITS)
    assert not set(TRAINABLE[name].measured) & set(TRAINABLE[name].gains_nothing)


def test_the_best_known_arm_after_a_step_is_the_same_however_long_it_is():
    steps, found = benchmark(), {}
    for length in (0.3, 10.0, 30.0):
        rng = np.random.default_rng(0)
        means = rng.uniform(size=(4000, 10))
        pull = lambda means, rng=rng: (rng.uniform(size=means.shape) < means).astype(float)  # noqa: E731
        found[length] = steps.known(means, pull, length, rng)
    assert found[0.3][:2] == found[10.0][:2] == found[30.0][:2]  # the same pulls, until scores differ
    assert 0.75 < found[0.3][1] < 0.78
    assert 0.83 < found[0.3][4] < found[10.0][4] < 0.88


def test_a_step_is_a_policy_gradient_by_hand():
    steps = benchmark()
    assert steps.softmax(np.zeros((1, 4))).tolist() == [[0.25] * 4]
    rng = np.random.default_rng(0)
    certain = np.array([[0.0, 1.0], [1.0, 0.0]])
    known = steps.known(certain, lambda means: means, 1.0, rng)
    assert known[1:] == [1.0] * 4
