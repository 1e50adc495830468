"""Scalars for TensorBoard. It is a convenience: what goes wrong with it is said once, and stops nothing.

tensorboardX's own `SummaryWriter` hands events to a thread through a bounded queue. When the disk is full that thread
dies, and whoever writes the eleventh event waits for ever; so here they are written by whoever has them.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from adaptax.core.errors import if_installed, needs

FLUSH_SECONDS = 30


class TensorBoard:
    """Writes scalars into a new file of a folder; nothing if tensorboardX is not installed."""

    def __init__(self, folder: Path, first_step: int, on_message: Callable[[str], None]):
        """Open the file.

        Args:
            folder: Where; it is made.
            first_step: What earlier files say of this step and later ones no longer holds.
            on_message: Called with a line for a person when it cannot be written, once.
        """
        self._folder, self._on_message = folder, on_message
        self._writer: Any = None
        self._flushed = time.monotonic()
        with if_installed(f"{folder.name}/", on_message), self._given_up_if_impossible():
            with needs("tensorboard", "TensorBoard"):
                from tensorboardX.event_file_writer import EventsWriter
                from tensorboardX.proto.event_pb2 import SessionLog
            if folder.is_symlink():
                raise OSError("is a link")
            folder.mkdir(exist_ok=True)
            # A name of its own: two files of one second would otherwise be the same.
            self._writer = EventsWriter(str(folder / "events"), f".{os.getpid()}.{time.monotonic_ns()}")
            self._write(first_step, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars by name."""
        if self._writer is None:
            return
        from tensorboardX.summary import scalar

        with self._given_up_if_impossible():
            for name, value in values.items():
                self._write(step, summary=scalar(name, value))
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._writer.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what there is to the disk."""
        if self._writer is None:
            return
        with self._given_up_if_impossible():
            self._writer.close()
            self._writer = None

    def _write(self, step: int, **what: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(step=step, wall_time=time.time(), **what))

    @contextlib.contextmanager
    def _given_up_if_impossible(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            writer, self._writer = self._writer, None
            self._on_message(f"warning: {self._folder}: {error.strerror or error}; no more is written for TensorBoard")
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.close()  # its buffer cannot be written either; but the file is closed then
