"""Illegal actions have probability exactly 0: in acting, in learning, in an evaluation, whoever acts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import algorithms
from adaptax.algorithms.memory.off_policy_settings import OffPolicyRL2Settings
from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import evaluate_trial, run_trial
from adaptax.problems.task_informed import informed
from tests.algorithms.test_conformance import SETTINGS
from tests.sample_problems import quick_jit
from tests.shops import shops

SERVED = {
    "one": [
        "CAVIA",
        "DQN",
        "ESMAML",
        "MAML",
        "MetaGradientRL",
        "MetaPolicyGradient",
        "OffPolicyRL2",
        "PEARL",
        "PPO",
        "RL2",
        "Random",
        "VariBAD",
    ],
    "two": ["OffPolicyRL2", "PEARL", "PPO", "RL2", "Random"],
}
"""One of each kind of network, and of each way to choose from what it puts out."""
MORE = {
    "MetaPolicyGradient": {"base": "reinforce", "normalize_observations": True},
    "DQN": {"normalize_observations": True, "normalize_rewards": True},
    "MAML": {"normalize_observations": True},
    "MetaGradientRL": {"normalize_observations": True},
    "OffPolicyRL2": {"normalize_observations": True},
    "PPO": {"normalize_observations": True},
    "RL2": {"normalize_observations": True},
    "VariBAD": {"normalize_observations": True, "decoded_trial": "own"},
}


def _built(name, **changes):
    kind = getattr(algorithms, name)
    known = {field.name for field in dataclasses.fields(kind)}
    settings = {**SETTINGS.get(name, {}), **MORE.get(name, {}), **changes}
    return kind(**{key: value for key, value in settings.items() if key in known})


def _trains_and_acts(algorithm, problem):
    key = jax.random.key(0)
    if isinstance(algorithm, FromScratch):
        meta = algorithm.describe(problem)
    else:
        state, metrics = quick_jit(lambda key: algorithm.update(problem, algorithm.init(problem, key)))(key)
        assert all(np.isfinite(value).all() for value in jax.tree.leaves(metrics))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.meta) if jnp.issubdtype(x.dtype, jnp.inexact))
        meta = state.meta
    task = problem.test.sample(key)
    if isinstance(algorithm, FromScratch):  # others have explored in their update
        trajectory = quick_jit(lambda meta: run_trial(algorithm, problem, meta, task, key))(meta)
        assert np.isfinite(np.asarray(trajectory.reward)[np.asarray(trajectory.valid)]).all()
    returns = quick_jit(
        lambda meta: evaluate_trial(algorithm, problem, meta, task, key, explore=False, with_evaluation=False)
    )(meta)
    assert np.isfinite(np.asarray(jax.tree.leaves(returns)[0])).all()


@pytest.mark.compiles
@pytest.mark.parametrize(("counters", "name"), [(c, name) for c, names in SERVED.items() for name in names])
def test_nobody_takes_what_is_not_there(counters, name):
    _trains_and_acts(_built(name), shops(counters))


@pytest.mark.compiles
@pytest.mark.parametrize(("counters", "memory"), [("two", "gru"), ("one", "symmetric")])
def test_nor_what_is_worth_most_of_what_is_not_there(counters, memory):
    settings = {"learner": "q-learning", "memory": memory, "critic_size": OffPolicyRL2Settings.critic_size}
    _trains_and_acts(_built("OffPolicyRL2", **settings), shops(counters))


@pytest.mark.compiles
@pytest.mark.parametrize("memory", ["none", "symmetric"])
def test_no_memory_does(memory):
    _trains_and_acts(_built("RL2", memory=memory), shops())


@pytest.mark.compiles
def test_nor_who_is_told_the_task():
    _trains_and_acts(_built("MultiTaskPPO"), informed(shops()))


@pytest.mark.compiles
@pytest.mark.parametrize("name", ["RL2", "MAML", "DQN"])
def test_pictures_are_read_and_learned_from(name):
    problem, algorithm = shops(pictures=True), _built(name)
    if isinstance(algorithm, FromScratch):
        _trains_and_acts(algorithm, problem)
        return

    def both(key):
        before = algorithm.init(problem, key)
        return before, algorithm.update(problem, before)[0]

    leaves = [jax.tree_util.tree_leaves_with_path(state.meta) for state in quick_jit(both)(jax.random.key(0))]
    weights = [np.concatenate([np.ravel(x) for path, x in found if "convolutions" in str(path)]) for found in leaves]
    assert weights[0].size
    assert np.isfinite(weights[1]).all()
    assert (weights[0] != weights[1]).mean() > 0.5
