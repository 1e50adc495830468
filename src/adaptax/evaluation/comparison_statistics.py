"""What agents are worth beside each other in new tasks: figures with intervals, from what they did there.

Arrays in, numbers out: nothing here runs an agent. All agents meet the same tasks, so the bootstrap draws the same
tasks for all of them, and apart from that each agent's training seeds (`adaptax.evaluation.statistics`). With one seed,
an interval is about this one trained agent.

Three questions:

- How soon does an agent reach a share of the way from acting at random to a reference (`crossing`)? It is there in the
  first episode n from which on the mean over the next max(1, n/10) episodes is not below.
- What does it keep of that in other families of tasks (`gap`)?
- What does finding out cost (`regret`), and who is better after the same experience (`improvement`)?
"""

import dataclasses
import math
from typing import Any

import numpy as np

from adaptax.evaluation.statistics import Interval, iqm, resampled_counts, summarize

THRESHOLDS = (0.5, 0.8, 0.9, 0.95)
"""Shares of the way from random to the reference."""
RESAMPLES = 1000
CONFIDENCE = 0.95
MOST_POINTS = 60
"""A curve is shown at so many episodes at most, evenly spaced on a logarithmic axis."""
ENTRIES_AT_ONCE = 2**24
"""Resampled numbers that are held in memory at a time (128 MB)."""


def plain(value: float) -> float | None:
    """A number that strict JSON can hold: None if it is not finite."""
    return float(value) if math.isfinite(value) else None


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number and how sure it is.

    Attributes:
        value: The number; NaN if it is not defined.
        interval: Its 95 % bootstrap interval.
    """

    value: float
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        """By name; what is not finite is None."""
        return {"value": plain(self.value), "interval": [plain(end) for end in self.interval]}


@dataclasses.dataclass(frozen=True)
class Draws:
    """Resamples of a crossed design, as weights that add to one in each.

    Attributes:
        seeds: Weight of each training seed, `[seed, resample]`.
        tasks: Weight of each task, `[task, resample]`.
    """

    seeds: np.ndarray
    tasks: np.ndarray

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of `values[seed, task, point]` in each resample, `[point, resample]`."""
        return sum((x.T @ self.tasks) * weight for x, weight in zip(values, self.seeds, strict=True))


def draw(num_seeds: int, num_tasks: int, *, agent: int = 0, family: int = 0, resamples: int = RESAMPLES) -> Draws:
    """Draw seeds and tasks with replacement, independently of each other.

    Args:
        num_seeds: Training seeds of the agent.
        num_tasks: Tasks.
        agent: Decides the draws of seeds: the same agent has the same ones in all families.
        family: Decides the draws of tasks: all agents have the same ones in a family.
        resamples: How many resamples.
    """
    sizes = ((num_seeds, (0, agent)), (num_tasks, (1, family)))
    counts = [resampled_counts(size, resamples, np.random.default_rng(seed)) for size, seed in sizes]
    return Draws(counts[0] / num_seeds, counts[1] / num_tasks)


def interval_of(resampled: np.ndarray) -> Interval:
    """The middle 95 % of resamples; they may be infinite, but an undefined one leaves none defined."""
    if np.isnan(resampled).any():
        return math.nan, math.nan
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class Reference:
    """What returns are measured by, in each task.

    Attributes:
        floor: Mean return of an episode of random actions, `[task]`.
        target: Return of an episode at the end of the way, `[task]`.
        label: What the target is.
    """

    floor: np.ndarray
    target: np.ndarray
    label: str

    def share(self, returns: np.ndarray, draws: Draws | None = None) -> np.ndarray:
        """How far mean returns `[point]`, or `[point, resample]`, are on the way; NaN if there is no way."""
        floor, target = (float(x.mean()) if draws is None else x @ draws.tasks for x in (self.floor, self.target))
        way = np.asarray(target - floor)
        return (returns - floor) / np.where(way > 0, way, np.nan)


@dataclasses.dataclass(frozen=True)
class Curve:
    """What an agent is able to do in some of the episodes of its trial.

    Attributes:
        episodes: Which episodes, counted from 1, `[point]`: before episode n the agent has lived n − 1 of them.
        returns: Their returns, `[seed, task, point]`.
        steps: Mean environment steps that the agent lived up to and with each of them, `[point]`.
        trial: Episodes of its trial.
        probed: Whether returns are of further episodes by the best action known then, and not of the trial itself.
    """

    episodes: np.ndarray
    returns: np.ndarray
    steps: np.ndarray
    trial: int
    probed: bool

    @property
    def ends(self) -> np.ndarray:
        """For each point, the first one after the max(1, n/10) episodes that begin with it, `[point]`."""
        return np.searchsorted(self.episodes, self.episodes + ahead(self.episodes))

    @property
    def complete(self) -> np.ndarray:
        """Whether these episodes lie within the trial, `[point]`. Probes stand for those that nobody asked about."""
        return (self.episodes + ahead(self.episodes) - 1 <= self.trial) | self.probed

    def recent(self, episode: int) -> tuple[int, np.ndarray]:
        """Number of the last episode measured up to `episode`, and mean return `[seed, task]` of its max(1, n/10) last.

        Of those, only the ones that were measured count, but one at least.
        """
        end = int(np.searchsorted(self.episodes, episode, "right"))
        begin = int(np.searchsorted(self.episodes, episode - int(ahead(np.asarray(episode))), "right"))
        asked = slice(min(begin, end - 1), end)
        return int(self.episodes[end - 1]), self.returns[..., asked].mean(-1)

    def windowed(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
        """Mean of `values`, one for each point along an axis, over the episodes that begin with it."""
        values = np.moveaxis(np.asarray(values, np.float64), axis, 0)
        total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, 0)])
        ends, begins = self.ends, np.arange(len(self.episodes))
        count = (ends - begins).reshape(-1, *(1,) * (values.ndim - 1))
        return np.moveaxis((total[ends] - total[:-1]) / count, 0, axis)


def ahead(episodes: np.ndarray) -> np.ndarray:
    """Over how many episodes an average is taken from episode n on: max(1, n/10)."""
    return np.maximum(1, episodes // 10)


def curve_of(evaluation: Any) -> Curve:
    """The curve of an `Evaluation`: by the best action known where that was asked, else as lived."""
    trial = evaluation.returns.shape[-1]
    lived = np.cumsum(evaluation.steps.mean((0, 1), dtype=np.float64))
    if evaluation.shots is None:
        return Curve(np.arange(1, trial + 1), evaluation.returns.astype(np.float64), lived, trial, False)
    probes = evaluation.shots.shape[-1]
    episodes = 1 + np.arange(probes) * (trial // probes)
    return Curve(episodes, evaluation.shots.astype(np.float64), lived[episodes - 1], trial, True)


def merged(long: Curve, short: Curve) -> Curve:
    """A curve, with the points of a shorter trial of the same learner in the same tasks between its own."""
    new = ~np.isin(short.episodes, long.episodes)
    episodes = np.concatenate([long.episodes, short.episodes[new]])
    order = np.argsort(episodes)
    returns = np.concatenate([long.returns, short.returns[..., new]], -1)[..., order]
    steps = np.concatenate([long.steps, short.steps[new]])[order]
    return Curve(episodes[order], returns, steps, long.trial, long.probed)


def evenly(count: int) -> np.ndarray:
    """Indices of at most `MOST_POINTS` of `count` entries, first and last among them, evenly on a logarithmic axis."""
    return np.unique(np.round(np.geomspace(1, count, MOST_POINTS)).astype(int)) - 1


@dataclasses.dataclass(frozen=True)
class Way:
    """How far the mean over tasks is on the way at each point of a curve, averaged over max(1, n/10) episodes.

    Attributes:
        share: The share, `[point]`.
        low: Lower end of its 95 % interval, `[point]`.
        high: Upper end, `[point]`.
    """

    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def way_of(curve: Curve, reference: Reference, draws: Draws) -> Way:
    """Shares of the way with their intervals: floor and target are drawn with the same tasks."""
    values = curve.windowed(curve.returns, -1)
    size, found = max(1, ENTRIES_AT_ONCE // draws.tasks.shape[1]), []
    for begin in range(0, values.shape[-1], size):
        resampled = reference.share(draws.means(values[..., begin : begin + size]), draws)
        found += [interval_of(x) for x in resampled]
    low, high = np.array(found).T
    return Way(reference.share(values.mean((0, 1))), low, high)


def first_at(curve: Curve, shares: np.ndarray, threshold: float) -> int:
    """Index of the first point that reaches `threshold`; the number of points if none does."""
    above = np.flatnonzero((shares >= threshold) & curve.complete)
    return int(above[0]) if len(above) else len(shares)


@dataclasses.dataclass(frozen=True)
class Crossing:
    """When an agent reached a share of the way; infinite where it never did.

    Its interval begins where the upper end of the share's interval reaches it, and ends where the lower end does. (The
    first crossings of resampled curves would be too early: they are noisier, and the first of many chances counts.)

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


def crossings(curve: Curve, way: Way) -> dict[float, Crossing]:
    """When the mean over tasks reaches each of the thresholds."""
    found = {}
    for threshold in THRESHOLDS:
        index, early, late = (first_at(curve, shares, threshold) for shares in (way.share, way.high, way.low))
        episode, steps = (
            Figure(float(x[index]), (float(x[early]), float(x[late])))
            for x in (np.append(y.astype(np.float64), np.inf) for y in (curve.episodes, curve.steps))
        )
        since = int(curve.episodes[index - 1]) if index else 0
        found[threshold] = Crossing(episode, steps, since, curve.trial)
    return found


def times(crossing: Crossing, fastest: Crossing) -> Figure:
    """How many times as many episodes an agent needs as another; infinite if it alone never gets there.

    The interval is from the ends of both, so it is rather too wide than too narrow.
    """
    (low, high), (best_low, best_high) = crossing.episode.interval, fastest.episode.interval
    value, other = crossing.episode.value, fastest.episode.value
    if crossing is fastest:
        return Figure(1.0, (1.0, 1.0))
    if not math.isfinite(other):
        return Figure(math.nan, (math.nan, math.nan))
    lowest = low / best_high if math.isfinite(low) and math.isfinite(best_high) else math.nan
    return Figure(value / other, (lowest, high / best_low))


def spread_of(values: np.ndarray, draws: Draws) -> list[dict[str, Any]]:
    """Mean with its interval of each point of `values[seed, task, point]`."""
    means, resampled = values.mean((0, 1), dtype=np.float64), draws.means(values)
    return [Figure(float(m), interval_of(r)).to_json() for m, r in zip(means, resampled, strict=True)]


def performance(curve: Curve, way: Way, draws: Draws) -> dict[str, Any]:
    """The curve as it is shown: averages over max(1, n/10) episodes, as returns and as shares of the way."""
    complete = np.flatnonzero(curve.complete)
    points = complete[evenly(len(complete))]
    shown = curve.windowed(curve.returns, -1)[..., points]
    asked, last = curve.recent(curve.trial)
    return {
        "episodes": curve.episodes[points].tolist(),
        "steps": curve.steps[points].tolist(),
        "return": spread_of(shown, draws),
        "iqm": [iqm(shown[..., point]) for point in range(len(points))],
        "share": [Figure(way.share[i], (way.low[i], way.high[i])).to_json() for i in points],
        "first": {"episode": int(curve.episodes[0]), **summarize(curve.returns[..., 0]).to_json()},
        "last": {"episode": asked, **summarize(last).to_json()},
    }


def regret(returns: np.ndarray, target: np.ndarray, draws: Draws, common: int) -> dict[str, Any]:
    """What was missed up to and with an episode, as lived.

    Args:
        returns: Of each episode, `[seed, task, episode]`.
        target: What there was to have in an episode, `[task]`.
        draws: Resamples.
        common: The last episode that all agents have lived: regret up to there can be compared.
    """
    missed = np.cumsum(target[None, :, None] - returns.astype(np.float64), -1)
    points = evenly(returns.shape[-1])
    shared = spread_of(missed[..., [common - 1]], draws)[0]
    curve = {"episodes": (points + 1).tolist(), "regret": spread_of(missed[..., points], draws)}
    return {**curve, "common": {"episode": common, **shared}}


@dataclasses.dataclass(frozen=True)
class Place:
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

    def figures(self, draws: Draws) -> dict[str, Any]:
        """Returns and, where there is a target, shares of the way, before and after."""
        pair = np.stack([self.before, self.after], -1)
        means, resampled = pair.mean((0, 1), dtype=np.float64), draws.means(pair)
        content: dict[str, Any] = dict(zip(("before", "after"), spread_of(pair, draws), strict=True))
        content["random"] = {"value": float(self.floor.mean())}
        content["target"] = None if self.reference is None else {"value": float(self.reference.target.mean())}
        if self.reference is not None:
            shares = zip(self.reference.share(means), self.reference.share(resampled, draws), strict=True)
            for name, (share, spread) in zip(("share_before", "share_after"), shares, strict=True):
                content[name] = Figure(float(share), interval_of(spread)).to_json()
        return content


def gap(near: Place, far: Place, near_draws: Draws, far_draws: Draws) -> dict[str, Any]:
    """What an agent has after adaptation in `far` less what it has in `near`: seeds are paired, tasks are not.

    In shares of the way from each family's own floor to its own target, where both have one; else in return.
    """
    relative = near.reference is not None and far.reference is not None
    ends = []
    for place, draws in ((near, near_draws), (far, far_draws)):
        mean, resampled = place.after.mean(dtype=np.float64), draws.means(place.after[..., None])[0]
        if relative:
            assert place.reference is not None
            mean = place.reference.share(np.asarray(mean))
            resampled = place.reference.share(resampled, draws)
        ends.append((float(mean), resampled))
    (near_mean, near_all), (far_mean, far_all) = ends
    unit = "share of the way" if relative else "return"
    return {**Figure(far_mean - near_mean, interval_of(far_all - near_all)).to_json(), "unit": unit}


def improvement(x: Curve, y: Curve, x_draws: Draws, y_draws: Draws) -> dict[str, Any]:
    """How probable it is that x beats y in a task after the same experience: P(x > y) + ½ P(x = y).

    Both are taken in the last episode of the shorter trial, or the last one before it that was measured. One episode
    each: an average of several is less noisy, and where returns are skewed it would win or lose by that alone.
    """
    episode = min(x.trial, y.trial)
    points = [int(np.searchsorted(curve.episodes, episode, "right")) - 1 for curve in (x, y)]
    mine, others = (curve.returns[..., point] for curve, point in zip((x, y), points, strict=True))
    wins = np.array([[(a > b) + 0.5 * (a == b) for b in others] for a in mine])  # [seed, other seed, task]
    weight = x_draws.seeds[:, None] * y_draws.seeds[None]
    resampled = np.clip(np.sum((wins @ x_draws.tasks) * weight, (0, 1)), 0.0, 1.0)  # weights add to 1 up to rounding
    figure = Figure(float(wins.mean()), interval_of(resampled)).to_json()
    measured = [int(curve.episodes[point]) for curve, point in zip((x, y), points, strict=True)]
    return {"episode": episode, "measured": measured, **figure}
