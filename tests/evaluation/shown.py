"""Made-up evaluations to draw and to tabulate."""

import dataclasses
import functools

import numpy as np
import scipy.stats

from adaptax.evaluation.statistics import summarize


@dataclasses.dataclass(frozen=True)
class Shown:
    """Returns `[seed, task, episode]` of one agent."""

    returns: np.ndarray

    @property
    def episode_returns(self):
        return self.returns.mean((0, 1))

    @property
    def margin_per_episode(self):
        return self._margin(self.returns)

    @property
    def margin_of_sums(self):
        return self._margin(self.returns.cumsum(-1))

    def _margin(self, returns):
        """Student's, over tasks: there is one seed."""
        ((_, tasks, _),) = (returns.shape,)
        return scipy.stats.t.ppf(0.975, tasks - 1) * returns[0].std(0, ddof=1) / np.sqrt(tasks)

    @functools.cached_property
    def summary(self):
        return summarize(self.returns.sum(-1))


def agent(curve, noise=0.0, tasks=8):
    """An agent with exactly this mean curve; half of its tasks lie `noise` above it, half below."""
    sides = noise * np.where(np.arange(tasks) % 2, 1.0, -1.0)
    return Shown((np.asarray(curve, np.float64)[None] + sides[:, None])[None])


def bandits(num_pulls=100, names=("ucb1", "thompson", "greedy", "epsilon_greedy", "optimistic_thompson", "gittins")):
    pulls = np.arange(num_pulls)
    results = {"rl2": agent(0.88 - 0.38 * np.exp(-pulls / 12), 0.1), "random": agent(0.5 + 0 * pulls)}
    for number, name in enumerate(names):
        results[name] = agent(0.87 - 0.005 * number - 0.4 * np.exp(-pulls / (5 + 5 * number)))
    return results


def grid():
    return {
        "rl2": agent([3.6, 10.5, 10.8, 10.9], 0.5),
        "random": agent([-0.9] * 4),
        "psrl": agent([1.0, 4.0, 6.0, 7.0]),
    }
