"""Options of a sweep, checked before JAX is imported."""

import dataclasses
import re
from pathlib import Path
from typing import Any

from adaptax.core.errors import ConfigError, needs, short_repr
from adaptax.core.settings import LARGEST_COUNT, Settings, setting
from adaptax.runs.options import TrainOptions

MOST_CELLS = 4096
"""Choices of a sweep, at most: a folder each."""


@dataclasses.dataclass(frozen=True)
class SweepOptions(TrainOptions):
    """How to sweep: how each choice of settings is trained, how many at once, and where.

    Attributes:
        seeds: Number of independent trainings of each choice, side by side in one program.
        out: The sweep's directory; by default the first free runs/sweep-ALGORITHM-PROBLEM-N. One that holds the same
            sweep is gone on with.
        validation_tasks: Validation tasks by which is chosen, and of evaluations during training (--eval-every).
        at_once: Choices in one program, at most; auto or 0: as many as are in this part and fit into memory.
        processes: Processes here that share the choices, each with its share of the cores.
        part: K/N: this process takes the K-th of N equal parts, as in an array of jobs; all have the same --out.
        optuna: Trials that Optuna chooses, of ranges LOW:HIGH or LOW:HIGH:log; 0: all combinations of what was typed.
        study: Name of Optuna's study; by default the sweep's directory's.
        storage: Where Optuna keeps the study, such as sqlite:///study.db; machines with the same one share it. By
            default in the sweep's directory.
        json: Print one JSON object on standard output and nothing else there.
    """

    validation_tasks: int = setting(1000, low=2, high=LARGEST_COUNT)
    at_once: int = setting(0, low=0, high=1024, spelled={"auto": 0})
    processes: int = setting(1, low=1, high=256)
    part: str | None = None
    optuna: int = setting(0, low=0, high=100_000)
    study: str | None = None
    storage: str | None = None
    eval_tasks: int = dataclasses.field(default=0, init=False)
    from_: Path | None = dataclasses.field(default=None, init=False)

    def __post_init__(self):
        """Check every field, and that they suit each other."""
        Settings.__post_init__(self)
        share_of(self.part)
        if self.part is not None and self.out is None:
            raise ConfigError("--part: expected together with --out, the directory of all parts; found nothing")
        if self.part is not None and self.processes > 1:
            raise ConfigError(f"--processes: expected 1 together with --part; found {self.processes}")
        for name in ("study", "storage"):
            if getattr(self, name) is not None and not self.optuna:
                raise ConfigError(f"--{name}: has an effect only with --optuna; found {getattr(self, name)!r}")
        if self.optuna and self.part is not None:
            raise ConfigError("--part: has no effect with --optuna, where all who share --storage take trials in turn")

    @property
    def parts(self) -> int:
        """Into how many parts the choices are divided."""
        return share_of(self.part)[1] if self.part is not None else self.processes

    def training(self) -> TrainOptions:
        """The options of each choice's run: its tasks of testing stay untouched."""
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(TrainOptions)}
        tasks = self.validation_tasks if self.evaluation_interval else TrainOptions.validation_tasks
        return TrainOptions(**{**known, "out": None, "json": False, "validation_tasks": tasks})


@dataclasses.dataclass(frozen=True)
class SweepResumeOptions(Settings):
    """How to go on with a sweep. All else is as it was when it was started.

    Attributes:
        resume: The sweep's directory.
        processes: Processes here that share the choices, each with its share of the cores.
        part: K/N: this process takes the K-th of N equal parts.
        problem: The problem, if it is your own (MODULE:NAME): a sweep has nothing imported that you do not name.
        algorithm: The algorithm, if it is your own.
        encoder: The encoder, if it is your own.
        json: Print one JSON object on standard output and nothing else there.
    """

    resume: Path = Path()
    processes: int = setting(1, low=1, high=256)
    part: str | None = None
    problem: str | None = None
    algorithm: str | None = None
    encoder: str | None = None
    json: bool = False

    def __post_init__(self):
        """Check every field."""
        super().__post_init__()
        share_of(self.part)


def share_of(part: str | None) -> tuple[int, int]:
    """K and N of "K/N"; of nothing, the whole.

    Raises:
        ConfigError: if it is something else.
    """
    if part is None:
        return 1, 1
    match = re.fullmatch(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", part, re.ASCII)
    if match is None or int(match[1]) > int(match[2]):
        raise ConfigError(f"--part: expected K/N, with K from 1 to N; found {short_repr(part)}")
    return int(match[1]), int(match[2])


def expect_optuna() -> Any:
    """Optuna.

    Raises:
        MissingPackageError: if it is not installed.
    """
    with needs("optuna", "--optuna"):
        import optuna
    return optuna
