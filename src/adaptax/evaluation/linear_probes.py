"""Probes of a representation: linear decoding, distances, principal components; in NumPy, in double precision.

With representations x and what they should represent y (a vector for each task),

- **decoding** (linear probes, Alain & Bengio 2016, arXiv 1610.01644) is ridge regression,

      ŷ = ȳ + (x − x̄) / σ · W,    W = argmin Σ ‖y − ŷ‖² + λ ‖W‖²,

  with λ chosen by leave-one-out errors (Allen 1974), which have a closed form;
- **distances** (representational similarity, Kriegeskorte et al. 2008) are compared by Spearman's rank correlation over
  pairs of tasks.
"""

import dataclasses
from typing import Any

import numpy as np

from adaptax.evaluation.statistics import NORMAL_95, percentile_interval, plain, resampled_counts

RESAMPLES = 1000
PENALTIES = np.logspace(-6, 4, 31)
"""λ over the number of tasks, for representations in units of their deviation."""
FLAT = 1e-6
"""What varies by less than this share of its size does not vary: float32 rounds at 1e-7."""


@dataclasses.dataclass(frozen=True)
class ProbeCurve:
    """A figure after each recorded episode, from the held-out tasks; NaN where it is not defined.

    Attributes:
        value: The figure, `[episode]`.
        stderr: Its standard error over tasks, `[episode]`.
        interval: Its 95 % interval, `[episode, 2]`.
    """

    value: np.ndarray
    stderr: np.ndarray
    interval: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The fields by name; what is not defined is null."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


@dataclasses.dataclass(frozen=True)
class Decoder:
    """ŷ = intercept + (x − mean) / scale · weights.

    Among n tasks none can be more than √(n − 1) deviations from their mean. Beyond that, inputs are cut: where a part
    of the memory hardly ever moved in training, one held-out task in which it does would outweigh all others.

    Attributes:
        mean: x̄ of the tasks it was fitted on, `[size]`.
        scale: Their deviation σ; infinite where they do not vary.
        weights: W, `[size, target]`.
        intercept: ȳ, `[target]`.
        penalty: λ over the number of tasks, `[target]`.
        bound: √(n − 1).
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalty: np.ndarray
    bound: float

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """Decode `states[task, size]`."""
        inputs = (np.asarray(states, np.float64) - self.mean) / self.scale
        return self.intercept + np.clip(inputs, -self.bound, self.bound) @ self.weights


def fit_decoder(states: np.ndarray, targets: np.ndarray, *, shared: bool = False) -> Decoder:
    """Ridge regression with the penalty that has the least leave-one-out error.

    With the centred inputs' scores Z = X V = U D along their principal axes, the fit leaves task i out without being
    done again: its error is (y_i − ŷ_i) / (1 − h_i), h_i = 1/n + Σ_k Z_ik² / (D_k² + λ).

    Args:
        states: Memories, `[task, size]`.
        targets: What to decode, `[task, target]`.
        shared: Whether all targets have the same penalty; each has its own otherwise.
    """
    x, y = np.asarray(states, np.float64), np.asarray(targets, np.float64)
    mean, intercept, scale = x.mean(0), y.mean(0), x.std(0)
    scale = np.where(scale > FLAT * np.abs(x).max(0, initial=0.0), scale, np.inf)
    squares, axes = principal_axes(inputs := (x - mean) / scale)
    scores = inputs @ axes
    along = scores.T @ (y - intercept)
    errors = []
    for penalty in len(x) * PENALTIES:
        kept = 1 / (squares + penalty)
        influence = 1 / len(x) + scores**2 @ kept
        errors.append((((y - intercept - scores @ (kept[:, None] * along)) / (1 - influence)[:, None]) ** 2).mean(0))
    error = np.stack(errors)
    best = np.full(y.shape[1], np.argmin(error.sum(1))) if shared else np.argmin(error, 0)
    penalty = PENALTIES[best]
    weights = axes @ (along / (squares[:, None] + len(x) * penalty))
    return Decoder(mean, scale, weights, intercept, penalty, (len(x) - 1) ** 0.5)


def principal_axes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the singular values of `x[row, size]`, the largest first, and the axes `[size, axis]`.

    By the products of columns where rows are many: a hundred times as fast as a singular value decomposition. What is
    lost, half of the digits of the smallest values, no penalty lets through.
    """
    if len(x) < x.shape[1]:
        _, values, rows = np.linalg.svd(x, full_matrices=False)
        return values**2, rows.T
    squares, axes = np.linalg.eigh(x.T @ x)
    return np.maximum(squares[::-1], 0.0), axes[:, ::-1]


def task_counts(num_tasks: int, seed: int = 0) -> np.ndarray:
    """How often each task counts, `[task, draw]`: once in the first draw, by bootstrap in the others."""
    resampled = resampled_counts(num_tasks, RESAMPLES, np.random.default_rng(seed))
    return np.concatenate([np.ones((num_tasks, 1)), resampled], 1)


def r_squared(targets: np.ndarray, decoded: np.ndarray, counts: np.ndarray, columns: list[list[int]]) -> np.ndarray:
    """1 − Σ (y − ŷ)² / Σ (y − ȳ)² over tasks and some of the features, `[set of columns, draw]`; NaN for constants."""
    centred = targets - targets.mean(0)
    left = ((targets - decoded) ** 2).T @ counts
    total = (centred**2).T @ counts - (centred.T @ counts) ** 2 / len(targets)
    sums = [(left[some].sum(0), total[some].sum(0)) for some in columns]
    return np.stack([1 - a / np.where(b > 0, b, np.nan) for a, b in sums])


def probe_curve(figures: np.ndarray) -> ProbeCurve:
    """From figures `[episode, draw]`, the first of which is the figure itself and the others its resamples."""
    resampled = figures[:, 1:]
    ends = np.array([percentile_interval(row[~np.isnan(row)]) for row in resampled])
    return ProbeCurve(figures[:, 0], np.nanstd(resampled, axis=1, ddof=1), ends)


def distances(points: np.ndarray) -> np.ndarray:
    """Euclidean distances of all pairs (i < j) of `points[task, size]`; all 0 if the points differ by rounding only."""
    points = np.asarray(points, np.float64)
    found = np.concatenate([np.sqrt(((points[i + 1 :] - x) ** 2).sum(1)) for i, x in enumerate(points)])
    return np.where(found.max() > FLAT * np.abs(points).max(initial=0.0), found, 0.0)


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation, equal values having the mean of their ranks; NaN if all are equal."""
    ranks = []
    for values in (x, y):
        _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(count) - (count - 1) / 2)[inverse] - (len(values) + 1) / 2)
    size = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float(ranks[0] @ ranks[1] / size) if size else float("nan")


def similarity_of(features: np.ndarray, states: np.ndarray, groups: int = 10) -> ProbeCurve:
    """How well distances between memories keep those between tasks, after each episode.

    The standard error is a jackknife's that leaves out one of ten groups of tasks at a time (pairs are not independent,
    so their number says little).

    Args:
        features: Of tasks, `[task, feature]`, in comparable units.
        states: Memories, `[episode, task, size]`.
        groups: Number of groups.
    """
    wanted, count = distances(features), len(features)
    pairs = np.stack(np.triu_indices(count, 1)) % groups
    without = [(pairs != group).all(0) for group in range(groups)]
    figures = []
    for now in map(distances, states):
        figures.append([rank_correlation(wanted, now), *(rank_correlation(wanted[i], now[i]) for i in without)])
    value, left_out = np.asarray(figures)[:, 0], np.asarray(figures)[:, 1:]
    error = np.sqrt((groups - 1) * left_out.var(1))
    return ProbeCurve(value, error, value[:, None] + NORMAL_95 * error[:, None] * np.array([-1.0, 1.0]))


def principal_components(states: np.ndarray, count: int = 2) -> tuple[np.ndarray, tuple[float, ...]]:
    """Coordinates of `states[..., size]` along the axes of the largest variance, and the share that each holds.

    An axis points to where its largest weight is positive. Beyond the memory's size coordinates are 0.
    """
    flat = np.asarray(states, np.float64).reshape(-1, states.shape[-1])
    flat = flat - flat.mean(0)
    squares, axes = principal_axes(flat)
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    points = np.zeros((len(flat), count))
    points[:, : axes[:, :count].shape[1]] = flat @ axes[:, :count]
    variance = np.append(squares, np.zeros(count))
    shares = variance[:count] / max(variance.sum(), np.finfo(np.float64).tiny)
    return points.reshape(*states.shape[:-1], count), tuple(shares.tolist())
