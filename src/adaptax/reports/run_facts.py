"""What a report is made of: what a run wrote down, and what was computed for the report. Nothing here runs anything."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from adaptax.evaluation.recording import FamilyReturns, Recording


class Setting(NamedTuple):
    """A setting of a run.

    Attributes:
        name: As it is typed.
        default: What it is if nothing is typed.
        value: What it was.
    """

    name: str
    default: Any
    value: Any

    @property
    def changed(self) -> bool:
        """Whether it is not the default."""
        return bool(self.default != self.value)


class AgentReturns(NamedTuple):
    """What one agent earned; as `adaptax.evaluation.evaluator.Evaluation` has it.

    Attributes:
        returns: `[seed, task, episode]`.
        steps: Environment steps of each episode; NaN if that is not known.
        evaluation_episodes: `[seed, task, evaluation]`; None: there are none.
    """

    returns: np.ndarray
    steps: np.ndarray
    evaluation_episodes: np.ndarray | None = None


@dataclasses.dataclass
class RunFacts:
    """One run.

    Attributes:
        directory: Where it is.
        name: What it is called beside others.
        algorithm: The name of its algorithm.
        problem: The name of its problem.
        about: What these are, in a line each.
        preset: Where its settings came from.
        settings: Of algorithm and problem.
        options: How it was run; only those that can be typed.
        made_with: Versions and devices, by name.
        planned: Updates that it was to have; None: that is not known.
        metrics: A row for each update.
        validations: A row for each evaluation on validation tasks.
        times: A row for each chunk of updates.
        evaluation: `evaluation.json`; None: there is none.
        returns: What each agent earned, by name; empty if that is not known.
        optimum: Expected return of each episode for a Bayes-optimal agent, where it is known.
        inspection: `inspection.json`, or the same computed; None: there is none.
        families: What the agent earns in each family of tasks.
        shift: What the shifted tasks are; empty: there are none.
        recording: Trials to be shown; None: there are none.
        sizes: How large things are, by name, in words.
        commands: What makes figures again: "train", "evaluate", "inspect" and "report".
        missing: Why something is not there, by what it is: "evaluation", "recording", "inspection", …
        inapplicable: Why something has no place in this report, by what it is.
        notes: What else a reader must know.
    """

    directory: str
    name: str
    algorithm: str = "?"
    problem: str = "?"
    about: tuple[str, str] = ("", "")
    preset: str = "default"
    settings: Sequence[Setting] = ()
    options: Sequence[Setting] = ()
    made_with: Mapping[str, str] = dataclasses.field(default_factory=dict)
    planned: int | None = None
    metrics: Sequence[Mapping[str, Any]] = ()
    validations: Sequence[Mapping[str, Any]] = ()
    times: Sequence[Mapping[str, Any]] = ()
    evaluation: Mapping[str, Any] | None = None
    returns: Mapping[str, AgentReturns] = dataclasses.field(default_factory=dict)
    optimum: Sequence[float] | None = None
    inspection: Mapping[str, Any] | None = None
    families: Mapping[str, FamilyReturns] = dataclasses.field(default_factory=dict)
    shift: str = ""
    recording: Recording | None = None
    sizes: dict[str, str] = dataclasses.field(default_factory=dict)
    commands: Mapping[str, str] = dataclasses.field(default_factory=dict)
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    inapplicable: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def title(self) -> str:
        """What was trained, in a few words."""
        return f"{self.algorithm} on {self.problem}"

    @property
    def protocol(self) -> Mapping[str, Any]:
        """How it was evaluated; empty if it was not."""
        return {} if self.evaluation is None else self.evaluation["protocol"]

    @property
    def unit(self) -> str:
        """What an episode is called."""
        return "pull" if self.protocol.get("horizon") == 1 else "episode"

    @property
    def oracle(self) -> float:
        """Mean return of an episode for a policy that knows the tasks of the evaluation; NaN if unknown."""
        total = None if self.evaluation is None else self.evaluation["oracle"]
        return float("nan") if total is None else float(total) / int(self.protocol["episodes"])

    @property
    def seeds(self) -> int:
        """How many trainings it has."""
        found = next((setting.value for setting in self.options if setting.name == "--seeds"), 1)
        return found if isinstance(found, int) else 1

    @property
    def seed(self) -> Any:
        """What decided its randomness."""
        return next((setting.value for setting in self.options if setting.name == "--seed"), "?")

    @property
    def adapts(self) -> bool:
        """Whether its agent changes parameters between windows of a trial."""
        return any(x.evaluation_episodes is not None for x in list(self.returns.values())[:1]) or (
            self.evaluation is not None and "windows" in self.protocol
        )
