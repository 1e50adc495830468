import jax
import numpy as np
import pytest

from adaptax.algorithms import MetaSGD
from adaptax.core.types import replace
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.algorithms.standard_rl.bandit_by_hand import BARE, RATE, START

ALGORITHM = MetaSGD(**BARE, outer="gradient")


def test_every_weight_has_a_rate_and_all_start_alike():
    theta = by_hand.begin(ALGORITHM).meta.theta
    assert jax.tree.structure(theta.learned) == jax.tree.structure(theta.policy)
    for rate, weight in zip(jax.tree.leaves(theta.learned), jax.tree.leaves(theta.policy), strict=True):
        np.testing.assert_array_equal(rate, np.full(weight.shape, RATE, np.float32))


@pytest.mark.compiles
def test_meta_gradient_of_rates_by_hand():
    # dJ/dα_j is the gradient at φ_1 times what α_j was multiplied with.
    state = by_hand.begin(ALGORITHM)
    batch = by_hand.gather(ALGORITHM, state)
    seen = by_hand.pulls(batch.trajectories)
    steps = [by_hand.slope(START, a[0], r[0]) for a, r in zip(seen.actions, seen.rewards, strict=True)]
    expected = (by_hand.first_order_gradients(batch) * steps).mean(0)
    _, found = by_hand.gain(ALGORITHM, state.meta, batch)
    np.testing.assert_allclose(found.learned.head.layer.bias, expected, rtol=1e-4, atol=1e-6)


def test_each_weight_goes_at_its_own_rate_and_negative_rates_backwards():
    state = by_hand.begin(ALGORITHM)
    rates = np.asarray([-0.5, 0.0, 2.0], np.float32)
    learned = jax.tree.map(lambda x: rates if x.shape == (3,) else x, state.meta.theta.learned)
    state = replace(state, meta=replace(state.meta, theta=replace(state.meta.theta, learned=learned)))
    trajectories = by_hand.gather(ALGORITHM, state).trajectories
    seen = by_hand.pulls(trajectories)
    for task in range(4):
        after = by_hand.adapted(START, seen.actions[task, 0], seen.rewards[task, 0], rates)
        np.testing.assert_allclose(trajectories.aux["policy"].logits[task, 1, 0, 0], after, rtol=1e-5)


@pytest.mark.compiles
def test_an_update_changes_the_rates():
    state = by_hand.begin(ALGORITHM)
    after, _ = jax.jit(lambda state: ALGORITHM.update(by_hand.PROBLEM, state))(state)
    before, after = (by_hand.bias(s.meta.theta.learned) for s in (state, after))
    assert (np.asarray(before) != np.asarray(after)).all()
