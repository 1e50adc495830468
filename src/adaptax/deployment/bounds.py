"""Bounded adaptation: what is learned in use is judged by what it brings, and taken back where it costs too much.

Rewards of a window count as those near to most of them: one that is further from the middle three fifths than `REACH`
times their spread is cut to that. So a tenth of huge rewards moves little of what is learned and of what is compared.
Where three fifths of the rewards are the same, nothing is known of their size, and none is cut.

An adapted agent is compared with itself before it adapted to this task: by the mean reward of each of a window's
environments. It is worse if it is by more than the margin below, and by more than one standard error of the difference:
with fewer doubts good adaptations would be lost to chance. What it cost until then, one window, is not undone.
"""

from typing import NamedTuple

import numpy as np

from adaptax.core.types import Transition, replace

REACH = 3.0
"""So many times the spread of the middle three fifths beyond their ends, rewards are believed."""


class Unadapted(NamedTuple):
    """What the agent earned in this task before it adapted.

    Attributes:
        number: How many environments of windows.
        mean: Their mean reward.
        squares: Sum of their squared distances from it.
    """

    number: float = 0.0
    mean: float = 0.0
    squares: float = 0.0


def cut(window: Transition) -> Transition:
    """The window, leaves `[time, env, ...]`, with rewards that are believed."""
    reward, valid = np.asarray(window.reward), np.asarray(window.valid)
    if not valid.any():
        return window
    low, high = np.quantile(reward[valid], [0.2, 0.8], method="inverted_cdf")
    if high <= low:
        return window
    reach = REACH * (high - low)
    low, high = low - reach, high + reach
    return replace(window, reward=np.where(valid, np.clip(reward, low, high), reward).astype(reward.dtype))


def earned(window: Transition) -> np.ndarray:
    """Mean reward of each environment in which something happened, `[env]`."""
    valid = np.asarray(window.valid)
    steps = valid.sum(0)
    return (np.where(valid, window.reward, 0).sum(0, dtype=np.float64) / np.maximum(steps, 1))[steps > 0]


def of_unadapted(before: Unadapted, values: np.ndarray) -> Unadapted:
    """With what it earned in another window."""
    count = before.number + len(values)
    if not len(values):
        return before
    mean = (before.number * before.mean + values.sum()) / count
    squares = before.squares + before.number * (before.mean - mean) ** 2 + ((values - mean) ** 2).sum()
    return Unadapted(float(count), float(mean), float(squares))


def is_worse(values: np.ndarray, unadapted: Unadapted, margin: float) -> bool:
    """Whether an adapted agent earns less than before, by more than the margin and by more than chance."""
    if not len(values) or not unadapted.number:
        return False
    lost = unadapted.mean - values.mean()
    variances = [unadapted.squares / max(unadapted.number - 1, 1) / unadapted.number]
    if len(values) > 1:
        variances.append(values.var(ddof=1) / len(values))
    return bool(lost > margin * abs(unadapted.mean) and lost > np.sqrt(sum(variances)))
