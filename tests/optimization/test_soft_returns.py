"""n-step targets, each by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.optimization.soft_returns import n_step_targets

REWARDS = jnp.asarray([1.0, 2.0, 3.0, 4.0])
VALUES = jnp.asarray([100.0, 10.0, 20.0, 30.0])
BONUSES = jnp.asarray([7.0, 0.5, 0.25, 1.0])
"""A trial of two episodes with two steps each, with a discount of ½."""


@pytest.mark.parametrize(
    ("num_steps", "expected"),
    [
        (1, [1 + 10 / 2, 2 + 20 / 2, 3 + 30 / 2, 4]),
        # Entropy on the way counts, that of the step that is valued is in its value; past the end there is nothing.
        (2, [1 + 2.5 / 2 + 20 / 4, 2 + 3.25 / 2 + 30 / 4, 3 + 5 / 2, 4]),
        (3, [1 + 2.5 / 2 + 3.25 / 4 + 30 / 8, 2 + 3.25 / 2 + 5 / 4, 3 + 5 / 2, 4]),
        (9, [1 + 2.5 / 2 + 3.25 / 4 + 5 / 8, 2 + 3.25 / 2 + 5 / 4, 3 + 5 / 2, 4]),
    ],
)
def test_E10_targets_run_over_the_end_of_an_episode_and_stop_at_that_of_the_trial(num_steps, expected):
    targets = n_step_targets(REWARDS, VALUES, BONUSES, discount=0.5, num_steps=num_steps)
    np.testing.assert_allclose(targets, expected, rtol=1e-6)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_steps_that_did_not_happen_are_as_if_they_were_not_there(num_steps):
    valid = jnp.asarray([True, False, True, True, False])
    x, y, z = (jnp.asarray([a[0], 999.0, a[1], a[2], -999.0]) for a in (REWARDS, VALUES, BONUSES))
    targets = n_step_targets(x, y, z, discount=0.5, num_steps=num_steps, valid=valid)
    dense = n_step_targets(REWARDS[:3], VALUES[:3], BONUSES[:3], discount=0.5, num_steps=num_steps)
    np.testing.assert_array_equal(targets[jnp.asarray([0, 2, 3])], dense)
    np.testing.assert_array_equal(targets[jnp.asarray([1, 4])], 0.0)


def test_a_trial_without_any_step_that_happened_has_targets_of_0():
    none = jnp.zeros(4, bool)
    np.testing.assert_array_equal(
        n_step_targets(REWARDS, VALUES, BONUSES, discount=0.5, num_steps=2, valid=none), jnp.zeros(4)
    )


def test_batches_are_trials_apart():
    pairs = [jnp.stack([x, 2 * x], -1) for x in (REWARDS, VALUES, BONUSES)]
    both = n_step_targets(*pairs, discount=0.5, num_steps=2)
    one = n_step_targets(REWARDS, VALUES, BONUSES, discount=0.5, num_steps=2)
    np.testing.assert_allclose(both, jnp.stack([one, 2 * one], -1), rtol=1e-6)


def test_no_gradient_goes_through_targets():
    slope = jax.grad(lambda values: jnp.sum(n_step_targets(REWARDS, values, BONUSES, discount=0.5, num_steps=1)))
    np.testing.assert_array_equal(slope(VALUES), 0.0)


def test_E10_E11_of_trials_in_a_row_each_ends_by_itself_and_the_last_may_be_cut_off():
    over, cut = jnp.asarray([False, True, False, False]), jnp.asarray([False, False, False, True])
    where = {"discount": 0.5, "over": over, "cut": cut}
    one = n_step_targets(REWARDS, VALUES, BONUSES, num_steps=1, **where)
    np.testing.assert_allclose(one, [1 + 10 / 2, 2, 3 + 30 / 2, 0])
    many = n_step_targets(REWARDS, VALUES, BONUSES, num_steps=3, **where)
    np.testing.assert_allclose(many, [1 + (2 + 0.5) / 2, 2, 3 + 30 / 2, 0])  # the cut step's value, entropy included
    going_on = n_step_targets(REWARDS, VALUES, BONUSES, num_steps=2, discount=0.5, cut=cut)
    np.testing.assert_allclose(going_on, [1 + 2.5 / 2 + 20 / 4, 2 + 3.25 / 2 + 30 / 4, 3 + 30 / 2, 0])
