"""A tracker in a thread of its own, so that neither what it raises nor what it waits for is the run's concern.

It may be as slow as it likes for a while: what it is given waits in a queue. When that is full, or it is not done some
time after the run is, it is given up.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import one_line
from adaptax.runs.trackers.tracker import Row, TrackedRun, Tracker, tracker

WAITING = 1000
"""Chunks that may wait."""
PATIENCE = 60.0
"""Seconds that it may take after the run has ended."""
SILENCE = 2.0
"""Seconds of that after which is said what is waited for."""
_LARGEST = 10_000
"""Bytes of a file of what was logged, at most."""
_NOTHING = (-1, 0)
_LONGEST = 300


class Logged:
    """What a tracker was given of a run: a file `tracker-NAME.json` in its directory.

    It is written before rows are handed over. So whoever goes on with a run that was killed gives none twice; at most
    the rows of one chunk, which were on their way then, may be missing.

    Attributes:
        identity: What the tracker calls the run; empty: it does not know it.
        place: Of the last row.
    """

    def __init__(self, directory: Path, name: str):
        self._path = directory / f"tracker-{name}.json"
        self.identity, self.place = "", _NOTHING
        try:
            found = json.loads(atomic_files.read(self._path, _LARGEST))
            identity, (update, kind) = found["id"], found["logged"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return
        if isinstance(identity, str) and type(update) is type(kind) is int:
            self.identity, self.place = identity, (update, kind)

    def write(self, identity: str, place: tuple[int, int]) -> None:
        """Note it.

        Raises:
            OSError: if it cannot be written.
        """
        self.identity, self.place = identity, place
        atomic_files.write(self._path, json.dumps({"id": identity, "logged": place}).encode())


class Background:
    """One tracker of one run. No call waits for it, but `wait`, for a limited time."""

    def __init__(
        self,
        name: str,
        run: TrackedRun,
        on_message: Callable[[str], None],
        *,
        make: Callable[[str], Tracker] = tracker,
        waiting: int = WAITING,
        patience: float = PATIENCE,
    ):
        """Prepare it; nothing is imported or begun.

        Args:
            name: Its name.
            run: What it is told of.
            on_message: Called with a line for a person if it fails, once, from any thread.
            make: Makes it.
            waiting: Chunks that may wait.
            patience: Seconds that it may take after the run has ended.
        """
        self.name, self._run, self._on_message = name, run, on_message
        self._make, self._patience = make, patience
        self._queue: queue.Queue[Sequence[Row] | str] = queue.Queue(waiting)
        self._logged = Logged(run.directory, name)
        self._thread: threading.Thread | None = None
        self._telling, self._ended = threading.Lock(), 0.0
        self.lost = False

    def log(self, rows: Sequence[Row]) -> None:
        """Give it rows; those that it was given before are left out."""
        self._put(rows)

    def has(self, row: Row) -> bool:
        """Whether it was given a row, by this process or an earlier one."""
        return row.place <= self._logged.place

    def start(self) -> None:
        """Begin, if that was not done yet."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"log to {self.name}", daemon=True)
            self._thread.start()

    def end(self, status: str) -> None:
        """Say how the run has ended."""
        if self._thread is not None:
            self._put(status)
            self._ended = time.monotonic()

    def wait(self) -> None:
        """Wait until it is done, but not for ever after `end`."""
        if self._thread is None:
            return
        if not self.lost:
            self._thread.join(max(0.0, min(SILENCE, self._patience) - self._waited()))
        if not self.lost and self._thread.is_alive():
            self._on_message(f"{self.name}: sending what is left …")
            self._thread.join(max(0.0, self._patience - self._waited()))
        if self._thread.is_alive():
            self._give_up(f"is not done {self._patience:g} s after the run")

    def _waited(self) -> float:
        return time.monotonic() - self._ended

    def _put(self, what: Sequence[Row] | str) -> None:
        if self.lost:
            return
        self.start()
        try:
            self._queue.put_nowait(what)
        except queue.Full:
            self._give_up(f"has not taken what it was given for {self._queue.maxsize} chunks")

    def _work(self) -> None:
        try:
            self._follow(self._make(self.name))
        except BaseException as error:  # whatever somebody else's code raises, SystemExit too
            self._give_up(f"{type(error).__name__}: {error}")

    def _follow(self, made: Tracker) -> None:
        logged = self._logged
        identity = made.start(TrackedRun(self._run.name, self._run.directory, self._run.config, logged.identity))
        logged.write(identity, logged.place)
        while not self.lost:
            what: Any = self._queue.get()
            if isinstance(what, str):
                made.finish(what)
                return
            new = [row for row in what if row.place > logged.place]
            if new:
                logged.write(identity, new[-1].place)
            for row in new:
                made.log(row.update, row.metrics)

    def _give_up(self, why: str) -> None:
        """Log no more, and say so once."""
        with self._telling:
            if self.lost:
                return
            self.lost = True
        text = one_line(why)
        self._on_message(
            f"warning: {self.name}: {text[:_LONGEST]}{' …'[: 2 * (len(text) > _LONGEST)]}; no more is logged there. "
            "The run goes on as if nothing had happened, and its directory has all"
        )
