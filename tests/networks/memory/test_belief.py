"""Beliefs: what they are before anything is experienced, and that unrolling gives what stepping gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.networks.memory.belief import NARROWEST, BeliefMemory, gaussian
from adaptax.networks.memory.recurrent import Recurrent
from tests.sample_problems import quick_jit

OBSERVATION, LATENT, INPUT = 3, 2, 5


def memory():
    encoder = Recurrent("gru", INPUT, 4, 10, jax.random.key(0))
    return BeliefMemory(encoder, LATENT, OBSERVATION, jax.random.key(1))


def stepped(memory, xs):
    def step(state, x):
        return memory.step(state, x)

    return jax.lax.scan(step, memory.initial(), xs)[1]


@pytest.fixture(scope="module")
def inputs():
    return jax.random.normal(jax.random.key(2), (6, 3, OBSERVATION + INPUT))


def test_unrolling_is_stepping(inputs):
    one_by_one = quick_jit(jax.vmap(stepped, (None, 1), 1))(memory(), inputs)
    np.testing.assert_allclose(quick_jit(memory().unroll)(inputs), one_by_one, rtol=1e-5, atol=1e-6)


def test_E17_before_the_first_step_the_belief_is_the_prior(inputs):
    starts = jnp.zeros((6, 3), bool).at[0].set(True).at[4, 1].set(True)
    found = memory().belief(memory().unroll(inputs, None, starts))
    assert (np.asarray(found)[np.asarray(starts)] == 0).all()  # mean 0, log σ 0: N(0, I)
    assert (np.asarray(found)[~np.asarray(starts)] != 0).all()
    prior = gaussian(found[0])
    np.testing.assert_array_equal(prior.mean, 0)
    np.testing.assert_array_equal(jnp.exp(prior.log_std), 1)


def test_E17_a_trial_that_starts_forgets_the_one_before(inputs):
    starts = jnp.zeros((6, 3), bool).at[0].set(True).at[3].set(True)
    whole = memory().unroll(inputs, None, starts)
    np.testing.assert_allclose(whole[3:], memory().unroll(inputs[3:]), rtol=1e-5, atol=1e-6)


def test_a_belief_is_of_what_came_before_only(inputs):
    changed = inputs.at[4:].add(1.0)
    before, after = memory().unroll(inputs), memory().unroll(changed)
    np.testing.assert_array_equal(before[:4], after[:4])
    assert (np.asarray(memory().belief(before[4:])) != np.asarray(memory().belief(after[4:]))).all()


def test_deviations_stay_within_bounds():
    far = memory().unroll(1e4 * jax.random.normal(jax.random.key(3), (5, 2, OBSERVATION + INPUT)))
    log_std = gaussian(memory().belief(far)).log_std
    assert (jnp.abs(log_std) <= NARROWEST).all()


def test_a_hyper_state_is_belief_and_observation(inputs):
    found = memory().unroll(inputs)
    assert found.shape == (6, 3, memory().size) == (6, 3, 2 * LATENT + OBSERVATION)
    np.testing.assert_array_equal(found[..., 2 * LATENT :], inputs[..., :OBSERVATION])
