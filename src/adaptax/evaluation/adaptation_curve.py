"""The adaptation curve: what an agent is able to do in the episodes of a trial, and how that is averaged and shown."""

import dataclasses
from typing import Any

import numpy as np

MOST_POINTS = 60
"""A curve is shown at so many episodes at most, evenly spaced on a logarithmic axis."""


@dataclasses.dataclass(frozen=True)
class AdaptationCurve:
    """What an agent is able to do in some of the episodes of its trial.

    Attributes:
        episodes: Which episodes, counted from 1, `[point]`: before episode n the agent has been through n − 1 of them.
        returns: Their returns, `[seed, task, point]`.
        steps: Mean environment steps of the trial up to and with each of them, `[point]`.
        trial: Episodes of its trial.
        from_evaluation: Whether returns are of evaluation episodes, by the best action known then, and not of the
            trial itself.
    """

    episodes: np.ndarray
    returns: np.ndarray
    steps: np.ndarray
    trial: int
    from_evaluation: bool

    @property
    def ends(self) -> np.ndarray:
        """For each point, the first one after the max(1, n/10) episodes that begin with it, `[point]`."""
        return np.searchsorted(self.episodes, self.episodes + ahead(self.episodes))

    @property
    def complete(self) -> np.ndarray:
        """Whether these episodes lie within the trial, `[point]`. Evaluations stand for the episodes between them."""
        return (self.episodes + ahead(self.episodes) - 1 <= self.trial) | self.from_evaluation

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


def adaptation_curve(evaluation: Any) -> AdaptationCurve:
    """The curve of an `Evaluation`: of its evaluation episodes where there are some, else of the trial itself."""
    trial = evaluation.returns.shape[-1]
    steps = np.cumsum(evaluation.steps.mean((0, 1), dtype=np.float64))
    if evaluation.evaluation_episodes is None:
        return AdaptationCurve(np.arange(1, trial + 1), evaluation.returns.astype(np.float64), steps, trial, False)
    evaluations = evaluation.evaluation_episodes.shape[-1]
    episodes = 1 + np.arange(evaluations) * (trial // evaluations)
    return AdaptationCurve(
        episodes, evaluation.evaluation_episodes.astype(np.float64), steps[episodes - 1], trial, True
    )


def merged(long: AdaptationCurve, short: AdaptationCurve) -> AdaptationCurve:
    """A curve, with the points of a shorter trial of the same learner in the same tasks between its own."""
    new = ~np.isin(short.episodes, long.episodes)
    episodes = np.concatenate([long.episodes, short.episodes[new]])
    order = np.argsort(episodes)
    returns = np.concatenate([long.returns, short.returns[..., new]], -1)[..., order]
    steps = np.concatenate([long.steps, short.steps[new]])[order]
    return AdaptationCurve(episodes[order], returns, steps, long.trial, long.from_evaluation)


def evenly(count: int) -> np.ndarray:
    """Indices of at most `MOST_POINTS` of `count` entries, first and last among them, evenly on a logarithmic axis."""
    return np.unique(np.round(np.geomspace(1, count, MOST_POINTS)).astype(int)) - 1
