"""Random actions are uniform, whatever has happened."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.algorithms.classical.random import ActionSpace, Random
from adaptax.core.rollout import evaluate_trial
from adaptax.core.spaces import Box, Discrete
from adaptax.core.types import TimeStep
from adaptax.problems.bandit import bernoulli_bandit
from tests.sample_problems import quick_jit


def act(space, keys):
    agent = Random()
    timestep = TimeStep(jnp.zeros((0,)), space.null(), jnp.asarray(0.0), jnp.asarray(True))
    return np.asarray(
        quick_jit(
            jax.vmap(
                lambda key: agent.act(
                    ActionSpace(space), agent.begin(ActionSpace(space), key), timestep, key, explore=True
                )[0]
            )
        )(keys)
    )


def test_discrete_actions_are_uniform(key):
    counts = np.bincount(act(Discrete(5), jax.random.split(key, 5000)), minlength=5)
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


def test_continuous_actions_are_uniform_within_bounds_and_normal_without(key):
    keys = jax.random.split(key, 5000)
    bounded = act(Box((2,), -1.0, 3.0), keys)
    assert scipy.stats.kstest(bounded.ravel(), scipy.stats.uniform(-1, 4).cdf).pvalue > 1e-4
    assert scipy.stats.kstest(act(Box((2,)), keys).ravel(), scipy.stats.norm.cdf).pvalue > 1e-4


def test_on_bandits_it_earns_a_half_per_pull(key):
    problem, agent = bernoulli_bandit(4, 10), Random()
    assert agent.describe(problem).space == Discrete(4)
    task_keys, life_keys = jax.random.split(key, (2, 1000))
    tasks = jax.vmap(problem.test.sample)(task_keys)
    returns = np.asarray(
        quick_jit(
            jax.vmap(lambda task, key: evaluate_trial(agent, problem, agent.describe(problem), task, key).returns.sum())
        )(tasks, life_keys)
    )
    assert returns.mean() == pytest.approx(5, abs=float(4 * returns.std() / 1000**0.5))
