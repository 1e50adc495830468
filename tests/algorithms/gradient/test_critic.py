"""The learned baseline: what it starts with, what it learns, and what it must not look at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.gradient.critic import ReturnCritic, critic_optimizer, fit
from tests.sample_problems import quick_jit

TASKS, WINDOWS, TIME, STREAMS = 3, 2, 5, 4
SHAPE = (TASKS, WINDOWS, TIME, STREAMS)
RATE = 3e-3

pytestmark = pytest.mark.compiles


def _data():
    """Returns that depend on the observation, on the time that is left, and on whether the agent has adapted."""
    observations = jax.random.normal(jax.random.key(1), (*SHAPE, 2))
    left = jnp.arange(TIME, 0, -1.0)[None, None, :, None]
    adapted = jnp.arange(2.0)[None, :, None, None]
    returns = 10.0 + left * (observations[..., 0] + 3.0 * adapted)
    return observations, returns


def _fitted(observations, returns, valid, times):
    critic = ReturnCritic(2, jax.random.key(0))
    state = critic_optimizer(RATE).init((critic.body, critic.head))
    once = quick_jit(lambda critic, state: fit(critic, state, RATE, observations, returns, valid))
    errors = []
    for _ in range(times):
        critic, state, metrics = once(critic, state)
        errors.append(float(metrics["critic_loss"]))
    return critic, errors


def test_it_starts_by_predicting_the_mean_return():
    observations, returns = _data()
    critic = ReturnCritic(2, jax.random.key(0))
    np.testing.assert_array_equal(critic.normalized(observations[0, 0], jnp.asarray(0)), 0.0)
    moments = critic.returns.observe(returns.ravel(), jnp.ones(returns.size))
    assert abs(float(moments.mean) - float(returns.mean())) < 1e-3


def test_it_learns_from_observation_time_and_number_of_steps():
    observations, returns = _data()
    critic, errors = _fitted(observations, returns, jnp.ones(SHAPE, bool), 60)
    assert errors[-1] < 0.1 * errors[0]
    for window in range(WINDOWS):
        predicted = critic(observations[0, window], jnp.asarray(window))
        error = np.mean((np.asarray(predicted) - np.asarray(returns[0, window])) ** 2)
        assert error < 0.25 * np.var(np.asarray(returns))


def test_steps_that_did_not_happen_teach_nothing():
    observations, returns = _data()
    valid = jnp.ones(SHAPE, bool).at[:, :, 3:, 1].set(False)
    spoilt = jnp.where(valid, returns, 1e3)
    seen = jnp.where(valid[..., None], observations, 1e3)
    one, _ = _fitted(observations, returns, valid, 2)
    other, _ = _fitted(seen, spoilt, valid, 2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)
