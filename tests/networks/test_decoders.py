"""Decoders: log-likelihoods against sums that are written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.core.spaces import Box, Discrete
from adaptax.networks.decoders import DecoderSizes, Steps, log_likelihood, make_decoder

STATES, ACTIONS, LATENT, BELIEFS, STEPS, TRIALS = 4, 2, 3, 2, 5, 3
SIZES = DecoderSizes(Discrete(STATES), Discrete(ACTIONS), LATENT, 2, 8)


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.fixture(scope="module")
def steps():
    keys = jax.random.split(jax.random.key(0), 5)
    state = lambda key: jax.nn.one_hot(jax.random.randint(key, (STEPS, TRIALS), 0, STATES), STATES)  # noqa: E731
    action = jax.nn.one_hot(jax.random.randint(keys[1], (STEPS, TRIALS), 0, ACTIONS), ACTIONS)
    reward = jax.random.bernoulli(keys[3], 0.5, (STEPS, TRIALS)).astype(jnp.float32)
    return Steps(state(keys[0]), action, state(keys[2]), reward, jnp.ones((STEPS, TRIALS)).at[3].set(0.0))


@pytest.fixture(scope="module")
def latent():
    return jax.random.normal(jax.random.key(1), (BELIEFS, TRIALS, LATENT))


def test_log_likelihoods():
    logit, target = np.array([0.3, -2.0]), np.array([1.0, 0.0])
    p = 1 / (1 + np.exp(-logit))
    found = log_likelihood("bernoulli", jnp.asarray(logit, jnp.float32), jnp.asarray(target, jnp.float32))
    np.testing.assert_allclose(found, [np.log(p[0]), np.log(1 - p[1])], rtol=1e-5)
    np.testing.assert_allclose(log_likelihood("gaussian", jnp.array([1.0]), jnp.array([3.0])), [-2.0])


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("by", ["next-state", "transition"])
def test_sums_over_steps_are_those_written_out(kind, by, steps, latent):
    decoder = make_decoder("rewards", by, kind, SIZES, jax.random.key(2))
    found = decoder.log_likelihood(latent, steps, jnp.zeros((TRIALS, 2)))
    expected = np.zeros((BELIEFS, TRIALS))
    for k, i, b in np.ndindex(BELIEFS, STEPS, TRIALS):
        if by == "next-state":
            output = decoder.rewards.table(latent[k, b]) @ steps.after[i, b]
        else:
            read = jnp.concatenate([steps.before[i, b], steps.action[i, b], steps.after[i, b]])
            output = decoder.rewards.pairs(latent[k, b][None, None], read[None, None])[0, 0, 0, 0]
        y, x = float(steps.reward[i, b]), float(output)
        one = y * x - softplus(x) if kind == "bernoulli" else -0.5 * (y - x) ** 2
        expected[k, b] += float(steps.weight[i, b]) * one
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_where_steps_lead_and_what_the_task_is(steps, latent):
    both = make_decoder("transitions", "next-state", "bernoulli", SIZES, jax.random.key(2))
    read = jnp.concatenate([steps.before, steps.action], -1)
    log_p = jax.nn.log_softmax(both.transitions.pairs(latent, read))
    expected = jnp.einsum("kits,its,it->kt", log_p, steps.after, steps.weight)
    found = both.log_likelihood(latent, steps, jnp.zeros((TRIALS, 2)))
    rewards = both.rewards.log_likelihood(latent, steps)
    np.testing.assert_allclose(found - rewards, expected, rtol=1e-4)

    features = jax.random.normal(jax.random.key(4), (TRIALS, 2))
    task = make_decoder("task", "transition", "gaussian", SIZES, jax.random.key(2))
    away = task.task.out(task.task.body(latent)) - features[None]
    np.testing.assert_allclose(task.log_likelihood(latent, steps, features), -0.5 * jnp.sum(away**2, -1), rtol=1e-5)


def test_no_output_for_each_state_where_they_have_no_numbers():
    with pytest.raises(UseError, match=r"next-state.*found Box"):
        make_decoder("rewards", "next-state", "gaussian", SIZES._replace(observation=Box((2,))), jax.random.key(0))
