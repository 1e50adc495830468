"""What tables and pictures of an evaluation are made of. They take arrays, not agents: nothing here runs anything."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np

from adaptax.evaluation.statistics import Summary

BAYES_OPTIMAL = "Bayes-optimal"
KNOWS = "knows the task"
"""What a policy is called that does."""


class EvaluationLike(Protocol):
    """What is shown of one agent."""

    @property
    def episode_returns(self) -> np.ndarray:
        """Mean return of each episode of a trial, `[episode]`."""

    @property
    def margin_per_episode(self) -> np.ndarray:
        """How far the 95 % interval of each of them reaches to each side, `[episode]`."""

    @property
    def margin_of_sums(self) -> np.ndarray:
        """The same of the mean return up to and with each of them, `[episode]`."""

    @property
    def summary(self) -> Summary:
        """Total return of a trial."""


Results: TypeAlias = Mapping[str, EvaluationLike]
"""Agents by name, the trained one first."""


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is such a number."""
    return value is not None and bool(np.isfinite(value))


def after_steps(window: int) -> str:
    """What a window is called."""
    return "before adaptation" if window == 0 else f"after {window} step{'s' if window > 1 else ''}"


def goals_of(tasks: Any) -> np.ndarray | None:
    """Where the goals of tasks in a plane are, `[task, 2]`: their leaf `position`; None if they have none."""
    position: Any = getattr(tasks, "position", None)
    return None if np.ndim(position) != 2 or np.shape(position)[1] != 2 else np.asarray(position)
