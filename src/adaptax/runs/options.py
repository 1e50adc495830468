"""Options of a training run: what can be typed, and what is written down of it. No JAX here."""

import dataclasses
from pathlib import Path
from typing import Literal

from adaptax.core.settings import LARGEST_COUNT, Settings, setting


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
        select_on: Which checkpoint is the result. last: the last; validation: the best on validation tasks, which is
            kept.
        validate_every: Updates between two validations, at least; of each there is a checkpoint.
        validation_tasks: Tasks of a validation, the same for all.
        json: Print one JSON object on standard output and nothing else there.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    seeds: int = setting(1, low=1, high=1024)
    out: Path | None = None
    devices: int = setting(0, low=0, high=4096, spelled={"auto": 0})
    eval_tasks: int = setting(4000, low=0, high=LARGEST_COUNT)
    save_every: int = setting(10, low=1, high=LARGEST_COUNT)
    keep_every: int = setting(0, low=0, high=LARGEST_COUNT)
    select_on: Literal["last", "validation"] = "last"
    validate_every: int = setting(10, low=1, high=LARGEST_COUNT, only={"select_on": ("validation",)})
    validation_tasks: int = setting(400, low=2, high=LARGEST_COUNT, only={"select_on": ("validation",)})
    json: bool = False


@dataclasses.dataclass(frozen=True)
class KeptOptions(TrainOptions):
    """What a run's directory says of how it was run.

    A run that was made before there was a field has its default; so that must be what was done before there was it.

    Attributes:
        preset: Where the settings came from.
        used_devices: Devices that shared the tasks of an update; 0: it is not known.
    """

    preset: str = "default"
    used_devices: int = setting(0, low=0, high=2**31 - 1)
