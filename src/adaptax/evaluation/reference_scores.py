"""How far from random to informed an agent has come, where no optimum is known: measured by two trained policies.

The *informed* policy is told the task; the *memory-less* one is trained on all tasks alike and is not. What an agent
has beyond the second is adaptation, what it shares with it is robustness (trap E31). Both do in every episode the same,
so each stands for one number: the mean over the episodes of its trial, as random actions do.

All are means over the same tasks with the same randomness. The interval of a share of means a/b is that of the mean of
a − (a/b) b, divided by b: to first order, and with the tasks paired.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from adaptax.evaluation.adaptation_curve import adaptation_curve, evenly
from adaptax.evaluation.evaluator import Evaluation
from adaptax.evaluation.statistics import Figure, margin_95, plain, stderr

RANDOM, MEMORYLESS, INFORMED = "random", "memory-less policy", "informed policy"
"""What they are called beside agents."""
LABEL = "from random (0) to the trained informed policy (1), which is told the task; it is no exact optimum"
SURE = 3.0
"""Standard errors by which a policy has to be above another, for that to be said."""


def share(earned: np.ndarray, of: np.ndarray) -> Figure:
    """What part of the mean of `of[task]` the mean of `earned[seed, task]` is; NaN if that is nothing or less.

    Args:
        earned: What was earned above some level, `[seed, task]`.
        of: What there was to be earned above it, `[task]`.
    """
    whole, part = float(of.mean(dtype=np.float64)), float(earned.mean(dtype=np.float64))
    if not whole > 0:
        return Figure(np.nan, (np.nan, np.nan))
    value = part / whole
    margin = margin_95(earned - value * of[None]) / whole
    return Figure(value, (value - margin, value + margin))


def per_task(evaluation: Evaluation) -> np.ndarray:
    """Mean return of an episode, `[task]`, of what does in every episode the same."""
    return evaluation.returns.mean((0, 2), dtype=np.float64)


@dataclasses.dataclass(frozen=True)
class ReferenceScores:
    """What the reference policies of a problem earn in the tasks of an evaluation.

    Attributes:
        informed: The policy that is told the task.
        memoryless: The policy that is not, and remembers nothing.
        random: Random actions.
        about: What else is to be written down of the policies, by name.
        directory: Where they are kept.
        command: What trains them.
    """

    informed: Evaluation
    memoryless: Evaluation
    random: Evaluation
    about: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    directory: str = ""
    command: str = ""

    @property
    def policies(self) -> dict[str, Evaluation]:
        """Both policies, by what they are called."""
        return {MEMORYLESS: self.memoryless, INFORMED: self.informed}

    @functools.cached_property
    def floor(self) -> np.ndarray:
        """Return of an episode of random actions, `[task]`."""
        return per_task(self.random)

    @functools.cached_property
    def target(self) -> np.ndarray:
        """Return of an episode of the informed policy, `[task]`."""
        return per_task(self.informed)

    @functools.cached_property
    def without_memory(self) -> np.ndarray:
        """Return of an episode of the memory-less policy, `[task]`."""
        return per_task(self.memoryless)

    def score(self, returns: np.ndarray) -> Figure:
        """The normalized score of `returns[seed, task]` of an episode: 0 is random, 1 the informed policy."""
        return share(returns - self.floor, self.target - self.floor)

    def beyond(self, returns: np.ndarray) -> Figure:
        """How much of the same way `returns[seed, task]` are above the memory-less policy."""
        return share(returns - self.without_memory, self.target - self.floor)

    def curve(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        """An agent's scores in the episodes of its trial, of long trials at evenly spaced ones.

        Agents that learn from windows are scored by the best action known, on episodes that they do not learn from.
        """
        curve = adaptation_curve(evaluation)
        return [
            {
                "episode": int(curve.episodes[point]),
                "return": float(returns.mean()),
                "stderr": plain(stderr(returns)),
                "score": self.score(returns).to_json(),
                "beyond_memoryless": self.beyond(returns).to_json(),
            }
            for point in evenly(len(curve.episodes))
            for returns in [curve.returns[..., point]]
        ]

    def notes(self, results: Mapping[str, Evaluation] | None = None) -> list[str]:
        """What a reader of the scores must know: where they say nothing, or not what they seem to."""
        longer = f"Train it longer: {self.command} --num-updates N" if self.command else "Train it longer"
        if not _above(self.target[None], self.floor):
            return [f"the informed policy is not above random by {SURE:g} standard errors: no ceiling. {longer}"]
        said = []
        if not _above(self.target[None], self.without_memory):
            said.append(
                f"the informed policy is not above the memory-less one by {SURE:g} standard errors: as far as their "
                "training went, nothing is gained here by knowing the task"
            )
        curves = {name: adaptation_curve(evaluation) for name, evaluation in (results or {}).items()}
        lasts = {name: curve.recent(curve.trial)[1] for name, curve in curves.items()}
        if above := [name for name, last in lasts.items() if _above(last, self.target)]:
            ends = "ends" if len(above) == 1 else "end"
            said.append(f"{', '.join(above)} {ends} above the informed policy, which is no ceiling then. {longer}")
        for name, last in list(lasts.items())[:1]:
            if not _above(last, self.without_memory):
                said.append(
                    f"{name} ends not above the memory-less policy by {SURE:g} standard errors: what it earns there "
                    "may be robustness, and no adaptation"
                )
        return said

    def to_json(self, results: Mapping[str, Evaluation] | None = None, oracle: float = np.nan) -> dict[str, Any]:
        """As plain data; what is unknown is None.

        Args:
            results: Agents by name, the one in question first.
            oracle: Exact mean return of an episode for a policy that knows the tasks; NaN if unknown.
        """
        figures = {RANDOM: self.random, **self.policies}
        known = np.isfinite(oracle)
        return {
            "label": LABEL,
            "directory": self.directory,
            "policies": {name: {**self._figures(x), **self.about.get(name, {})} for name, x in figures.items()},
            "oracle": {"return": oracle, "score": plain(self._plain(oracle))} if known else None,
            "agents": {name: self.curve(x) for name, x in (results or {}).items()},
            "notes": self.notes(results),
        }

    def _figures(self, evaluation: Evaluation) -> dict[str, Any]:
        returns = evaluation.returns.mean(-1, dtype=np.float64)
        error, margin = plain(stderr(returns)), margin_95(returns)
        interval = plain((returns.mean() - margin, returns.mean() + margin))
        exact = evaluation is self.informed or evaluation is self.random  # 0 and 1 by definition
        score = Figure(self._plain(returns.mean()), (np.nan, np.nan)) if exact else self.score(returns)
        return {"return": float(returns.mean()), "stderr": error, "interval": interval, "score": score.to_json()}

    def _plain(self, mean: float) -> float:
        """A mean's score, without an interval."""
        whole = float(self.target.mean() - self.floor.mean())
        return (float(mean) - float(self.floor.mean())) / whole if whole > 0 else np.nan


def _above(returns: np.ndarray, other: np.ndarray) -> bool:
    """Whether `returns[seed, task]` are above `other[task]` for sure."""
    difference = returns - other[None]
    return bool(difference.mean() > SURE * np.nan_to_num(stderr(difference), nan=np.inf))
