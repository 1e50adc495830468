"""Averages over episodes, computed by hand."""

import numpy as np
import pytest

from adaptax.evaluation.adaptation_curve import MOST_POINTS, adaptation_curve, ahead, evenly, merged
from adaptax.evaluation.evaluator import Evaluation


def trial(returns):
    returns = np.asarray(returns, float)[None, None]
    return adaptation_curve(Evaluation(returns, np.full(returns.shape, 2)))


def asked(values, episodes):
    """An agent that is asked now and then, and earns nothing while it learns."""
    known = np.asarray(values, float)[None, None]
    return adaptation_curve(Evaluation(np.zeros((1, 1, episodes)), np.full((1, 1, episodes), 3), known))


def test_of_an_agent_that_is_asked_now_and_then_the_answers_count():
    curve = asked([0.0, 0.6, 0.9, 1.0], 80)
    assert curve.episodes.tolist() == [1, 21, 41, 61]
    assert curve.steps.tolist() == [3, 63, 123, 183]
    assert curve.from_evaluation
    assert curve.complete.all()


def test_over_a_tenth_of_the_episodes_is_averaged_and_over_one_at_least():
    assert ahead(np.array([1, 9, 10, 19, 20, 100])).tolist() == [1, 1, 1, 1, 2, 10]
    values = np.arange(1, 25)
    windowed = trial(values).windowed(values)
    assert windowed[:19].tolist() == list(range(1, 20))
    assert windowed[19:23].tolist() == [20.5, 21.5, 22.5, 23.5]


def test_an_average_that_reaches_beyond_the_trial_is_not_complete():
    curve = trial(np.arange(24))
    assert curve.complete.tolist() == [True] * 23 + [False]
    assert curve.windowed(np.arange(1, 25))[-1] == 24  # of what there is


def test_values_may_lie_along_any_axis():
    curve, values = trial(np.arange(30)), np.random.default_rng(0).normal(size=(2, 30, 3))
    found = curve.windowed(values, axis=1)
    for i in range(2):
        for j in range(3):
            np.testing.assert_allclose(found[i, :, j], curve.windowed(values[i, :, j]))


@pytest.mark.parametrize(
    ("episode", "last", "mean"), [(1, 1, 0), (7, 7, 6), (20, 20, 18.5), (29, 29, 27.5), (99, 30, 29)]
)
def test_the_most_recent_episodes(episode, last, mean):
    found, recent = trial(np.arange(30)).recent(episode)
    assert (found, recent.item()) == (last, mean)


def test_between_two_answers_the_last_one_is_recent():
    found, recent = asked([0.0, 0.6, 0.9, 1.0], 80).recent(60)
    assert (found, recent.item()) == (41, 0.9)


def test_a_shorter_trial_of_the_same_learner_fills_the_gaps():
    curve = merged(asked([0, 0.7, 0.8, 0.9], 40), asked([0, 0.6], 4))
    assert curve.episodes.tolist() == [1, 3, 11, 21, 31]
    assert curve.returns[0, 0].tolist() == [0, 0.6, 0.7, 0.8, 0.9]
    assert curve.steps.tolist() == [3, 9, 33, 63, 93]
    assert curve.trial == 40


@pytest.mark.parametrize("count", [1, 2, 7, 60, 61, 1000])
def test_points_are_spread_evenly_and_have_both_ends(count):
    points = evenly(count)
    assert points[0] == 0
    assert points[-1] == count - 1
    assert len(points) <= MOST_POINTS
    assert (np.diff(points) > 0).all()
    if count <= 7:
        assert points.tolist() == list(range(count))
