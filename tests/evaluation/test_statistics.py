import json
import time

import numpy as np
import pytest
import scipy.stats

from adaptax.evaluation import statistics
from adaptax.evaluation.statistics import (
    Resamples,
    bootstrap_interval,
    bootstrap_intervals,
    iqm,
    margin_95,
    mean,
    stderr,
    summarize,
)


def crossed(rng, seeds, tasks, *, of_seed, of_task, of_trial):
    """Scores whose true mean is 0, with these standard deviations."""
    a = of_seed * rng.normal(size=(seeds, 1))
    b = of_task * rng.normal(size=(1, tasks))
    return a + b + of_trial * rng.normal(size=(seeds, tasks))


def test_mean_and_stderr_by_hand():
    scores = np.array([[1.0, 2.0, 3.0, 6.0]])
    assert mean(scores) == 3.0
    assert stderr(scores) == pytest.approx(np.sqrt(14 / 3 / 4))  # deviations −2 −1 0 3


def test_stderr_of_several_seeds_by_hand():
    # Seed means 2, 4 (variance 2, over 2 seeds: 1); task means 2, 4 (1); no residual.
    assert stderr(np.array([[1.0, 3.0], [3.0, 5.0]])) == pytest.approx(np.sqrt(2))
    # Residuals ±1 only: the means do not vary, so nothing is left of the three terms but the floor.
    assert stderr(np.array([[1.0, -1.0], [-1.0, 1.0]])) == 0.0
    # One task: only seeds vary. 1, 2, 3: variance 1 over 3 seeds.
    assert stderr(np.array([[1.0], [2.0], [3.0]])) == pytest.approx(np.sqrt(1 / 3))


@pytest.mark.parametrize(
    ("of_seed", "of_task", "of_trial"), [(1.0, 2.0, 1.0), (0.5, 3.0, 4.0), (1.0, 0.5, 0.0), (2.0, 6.0, 6.0)]
)
def test_stderr_is_honest_about_tasks_and_seeds(of_seed, of_task, of_trial):
    """E24: its square is, on average, the variance that the mean really has."""
    rng = np.random.default_rng(1)
    seeds, tasks = 6, 40
    true = of_seed**2 / seeds + of_task**2 / tasks + of_trial**2 / (seeds * tasks)
    spread = dict(of_seed=of_seed, of_task=of_task, of_trial=of_trial)
    found = [stderr(crossed(rng, seeds, tasks, **spread)) ** 2 for _ in range(2000)]
    assert abs(np.mean(found) - true) < 4 * np.std(found) / np.sqrt(len(found))


def test_stderr_of_pooled_scores_would_be_too_small():
    """E23: 5 seeds that differ are not 5 × 1000 independent trials."""
    scores = crossed(np.random.default_rng(2), 5, 1000, of_seed=1.0, of_task=0.1, of_trial=0.1)
    assert stderr(scores) > 10 * scores.std() / np.sqrt(scores.size)


@pytest.mark.parametrize("size", [4, 8, 40, 400])
def test_iqm_is_the_trimmed_mean_where_quarters_are_whole(size):
    scores = np.random.default_rng(size).exponential(size=(2, size // 2))
    assert iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores.ravel(), 0.25), rel=1e-12)


def test_iqm_by_hand_where_quarters_are_not_whole():
    assert iqm(np.array([[7.0]])) == 7.0
    assert iqm(np.array([[1.0, 5.0]])) == 3.0
    # Of 3, ¾ to each side is cut: ¼, 1, ¼ are left.
    assert iqm(np.array([[0.0, 3.0, 30.0]])) == pytest.approx((0.25 * 0 + 3 + 0.25 * 30) / 1.5)
    # Of 5, 1¼ to each side: ¾, 1, ¾.
    assert iqm(np.array([[9.0, 2.0, 4.0, 1.0, 100.0]])) == pytest.approx((0.75 * 2 + 4 + 0.75 * 9) / 2.5)
    # Of 6, 1½ to each side: ½, 1, 1, ½.
    assert iqm(np.array([[0.0, 1.0, 2.0], [4.0, 7.0, 1e9]])) == pytest.approx((0.5 + 2 + 4 + 3.5) / 3)


def test_iqm_does_not_see_outliers():
    scores = np.array([[1e300, 1.0, 2.0, -1e300]])
    assert iqm(scores) == 1.5


def test_statistics_of_counts_are_those_of_the_resampled_scores():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(3, 7)).round(1)
    resamples = Resamples.draw(3, 7, 20, rng, rng)
    assert (resamples.tasks.sum(0) == 7).all()
    evenly = Resamples(np.full((3, 20), 1 / 3), resamples.tasks)
    cut = np.clip(scores, *np.quantile(scores, [0.25, 0.75])).mean(1)
    moved = {mean: 0.0, iqm: 2 * (resamples.seed_weights - 1 / 3).T @ cut}
    for statistic in (mean, iqm):
        found, of_tasks = statistic(scores, resamples), statistic(scores, evenly)
        for resample in range(20):
            columns = np.repeat(np.arange(7), resamples.tasks[:, resample].astype(int))
            drawn = scores[:, columns]
            assert of_tasks[resample] == pytest.approx(statistic(drawn), abs=1e-12)
            if statistic is mean:
                weighted = resamples.seed_weights[:, resample] @ drawn.mean(1)
                assert found[resample] == pytest.approx(weighted, abs=1e-12)
        if statistic is iqm:
            np.testing.assert_allclose(found, of_tasks + moved[iqm], atol=1e-12)


@pytest.mark.parametrize("size", [2, 3, 5, 20])
def test_weights_of_seeds_spread_a_mean_as_student_s_t(size):
    rng = np.random.default_rng(size)
    x = rng.normal(size=size) ** 3 + 10
    weights = statistics.student_weights(size, 100_000, rng)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-9)
    t = (weights.T @ x - x.mean()) / (x.std(ddof=1) / np.sqrt(size))
    for chance in (0.75, 0.9, 0.975):
        wanted = scipy.stats.t.ppf(chance, size - 1)
        assert (t <= wanted).mean() == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 50_000))
        assert (t >= -wanted).mean() == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 50_000))


def test_one_seed_has_weight_one_and_odd_numbers_of_resamples_are_had():
    assert (statistics.student_weights(1, 7, np.random.default_rng(0)) == 1).all()
    assert statistics.student_weights(3, 7, np.random.default_rng(0)).shape == (3, 7)
    assert statistics.student_weights(3, 1, np.random.default_rng(0)).shape == (3, 1)


def test_iqm_moves_with_the_weight_of_a_seed_as_its_derivative_says():
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(2, 4000)) + np.array([[0.0], [0.5]])
    by = 0.02
    tasks = np.ones((4000, 1))
    more = Resamples(np.array([[0.5 + by], [0.5 - by]]), tasks)
    repeated = np.concatenate([np.repeat(scores[:1], 52, 0), np.repeat(scores[1:], 48, 0)])
    assert iqm(scores, more)[0] - iqm(scores) == pytest.approx(iqm(repeated) - iqm(scores), rel=0.05)


def test_seeds_wholly_outside_of_the_quartiles_are_no_degrees_of_freedom_of_the_iqm():
    """Yuen 1974: of ten seeds far apart, two on each side are cut off, which leaves five degrees of freedom."""
    apart = np.arange(10.0)[:, None] + np.linspace(-0.1, 0.1, 40)[None]
    by = np.linspace(-0.01, 0.01, 10)[:, None] + 0.1
    moved = iqm(apart, Resamples(by, np.ones((40, 1))))[0] - iqm(apart)
    cut = np.clip(apart, *np.quantile(apart, [0.25, 0.75])).mean(1)
    wider = scipy.stats.t.ppf(0.975, 5) / scipy.stats.t.ppf(0.975, 9)
    assert moved == pytest.approx(2 * wider * ((by[:, 0] - 0.1) @ cut), rel=1e-9)
    together = apart - np.arange(10.0)[:, None] * 0.999
    moved = iqm(together, Resamples(by, np.ones((40, 1))))[0] - iqm(together)
    cut = np.clip(together, *np.quantile(together, [0.25, 0.75])).mean(1)
    assert moved == pytest.approx(2 * ((by[:, 0] - 0.1) @ cut), rel=1e-9)


def test_margin_by_hand():
    # One seed: over tasks alone. 1, 2, 3, 6: standard error √(14/3/4), three degrees of freedom.
    one = np.array([[1.0, 2.0, 3.0, 6.0]])
    assert margin_95(one) == pytest.approx(3.182446 * np.sqrt(14 / 12), rel=1e-6)
    # Seeds alone: 1, 2, 3, two degrees of freedom.
    assert margin_95(np.array([[1.0], [2.0], [3.0]])) == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)
    # Seeds and tasks add one each to the square, with one degree of freedom each.
    assert margin_95(np.array([[1.0, 3.0], [3.0, 5.0]])) == pytest.approx(12.706205 * np.sqrt(2), rel=1e-6)
    assert margin_95(np.full((2, 3), 5.0)) == 0.0
    assert np.isnan(margin_95(np.array([[2.0]])))
    many = np.random.default_rng(0).normal(size=(1, 5000))
    assert margin_95(many) == pytest.approx(1.96 * stderr(many), rel=1e-3)


def test_resampling_is_uniform():
    counts = statistics.resampled_counts(5, 20_000, np.random.default_rng(4))
    assert counts.shape == (5, 20_000)
    # Multinomial(5, 1/5): mean 1, variance 0.8.
    assert np.abs(counts.mean(1) - 1).max() < 4 * np.sqrt(0.8 / 20_000)
    assert counts.var() == pytest.approx(0.8, abs=0.03)


def test_bootstrap_of_one_seed_agrees_with_the_normal_interval():
    scores = np.random.default_rng(5).normal(size=(1, 2000))
    low, high = bootstrap_interval(scores, resamples=4000)
    assert (low + high) / 2 == pytest.approx(mean(scores), abs=0.1 * stderr(scores))
    assert high - low == pytest.approx(2 * 1.96 * stderr(scores), rel=0.06)


def test_bootstrap_is_the_same_in_chunks(monkeypatch):
    scores = np.random.default_rng(6).normal(size=(1, 50))
    at_once = bootstrap_interval(scores, iqm)
    assert bootstrap_interval(scores, iqm) == at_once
    assert bootstrap_interval(scores, iqm, seed=1) != at_once
    monkeypatch.setattr(statistics, "ENTRIES_AT_ONCE", 1)  # other draws, one resample at a time
    one_by_one = bootstrap_interval(scores, iqm)
    assert one_by_one == pytest.approx(at_once, abs=0.15 * (at_once[1] - at_once[0]))


def coverage(seeds, tasks, *, repeats=500, resamples=300, **spread):
    """How often the intervals of mean and interquartile mean, and ± the margin, have the true mean."""
    rng = np.random.default_rng(7)
    hits = np.zeros(3)
    for repeat in range(repeats):
        scores = crossed(rng, seeds, tasks, **spread)
        intervals = bootstrap_intervals(scores, (mean, iqm), resamples=resamples, seed=repeat)
        hits += [*(low <= 0 <= high for low, high in intervals), abs(scores.mean()) <= margin_95(scores)]
    return hits / repeats


def test_E23_ten_seeds_cover_what_they_claim():
    """Nominal 95 % with 10 seeds, within 4 binomial standard errors."""
    found = coverage(10, 50, of_seed=0.3, of_task=3.0, of_trial=1.0)
    assert np.abs(found - 0.95).max() < 4 * np.sqrt(0.95 * 0.05 / 500)


MIXES = {
    "seeds": {"of_seed": 1.0, "of_task": 0.0, "of_trial": 0.3},
    "both": {"of_seed": 1.0, "of_task": 5.0, "of_trial": 3.0},
    "tasks": {"of_seed": 0.05, "of_task": 3.0, "of_trial": 1.0},
}


@pytest.mark.compiles
@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_E23_few_seeds_cover_what_they_claim(seeds, mix):
    """Drawn with replacement, seeds alone would cover 73 % with 3, 84 % with 5, 90 % with 10."""
    found = coverage(seeds, 100, repeats=600, resamples=600, **MIXES[mix])
    assert found.min() > 0.93 - 2 * np.sqrt(0.93 * 0.07 / 600)
    if seeds > 2 and mix != "both":
        assert found.max() < 0.985


def test_summary_moves_and_scales_with_the_scores():
    scores = crossed(np.random.default_rng(8), 3, 31, of_seed=1.0, of_task=1.0, of_trial=1.0)
    base, moved = summarize(scores), summarize(4 * scores + 7)
    for name in ("mean", "iqm"):
        assert getattr(moved, name) == pytest.approx(4 * getattr(base, name) + 7)
    assert moved.stderr == pytest.approx(4 * base.stderr)
    for name in ("interval", "iqm_interval"):
        assert getattr(moved, name) == pytest.approx([4 * end + 7 for end in getattr(base, name)])


def test_summary_does_not_depend_on_the_order_of_seeds_and_tasks():
    rng = np.random.default_rng(9)
    scores = rng.normal(size=(4, 200))
    base, shuffled = summarize(scores), summarize(scores[::-1][:, rng.permutation(200)])
    assert (shuffled.mean, shuffled.stderr, shuffled.iqm) == pytest.approx((base.mean, base.stderr, base.iqm))
    assert shuffled.interval == pytest.approx(base.interval, abs=0.1 * (base.interval[1] - base.interval[0]))


def test_summary_of_constant_scores():
    summary = summarize(np.full((2, 5), 3.25))
    assert summary == statistics.Summary(3.25, 0.0, 3.25, (3.25, 3.25), (3.25, 3.25))


def test_summary_of_one_trial_has_no_standard_error():
    summary = summarize(np.array([[2.0]]))
    assert (summary.mean, summary.iqm, summary.interval) == (2.0, 2.0, (2.0, 2.0))
    assert np.isnan(summary.stderr)
    assert json.loads(json.dumps(summary.to_json(), allow_nan=False))["stderr"] is None


def test_summary_is_strict_json_with_stable_keys():
    summary = summarize(np.random.default_rng(10).normal(size=(2, 9)).astype(np.float32))
    found = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert list(found) == ["mean", "stderr", "iqm", "interval", "iqm_interval"]
    assert found["mean"] == summary.mean
    assert found["interval"] == list(summary.interval)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("function", [mean, stderr, iqm, bootstrap_interval, summarize])
def test_not_finite_scores_are_refused(function, broken):
    scores = np.zeros((2, 4))
    scores[1, 3] = broken
    with pytest.raises(ValueError, match=rf"found {broken} at seed 1, task 3 \(1 of 8"):
        function(scores)


@pytest.mark.parametrize("shape", [(5,), (0, 3), (2, 0), (2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected a non-empty array \[seed, task\], found shape"):
        summarize(np.zeros(shape))


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="confidence: expected a number between 0 and 1, found 95"):
        bootstrap_interval(np.zeros((1, 3)), confidence=95)
    with pytest.raises(ValueError, match="resamples: expected an integer ≥ 1, found 0"):
        bootstrap_interval(np.zeros((1, 3)), resamples=0)


def test_ten_thousand_tasks_take_no_time():
    scores = np.random.default_rng(11).normal(size=(1, 10_000))
    begin = time.process_time()
    summarize(scores)
    assert time.process_time() - begin < 4.0  # 0.5 s on an idle core


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 30, 1000])
def test_student_is_that_of_scipy(degrees):
    assert statistics.student_95(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=1e-9)
    assert np.isnan(statistics.student_95(0))
