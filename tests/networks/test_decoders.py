"""Decoders: log-likelihoods against sums that are written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.core.spaces import Box, Discrete
from adaptax.networks.decoders import Decoder, DecoderSizes, Steps, log_likelihood, make_decoder
from tests.sample_problems import quick_jit

STATES, ACTIONS, LATENT, BELIEFS, STEPS, TRIALS = 4, 2, 3, 2, 5, 3
SIZES = DecoderSizes(Discrete(STATES), Discrete(ACTIONS), LATENT, 2, 8)


def softplus(x):
    return np.log1p(np.exp(x))


def made(*kinds):
    return quick_jit(lambda key: make_decoder(*kinds, SIZES, key))(jax.random.key(2))


@quick_jit
def likelihood(decoder, latent, steps, features):
    return decoder.log_likelihood(latent, steps, features)


def two_layers(layers, x):
    """What two layers with a ReLU after each give."""
    for layer in layers:
        x = np.maximum(x @ np.asarray(layer.weight) + np.asarray(layer.bias), 0)
    return x


def linear(layer, x):
    return x @ np.asarray(layer.weight) + np.asarray(layer.bias)


def pairs(network, latent, step):
    """The outputs for one latent variable and one step."""
    first = np.maximum(linear(network.from_latent, latent) + linear(network.from_step, step), 0)
    return linear(network.out, np.maximum(linear(network.hidden, first), 0))


@pytest.fixture(scope="module")
def steps():
    draw = np.random.default_rng(0)
    states = np.eye(STATES, dtype=np.float32)[draw.integers(STATES, size=(2, STEPS, TRIALS))]
    action = np.eye(ACTIONS, dtype=np.float32)[draw.integers(ACTIONS, size=(STEPS, TRIALS))]
    weight = np.ones((STEPS, TRIALS), np.float32)
    weight[3] = 0.0
    return Steps(states[0], action, states[1], draw.integers(2, size=(STEPS, TRIALS)).astype(np.float32), weight)


@pytest.fixture(scope="module")
def latent():
    return np.random.default_rng(1).normal(size=(BELIEFS, TRIALS, LATENT)).astype(np.float32)


def test_log_likelihoods():
    logit, target = np.array([0.3, -2.0]), np.array([1.0, 0.0])
    p = 1 / (1 + np.exp(-logit))
    found = log_likelihood("bernoulli", jnp.asarray(logit, jnp.float32), jnp.asarray(target, jnp.float32))
    np.testing.assert_allclose(found, [np.log(p[0]), np.log(1 - p[1])], rtol=1e-5)
    np.testing.assert_allclose(log_likelihood("gaussian", jnp.array([1.0]), jnp.array([3.0])), [-2.0])


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("by", ["next-state", "transition"])
def test_sums_over_steps_are_those_written_out(kind, by, steps, latent):
    decoder = made("rewards", by, kind)
    expected = np.zeros((BELIEFS, TRIALS))
    for k, i, b in np.ndindex(BELIEFS, STEPS, TRIALS):
        if by == "next-state":
            table = linear(decoder.rewards.out, two_layers(decoder.rewards.body.layers, latent[k, b]))
            x = table @ steps.after[i, b]
        else:
            read = np.concatenate([steps.before[i, b], steps.action[i, b], steps.after[i, b]])
            x = pairs(decoder.rewards.pairs, latent[k, b], read)[0]
        y = steps.reward[i, b]
        expected[k, b] += steps.weight[i, b] * (y * x - softplus(x) if kind == "bernoulli" else -0.5 * (y - x) ** 2)
    found = likelihood(decoder, latent, steps, np.zeros((TRIALS, 2), np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_where_steps_lead(steps, latent):
    decoder = made("transitions", "next-state", "bernoulli")
    found = likelihood(decoder, latent, steps, np.zeros((TRIALS, 2), np.float32))
    rewards = likelihood(Decoder(decoder.rewards, None, None), latent, steps, np.zeros((TRIALS, 2), np.float32))
    expected = np.zeros((BELIEFS, TRIALS))
    for k, i, b in np.ndindex(BELIEFS, STEPS, TRIALS):
        logits = pairs(
            decoder.transitions.pairs, latent[k, b], np.concatenate([steps.before[i, b], steps.action[i, b]])
        )
        log_p = logits - np.log(np.exp(logits).sum())
        expected[k, b] += steps.weight[i, b] * (log_p @ steps.after[i, b])
    np.testing.assert_allclose(found - rewards, expected, rtol=1e-4)


def test_what_the_task_is(steps, latent):
    features = np.random.default_rng(2).normal(size=(TRIALS, 2)).astype(np.float32)
    decoder = made("task", "transition", "gaussian")
    said = linear(decoder.task.out, two_layers(decoder.task.body.layers, latent))
    expected = -0.5 * ((features - said) ** 2).sum(-1)
    np.testing.assert_allclose(likelihood(decoder, latent, steps, features), expected, rtol=1e-4)


def test_no_output_for_each_state_where_they_have_no_numbers():
    with pytest.raises(UseError, match=r"next-state.*found Box"):
        make_decoder("rewards", "next-state", "gaussian", SIZES._replace(observation=Box((2,))), jax.random.key(0))
