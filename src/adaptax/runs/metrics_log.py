"""A run's metrics: JSON lines, and TensorBoard."""

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
from adaptax.runs.tensorboard import TensorBoard
from adaptax.training.loop import Progress

_ROW = 65_536
"""Bytes of a row, at most: one with the returns of 1024 seeds has about 25,000."""


def rows_after(directory: Path, position: Any, at_most: int = 16_000_000) -> int:
    """Rows that a run has measured after a checkpoint's `position`, as far as they are in the next `at_most` bytes."""
    start = _start(position)
    try:
        descriptor = atomic_files.open_to_read(directory / METRICS)
    except OSError:
        return 0
    try:
        return os.pread(descriptor, at_most, start[0] if start else 0).count(b"\n")
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
    """Writes metrics of every update to `metrics.jsonl`, and of every chunk to TensorBoard; a context manager.

    A checkpoint notes how far the file was (`position`). Whoever goes on from it cuts the file back to there, so each
    update has one row, however often a run was killed.

    Attributes:
        rows: The rows of `metrics.jsonl`.
    """

    def __init__(
        self,
        directory: Path,
        steps_per_update: int,
        position: Mapping[str, Any] | None = None,
        *,
        done: int = 0,
        on_message: Callable[[str], None] = lambda message: None,
    ):
        """Open the files.

        Args:
            directory: The run's directory.
            steps_per_update: Environment steps in an update of all seeds, if no episode ends early.
            position: Where to go on; None: at the beginning.
            done: Updates done before.
            on_message: Called with a line for a person if the rows up to there are not what was written.

        Raises:
            OSError: if they cannot be written.
        """
        self.rows: list[dict[str, Any]] = []
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
        self._board = TensorBoard(directory / "tensorboard", self._taken + 1, on_message)

    def _take_up(self, path: Path, position: Any, done: int, on_message: Callable[[str], None]) -> None:
        """Read the rows of the updates done, which are before `position`; if they are damaged, put the file aside."""
        try:
            data = _read_rows(path, position, done)
            self.rows = _parse(data, done)
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
        self._board.close()

    def write(self, progress: Progress) -> None:
        """Write one chunk: a row per update with each metric's mean over seeds (and every seed's return).

        Raises:
            OSError: if it cannot be written, for want of space on_message. The rows wait for the next call.
        """
        metrics = {name: values for name, values in progress.metrics.items() if name != ENV_STEPS}
        taken = progress.env_steps(self._steps)
        for offset, steps in enumerate(taken):
            self._taken += steps
            row: dict[str, Any] = {"update": progress.done - len(taken) + offset + 1, ENV_STEPS: self._taken}
            row |= {name: float(values[offset].mean()) for name, values in metrics.items()}
            if progress.metrics["return"].shape[1] > 1:
                row["returns"] = progress.metrics["return"][offset].tolist()
            self.rows.append(row)
            self._waiting += (json.dumps(row) + "\n").encode()
        self._flush()
        speed = (self._taken - self._before) / progress.seconds
        means = {name: float(values.mean()) for name, values in metrics.items()}
        self._board.scalars({**means, "steps_per_second": speed}, self._taken)

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
    if start is None or start[0] > done * _ROW:
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


def _parse(data: bytes, done: int) -> list[dict[str, Any]]:
    """Rows as `RunLog.write` writes them, up to that of update `done`: a picture is drawn of them.

    They need not begin with the first, if earlier ones were damaged and put aside.

    Raises:
        ValueError: if they are something else.
    """
    rows = [json.loads(line) for line in data.decode().splitlines()]
    numbers = (int, float)
    if len(rows) > done:
        raise ValueError("number of rows")
    for number, row in enumerate(rows, done - len(rows) + 1):
        if not isinstance(row, dict) or row.get("update") != number or not {ENV_STEPS, "return"} <= set(row):
            raise ValueError("rows")
        returns = row.get("returns", [])
        others = [value for name, value in row.items() if name != "returns"]
        if not isinstance(returns, list) or not all(type(x) in numbers for x in (*others, *returns)):
            raise ValueError("values")
        if type(row[ENV_STEPS]) is not int or not 0 <= row[ENV_STEPS] < 2**63:
            raise ValueError("steps")
    return rows
