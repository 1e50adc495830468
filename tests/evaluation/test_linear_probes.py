import json

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from adaptax.evaluation import linear_probes
from adaptax.evaluation.linear_probes import (
    PENALTIES,
    ProbeCurve,
    distances,
    fit_decoder,
    principal_components,
    probe_curve,
    r_squared,
    rank_correlation,
    similarity_of,
    task_counts,
)


def problem(num_tasks, size, targets, noise=0.5, seed=0):
    """Representations of very different scales and correlated, and noisy linear targets."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(num_tasks, size)) @ rng.normal(size=(size, size)) * np.geomspace(1e-3, 1e3, size) + 7
    weights = rng.normal(size=(size, targets)) / np.geomspace(1e-3, 1e3, size)[:, None]
    return states, states @ weights + noise * size * rng.normal(size=(num_tasks, targets))


def standardised(states):
    return (states - states.mean(0)) / states.std(0)


@pytest.mark.parametrize("shape", [(60, 5), (20, 30)])
def test_decoder_solves_the_normal_equations(shape):
    states, targets = problem(*shape, 3)
    decoder = fit_decoder(states, targets)
    x, y = standardised(states), targets - targets.mean(0)
    for j in range(3):
        system = x.T @ x + len(x) * decoder.penalty[j] * np.eye(shape[1])
        np.testing.assert_allclose(system @ decoder.weights[:, j], x.T @ y[:, j], rtol=1e-8, atol=1e-8)
    expected = targets.mean(0) + x @ decoder.weights
    np.testing.assert_allclose(decoder(states), expected, rtol=1e-10)


def left_out_errors(states, targets):
    """Mean squared error of each task by a ridge regression without it, `[penalty, target]`, fitted again each time."""
    x = standardised(states)
    errors = np.zeros((len(PENALTIES), targets.shape[1]))
    for number, penalty in enumerate(PENALTIES):
        for i in range(len(x)):
            rest, y = np.delete(x, i, 0), np.delete(targets, i, 0)
            centred = rest - rest.mean(0)
            system = centred.T @ centred + len(x) * penalty * np.eye(x.shape[1])
            weights = np.linalg.solve(system, centred.T @ (y - y.mean(0)))
            errors[number] += (targets[i] - y.mean(0) - (x[i] - rest.mean(0)) @ weights) ** 2 / len(x)
    return errors


@pytest.mark.parametrize("shape", [(40, 5), (15, 20)])
@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_penalty_is_the_best_of_those_tried_by_leaving_out_one_task_after_the_other(shape, noise):
    states, targets = problem(*shape, 2, noise)
    errors = left_out_errors(states, targets)
    np.testing.assert_allclose(fit_decoder(states, targets).penalty, PENALTIES[np.argmin(errors, 0)])
    together = fit_decoder(states, targets, shared=True).penalty
    np.testing.assert_allclose(together, PENALTIES[np.argmin(errors.sum(1))])


def test_a_part_that_hardly_moved_in_training_cannot_outweigh_the_others():
    rng = np.random.default_rng(11)
    states, targets = rng.normal(size=(100, 2)), rng.normal(size=(100, 1))
    states[:, 1] = 0
    states[7, 1] = 0.001  # √(n − 1) deviations, as far out as one of n can be
    decoder = fit_decoder(states, targets)
    np.testing.assert_allclose(decoder(states), decoder.intercept + standardised(states) @ decoder.weights, rtol=1e-12)
    assert standardised(states)[7, 1] == pytest.approx(decoder.bound, rel=1e-12)
    far, farther = np.array([[0.0, 5.0]]), np.array([[0.0, 9.0]])
    np.testing.assert_array_equal(decoder(far), decoder(farther))
    np.testing.assert_allclose(decoder(far), decoder(states[7:8] * [0, 1]), rtol=1e-9)


def score(decoded, targets):
    columns = [list(range(targets.shape[1]))]
    curve = probe_curve(np.stack([r_squared(targets, decoded, task_counts(len(targets)), columns)[0]]))
    return curve.value[0], curve.stderr[0]


def test_what_is_linear_is_decoded_completely():
    states, targets = problem(400, 6, 4, noise=0.0)
    decoder = fit_decoder(states[:200], targets[:200])
    assert score(decoder(states[200:]), targets[200:])[0] > 1 - 1e-8


@pytest.mark.parametrize("size", [10, 300])
def test_noise_is_not_decoded(size):
    rng = np.random.default_rng(1)
    states, targets = rng.normal(size=(400, size)), rng.normal(size=(400, 5))
    value, error = score(fit_decoder(states[:200], targets[:200])(states[200:]), targets[200:])
    # Without a penalty the 300 numbers would fit the 200 tasks exactly, and cost an R² of about −2.
    assert -0.1 < value < 3 * error


def test_a_memory_of_zeros_tells_nothing_and_its_r_squared_is_that_of_the_training_mean():
    rng = np.random.default_rng(2)
    train, test = rng.normal(size=(30, 3)), rng.normal(size=(40, 3))
    decoder = fit_decoder(np.zeros((30, 4)), train)
    np.testing.assert_array_equal(decoder.weights, 0)
    value, _ = score(decoder(np.zeros((40, 4))), test)
    expected = -((train.mean(0) - test.mean(0)) ** 2).sum() / test.var(0).sum()
    assert value == pytest.approx(expected, rel=1e-9)
    assert value < 0


def test_rounding_is_no_signal():
    # A column of ones that differ in the last bit only, and exactly as the target does.
    targets = np.random.default_rng(3).choice([-1.0, 1.0], (50, 1))
    states = (1 + 1e-7 * targets).astype(np.float32)
    assert np.ptp(states) > 0
    np.testing.assert_array_equal(fit_decoder(states, targets).weights, 0)


def test_r_squared_of_resamples_is_that_of_the_tasks_drawn():
    rng = np.random.default_rng(4)
    targets = rng.normal(size=(12, 3)) + 5
    decoded = targets + 0.5 * rng.normal(size=(12, 3))
    counts = task_counts(12, seed=9)[:, :20]
    found = r_squared(targets, decoded, counts, [[0], [1, 2]])
    for draw in range(20):
        tasks = np.repeat(np.arange(12), counts[:, draw].astype(int))
        left, total = ((targets - decoded)[tasks] ** 2).sum(0), 12 * targets[tasks].var(0)
        np.testing.assert_allclose(found[:, draw], [1 - left[0] / total[0], 1 - left[1:].sum() / total[1:].sum()])
    np.testing.assert_array_equal(counts[:, 0], 1)  # the first draw is the sample itself


def test_standard_error_of_a_mean_is_the_known_one():
    right = np.random.default_rng(5).random(400) < 0.3
    curve = probe_curve((right @ task_counts(400) / 400)[None])
    assert curve.value[0] == right.mean()
    known = np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert curve.stderr[0] == pytest.approx(known, rel=4 / np.sqrt(2 * linear_probes.RESAMPLES))
    np.testing.assert_allclose(curve.interval[0], right.mean() + np.array([-1.96, 1.96]) * known, atol=0.3 * known)


def test_a_curve_is_strict_json():
    content = ProbeCurve(
        np.array([np.nan, 0.5]), np.array([np.nan, 0.1]), np.array([[np.nan, np.nan], [0.3, 0.7]])
    ).to_json()
    json.dumps(content, allow_nan=False)
    assert content == {"value": [None, 0.5], "stderr": [None, 0.1], "interval": [[None, None], [0.3, 0.7]]}


def test_distances_are_scipys_in_its_order():
    points = np.random.default_rng(6).normal(size=(9, 4))
    np.testing.assert_allclose(distances(points), pdist(points), rtol=1e-12)
    # Equal but for the rounding of float32: no distance.
    np.testing.assert_array_equal(distances(1 + 1e-7 * points), 0)
    np.testing.assert_array_equal(distances(np.zeros((3, 2))), [0, 0, 0])


def test_rank_correlation_is_scipys_with_ties():
    rng = np.random.default_rng(7)
    x, y = rng.integers(0, 5, 60), rng.normal(size=60)
    y[10:30] = y[10]
    assert rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert rank_correlation(x, -x) == pytest.approx(-1, abs=1e-12)
    assert np.isnan(rank_correlation(x, np.ones(60)))


def test_similarity_of_a_turned_copy_is_1_of_noise_0_and_of_nothing_undefined():
    rng = np.random.default_rng(8)
    features = rng.normal(size=(100, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    states = np.stack([np.zeros((100, 3)), rng.normal(size=(100, 3)), 5 * features @ turn + 1])
    curve = similarity_of(features, states)
    assert np.isnan(curve.value[0])
    assert abs(curve.value[1]) < 4 * curve.stderr[1]
    assert 0 < curve.stderr[1] < 0.1
    assert curve.value[2] == pytest.approx(1, abs=1e-9)
    assert curve.stderr[2] < 1e-9


def test_similaritys_error_is_that_of_leaving_out_each_tenth_of_the_tasks():
    rng = np.random.default_rng(9)
    features = rng.normal(size=(40, 2))
    states = (features + rng.normal(size=(40, 2)))[None]
    without = []
    for group in range(10):
        keep = np.arange(40) % 10 != group
        without.append(spearmanr(pdist(features[keep]), pdist(states[0, keep])).statistic)
    expected = np.sqrt(9 / 10 * ((np.asarray(without) - np.mean(without)) ** 2).sum())
    assert similarity_of(features, states).stderr[0] == pytest.approx(expected, rel=1e-9)


def test_principal_components_are_eigenvectors_of_the_covariance():
    rng = np.random.default_rng(10)
    states = (rng.normal(size=(4, 30, 5)) @ rng.normal(size=(5, 5))).astype(np.float32)
    points, explained = principal_components(states)
    flat = states.reshape(-1, 5).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    np.testing.assert_allclose(explained, values[::-1][:2] / values.sum(), rtol=1e-9)
    for component in range(2):
        axis = vectors[:, -1 - component]
        axis *= np.sign(axis[np.argmax(np.abs(axis))])
        expected = ((flat - flat.mean(0)) @ axis).reshape(4, 30)
        np.testing.assert_allclose(points[..., component], expected, rtol=1e-7, atol=1e-9)


def test_principal_components_of_one_number_and_of_nothing():
    points, explained = principal_components(np.array([[[1.0], [3.0]]]))
    np.testing.assert_allclose(points, [[[-1, 0], [1, 0]]])
    assert explained == (1.0, 0.0)
    points, explained = principal_components(np.ones((2, 3, 4)))
    np.testing.assert_array_equal(points, np.zeros((2, 3, 2)))
    assert explained == (0.0, 0.0)
