"""A run's metrics: JSON lines; each is logged elsewhere, too."""

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.types import ENV_STEPS
from adaptax.runs.directory import METRICS, first_free
from adaptax.runs.times import Times
from adaptax.runs.trackers.trackers import Trackers
from adaptax.training.loop import Progress

_ROW = 500_000
"""Bytes of a row, at most: one with ten metrics of 1024 seeds has about 130,000."""
SPLIT = "split"
"""In the rows of evaluations, and in those alone: the split of the tasks."""
VALIDATION = "validation"
_EVALUATION = b'{"%b": ' % SPLIT.encode()
"""Begins the rows of evaluations."""


def returns_of(row: Mapping[str, Any]) -> list[float]:
    """The return in training of each seed, from a row of any version."""
    by_seed: list[float] = row["by_seed"]["return"] if "by_seed" in row else row.get("returns", [row["return"]])
    return by_seed


def rows_after(directory: Path, position: Any, at_most: int = 16_000_000) -> int:
    """Updates that a run has measured after a checkpoint's `position`, as far as their rows are in `at_most` bytes."""
    start = _start(position)
    try:
        descriptor = atomic_files.open_to_read(directory / METRICS)
    except OSError:
        return 0
    try:
        rows = os.pread(descriptor, at_most, start[0] if start else 0).splitlines(keepends=True)
        return sum(row.endswith(b"\n") and not row.startswith(_EVALUATION) for row in rows)
    except (OSError, OverflowError):
        return 0
    finally:
        os.close(descriptor)


def _start(position: Any) -> tuple[int, str] | None:
    """Size and SHA-256 from a checkpoint's `position`; None if that is something else."""
    if not isinstance(position, Mapping):
        return None
    size, digest = position.get("size"), position.get("sha256")
    return (size, digest) if type(size) is int and size >= 0 and isinstance(digest, str) else None


class RunLog:
    """Writes metrics of every update to `metrics.jsonl`, and hands them to trackers; a context manager.

    A checkpoint notes how far the file was (`position`). Whoever goes on from it cuts the file back to there, so each
    update, and each evaluation, has one row, however often a run was killed. There is no clock in it: what is gone on
    with writes the same bytes. Times are in a file of their own (`Times`).

    Attributes:
        rows: The rows of `metrics.jsonl` that are of updates.
        evaluations: Those that are of evaluations between updates.
    """

    def __init__(
        self,
        directory: Path,
        steps_per_update: int,
        position: Mapping[str, Any] | None = None,
        *,
        done: int = 0,
        trackers: Trackers | None = None,
        on_message: Callable[[str], None] = lambda message: None,
    ):
        """Open the files.

        Args:
            directory: The run's directory.
            steps_per_update: Environment steps in an update of all seeds, if no episode ends early.
            position: Where to go on; None: at the beginning.
            done: Updates done before.
            trackers: Where else they are logged; they are begun here, and ended by whoever has made them. None: to
                TensorBoard alone.
            on_message: Called with a line for a person if the rows up to there are not what was written.

        Raises:
            OSError: if they cannot be written.
        """
        self.rows: list[dict[str, Any]] = []
        self.evaluations: list[dict[str, Any]] = []
        self._steps, self._size, self._hash = steps_per_update, 0, hashlib.sha256()
        self._waiting = b""
        path = directory / METRICS
        if done:
            self._take_up(path, position, done, on_message)
        self._first = done
        self._taken = self._before = self.rows[-1][ENV_STEPS] if self.rows else done * steps_per_update
        self._file = atomic_files.open_to_update(path)
        os.ftruncate(self._file, self._size)
        os.lseek(self._file, self._size, os.SEEK_SET)
        self._trackers: Trackers = trackers if trackers is not None else Trackers((), directory, {}, on_message)
        self._own = self._trackers if trackers is None else None
        self._trackers.start(self._taken, [*self.rows, *self.evaluations])
        self._times = Times(directory, done, on_message)

    def _take_up(self, path: Path, position: Any, done: int, on_message: Callable[[str], None]) -> None:
        """Read the rows of the updates done, which are before `position`; if they are damaged, put the file aside."""
        try:
            data = _read_rows(path, position, done)
            self.rows, self.evaluations = _parse(data, done)
        except (OSError, ValueError, RecursionError):
            moved = ""
            if os.path.lexists(path):
                names = (f"damaged-{path.stem}{'' if n == 1 else f'-{n}'}{path.suffix}" for n in itertools.count(1))
                aside = first_free(path.with_name(name) for name in names)
                os.rename(path, aside)
                moved = f"; what there is was moved to {aside}"
            on_message(f"{path}: rows are damaged or missing{moved}; training is not affected")
            return
        self._size = len(data)
        self._hash.update(data)

    @property
    def position(self) -> dict[str, Any]:
        """How far the file is: size in bytes, and SHA-256 of them."""
        return {"size": self._size, "sha256": self._hash.hexdigest()}

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        if self._own is not None:
            self._own.finish("finished")
        self._times.close()

    def write(self, progress: Progress, evaluation: Mapping[str, Any] | None = None) -> None:
        """Write one chunk: a row per update with each metric's mean over seeds (and, if there are several, each one's).

        Args:
            progress: The chunk.
            evaluation: What an evaluation after it has found, by name; None: there was none.

        Raises:
            OSError: if it cannot be written, for want of space say. The rows wait for the next call.
        """
        metrics = {name: values for name, values in progress.metrics.items() if name != ENV_STEPS}
        taken, new = progress.env_steps(self._steps), []
        for offset, steps in enumerate(taken):
            self._taken += steps
            row: dict[str, Any] = {"update": progress.done - len(taken) + offset + 1, ENV_STEPS: self._taken}
            row |= {name: float(values[offset].mean()) for name, values in metrics.items()}
            if progress.metrics["return"].shape[1] > 1:
                row["by_seed"] = {name: _digits(values[offset]) for name, values in metrics.items()}
            self.rows.append(row)
            new.append(row)
            self._waiting += (json.dumps(row) + "\n").encode()
        speed = (self._taken - self._before) / progress.seconds
        self._trackers.log([*new[:-1], {**new[-1], "steps_per_second": speed}])
        if evaluation is not None:
            self._add(progress.done, evaluation)
        self._times.write(progress.done, self._taken, progress.seconds)
        self._flush()

    def write_evaluation(self, update: int, found: Mapping[str, Any]) -> None:
        """Write what an evaluation after an update has found, by name.

        Raises:
            OSError: as `write`.
        """
        self._add(update, found)
        self._flush()

    def _add(self, update: int, found: Mapping[str, Any]) -> None:
        row = {SPLIT: VALIDATION, "update": update, ENV_STEPS: self._taken, **found}
        self.evaluations.append(row)
        self._waiting += (json.dumps(row) + "\n").encode()
        self._trackers.log([row])

    def _flush(self) -> None:
        """Write what waits, or nothing of it."""
        try:
            atomic_files.write_all(self._file, self._waiting)
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(self._waiting)
        self._hash.update(self._waiting)
        self._waiting = b""


def _read_rows(path: Path, position: Any, done: int) -> bytes:
    """The bytes before `position`.

    Raises:
        OSError: if the file cannot be read, or is no regular file.
        ValueError: if they are not what a checkpoint says, or too many for so few updates.
    """
    start = _start(position)
    if start is None or start[0] > (2 * done + 1) * _ROW:
        raise ValueError("no position")
    size, digest = start
    descriptor = atomic_files.open_to_read(path)
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size < size:
            raise ValueError("too short")
        data = file.read(size)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("checksum")
    return data


def _digits(values: Any) -> list[float]:
    """Numbers in single precision, with as many digits as tell them apart."""
    return [float(f"{x:.9g}") for x in values]


def _returns(row: Mapping[str, Any]) -> list[float]:
    """Return of each seed, in a row of either kind.

    Raises:
        ValueError: if they are none.
    """
    try:
        returns = row["validation_returns"] if SPLIT in row else returns_of(row)
    except (KeyError, TypeError):
        raise ValueError("returns") from None
    if not isinstance(returns, list) or not all(type(x) in (int, float) for x in returns):
        raise ValueError("returns")
    return returns


def _are_numbers(value: Any) -> bool:
    """Whether it is a number, or lists and names of numbers, a few deep."""
    if isinstance(value, dict):
        value = [x if isinstance(x, list) else [x] for x in value.values()]
    if isinstance(value, list):
        return all(map(_are_numbers, value))
    return type(value) in (int, float)


_TRAINED = {"update", ENV_STEPS, "return"}
_EVALUATED = {SPLIT, "update", ENV_STEPS, "tasks", "validation_return", "validation_stderr", "validation_returns"}


def _parse(data: bytes, done: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows as `RunLog.write` writes them, up to update `done`: those of updates, and those of evaluations.

    They need not begin with the first, if earlier ones were damaged and put aside.

    Raises:
        ValueError: if they are something else.
    """
    rows = [json.loads(line) for line in data.decode().splitlines()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("rows")
    updates = [row for row in rows if SPLIT not in row]
    if len(updates) > done:
        raise ValueError("number of rows")
    last = done - len(updates)
    for row in rows:
        last += SPLIT not in row
        if row.get("update") != last or not (_EVALUATED if SPLIT in row else _TRAINED) <= set(row):
            raise ValueError("rows")
        if row.get(SPLIT, VALIDATION) != VALIDATION or not _are_numbers([x for k, x in row.items() if k != SPLIT]):
            raise ValueError("values")
        if type(row[ENV_STEPS]) is not int or not 0 <= row[ENV_STEPS] < 2**63:
            raise ValueError("steps")
        if len(_returns(row)) != len(_returns(rows[0])):
            raise ValueError("seeds")
    return updates, [row for row in rows if SPLIT in row]
