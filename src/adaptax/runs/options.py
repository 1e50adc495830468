"""Options of a training run: what can be typed, and what is written down of it. No JAX here."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import LARGEST_COUNT, Settings, setting, suggestion

LOGS = ("wandb", "mlflow", "trackio")
"""Where a run can be logged (`trackers/`)."""
_INTERVAL = 10
"""Updates between two validations, if it is not said."""


@dataclasses.dataclass(frozen=True)
class TrainOptions(Settings):
    """How to run.

    Attributes:
        seed: Decides tasks, networks and all randomness of training.
        seeds: Number of independent trainings, side by side in one program.
        out: The run's directory; by default the first free runs/ALGORITHM-PROBLEM-N.
        devices: Devices that share the tasks of an update; auto or 0: as many as there are (on a CPU, one per core).
        eval_tasks: Held-out tasks in the evaluation afterwards; 0: no evaluation.
        save_every: Updates between two checkpoints, at least (they are written between chunks; the newest 3 are kept).
        keep_every: Checkpoints whose update is a multiple are kept for good; 0: none.
        eval_every: Updates between two evaluations on validation tasks, at least (they are made between chunks); 0:
            none, or every 10 with --select-on validation.
        validation_tasks: Tasks of each of these evaluations, the same for all.
        select_on: Which checkpoint is the result. last: the last; validation: the best on validation tasks, which is
            kept.
        from_: A run whose parameters this one begins from: of the same algorithm and network, with as many trainings,
            or one.
        log: Where metrics are logged beside the run's directory: wandb, mlflow, trackio (each is an extra); one that
            fails costs a warning.
        json: Print one JSON object on standard output and nothing else there.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    seeds: int = setting(1, low=1, high=1024)
    out: Path | None = None
    devices: int = setting(0, low=0, high=4096, spelled={"auto": 0})
    eval_tasks: int = setting(4000, low=0, high=LARGEST_COUNT)
    save_every: int = setting(10, low=1, high=LARGEST_COUNT)
    keep_every: int = setting(0, low=0, high=LARGEST_COUNT)
    eval_every: int = setting(0, low=0, high=LARGEST_COUNT)
    validation_tasks: int = setting(400, low=2, high=LARGEST_COUNT)
    select_on: Literal["last", "validation"] = "last"
    from_: Path | None = None
    log: tuple[Literal["wandb", "mlflow", "trackio"], ...] | None = setting(None, yields=True)
    json: bool = False

    def __post_init__(self):
        """Check every field, and that they suit each other."""
        if self.log is not None:
            object.__setattr__(self, "log", checked_log(self.log))
        super().__post_init__()
        if self.validation_tasks != TrainOptions.validation_tasks and not self.evaluation_interval:
            raise ConfigError(
                "--validation-tasks: has an effect only with --eval-every or --select-on validation; found "
                f"{self.validation_tasks}. Leave it out, or add one of them"
            )

    @property
    def evaluation_interval(self) -> int:
        """Updates between two evaluations on validation tasks; 0: there are none."""
        return self.eval_every or (_INTERVAL if self.select_on == "validation" else 0)


@dataclasses.dataclass(frozen=True)
class KeptOptions(TrainOptions):
    """What a run's directory says of how it was run.

    A run that was made before there was a field has its default; so that must be what was done before there was it.

    Attributes:
        preset: Where the settings came from.
        used_devices: Devices that shared the tasks of an update; 0: it is not known.
        from_: Name of the directory of the run that it began from; None: it began from nothing.
        from_update: Updates that were behind the parameters that it began from.
        from_sha256: SHA-256 of those parameters.
        planned_before: Numbers of updates that it was planned for earlier, if it was; for how many now, its settings
            say.
        planned_at: Updates that it had when it got the present plan.
    """

    from_: str | None = None  # type: ignore[assignment]  # nobody's paths are written down
    preset: str = "default"
    used_devices: int = setting(0, low=0, high=2**31 - 1)
    from_update: int = setting(0, low=0)
    from_sha256: str = ""
    planned_before: tuple[int, ...] | None = None
    planned_at: int = setting(0, low=0)

    def __post_init__(self):
        """Check every field; lists, as they are read, are tuples."""
        plans = self.planned_before
        if plans is not None:
            if not isinstance(plans, (list, tuple)) or not all(type(plan) is int and plan > 0 for plan in plans):
                raise ConfigError(f"options.planned_before: expected numbers of updates; found {short_repr(plans)}")
            object.__setattr__(self, "planned_before", tuple(plans))
        super().__post_init__()


CHANGING = ("planned_before", "planned_at", "log")
"""What is written down of a run and may change: a checkpoint does not say it."""


def checked_log(found: Any) -> tuple[str, ...]:
    """Names of trackers, a single one too, or as a list as they are read.

    Raises:
        ConfigError: if one is none, or is there twice.
    """
    names = (found,) if isinstance(found, str) else found
    known = isinstance(names, (list, tuple)) and all(isinstance(name, str) and name in LOGS for name in names)
    if not known or len({*names}) < len(names):
        hint = suggestion(found, LOGS) if isinstance(found, str) else ""
        raise ConfigError(f"--log: expected some of {', '.join(LOGS)}, each once; found {short_repr(found)}{hint}")
    return tuple(names)


def of_older(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a run, with what had another name when it was written.

    How often checkpoints were validated was `validate_every`, and had no effect without `select_on`.
    """
    if "validate_every" not in options:
        return options
    kept = {name: value for name, value in options.items() if name != "validate_every"}
    return {**kept, "eval_every": options["validate_every"]} if kept.get("select_on") == "validation" else kept
