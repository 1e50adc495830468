"""Ends a process whose chunk of updates never returns: an environment may wait for ever for what does not come."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from adaptax.experiment.signals import STOPPED, StopSignal
from adaptax.experiment.tracebacks import write_stacks


class Watchdog:
    """Watches one chunk at a time. A thread does, as compiled code hands nothing back to the one that runs it."""

    def __init__(self, seconds: float | None, stop: StopSignal, directory: Path | None):
        """Prepare it.

        Args:
            seconds: How long a chunk may take; None: as long as it likes.
            stop: Ends the process.
            directory: The run's; None in a process that writes none.
        """
        self._seconds, self._stop, self._directory = seconds, stop, directory
        self._timer: threading.Timer | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """While it is open it watches, from `begin` on."""
        try:
            yield
        finally:
            self.rest()

    def begin(self, done: int, until: int, saved: int | None = None) -> None:
        """A chunk from update `done` to `until` begins; `saved` are in a checkpoint, if that is known."""
        self.rest()
        if self._seconds is None:
            return
        self._timer = threading.Timer(self._seconds, self._bark, (done + 1, until, saved))
        self._timer.daemon = True
        self._timer.start()

    def rest(self) -> None:
        """The chunk is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _bark(self, first: int, last: int, saved: int | None) -> None:
        where = write_stacks(self._directory or Path(), f"updates {first} to {last} are being computed")
        safe = "The last checkpoint is safe" if saved is None else f"Checkpoint {saved} is safe"
        again = "" if self._directory is None else f". To go on: adaptax train --resume {self._directory}"
        self._stop.end(
            f"error[{STOPPED}]: updates {first} to {last} are not done after {self._seconds:g} s (--chunk-timeout); "
            f"{where}. {safe}{again}"
        )
