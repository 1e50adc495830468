"""What a mean over tasks and seeds is worth: standard errors, interquartile means, intervals.

`scores[seed, task]` is the total return of a trial. All seeds are evaluated on the same tasks, so the design
is crossed: a score is

    x_st = μ + a_s + b_t + e_st,

with the luck of the seed (one trained θ), of the task, and of the single trial. More tasks do not average a_s
away, nor more seeds b_t. With one seed, everything here is about that one agent: it says nothing of the next.

Tasks are many and are drawn again by the bootstrap. Seeds are few: of three drawn with replacement, the middle 95 % of
means cover the true one in 73 % of cases. So the mean over seeds is spread as Student's t has it (`student_weights`).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from adaptax.core.errors import UseError

Interval: TypeAlias = tuple[float, float]

CONFIDENCE = 0.95
NORMAL_95 = 1.96
"""So many standard errors to each side are 95 % of a normal distribution: for means over tasks alone, of which there
are many."""
ENTRIES_AT_ONCE = 2**20
"""Resampled scores that the bootstrap holds in memory at a time (8 MB)."""


def checked(scores: np.ndarray) -> np.ndarray:
    """Return `scores` as float64 `[seed, task]`.

    Raises:
        UseError: They do not have two axes, are empty, or hold a number that is not finite.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise UseError(f"scores: expected a non-empty array [seed, task], found shape {scores.shape}")
    broken = np.argwhere(~np.isfinite(scores))
    if len(broken):
        seed, task = broken[0]
        raise UseError(
            f"scores: expected finite numbers, found {scores[seed, task]} at seed {seed}, task {task} "
            f"({len(broken)} of {scores.size} are not finite)"
        )
    return scores


def student_95(degrees: int) -> float:
    """So many standard errors to each side are 95 % where the error is estimated with so many degrees of freedom.

    By Student's t; NaN if there is less than one.
    """
    from scipy.special import stdtrit  # here, since importing it takes .4 s

    return float(stdtrit(degrees, (1 + CONFIDENCE) / 2)) if degrees >= 1 else math.nan


def beta_quantile(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Below which values `share` of the distributions Beta(a, b) lies."""
    from scipy.special import betaincinv  # here, since importing it takes .4 s

    return np.asarray(betaincinv(a, b, share))


def resampled_counts(size: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of `size` things is drawn in `size` draws with replacement, `[size, resample]`."""
    draws = rng.integers(size, size=(size, resamples)) * resamples + np.arange(resamples)
    return np.bincount(draws.ravel(), minlength=size * resamples).reshape(size, resamples).astype(np.float64)


def student_weights(size: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of `size` numbers, adding to 1, by which their mean is spread as Student's t, `[size, resample]`.

    Of numbers x with mean m and standard deviation s, Σ w x is distributed as m + t s/√size with size − 1 degrees of
    freedom: a direction that sums to 0, normal in every part, over the root of χ² (Student's own construction). So the
    middle 95 % of resamples are the interval of Student's t, and cover what they claim however few numbers there are.
    Resamples come in pairs that lie opposite each other. A single number has weight 1.
    """
    from scipy.special import gammaincinv  # here, since importing it takes .4 s

    if size == 1:
        return np.ones((1, resamples))
    half = -(-resamples // 2)
    direction = rng.standard_normal((size, half))
    direction -= direction.mean(0)
    chances = (rng.permutation(half) + rng.random(half)) / half  # one in each of `half` equally probable parts
    squares = 2 * gammaincinv((size - 1) / 2, chances)  # χ² of size − 1 degrees of freedom
    steps = direction / np.sqrt(size * squares)
    return 1 / size + np.concatenate([steps, -steps], 1)[:, :resamples]


@dataclasses.dataclass(frozen=True)
class Resamples:
    """Resamples of a crossed design: tasks are drawn with replacement, and apart from that seeds are weighted.

    Weighting the rows and drawing the columns keeps what the scores of one seed, and those of one task, have in common
    (Owen 2007, "The pigeonhole bootstrap", who draws both).

    Attributes:
        seed_weights: Weight of each training seed, adding to 1 in each resample, `[seed, resample]`. They may be
            negative.
        tasks: How often each task was drawn, `[task, resample]`.
    """

    seed_weights: np.ndarray
    tasks: np.ndarray

    @classmethod
    def draw(
        cls,
        num_seeds: int,
        num_tasks: int,
        resamples: int,
        of_seeds: np.random.Generator,
        of_tasks: np.random.Generator,
    ) -> "Resamples":
        """Weigh seeds, then draw tasks: agents with generators of tasks that are alike have the same tasks drawn."""
        seed_weights = student_weights(num_seeds, resamples, of_seeds)
        return cls(seed_weights, resampled_counts(num_tasks, resamples, of_tasks))

    @functools.cached_property
    def task_weights(self) -> np.ndarray:
        """Weight of each task, adding to 1 in each resample, `[task, resample]`."""
        return self.tasks / len(self.tasks)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of `values[seed, task, point]` in each resample, `[point, resample]`."""
        pairs = zip(values, self.seed_weights, strict=True)
        return np.asarray(sum((x.T @ self.task_weights) * weight for x, weight in pairs))

    def over_seeds(self, values: np.ndarray) -> np.ndarray:
        """Weighted mean of `values[seed, resample]`, or of `values[seed, 1]`; exact where all seeds are equal."""
        return np.asarray(values[0] + (self.seed_weights * (values - values[0])).sum(0))


Statistic: TypeAlias = Callable[[np.ndarray, Resamples | None], Any]
"""A number about `scores[seed, task]`; given resamples, one for each of them."""


def percentile_interval(
    resampled: np.ndarray, confidence: float = CONFIDENCE, *, method: Literal["linear", "inverted_cdf"] = "linear"
) -> Interval:
    """The middle of a figure's resamples `[resample]`; if one is not defined (NaN), or there is none, the ends are NaN.

    Args:
        resampled: The figure in each resample.
        confidence: How much of them lies between the ends.
        method: "inverted_cdf": the ends are resamples themselves, which may be infinite then; else between two.
    """
    if not resampled.size or np.isnan(resampled).any():
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail], method=method)
    return float(low), float(high)


def mean(scores: np.ndarray, resamples: Resamples | None = None) -> Any:
    """Mean over seeds and tasks, of the scores or of each resample of them."""
    scores = checked(scores)
    if resamples is None:
        return float(scores.mean())
    by_task = resamples.tasks  # counts: whole numbers leave equal scores exactly equal
    return resamples.over_seeds(scores @ by_task / by_task.sum(0))


def iqm(scores: np.ndarray, resamples: Resamples | None = None) -> Any:
    """Interquartile mean: the mean of the middle half of all scores (Agarwal et al. 2021, section 4.3).

    It is the average of the quantile function between ¼ and ¾. Where a quarter of the scores is not a whole
    number of them, those at the edges count by the fraction that lies inside. In resamples it moves with the weights of
    seeds as its derivative says: by twice the mean of their scores, cut off at both quartiles.

    Args:
        scores: `[seed, task]`.
        resamples: The resamples of them to take it of; None: the scores themselves.
    """
    scores = checked(scores)
    order = np.argsort(scores, axis=None)
    values = scores.ravel()[order]
    if resamples is None:
        up_to = np.arange(1.0, values.size + 1)
    else:
        up_to = np.cumsum(resamples.tasks[np.unravel_index(order, scores.shape)[1]], 0)
    low, high = 0.25 * up_to[-1], 0.75 * up_to[-1]
    # The integral of the quantile function from low to high by parts, outwards from the middle score: what
    # lies outside is multiplied by an exact 0, however far out it is.
    middle = values.size // 2
    np.clip(up_to, low, high, out=up_to)
    up_to[:middle] -= low
    up_to[middle:] -= high
    result = values[middle] - np.diff(values) @ up_to[:-1] / (high - low)
    if resamples is None:
        return float(result)
    least, most = np.quantile(scores, [0.25, 0.75])
    outside = int(((scores < least).all(1) | (scores > most).all(1)).sum())
    degrees = len(scores) - 1
    wider = student_95(degrees - outside) / student_95(degrees) if outside else 1.0
    cut = np.clip(scores, least, most).mean(1, keepdims=True)
    return result + 2 * wider * (resamples.over_seeds(cut) - cut.mean())


def stderr(scores: np.ndarray) -> float:
    """Standard error of `mean` that counts the tasks' variation and the seeds'.

    With S seeds and T tasks, Var(mean) = σ_a²/S + σ_b²/T + σ_e²/(S T). The variance of the seeds' means over
    S estimates the first and last term, that of the tasks' means over T the second and last; the residuals of
    the two-way table estimate the last alone, which was counted twice. Never less than either part by itself.

    With one seed it is the error of that agent's mean over tasks; with one task, of that task's mean over
    seeds; with one of each it is NaN: nothing shows what they vary by.
    """
    scores = checked(scores)
    of_seeds, of_tasks, twice = _parts(scores)
    return math.nan if scores.size == 1 else math.sqrt(max(of_seeds, of_tasks, of_seeds + of_tasks - twice))


def _parts(scores: np.ndarray) -> tuple[float, float, float]:
    """What seeds, and tasks, add to the variance of the mean, and what of that is counted twice."""
    num_seeds, num_tasks = scores.shape
    per_seed, per_task = scores.mean(1), scores.mean(0)
    of_seeds = per_seed.var(ddof=1) / num_seeds if num_seeds > 1 else 0.0
    of_tasks = per_task.var(ddof=1) / num_tasks if num_tasks > 1 else 0.0
    twice = 0.0
    if num_seeds > 1 and num_tasks > 1:
        residuals = scores - per_seed[:, None] - per_task[None] + scores.mean()
        twice = (residuals**2).sum() / ((num_seeds - 1) * (num_tasks - 1)) / scores.size
    return float(of_seeds), float(of_tasks), float(twice)


def margin_95(scores: np.ndarray) -> float:
    """So far to each side of the mean of `scores[seed, task]` reaches its 95 % interval; NaN for a single score.

    By Student's t for what the mean varies by the seed, with as many degrees of freedom as there are seeds less one,
    and for the rest, with as many as there are tasks less one; the two margins are at right angles. (Where both matter
    it covers more than it claims. Satterthwaite's one t for both covers 90 % with two seeds.)
    """
    scores = checked(scores)
    return margin_of(stderr(scores), _parts(scores)[0], *scores.shape)


def margin_of(error: float, of_seeds: float, num_seeds: int, num_tasks: int) -> float:
    """The same from a standard error, and what of its square seeds add."""
    rest = error**2 - of_seeds
    squares = [
        student_95(number - 1) ** 2 * part for part, number in ((of_seeds, num_seeds), (rest, num_tasks)) if part > 0
    ]
    return math.nan if math.isnan(error) else math.sqrt(sum(squares))


def bootstrap_intervals(
    scores: np.ndarray,
    statistics: tuple[Statistic, ...],
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Interval]:
    """Interval of each of `statistics`, from the same resamples; see `bootstrap_interval`."""
    scores = checked(scores)
    if not 0 < confidence < 1:
        raise UseError(f"confidence: expected a number between 0 and 1, found {confidence}")
    if resamples < 1:
        raise UseError(f"resamples: expected an integer ≥ 1, found {resamples}")
    (num_seeds, num_tasks), rng = scores.shape, np.random.default_rng(seed)
    chunk = max(1, ENTRIES_AT_ONCE // scores.size)
    found = []
    for begin in range(0, resamples, chunk):
        size = min(chunk, resamples - begin)
        drawn = Resamples.draw(num_seeds, num_tasks, size, rng, rng)
        found.append([statistic(scores, drawn) for statistic in statistics])
    return [percentile_interval(resampled, confidence) for resampled in np.concatenate(found, 1)]


def bootstrap_interval(
    scores: np.ndarray,
    statistic: Statistic = mean,
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of `statistic`; its ends are percentiles of the resamples (`Resamples`).

    It covers what it claims with any number of seeds but one, which says nothing of others
    (tests/evaluation/test_statistics.py); with two it is so wide that it says little.

    Args:
        scores: Total return of each trial, `[seed, task]`.
        statistic: `mean`, `iqm`, or any other `Statistic`.
        confidence: Nominal coverage.
        resamples: How many resamples.
        seed: Decides them. The same seed draws the same tasks for every agent compared.

    Raises:
        UseError: An argument is out of range, or a score is not finite.
    """
    return bootstrap_intervals(scores, (statistic,), confidence, resamples, seed)[0]


def plain(x: Any) -> Any:
    """Numbers, or nested lists of an array's, as strict JSON can hold them: None where they are not finite."""
    if np.ndim(x):
        return [plain(y) for y in x]
    return float(x) if math.isfinite(x) else None


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number and how sure it is.

    Attributes:
        value: The number; NaN if it is not defined.
        interval: Its 95 % interval.
    """

    value: float
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        """By name; what is not finite is None."""
        return {"value": plain(self.value), "interval": plain(self.interval)}


@dataclasses.dataclass(frozen=True)
class Summary:
    """Total return of a trial over tasks and seeds.

    Attributes:
        mean: Mean.
        stderr: Its standard error, over tasks and seeds; NaN for a single trial.
        iqm: Interquartile mean.
        interval: 95 % interval of the mean.
        iqm_interval: 95 % interval of the interquartile mean.
    """

    mean: float
    stderr: float
    iqm: float
    interval: Interval
    iqm_interval: Interval

    def to_json(self) -> dict[str, Any]:
        """The fields by name, fit for strict JSON: an unknown standard error is None."""
        return {
            "mean": self.mean,
            "stderr": plain(self.stderr),
            "iqm": self.iqm,
            "interval": list(self.interval),
            "iqm_interval": list(self.iqm_interval),
        }


def summarize(scores: np.ndarray) -> Summary:
    """Summarise `scores[seed, task]`.

    Raises:
        UseError: They do not have two axes, are empty, or hold a number that is not finite.
    """
    scores = checked(scores)
    interval, iqm_interval = bootstrap_intervals(scores, (mean, iqm))
    return Summary(mean(scores), stderr(scores), iqm(scores), interval, iqm_interval)
