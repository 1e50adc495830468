"""What is written down of the cells of a sweep beside their runs: with whom each was trained, and what came of it."""

import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError
from adaptax.evaluation.statistics import checked, margin_95, plain, stderr
from adaptax.runs.directory import write_json

CELL = "cell.json"
SCORES = "validation.npy"
_LARGEST = 4_000_000
_LARGEST_SCORES = 2**31


@dataclasses.dataclass(frozen=True)
class CellRecord:
    """What came of a choice, as far as it is.

    Attributes:
        together: Names of the cells that are trained in one program with it, itself among them; empty: not begun.
        diverged: Where its numbers became NaN or infinite ("update 12", "validation tasks"); None: nowhere.
        figures: Mean, standard error and more of what its agents earned in validation tasks; None: not evaluated.
    """

    together: tuple[str, ...] = ()
    diverged: str | None = None
    figures: Mapping[str, Any] | None = None

    @property
    def finished(self) -> bool:
        """Whether there is nothing to do any more."""
        return self.diverged is not None or self.figures is not None

    def write(self, directory: Path) -> None:
        """Write it down.

        Raises:
            OSError: if it cannot be written.
        """
        write_json(directory / CELL, dataclasses.asdict(self))


def read_cell(directory: Path) -> CellRecord:
    """What is written down of a cell.

    Raises:
        CheckpointError: if it is not what was written.
    """
    path = directory / CELL
    try:
        content = json.loads(atomic_files.read(path, _LARGEST).decode())
        record = CellRecord(tuple(map(str, content["together"])), content["diverged"], content["figures"])
    except FileNotFoundError:
        return CellRecord()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unusable(path, error) from error
    if not (record.diverged is None or isinstance(record.diverged, str)) or not isinstance(record.figures, dict | None):
        raise _unusable(path, "other kinds of values")
    if record.figures is not None and type(record.figures.get("mean")) is not float:
        raise _unusable(path, "no figures")
    return record


def figures_of(scores: np.ndarray, **more: Any) -> dict[str, Any]:
    """Figures of `scores[seed, task]`: mean, standard error, 95 % interval (Student's), and the mean of each seed."""
    scores = checked(scores)
    mean, margin = float(scores.mean()), margin_95(scores)
    return {
        "mean": mean,
        "stderr": plain(stderr(scores)),
        "interval": plain(np.array([mean - margin, mean + margin])),
        "by_seed": scores.mean(1).tolist(),
        **more,
    }


def write_scores(directory: Path, scores: np.ndarray) -> None:
    """Write what each seed earned in each validation task.

    Raises:
        OSError: if it cannot be written.
    """
    written = io.BytesIO()
    np.save(written, scores.astype(np.float64))
    atomic_files.write(directory / SCORES, written.getvalue())


def read_scores(directory: Path) -> np.ndarray:
    """What `write_scores` wrote, `[seed, task]`.

    Raises:
        CheckpointError: if it is something else.
    """
    path = directory / SCORES
    try:
        found = np.load(io.BytesIO(atomic_files.read(path, _LARGEST_SCORES)), allow_pickle=False)
        return checked(found)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, reason: object) -> CheckpointError:
    return CheckpointError(
        f"{path}: is not what was written ({reason}). Nothing was changed; restore the file, or move the folder away "
        "to have it trained again"
    )
