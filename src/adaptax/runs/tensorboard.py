"""Scalars for TensorBoard. It is a convenience: what goes wrong with it is said once, and stops nothing.

tensorboardX's own `SummaryWriter` hands events to a thread through a bounded queue. When the disk is full that thread
dies, and whoever writes the eleventh event waits for ever; so here they are written by whoever has them. And it opens
whatever has the file's name, or a place in the cloud if the path looks like one ("gs:…"); here it is a new file.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import if_installed, needs

FLUSH_SECONDS = 30


class EventFile:
    """A new file of TensorBoard's events, each in a frame: its length, a checksum of that, the event, a checksum."""

    def __init__(self, folder: Path):
        """Make it.

        Raises:
            OSError: if it cannot be made.
        """
        from tensorboardX.proto.event_pb2 import Event

        now = time.time()
        # A name of its own: two files of one second would otherwise be the same.
        own = f"{now:.0f}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._file = os.fdopen(atomic_files.create(folder / f"events.out.tfevents.{own}"), "wb")
        self.write_event(Event(wall_time=now, file_version="brain.Event:2"))

    def write_event(self, event: Any) -> None:
        """Append an event."""
        from tensorboardX.record_writer import masked_crc32c

        data = event.SerializeToString()
        length = len(data).to_bytes(8, "little")
        sums = (masked_crc32c(part).to_bytes(4, "little") for part in (length, data))
        self._file.write(length + next(sums) + data + next(sums))

    def flush(self) -> None:
        """Write what there is to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """The same, and close the file."""
        with self._file:
            self.flush()


class TensorBoard:
    """Writes scalars into a new file of a folder, at their environment steps; nothing without tensorboardX."""

    def __init__(self, folder: Path, on_message: Callable[[str], None]):
        """Prepare it; nothing is written.

        Args:
            folder: Where; it is made.
            on_message: Called with a line for a person when it cannot be written, once.
        """
        self._folder, self._on_message = folder, on_message
        self._writer: Any = None
        self._flushed = time.monotonic()

    def start(self, first_step: int) -> None:
        """Open the file; what earlier ones say of `first_step` and later steps no longer holds."""
        with if_installed(f"{self._folder.name}/", self._on_message), self._given_up_if_impossible():
            with needs("tensorboard", "TensorBoard"):
                from tensorboardX.proto.event_pb2 import SessionLog
            if self._folder.is_symlink():
                raise OSError("is a link")
            self._folder.mkdir(exist_ok=True)
            self._writer = EventFile(self._folder)
            self._write(first_step, session_log=SessionLog(status=SessionLog.START))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write scalars by name."""
        if self._writer is None:
            return
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        with self._given_up_if_impossible():
            self._write(step, summary=Summary(value=values))
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._writer.flush()
                self._flushed = time.monotonic()

    def finish(self, status: str) -> None:
        """Write what there is to the disk, however the run has ended."""
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
