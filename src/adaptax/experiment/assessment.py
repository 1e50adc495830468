"""What an evaluation found: figures of all agents in the same tasks, as rows, as numbers with names, as JSON."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.notebook import html_table, text_table
from adaptax.evaluation.evaluator import Evaluation
from adaptax.evaluation.reference_scores import ReferenceScores

SAMPLE_THEN_MODE = "sample, then mode"
"""How an agent acts by a protocol: while it adapts, and while it is judged."""

_HEADER = ("agent", "return ± s.e.", "95 % interval", "IQM")


@dataclasses.dataclass(frozen=True, repr=False)
class Assessment:
    """What an evaluation found.

    Attributes:
        results: Evaluations by agent, the trained agent first.
        oracle: Mean return of one episode for a policy that knows the tasks; NaN if unknown.
        optimum: Expected return of each episode of a Bayes-optimal agent, where it is known.
        protocol: How it was measured.
        paths: Positions in a plane before and after each window of adaptation, and the goals, where there are such.
        title: What was evaluated, in a line.
        directory: Where it is; None: it was not written down.
        pictures: What was drawn, by what it shows.
        reference: What the problem's reference policies earn in the same tasks; None: there are none, or they were left
            out.
    """

    results: dict[str, Evaluation]
    oracle: float
    optimum: tuple[float, ...] | None
    protocol: dict[str, Any]
    paths: tuple[np.ndarray, np.ndarray | None] | None = None
    title: str = ""
    directory: Path | None = None
    pictures: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    reference: ReferenceScores | None = None

    @property
    def unit(self) -> str:
        """What an episode is called."""
        return "pull" if self.protocol["horizon"] == 1 else "episode"

    @property
    def note(self) -> str:
        """What a curve of it shows, in a line; empty if there is none."""
        if not self.results:
            return ""
        protocol, trained = self.protocol, next(iter(self.results))
        policy = {
            "mode": "the best action known",
            "sample": "sampled actions",
            SAMPLE_THEN_MODE: f"sampled actions, then {self.judged_by}",
        }[protocol["policy"]]
        seeds = protocol["training_seeds"]
        held_out = "held-out" if protocol["held_out"] else "test"
        return (
            f"Mean of {protocol['tasks']:,} {held_out} tasks, the same for all; {trained}: {policy}, "
            f"{seeds} training seed{'s'[: seeds > 1]}. Bands: 95 % over tasks{' and seeds' if seeds > 1 else ''}."
        )

    @property
    def judged_by(self) -> str:
        """Which episodes successes are counted in, in words."""
        asked = self.protocol.get("protocol")
        if asked is not None:
            return f"{asked['judged_episodes']} episodes by the best action known, after {asked['adaptation_episodes']}"
        if "windows" in self.protocol:
            return "episodes by the best action known, after all windows but one"
        return f"the last {self.unit} of a trial"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A row for each agent: its name, its return with standard error, the 95 % interval and the IQM."""
        found = []
        for name, result in self.results.items():
            x = result.summary
            low, high = x.interval
            found.append((name, f"{x.mean:.3f} ± {x.stderr:.3f}", f"{low:.3f} … {high:.3f}", f"{x.iqm:.3f}"))
        return found

    def __repr__(self) -> str:
        return text_table(self.title, _HEADER, self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.title, _HEADER, self.rows())

    def scalars(self) -> dict[str, float]:
        """What every agent has earned, as numbers with names of their own."""
        found: dict[str, float] = {}
        for name, result in self.results.items():
            x = result.summary
            low, high = x.interval
            numbers = {"return": x.mean, "stderr": x.stderr, "low": low, "high": high, "iqm": x.iqm}
            found |= {f"evaluation/{name}/{what}": float(value) for what, value in numbers.items()}
        return found

    def to_json(self) -> dict[str, Any]:
        """As `adaptax evaluate --json` prints it; unknown figures are null."""
        episodes = self.protocol["episodes"]
        return {
            "agents": {name: result.to_json() for name, result in self.results.items()},
            "oracle": None if math.isnan(self.oracle) else self.oracle * episodes,
            "optimum": None if self.optimum is None else sum(self.optimum),
            "reference": None if self.reference is None else self.reference.to_json(self.results, self.oracle),
            "protocol": self.protocol,
        }
