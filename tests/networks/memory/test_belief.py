"""Beliefs: what they are before anything is experienced, and that unrolling gives what stepping gives."""

import jax
import numpy as np
import pytest

from adaptax.networks.memory.belief import NARROWEST, BeliefMemory, gaussian
from adaptax.networks.memory.recurrent import Recurrent
from tests.sample_problems import quick_jit

OBSERVATION, LATENT, INPUT = 3, 2, 5


def build():
    encoder = Recurrent("gru", INPUT, 4, 10, jax.random.key(0))
    return BeliefMemory(encoder, LATENT, OBSERVATION, jax.random.key(1))


@pytest.fixture(scope="module")
def memory():
    return quick_jit(build)()


@quick_jit
def unrolled(memory, xs, starts):
    return memory.unroll(xs, None, starts)


@quick_jit
def stepped(memory, xs):
    def one(xs):
        return jax.lax.scan(lambda state, x: memory.step(state, x), memory.initial(), xs)[1]  # noqa: PLW0108 (hashed)

    return jax.vmap(one, 1, 1)(xs)


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).normal(size=(6, 3, OBSERVATION + INPUT)).astype(np.float32)


@pytest.fixture(scope="module")
def starts():
    """A trial begins with the first step of each, and of the second one also with step 4."""
    starts = np.zeros((6, 3), bool)
    starts[0], starts[4, 1] = True, True
    return starts


@pytest.fixture(scope="module")
def found(memory, inputs, starts):
    return np.asarray(unrolled(memory, inputs, starts))


def test_unrolling_is_stepping(memory, inputs, found):
    one_by_one = np.asarray(stepped(memory, inputs))
    np.testing.assert_allclose(found[:, [0, 2]], one_by_one[:, [0, 2]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[:4, 1], one_by_one[:4, 1], rtol=1e-5, atol=1e-6)


def test_E17_before_the_first_step_the_belief_is_the_prior(memory, found, starts):
    belief = memory.belief(found)
    assert (belief[starts] == 0).all()  # mean 0, log σ 0: N(0, I)
    assert (belief[~starts] != 0).all()
    prior = gaussian(belief[0])
    assert (np.asarray(prior.mean) == 0).all()
    assert (np.exp(prior.log_std) == 1).all()


def test_E17_a_trial_that_starts_forgets_the_one_before(memory, inputs, found, starts):
    other = inputs.copy()
    other[:4] += 1.0
    changed = np.asarray(unrolled(memory, other, starts))
    np.testing.assert_array_equal(changed[4:, 1], found[4:, 1])
    assert (changed[5:, 0] != found[5:, 0])[:, : 2 * LATENT].all()  # the first trial goes on, and remembers


def test_a_belief_is_of_what_came_before_only(memory, inputs, found, starts):
    other = inputs.copy()
    other[4:] += 1.0
    changed = np.asarray(unrolled(memory, other, starts))
    np.testing.assert_array_equal(changed[:4], found[:4])
    assert (memory.belief(changed)[4:, [0, 2]] != memory.belief(found)[4:, [0, 2]]).all()


def test_deviations_stay_within_bounds(memory, inputs, starts):
    log_std = gaussian(memory.belief(np.asarray(unrolled(memory, 1e4 * inputs, starts)))).log_std
    assert (np.abs(log_std) <= NARROWEST).all()


def test_a_hyper_state_is_belief_and_observation(memory, inputs, found):
    assert found.shape == (6, 3, memory.size) == (6, 3, 2 * LATENT + OBSERVATION)
    np.testing.assert_array_equal(found[..., 2 * LATENT :], inputs[..., :OBSERVATION])
