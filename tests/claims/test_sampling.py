"""The self-test's own code, on fewer instances and inner steps."""

import jax
import numpy as np
import pytest

from adaptax.algorithms import EMAML
from tests.claims import enumeration, sampling

pytestmark = pytest.mark.compiles


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def test_E1_expected_derivatives_of_the_estimators():
    checks = {check.name: check for check in sampling.check_estimators(3, jax.random.key(0))}
    assert all(check.passed for check in checks.values()), "\n".join(check.line() for check in checks.values())
    assert checks["dice: expected Hessian"].bar == "≤ 1e-10"
    assert checks["policy-gradient: error of the expected Hessian"].bar == "≥ 0.05"
    assert checks["lvc: bias of the expected Hessian"].figure > 1e-3  # it has one
    assert checks["loaded-dice, λ = 0.5: bias of the expected Hessian"].figure > 1e-3


def test_E1c_the_magic_box_is_one():
    (check,) = sampling.check_magic_box(jax.random.key(0))
    assert check.passed


def test_E1_the_score_of_the_data_is_there_once():
    exact, twice = sampling.check_sampling(2, jax.random.key(0), max_steps=2)
    assert exact.passed, exact.line()
    assert twice.passed, twice.line()


def test_the_objective_by_its_definition_written_out():
    # One inner step, in NumPy: a softmax of logits W[s] + b, all 8 first episodes, all 8 second ones.
    algorithm = EMAML(**{**sampling.TABULAR, "inner_steps": 1, "trajectories": 1})
    theta, tasks = enumeration.random_instance(algorithm, 1, jax.random.key(5))
    task = enumeration.certain(jax.tree.map(lambda x: x[0], tasks))
    states, actions = (np.asarray(x).T for x in enumeration.certain_paths(task))
    rewards = np.asarray(task.rewards)[states, actions]
    layer = theta.policy.head.layer
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)

    def softmax(weight, bias):
        p = np.exp(weight + bias)
        return p / p.sum(1, keepdims=True)

    total = 0.0
    for path in range(8):
        policy = softmax(weight, bias)
        slope = np.zeros_like(weight)
        for time in range(3):
            state, action = states[path, time], actions[path, time]
            slope[state] += (np.eye(2)[action] - policy[state]) * rewards[path, time:].sum()
        rate = algorithm.inner_learning_rate / 3
        after = softmax(weight + rate * slope, bias + rate * slope.sum(0))
        chance = policy[states[path], actions[path]].prod()
        total += chance * (after[states, actions].prod(1) * rewards.sum(1)).sum() / 3
    (found,) = sampling.sampled_return(algorithm, theta, task)
    np.testing.assert_allclose(found, total, rtol=1e-12)
