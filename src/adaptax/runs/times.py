"""How long a training took, and how far it was when: `times.jsonl`, a row for each chunk of updates.

Apart from the metrics, as no two trainings take as long, and a run that was gone on with has the same metrics to the
byte. It is a convenience: what goes wrong with it is said once, and stops nothing.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from adaptax.core import atomic_files
from adaptax.core.types import ENV_STEPS

FILE = "times.jsonl"
_LARGEST = 100_000_000
"""Bytes of the file, at most."""


class Times:
    """Writes the times of a run's chunks.

    A row has `update` and `env_steps`, as far as it was, and `seconds`: of all its training until then, in whichever
    process, without compilation, evaluations and what was lost when it was killed.
    """

    def __init__(self, directory: Path, done: int, on_message: Callable[[str], None]):
        """Open the file, and cut off what came after the update that is gone on from.

        Args:
            directory: The run's directory.
            done: That update.
            on_message: Called with a line for a person if it cannot be written, once.
        """
        self._path, self._on_message = directory / FILE, on_message
        self._file: int | None = None
        with self._given_up_if_impossible():
            kept = _rows_until(self._path, done)
            self._before = float(json.loads(kept[-1])["seconds"]) if kept else 0.0
            self._file = atomic_files.open_to_update(self._path)
            size = sum(map(len, kept))
            os.ftruncate(self._file, size)
            os.lseek(self._file, size, os.SEEK_SET)

    def write(self, update: int, env_steps: int, seconds: float) -> None:
        """Append a row.

        Args:
            update: Updates done.
            env_steps: Environment steps taken until then.
            seconds: Seconds of training in this process until then.
        """
        if self._file is None:
            return
        row = {"update": update, ENV_STEPS: env_steps, "seconds": round(self._before + seconds, 3)}
        with self._given_up_if_impossible():
            atomic_files.write_all(self._file, (json.dumps(row) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @contextlib.contextmanager
    def _given_up_if_impossible(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._on_message(f"warning: {self._path}: {error.strerror or error}; no more times are written")
            self.close()


def _rows_until(path: Path, done: int) -> list[bytes]:
    """The lines that the file begins with, of chunks up to update `done`; from what is none of ours on, none."""
    kept: list[bytes] = []
    try:
        data = atomic_files.read(path, _LARGEST) if done else b""
    except FileNotFoundError:
        return kept
    last = 0
    for line in data.splitlines(keepends=True):
        try:
            row = json.loads(line)
            update, seconds = row["update"], row["seconds"]
        except (ValueError, KeyError, TypeError, RecursionError):
            break
        whole = line.endswith(b"\n") and type(update) is int and last < update <= done
        if not whole or type(seconds) not in (int, float) or not 0 <= seconds < 1e12:
            break
        kept.append(line)
        last = update
    return kept
