"""Ctrl-C, SIGTERM and a closed terminal: what there is to save is saved, and the process ends soon and quietly.

Python runs a signal's handler only between two of its own instructions, and XLA compiles and computes for minutes
without any. So a thread waits for signals: it ends the process at once where nothing is lost, and otherwise asks to
stop.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

STOPPED = 75
"""Exit code of what was stopped and can be resumed or repeated (EX_TEMPFAIL)."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_WAKE = b"\xff"
"""Ends the thread; no signal has that number."""


class Interrupts:
    """Watches for signals while it is open, as a context manager; only in a process's main thread, and once.

    Attributes:
        asked: Whether somebody asked to stop.
        at_once: What to say before ending at once, where that loses nothing; None where something has to be saved.
        abrupt: Whether the process has to end without cleaning up, as with others lost there is nobody to do it with.
    """

    def __init__(self, at_once: str = "stopped; nothing was saved by this command") -> None:
        self.asked = self.abrupt = False
        self.at_once: str | None = at_once
        self._second = at_once
        self._before: dict[int, Any] = {}
        self._reader = self._writer = self._wakeup_before = -1

    def __enter__(self) -> "Interrupts":
        global _watching  # noqa: PLW0603
        if threading.current_thread() is not threading.main_thread():
            return self
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` and shells in the background ask
                self._before[number] = signal.signal(number, lambda number, frame: None)
        threading.Thread(target=self._wait, daemon=True).start()
        _watching = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _watching  # noqa: PLW0603
        if self._writer < 0:
            return
        _watching = None
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.write(self._writer, _WAKE)
        os.close(self._writer)

    @contextlib.contextmanager
    def saving(self, at_once: str) -> Iterator["Interrupts"]:
        """While it is open, the first signal only asks to stop; a second Ctrl-C ends at once, and says `at_once`."""
        before, self.at_once, self._second = self.at_once, None, at_once
        try:
            yield self
        finally:
            self.at_once = before

    def _wait(self) -> None:
        while (byte := os.read(self._reader, 1)) and byte != _WAKE:
            self._heard(byte[0])
        os.close(self._reader)

    def _heard(self, number: int) -> None:
        if self.at_once is not None:
            self.end(self.at_once)
        elif self.asked and number == signal.SIGINT:
            self.end(self._second)
        elif not self.asked:
            self.asked = True
            _say("stopping after this chunk; Ctrl-C again to stop at once")

    def end(self, message: str) -> None:
        """End the process at once; for other threads too."""
        show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar may have hidden it
        _say(show_cursor + message)
        os._exit(STOPPED)


_watching: Interrupts | None = None


def watching() -> Interrupts:
    """What watches for signals in this process; one that hears of none, if nothing does."""
    return _watching if _watching is not None else Interrupts()


def _say(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(2, (message + "\n").encode())
