"""How a run's checkpoints did on validation tasks, and so which is the best: `validation.json` in its directory."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError
from adaptax.runs.checkpoints import LARGEST_UPDATE, has_manifest
from adaptax.runs.directory import write_json

FILE = "validation.json"
_LARGEST = 10_000_000
"""Bytes of the file, at most."""


@dataclasses.dataclass(frozen=True)
class Validation:
    """One checkpoint on validation tasks.

    Attributes:
        update: Updates done.
        mean: Return of a trial, over tasks and trainings.
        stderr: Its standard error.
    """

    update: int
    mean: float
    stderr: float


def read(directory: Path) -> list[Validation]:
    """The validations of a run so far, in the order of their updates; none if there is no such file.

    Raises:
        CheckpointError: if it is not what was written.
    """
    path = directory / FILE
    try:
        rows = json.loads(atomic_files.read(path, _LARGEST).decode())["validations"]
        found = [Validation(**row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unusable(path) from error
    if not all(_is_sound(one) for one in found) or sorted({x.update for x in found}) != [x.update for x in found]:
        raise _unusable(path)
    return found


def write(directory: Path, validations: list[Validation]) -> None:
    """Write them down, so that the file is either the old one or the whole new one.

    Raises:
        OSError: if they cannot be written.
    """
    best = best_of(directory, validations)
    rows = [dataclasses.asdict(one) for one in validations]
    write_json(directory / FILE, {"best": None if best is None else best.update, "validations": rows})


def best_of(directory: Path, validations: list[Validation]) -> Validation | None:
    """The one with the highest mean, the earliest of several, among those with a checkpoint; None: there is none.

    The best so far is always kept, unless somebody removed it, or an older one was gone on with.
    """
    kept = (one for one in validations if has_manifest(directory, one.update))
    return max(kept, key=lambda one: (one.mean, -one.update), default=None)


def _is_sound(one: Any) -> bool:
    whole = type(one.update) is int and 0 <= one.update <= LARGEST_UPDATE
    return whole and all(type(x) is float and math.isfinite(x) for x in (one.mean, one.stderr))


def _unusable(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path}: is not what was written, so the best checkpoint is not known. Nothing was changed; restore the file, "
        "or use the last checkpoint: --checkpoint last"
    )
