"""Posteriors over the weights of linear bandits beside the exact one: by figures that are known."""

import json
from statistics import NormalDist

import numpy as np
import pytest

from adaptax.evaluation.posteriors import Posteriors, can_be_compared
from adaptax.problems.linear_bandits import conjugate_posterior, conjugate_posteriors

TASKS, PULLS, NOISE = 1500, 6, 0.8


def posteriors(size=1, mean=lambda x: -3 * x + 1, variance=lambda x: 9 * x):
    """What is believed of pulls by chance, as a function of what is known."""
    rng = np.random.default_rng(size)
    weights = rng.normal(size=(TASKS, size))
    features = rng.uniform(-1, 1, (TASKS, PULLS, size))
    rewards = np.einsum("tpd,td->tp", features, weights) + NOISE * rng.normal(size=(TASKS, PULLS))
    exact = conjugate_posteriors(features, rewards, NOISE)
    return Posteriors(mean(exact[0]), variance(exact[1]), *exact, weights)


def test_all_posteriors_of_a_trial_are_each_of_them():
    rng = np.random.default_rng(0)
    features, rewards = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 5))
    means, variances = conjugate_posteriors(features, rewards, 0.7)
    assert means.shape == variances.shape == (3, 6, 2)
    for task, pull in np.ndindex(3, 6):
        mean, covariance = conjugate_posterior(features[task, :pull], rewards[task, :pull], 0.7)
        np.testing.assert_allclose(means[task, pull], mean, atol=1e-12)
        np.testing.assert_allclose(variances[task, pull], np.diag(covariance), atol=1e-12)


@pytest.mark.parametrize("size", [1, 3])
def test_who_believes_the_posterior_in_other_words_believes_the_posterior(size):
    found = posteriors(size)
    assert np.isnan(found.r2[0])
    np.testing.assert_allclose(found.r2[1:], 1, atol=1e-9)
    np.testing.assert_allclose(found.variance_ratio, 1, atol=1e-9)
    for row in found.calibration:
        assert row["held"] == pytest.approx(row["held_by_the_exact"], abs=1e-3)
        assert abs(row["held"] - row["level"]) < 4 * np.sqrt(0.25 / found.half)


def test_who_is_too_sure_is_told_by_how_much():
    found = posteriors(variance=lambda x: 9 * x / 4)
    np.testing.assert_allclose(found.variance_ratio, 1 / 4, atol=1e-9)
    np.testing.assert_allclose(found.r2[1:], 1, atol=1e-9)
    for row in found.calibration:
        reach = NormalDist().inv_cdf(0.5 + row["level"] / 2) / 2
        expected = 2 * NormalDist().cdf(reach) - 1
        assert abs(row["held"] - expected) < 4 * np.sqrt(0.25 / found.half)


def test_who_believes_what_it_likes_explains_nothing():
    rng = np.random.default_rng(3)
    found = posteriors(mean=lambda x: rng.normal(size=x.shape))
    assert (np.abs(found.r2[1:]) < 0.05).all()


def test_figures_are_of_tasks_that_the_line_was_not_fitted_to():
    found = posteriors()
    nonsense = found.mean.copy()
    nonsense[found.half :] = 0
    other = Posteriors(nonsense, found.variance, found.exact_mean, found.exact_variance, found.weights)
    assert (other.r2[1:] < 0.05).all()
    assert other.half == TASKS // 2


def test_what_is_written_down_is_plain():
    content = json.loads(json.dumps(posteriors().to_json(), allow_nan=False))
    assert set(content) == {"r2", "variance_ratio", "calibration", "tasks", "fitted_on"}
    assert content["r2"][0] is None
    assert len(content["variance_ratio"]) == PULLS + 1
    assert content["tasks"] == content["fitted_on"] == TASKS // 2


def test_a_picture_shows_means_widths_and_calibration():
    figures = pytest.importorskip("adaptax.reports.posterior_figures")
    found = posteriors()
    figure = figures.posterior_figure(found, title="What is believed")
    means, widths, calibrated = figure.axes
    np.testing.assert_array_equal(means.lines[0].get_ydata(), found.mapped[0][:, -1].ravel())
    np.testing.assert_allclose(widths.lines[1].get_ydata(), np.sqrt(found.exact[1]).mean((0, 2)))
    np.testing.assert_array_equal(calibrated.lines[1].get_ydata(), [row["held"] for row in found.calibration])


def test_posteriors_are_compared_where_the_exact_one_is_known():
    from adaptax.algorithms import PEARL, RL2
    from adaptax.core.trained_agent import TrainedAgent
    from adaptax.problems import linear_bandit, point_robot

    assert can_be_compared(TrainedAgent(PEARL(), linear_bandit(2, 5), None))
    assert not can_be_compared(TrainedAgent(PEARL(), linear_bandit(2, 5, noise=0.0), None))
    assert not can_be_compared(TrainedAgent(PEARL(), linear_bandit(60, 5), None))
    assert not can_be_compared(TrainedAgent(PEARL(), point_robot(), None))
    assert not can_be_compared(TrainedAgent(RL2(), linear_bandit(2, 5), None))
