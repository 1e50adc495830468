"""What agents are worth beside each other in new tasks: figures with intervals, from what they did there.

Arrays in, numbers out: nothing here runs an agent. All agents meet the same tasks, so resamples have the same
tasks for all of them, and apart from that spread each agent's training seeds (`adaptax.evaluation.statistics`). With
one seed, an interval is about this one trained agent.

Three questions:

- How soon does an agent reach a normalized score, from 0 for acting at random to 1 for a reference
  (`TimeToThreshold`)? It is there in the first episode n from which on the mean over the next max(1, n/10) episodes is
  not below.
- What does it keep of that in other families of tasks (`gap`)?
- What does finding out cost (`regret`), and who is better after the same experience (`improvement`)?
"""

import dataclasses
import math
from typing import Any

import numpy as np

from adaptax.evaluation.adaptation_curve import AdaptationCurve, evenly
from adaptax.evaluation.statistics import Figure, Interval, Resamples, iqm, percentile_interval, summarize

THRESHOLDS = (0.5, 0.8, 0.9, 0.95)
"""Normalized scores that are asked about."""
RESAMPLES = 1000
ENTRIES_AT_ONCE = 2**24
"""Resampled numbers that are held in memory at a time (128 MB)."""


def resample(num_seeds: int, num_tasks: int, *, agent: int = 0, family: int = 0) -> Resamples:
    """Draw seeds and tasks with replacement, independently of each other.

    Args:
        num_seeds: Training seeds of the agent.
        num_tasks: Tasks.
        agent: Decides the draws of seeds: the same agent has the same ones in all families.
        family: Decides the draws of tasks: all agents have the same ones in a family.
    """
    of_seeds, of_tasks = np.random.default_rng((0, agent)), np.random.default_rng((1, family))
    return Resamples.draw(num_seeds, num_tasks, RESAMPLES, of_seeds, of_tasks)


def interval_of(resampled: np.ndarray) -> Interval:
    """The middle 95 % of resamples; they may be infinite, but an undefined one leaves none defined."""
    return percentile_interval(resampled, method="inverted_cdf")


@dataclasses.dataclass(frozen=True)
class Reference:
    """What returns are measured by, in each task.

    Attributes:
        floor: Mean return of an episode of random actions, `[task]`.
        target: Return of an episode that has the normalized score 1, `[task]`.
        label: What the target is.
    """

    floor: np.ndarray
    target: np.ndarray
    label: str

    def normalized(self, returns: np.ndarray, resamples: Resamples | None = None) -> np.ndarray:
        """Normalized scores of mean returns `[point]`, or `[point, resample]`; NaN where target ≤ floor.

        (return − floor) / (target − floor), each a mean over the same tasks.
        """
        ends = (float(x.mean()) if resamples is None else x @ resamples.task_weights for x in (self.floor, self.target))
        floor, target = ends
        span = np.asarray(target - floor)
        return (returns - floor) / np.where(span > 0, span, np.nan)


@dataclasses.dataclass(frozen=True)
class NormalizedScores:
    """Normalized score of the mean over tasks at each point of a curve, averaged over max(1, n/10) episodes.

    Attributes:
        value: The score, `[point]`.
        low: Lower end of its 95 % interval, `[point]`.
        high: Upper end, `[point]`.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def normalized_scores(curve: AdaptationCurve, reference: Reference, resamples: Resamples) -> NormalizedScores:
    """Normalized scores with their intervals: floor and target are drawn with the same tasks."""
    values = curve.windowed(curve.returns, -1)
    size, found = max(1, ENTRIES_AT_ONCE // resamples.tasks.shape[1]), []
    for begin in range(0, values.shape[-1], size):
        resampled = reference.normalized(resamples.means(values[..., begin : begin + size]), resamples)
        found += [interval_of(x) for x in resampled]
    low, high = np.array(found).T
    return NormalizedScores(reference.normalized(values.mean((0, 1))), low, high)


def first_at(curve: AdaptationCurve, scores: np.ndarray, threshold: float) -> int:
    """Index of the first point that reaches `threshold`; the number of points if none does."""
    above = np.flatnonzero((scores >= threshold) & curve.complete)
    return int(above[0]) if len(above) else len(scores)


@dataclasses.dataclass(frozen=True)
class TimeToThreshold:
    """When an agent reached a normalized score; infinite where it never did.

    Its interval begins where the upper end of the score's interval reaches it, and ends where the lower end does. (The
    times of resampled curves would be too early: they are noisier, and the first of many chances counts.)

    Attributes:
        episode: In which episode, counted from 1.
        steps: After how many environment steps, those of this episode among them.
        since: The last episode before it that was measured: where it is not the one before, it may have been sooner.
        within: Episodes of the trial.
    """

    episode: Figure
    steps: Figure
    since: int
    within: int

    def to_json(self) -> dict[str, Any]:
        """By name; "never" is None."""
        figures = {"episode": self.episode.to_json(), "steps": self.steps.to_json()}
        return {**figures, "since": self.since, "within": self.within}


def times_to_thresholds(curve: AdaptationCurve, scores: NormalizedScores) -> dict[float, TimeToThreshold]:
    """When the mean over tasks reaches each of the thresholds."""
    found = {}
    for threshold in THRESHOLDS:
        index, early, late = (first_at(curve, x, threshold) for x in (scores.value, scores.high, scores.low))
        episode, steps = (
            Figure(float(x[index]), (float(x[early]), float(x[late])))
            for x in (np.append(y.astype(np.float64), np.inf) for y in (curve.episodes, curve.steps))
        )
        since = int(curve.episodes[index - 1]) if index else 0
        found[threshold] = TimeToThreshold(episode, steps, since, curve.trial)
    return found


def relative_cost(time: TimeToThreshold, fastest: TimeToThreshold) -> Figure:
    """How many times as many episodes an agent needs as another; infinite if it alone never gets there.

    The interval is from the ends of both, so it is rather too wide than too narrow.
    """
    (low, high), (best_low, best_high) = time.episode.interval, fastest.episode.interval
    value, other = time.episode.value, fastest.episode.value
    if time is fastest:
        return Figure(1.0, (1.0, 1.0))
    if not math.isfinite(other):
        return Figure(math.nan, (math.nan, math.nan))
    lowest = low / best_high if math.isfinite(low) and math.isfinite(best_high) else math.nan
    return Figure(value / other, (lowest, high / best_low))


def spread_of(values: np.ndarray, resamples: Resamples) -> list[dict[str, Any]]:
    """Mean with its interval of each point of `values[seed, task, point]`."""
    means, resampled = values.mean((0, 1), dtype=np.float64), resamples.means(values)
    return [Figure(float(m), interval_of(r)).to_json() for m, r in zip(means, resampled, strict=True)]


def performance(curve: AdaptationCurve, scores: NormalizedScores, resamples: Resamples) -> dict[str, Any]:
    """The curve as it is shown: averages over max(1, n/10) episodes, as returns and as normalized scores."""
    complete = np.flatnonzero(curve.complete)
    points = complete[evenly(len(complete))]
    shown = curve.windowed(curve.returns, -1)[..., points]
    asked, last = curve.recent(curve.trial)
    return {
        "episodes": curve.episodes[points].tolist(),
        "steps": curve.steps[points].tolist(),
        "return": spread_of(shown, resamples),
        "iqm": [iqm(shown[..., point]) for point in range(len(points))],
        "normalized_score": [Figure(scores.value[i], (scores.low[i], scores.high[i])).to_json() for i in points],
        "first": {"episode": int(curve.episodes[0]), **summarize(curve.returns[..., 0]).to_json()},
        "last": {"episode": asked, **summarize(last).to_json()},
    }


def regret(returns: np.ndarray, target: np.ndarray, resamples: Resamples, common: int) -> dict[str, Any]:
    """What was missed up to and with an episode of the trial itself.

    Args:
        returns: Of each episode, `[seed, task, episode]`.
        target: What there was to have in an episode, `[task]`.
        resamples: Resamples of seeds and tasks.
        common: The last episode that all agents' trials have: regret up to there can be compared.
    """
    missed = np.cumsum(target[None, :, None] - returns.astype(np.float64), -1)
    points = evenly(returns.shape[-1])
    shared = spread_of(missed[..., [common - 1]], resamples)[0]
    curve = {"episodes": (points + 1).tolist(), "regret": spread_of(missed[..., points], resamples)}
    return {**curve, "common": {"episode": common, **shared}}


@dataclasses.dataclass(frozen=True)
class FamilyResult:
    """One agent in one family of tasks.

    Attributes:
        before: Return of an episode before it has learned anything there, `[seed, task]`.
        after: Mean return of the last max(1, n/10) episodes, `[seed, task]`.
        reference: The family's own floor and target; None where there is no target.
        floor: The family's floor, `[task]`.
    """

    before: np.ndarray
    after: np.ndarray
    reference: Reference | None
    floor: np.ndarray

    def figures(self, resamples: Resamples) -> dict[str, Any]:
        """Returns and, where there is a target, normalized scores, before and after."""
        pair = np.stack([self.before, self.after], -1)
        means, resampled = pair.mean((0, 1), dtype=np.float64), resamples.means(pair)
        content: dict[str, Any] = dict(zip(("before", "after"), spread_of(pair, resamples), strict=True))
        content["random"] = {"value": float(self.floor.mean())}
        content["target"] = None if self.reference is None else {"value": float(self.reference.target.mean())}
        if self.reference is not None:
            scores = zip(self.reference.normalized(means), self.reference.normalized(resampled, resamples), strict=True)
            for name, (score, spread) in zip(("before", "after"), scores, strict=True):
                content[f"normalized_score_{name}"] = Figure(float(score), interval_of(spread)).to_json()
        return content


def gap(near: FamilyResult, far: FamilyResult, near_resamples: Resamples, far_resamples: Resamples) -> dict[str, Any]:
    """What an agent has after adaptation in `far` less what it has in `near`: seeds are paired, tasks are not.

    In normalized scores, by each family's own floor and target, where both have one; else in return.
    """
    relative = near.reference is not None and far.reference is not None
    ends = []
    for result, resamples in ((near, near_resamples), (far, far_resamples)):
        mean, resampled = result.after.mean(dtype=np.float64), resamples.means(result.after[..., None])[0]
        if relative:
            assert result.reference is not None
            mean = result.reference.normalized(np.asarray(mean))
            resampled = result.reference.normalized(resampled, resamples)
        ends.append((float(mean), resampled))
    (near_mean, near_all), (far_mean, far_all) = ends
    unit = "normalized score" if relative else "return"
    return {**Figure(far_mean - near_mean, interval_of(far_all - near_all)).to_json(), "unit": unit}


def improvement(
    x: AdaptationCurve, y: AdaptationCurve, x_resamples: Resamples, y_resamples: Resamples
) -> dict[str, Any]:
    """How probable it is that x beats y in a task after the same experience: P(x > y) + ½ P(x = y).

    The probability of improvement of Agarwal et al. 2021, section 4.3, over all pairs of seeds.

    Both are taken in the last episode of the shorter trial, or the last one before it that was measured. One episode
    each: an average of several is less noisy, and where returns are skewed it would win or lose by that alone.
    """
    episode = min(x.trial, y.trial)
    points = [int(np.searchsorted(curve.episodes, episode, "right")) - 1 for curve in (x, y)]
    mine, others = (curve.returns[..., point] for curve, point in zip((x, y), points, strict=True))
    wins = np.array([[(a > b) + 0.5 * (a == b) for b in others] for a in mine])  # [seed, other seed, task]
    weight = x_resamples.seed_weights[:, None] * y_resamples.seed_weights[None]
    resampled = np.clip(
        np.sum((wins @ x_resamples.task_weights) * weight, (0, 1)), 0.0, 1.0
    )  # weights add to 1 up to rounding
    figure = Figure(float(wins.mean()), interval_of(resampled)).to_json()
    measured = [int(curve.episodes[point]) for curve, point in zip((x, y), points, strict=True)]
    return {"episode": episode, "measured": measured, **figure}
