"""Following a file of JSON lines that another process writes, without disturbing it."""

import json
import os
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files

LARGEST = 64_000_000
"""Bytes that are read at once, at most; of a larger file, the last."""


class Tail:
    """New rows of a file each time it is looked at. A line that is not whole yet is left for the next time.

    Attributes:
        unreadable: Whole lines that were no JSON object.
        changed: When the file was last written, in seconds since the epoch; 0: there is none.
    """

    def __init__(self, path: Path):
        self._path, self._file, self._at = path, (0, 0), 0
        self.unreadable, self.changed = 0, 0.0

    def read(self) -> tuple[bool, list[dict[str, Any]]]:
        """Whether the file is to be taken from its beginning, as it is another or was cut; and the new rows."""
        try:
            descriptor = atomic_files.open_to_read(self._path)
        except OSError:
            fresh, self._file, self._at, self.changed = self._at > 0, (0, 0), 0, 0.0
            return fresh, []
        try:
            status = os.fstat(descriptor)
            file, self.changed = (status.st_dev, status.st_ino), status.st_mtime
            fresh = file != self._file or status.st_size < self._at
            if fresh:
                self._file, self._at, self.unreadable = file, max(0, status.st_size - LARGEST), 0
            cut = fresh and self._at > 0
            data = os.pread(descriptor, LARGEST, self._at)
        except OSError:
            return False, []
        finally:
            os.close(descriptor)
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        lines = whole.splitlines()[cut:]  # the first may be half of one
        return fresh, [row for row in map(self._row, lines) if row is not None]

    def _row(self, line: bytes) -> dict[str, Any] | None:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            return row
        self.unreadable += 1
        return None
