"""Where steps are in their trials, by hand, and what has an optimiser of its own."""

import jax.numpy as jnp
import numpy as np

from adaptax.algorithms.memory.soft_learner import Learned, parts_of, places_of
from adaptax.core.types import Transition
from tests.sample_problems import clockwork

PROBLEM = clockwork(horizon=2, episodes=2, num_actions=2)


def _steps(clock=None, terminated=None, valid=None):
    column = lambda x: None if x is None else jnp.asarray(x)[:, None]  # noqa: E731
    nothing = dict.fromkeys(("timestep", "action", "truncated", "next_observation", "aux"))
    return Transition(
        reward=jnp.zeros((4, 1)), terminated=column(terminated), valid=column(valid), clock=column(clock), **nothing
    )


def test_trials_that_keep_step_are_over_with_the_last():
    places = places_of(PROBLEM, _steps(valid=[True, False, True, True]), 0.5)
    np.testing.assert_allclose(places.remaining[:, 0], [1.875, 1.75, 1.5, 1])
    np.testing.assert_allclose(places.time[:, 0], [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    assert places.over is places.cut is None
    np.testing.assert_array_equal(places.counted[:, 0], [True, False, True, True])


def test_E10_trials_in_a_row_are_over_with_their_last_episode_and_the_last_may_be_cut_off():
    # An episode that ends at once, one that lasts: a trial. An episode that ends at once, one that has just begun.
    places = places_of(PROBLEM, _steps([0, 2, 3, 0], [True, False, False, True]), 0.5)
    np.testing.assert_allclose(places.remaining[:, 0], [1.875, 1.5, 1, 1.875])
    np.testing.assert_allclose(places.time[:, 0], [0, 2 / 3, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(places.over[:, 0], [False, False, True, False])
    np.testing.assert_array_equal(places.cut[:, 0], [False, False, False, True])
    np.testing.assert_array_equal(places.counted[:, 0], [True, True, True, False])


def test_a_trial_that_is_over_with_the_last_step_is_not_cut_off():
    places = places_of(PROBLEM, _steps([0, 1, 2, 3], [False] * 4), 1.0)
    assert not places.cut.any()
    np.testing.assert_array_equal(places.over[:, 0], [False, False, False, True])


def test_an_actor_that_acts_by_its_own_values_is_all_that_is_learned():
    soft, greedy = Learned("actor", "critic", "log α"), Learned("actor", None, None)
    assert (parts_of(soft), soft.judge) == (("actor", "critic", "log α"), "critic")
    assert (parts_of(greedy), greedy.judge) == (("actor",), "actor")
