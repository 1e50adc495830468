import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import ProMP
from adaptax.core.types import replace
from adaptax.networks.distributions import Categorical, kl_divergence
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.algorithms.standard_rl.bandit_by_hand import BARE, PROBLEM
from tests.sample_problems import program, quick_jit

ALGORITHM = ProMP(**BARE, num_epochs=10, learning_rate=0.05)


@pytest.fixture(scope="module")
def case():
    state = by_hand.begin(ALGORITHM)
    return state, by_hand.gather(ALGORITHM, state)


@pytest.mark.compiles
def test_before_the_first_epoch_all_ratios_are_one(case):
    state, batch = case
    recomputed = jax.vmap(program(ALGORITHM.recompute), (None, 0, None))(
        state.meta, batch.trajectories, jax.random.key(0)
    )
    np.testing.assert_allclose(np.asarray(recomputed.log_probs), np.asarray(batch.log_probs), atol=1e-5)
    value, _ = by_hand.gain(ALGORITHM, state.meta, batch)
    np.testing.assert_allclose(value, np.asarray(batch.advantages)[:, 1].mean(), atol=1e-5)


@pytest.mark.compiles
def test_kl_costs_nothing_before_the_first_epoch(case):
    state, batch = case
    free, dear = (dataclasses.replace(ALGORITHM, kl_cost=cost) for cost in (0.0, 100.0))
    (cheap, expected), (value, found) = (by_hand.gain(a, state.meta, batch) for a in (free, dear))
    np.testing.assert_allclose(value, cheap, atol=1e-4)
    np.testing.assert_allclose(by_hand.bias(found), by_hand.bias(expected), atol=1e-4)
    assert np.abs(by_hand.bias(expected)).max() > 0.01


def test_the_price_is_the_divergence_of_the_new_policies_from_those_that_acted(case):
    state, batch = case
    moved = by_hand.START + np.asarray([2.0, -1.0, 0.5])
    theta = state.meta.theta
    policy = jax.tree.map(lambda x: jnp.asarray(moved, x.dtype) if x.shape == (3,) else x, theta.policy)
    meta = replace(state.meta, theta=replace(theta, policy=policy))
    free, dear = (by_hand.gain(dataclasses.replace(ALGORITHM, kl_cost=c), meta, batch)[0] for c in (0.0, 1.0))
    old, new = by_hand.softmax(by_hand.START), by_hand.softmax(moved)
    expected = old @ np.log(old / new)
    assert abs(expected - new @ np.log(new / old)) > 0.1  # equation 14 has the old policy first, and it matters
    np.testing.assert_allclose(free - dear, expected, rtol=1e-4)


@pytest.mark.compiles
def test_kl_cost_keeps_the_policies_before_adaptation_near(case):
    state, _ = case

    def update(cost):
        return dataclasses.replace(ALGORITHM, kl_cost=cost).update(PROBLEM, state)[0].meta.theta

    thetas = quick_jit(jax.vmap(update))(jnp.asarray([0.0, 1.0, 100.0]))
    before = Categorical(jnp.broadcast_to(by_hand.bias(state.meta.theta), (3, 3)))
    free, dear, dearest = kl_divergence(before, Categorical(by_hand.bias(thetas)))
    assert free > 1e-3
    assert dearest < dear < free
    assert dearest < 0.1 * free
