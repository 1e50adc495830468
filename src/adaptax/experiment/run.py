"""A training, as far as it is: what `train` returns."""

import dataclasses
from pathlib import Path
from typing import Any

from adaptax.core.trained_agent import TrainedAgent
from adaptax.experiment.assessment import Assessment
from adaptax.experiment.options import TrainOptions
from adaptax.runs.recipe import Recipe


@dataclasses.dataclass
class Run:
    """A training, as far as it is.

    Attributes:
        recipe: What was trained.
        options: How.
        directory: Where it is; None in a process that only computes for another, which writes.
        algorithm: The algorithm.
        problem: The problem, as the algorithm sees it.
        state: The `TrainState` after the last update done.
        done: Updates done.
        seconds: Seconds of training in this process, compilation apart.
        env_steps: Environment steps that were taken in this training; what was done before a resumption is not in it.
        steps_per_second: Those, per second.
        stopped: Whether it was stopped early.
        metrics: One row for each update, as in `metrics.jsonl`.
        validations: One for each evaluation on validation tasks, as there.
        evaluation: On held-out tasks, after the last update; None if none was asked for, or it was stopped.
        report: Where a page of it is; None: there is none.
    """

    recipe: Recipe
    options: TrainOptions
    directory: Path | None
    algorithm: Any
    problem: Any
    state: Any = dataclasses.field(repr=False)
    done: int = 0
    seconds: float = 0.0
    env_steps: int = 0
    steps_per_second: float = 0.0
    stopped: bool = False
    metrics: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    validations: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    evaluation: Assessment | None = None
    report: Path | None = None

    def __repr__(self) -> str:
        planned = self.algorithm.num_updates
        how = f"{self.done} of {planned} updates{', stopped' if self.stopped else ''}"
        return f"<Run {self.directory}: {self.recipe.title()}, {how}>"

    @property
    def agent(self) -> TrainedAgent:
        """What was trained, with all its seeds."""
        return TrainedAgent(
            self.algorithm, self.problem, self.state.meta, self.options.seeds, name=self.recipe.algorithm
        )

    @property
    def title(self) -> str:
        """What was trained, in a line."""
        return self.recipe.title()

    def figures(self) -> dict[str, Any]:
        """Where it is and how fast it was, as `adaptax train --json` prints it."""
        return {
            "directory": str(self.directory),
            "seconds": self.seconds,
            "env_steps": self.env_steps,
            "steps_per_second": self.steps_per_second,
        }
