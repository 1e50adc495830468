import math

import numpy as np
import pytest

from adaptax.evaluation import adaptation_curve as curves
from adaptax.evaluation import comparison_statistics
from adaptax.evaluation.adaptation_curve import AdaptationCurve, adaptation_curve
from adaptax.evaluation.comparison_statistics import (
    FamilyResult,
    Reference,
    gap,
    improvement,
    interval_of,
    normalized_scores,
    performance,
    regret,
    relative_cost,
    resample,
    times_to_thresholds,
)
from adaptax.evaluation.evaluator import Evaluation

TASKS = 40


def evaluation_of(curve, noise=0.0, tasks=TASKS, seeds=1, steps=2):
    """An agent whose returns are a curve, plus what its task is easier or harder by; the mean is the curve itself."""
    sides = noise * np.where(np.arange(tasks) % 2, 1.0, -1.0)
    returns = np.broadcast_to(np.asarray(curve, float) + sides[:, None], (seeds, tasks, len(curve)))
    return Evaluation(returns, np.full(returns.shape, steps))


def with_evaluations(values, trial, tasks=TASKS):
    """An agent that is asked now and then, and earns nothing while it learns."""
    known = np.broadcast_to(np.asarray(values, float), (1, tasks, len(values)))
    return Evaluation(np.zeros((1, tasks, trial)), np.full((1, tasks, trial), 3), known)


def reference(floor=0.0, target=1.0, tasks=TASKS):
    return Reference(np.full(tasks, floor), np.full(tasks, target), "")


def found_in(evaluation, of=None):
    curve = adaptation_curve(evaluation)
    seeds, tasks = curve.returns.shape[:2]
    of = reference(tasks=tasks) if of is None else of
    return times_to_thresholds(curve, normalized_scores(curve, of, resample(seeds, tasks)))


def test_the_times_to_the_thresholds_of_a_staircase():
    # Episodes 1-3: 0.2, 4-6: 0.6, 7-9: 0.85, 10-12: 0.92, from 13 on 1. Below 20 episodes nothing is averaged.
    found = found_in(evaluation_of(np.repeat([0.2, 0.6, 0.85, 0.92, 1.0], 3)))
    assert [found[x].episode.value for x in (0.5, 0.8, 0.9, 0.95)] == [4, 7, 10, 13]
    assert [found[x].steps.value for x in (0.5, 0.8, 0.9, 0.95)] == [8, 14, 20, 26]
    assert [found[x].since for x in (0.5, 0.8, 0.9, 0.95)] == [3, 6, 9, 12]
    # Tasks that are all alike leave nothing to be unsure of.
    assert all(time.episode.interval == (time.episode.value,) * 2 for time in found.values())


def test_scores_are_normalized_from_the_floor_to_the_target():
    # From 10 to 30, a score of one half is 20.
    found = found_in(evaluation_of([10, 19, 21, 25.5, 27, 28, 29, 30]), reference(10, 30))
    assert found[0.5].episode.value == 3
    assert found[0.8].episode.value == 5  # 26 lies between 25.5 and 27
    assert found[0.95].episode.value == 7  # 29


def test_never_is_an_answer():
    found = found_in(evaluation_of([0.1, 0.7, 0.7]))
    assert found[0.5].episode.value == 2
    assert found[0.8].episode.value == math.inf
    assert found[0.8].within == 3
    assert found[0.8].to_json()["episode"] == {"value": None, "interval": [None, None]}


def test_a_lucky_episode_is_averaged_away_where_there_are_many():
    # From episode 40 on, four episodes are averaged: one at 1 among zeros is a quarter.
    curve = np.zeros(100)
    curve[49] = 1.0
    assert found_in(evaluation_of(curve))[0.5].episode.value == math.inf
    curve[49:] = 1.0
    # In episode 48 the mean over episodes 48-51 is 2/4: "not below" is there.
    assert found_in(evaluation_of(curve))[0.5].episode.value == 48


def test_at_the_end_of_a_trial_fewer_episodes_do_not_do():
    # An average from episode 95 on would be over 95-103, and there are 100.
    curve = np.zeros(100)
    curve[94:] = 1.0
    assert found_in(evaluation_of(curve))[0.95].episode.value == math.inf


def test_an_agent_that_is_asked_now_and_then_counts_by_its_answers():
    evaluation = with_evaluations([0.0, 0.6, 0.9, 1.0], trial=80)
    curve = adaptation_curve(evaluation)
    assert curve.episodes.tolist() == [1, 21, 41, 61]
    assert curve.from_evaluation
    found = found_in(evaluation)
    assert [found[x].episode.value for x in (0.5, 0.8, 0.95)] == [21, 41, 61]
    assert found[0.8].since == 21  # it may have been there from episode 22 on
    assert found[0.8].steps.value == 41 * 3


def test_a_times_interval_holds_the_truth_about_as_often_as_it_says():
    # The mean rises from 0 by 0.04 an episode: it is at 0.5 from episode 14 on. 60 tasks of deviation 0.5 each.
    rng, truth, hits, trials = np.random.default_rng(0), np.minimum(0.04 * np.arange(30), 1.0), 0, 200
    for _ in range(trials):
        returns = truth + 0.5 * rng.normal(size=(1, 60, 30))
        low, high = found_in(Evaluation(returns, np.ones(returns.shape)), reference(tasks=60))[0.5].episode.interval
        hits += low <= 14 <= high
    # Each end fails in 2.5 % at most, but for the late one also at earlier episodes: not below 95 % - 4 errors.
    assert hits / trials > 0.95 - 4 * math.sqrt(0.95 * 0.05 / trials)


def test_wider_spread_among_tasks_makes_a_wider_interval_around_the_same_time():
    curve = np.linspace(0, 1, 15)
    found = [found_in(evaluation_of(curve, noise))[0.5].episode for noise in (0.0, 0.3)]
    assert found[0].value == found[1].value == 8
    (low, high), (lower, higher) = found[0].interval, found[1].interval
    assert lower < low == high < higher


def test_how_many_times_as_many():
    fast, slow, never = (found_in(evaluation_of(curve))[0.5] for curve in ([0, 1, 1], [0] * 5 + [1], [0] * 6))
    assert relative_cost(slow, fast).value == 3
    assert relative_cost(fast, fast).to_json() == {"value": 1.0, "interval": [1.0, 1.0]}
    assert relative_cost(never, fast).to_json()["value"] is None
    assert math.isnan(relative_cost(fast, never).value)


def test_regret_by_hand():
    # Two tasks with targets 3 and 5, two episodes: misses 1, 0 and 2, 1; sums 1, 1 and 2, 3.
    returns = np.array([[[2.0, 3.0], [3.0, 4.0]]])
    found = regret(returns, np.array([3.0, 5.0]), resample(1, 2), common=1)
    assert found["episodes"] == [1, 2]
    assert [figure["value"] for figure in found["regret"]] == [1.5, 2.0]
    assert found["common"]["value"] == 1.5
    assert found["common"]["episode"] == 1
    assert found["regret"][1]["interval"] == [1, 3]  # of two tasks, both draws may be the same


def test_identical_agents_are_as_good_as_each_other():
    curve = adaptation_curve(evaluation_of(np.linspace(0, 1, 10), 0.2))
    found = improvement(curve, curve, resample(1, TASKS, agent=0), resample(1, TASKS, agent=1))
    assert found["value"] == 0.5
    assert found["interval"] == pytest.approx([0.5, 0.5])
    worse = adaptation_curve(evaluation_of(np.linspace(-1, 0, 10), 0.2))
    found = improvement(curve, worse, resample(1, TASKS, agent=0), resample(1, TASKS, agent=1))
    assert found["value"] == 1.0
    assert 1 - 1e-9 <= found["interval"][0] <= found["interval"][1] <= 1


def test_improvement_is_at_the_end_of_the_shorter_trial():
    # After 3 episodes the first is better, though the second is best in the end.
    first, second = adaptation_curve(evaluation_of([0, 5, 5])), adaptation_curve(evaluation_of([0, 1, 2, 9, 9]))
    found = improvement(first, second, resample(1, TASKS), resample(1, TASKS))
    assert (found["value"], found["episode"], found["measured"]) == (1.0, 3, [3, 3])
    # And of one that is asked after every two episodes, the answer before episode 3 counts.
    asked = improvement(first, adaptation_curve(with_evaluations([0, 7, 7], 6)), resample(1, TASKS), resample(1, TASKS))
    assert (asked["value"], asked["measured"]) == (0.0, [3, 3])


def one_episode(scores):
    """The curve of one episode, from `[seed, task]`."""
    return AdaptationCurve(np.array([1]), np.asarray(scores, float)[..., None], np.ones(1), 1, False)


def improvement_of(x, y):
    draws = (resample(*np.shape(scores), agent=agent) for agent, scores in enumerate((x, y)))
    return improvement(one_episode(x), one_episode(y), *draws)["value"]


def test_improvement_by_hand():
    x, y = [[1.0, 5.0, 2.0]], [[0.0, 6.0, 2.0]]
    assert improvement_of(x, y) == pytest.approx((1 + 0 + 0.5) / 3)
    assert improvement_of(y, x) == pytest.approx(1 - (1 + 0 + 0.5) / 3)
    # Task by task, over all pairs of seeds: {1, 3} against 2 wins half.
    assert improvement_of([[1.0], [3.0]], [[2.0]]) == 0.5


def test_improvement_compares_within_tasks():
    tasks = np.arange(10.0)[None] * 100
    assert improvement_of(tasks + 1, tasks) == 1.0


def test_improvement_by_hand_with_two_seeds():
    # Wins of seeds (3, 1) and (1, 1) over (2, 1): task 1: 1 and 0; task 2: ties.
    x = AdaptationCurve(np.array([1]), np.array([[[3.0], [1.0]], [[1.0], [1.0]]]), np.ones(1), 1, False)
    y = AdaptationCurve(np.array([1]), np.array([[[2.0], [1.0]]]), np.ones(1), 1, False)
    found = improvement(x, y, resample(2, 2), resample(1, 2))
    assert found["value"] == 0.5
    # Resampled: always the first seed and the first task, 1; always the second seed and the first task, 0.
    assert found["interval"] == pytest.approx([0.0, 1.0])


def result(after, floor=0.0, target=1.0, tasks=None):
    after = np.atleast_2d(np.asarray(after, float))
    size = after.shape[1]
    of = None if target is None else reference(floor, target, size)
    return FamilyResult(np.zeros_like(after), after, of, np.full(size, floor))


def test_a_gap_is_one_of_normalized_scores_where_both_ends_are_known():
    # 5 between 0 and 10, 13 between 12 and 16.
    found = gap(result([5.0] * 4, 0, 10), result([13.0] * 6, 12, 16), resample(1, 4), resample(1, 6, family=1))
    assert found["value"] == pytest.approx(-0.25)
    assert found["unit"] == "normalized score"
    found = gap(result([5.0] * 4, 0, 10), result([13.0] * 6, 12, None), resample(1, 4), resample(1, 6, family=1))
    assert found["value"] == 8
    assert found["unit"] == "return"


def test_a_gap_between_tasks_of_one_family_holds_zero_about_as_often_as_it_says():
    rng, hits, trials = np.random.default_rng(1), 0, 300
    draws = resample(1, 50), resample(1, 50, family=1)
    for _ in range(trials):
        low, high = gap(*(result(rng.normal(size=50)) for _ in range(2)), *draws)["interval"]
        hits += low <= 0 <= high
    # A percentile interval of 50 draws covers about 94 %.
    assert abs(hits / trials - 0.94) < 4 * math.sqrt(0.94 * 0.06 / trials)


def test_seeds_are_paired_in_a_gap():
    # Two seeds that differ by 100 in both families, and lose exactly 1: nothing is unsure about the gap.
    near = np.array([[0.0] * 3, [100.0] * 3])
    draws = resample(2, 3, agent=4), resample(2, 3, agent=4, family=1)
    found = gap(result(near, target=None), result(near - 1, target=None), *draws)
    assert found["value"] == -1
    assert found["interval"] == pytest.approx([-1, -1])
    apart = gap(result(near, target=None), result(near - 1, target=None), draws[0], resample(2, 3, agent=5, family=1))
    assert apart["interval"][0] < -90


def test_draws_of_tasks_are_the_same_for_all_agents_and_weights_add_to_one():
    one, other = resample(3, 7, agent=0), resample(2, 7, agent=1)
    np.testing.assert_array_equal(one.tasks, other.tasks)
    for weights in (one.seed_weights, one.task_weights, other.seed_weights):
        np.testing.assert_allclose(weights.sum(0), 1)
    assert not np.array_equal(one.tasks, resample(3, 7, family=1).tasks)


def test_resampled_means_are_those_of_the_resampled_table():
    values, draws = np.random.default_rng(0).normal(size=(3, 5, 2)), resample(3, 5)
    expected = np.einsum("stp,sr,tr->pr", values, draws.seed_weights, draws.task_weights)
    np.testing.assert_allclose(draws.means(values), expected)


def test_many_points_are_resampled_in_parts_that_make_no_difference(monkeypatch):
    curve, of, draws = adaptation_curve(evaluation_of(np.linspace(0, 1, 30), 0.1)), reference(), resample(1, TASKS)
    whole = normalized_scores(curve, of, draws)
    monkeypatch.setattr(comparison_statistics, "ENTRIES_AT_ONCE", 7 * comparison_statistics.RESAMPLES)
    parts = normalized_scores(curve, of, draws)
    # Up to rounding: a product of fewer columns may be summed in another order, depending on the processor.
    np.testing.assert_allclose(whole.low, parts.low, rtol=1e-12)
    np.testing.assert_allclose(whole.value, parts.value, rtol=1e-12)


def test_an_interval_of_what_may_never_happen():
    assert interval_of(np.array([1.0] * 50 + [np.inf] * 50)) == (1.0, math.inf)
    assert all(math.isnan(end) for end in interval_of(np.array([1.0, np.nan])))


def test_where_the_target_is_the_floor_nothing_is_reached():
    found = found_in(evaluation_of([1.0, 2.0]), reference(1.0, 1.0))
    assert found[0.5].episode.value == math.inf
    assert all(math.isnan(end) for end in (reference(1.0, 0.5).normalized(np.array([1.0]))))


def test_what_is_shown_of_a_long_trial():
    curve = adaptation_curve(evaluation_of(np.arange(1000) / 1000, tasks=4))
    shown = performance(curve, normalized_scores(curve, reference(tasks=4), resample(1, 4)), resample(1, 4))
    assert len(shown["episodes"]) <= curves.MOST_POINTS
    assert shown["episodes"][0] == 1
    # The last point stands for the last tenth: from 910 on, 91 episodes end with number 1000.
    assert shown["episodes"][-1] == 910
    assert shown["return"][-1]["value"] == pytest.approx(np.arange(909, 1000).mean() / 1000)
    assert shown["iqm"][-1] == pytest.approx(np.arange(909, 1000).mean() / 1000)
    assert shown["first"]["mean"] == 0
    assert shown["last"]["mean"] == pytest.approx(np.arange(900, 1000).mean() / 1000)
    assert all(len(shown[key]) == len(shown["episodes"]) for key in ("return", "normalized_score", "steps", "iqm"))
