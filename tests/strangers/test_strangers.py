"""An algorithm and a problem that adaptax has never heard of train in its loop."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import init
from adaptax.core.errors import ConfigError
from adaptax.core.rollout import evaluate_trial
from adaptax.training.loop import train
from tests.strangers.stranger_algorithm import LinearBandit
from tests.strangers.stranger_problem import hidden_target

PROBLEM = hidden_target()


def _trial_returns(algorithm, meta):
    keys = jax.random.split(jax.random.key(7), (500, 2))
    tasks = jax.vmap(PROBLEM.test.sample)(keys[:, 0])
    returns = jax.jit(jax.vmap(lambda task, key: evaluate_trial(algorithm, PROBLEM, meta, task, key).returns))
    return np.asarray(returns(tasks, keys[:, 1]))


@pytest.mark.compiles
def test_a_strangers_algorithm_learns_to_learn_a_strangers_problem():
    algorithm = LinearBandit(num_updates=100)
    state, seen = init(algorithm, PROBLEM, seed=0), []
    before = _trial_returns(algorithm, state.meta)
    state = train(algorithm, PROBLEM, state, num_updates=100, on_chunk=lambda p: seen.append(p.metrics["return"]))
    after = _trial_returns(algorithm, state.meta)
    error = np.sqrt(before.sum(1).var() / 500 + after.sum(1).var() / 500)
    assert after.sum() / 500 - before.sum() / 500 > 6 * error
    within = after[:, -1] - after[:, 0]  # it learns in a trial, and is not just good from the start
    assert within.mean() > 6 * within.std() / np.sqrt(500)
    assert len(np.concatenate(seen)) == 100


@pytest.mark.compiles
def test_devices_share_its_tasks_and_agree():
    algorithm = LinearBandit(num_updates=3)
    one, two = (
        train(algorithm, PROBLEM, init(algorithm, PROBLEM, seed=0), num_updates=3, devices=devices).meta["weights"]
        for devices in (1, 2)
    )
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_learner_without_a_metric_of_the_return_is_named_before_anything_runs():
    class Silent(LinearBandit):
        def learn(self, problem, state, experience):
            state, metrics = super().learn(problem, state, experience)
            return state, {"loss": metrics["return"]}

    state = init(Silent(), PROBLEM, seed=0)
    with pytest.raises(ConfigError, match=r"Silent\.learn: expected a metric 'return', .*; found loss"):
        train(Silent(), PROBLEM, state, num_updates=1)


def test_what_a_learner_declares_is_enough_to_plan_a_run():
    algorithm = dataclasses.replace(LinearBandit(), num_tasks=12)
    assert (algorithm.num_minibatches, algorithm.replicas, algorithm.tasks_per_minibatch) == (1, 1, 12)
    assert jnp.shape(algorithm.init(PROBLEM, jax.random.key(0)).step) == ()
