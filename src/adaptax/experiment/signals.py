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
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from adaptax.core.errors import one_line

STOPPED = 75
"""Exit code of what was stopped and can be resumed or repeated (EX_TEMPFAIL)."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_SAME = 1.0
"""Seconds in which a second signal is taken for the first: `timeout` and batch systems send one to a process and to its
group. Ctrl-C is typed by a person, who means it."""
AFTER_THIS_CHUNK = "stopping after this chunk; Ctrl-C again to stop at once"
_WAKE = b"\xff"
"""Ends the thread; no signal has that number."""


class StopSignal:
    """Asks a training to stop: it saves what there is after the chunk at which it is, and returns.

    Call `ask` from wherever you like: another thread, a callback, a signal handler.

    Attributes:
        asked: Whether somebody asked to stop.
        at_once: What there is to say to a person if all ends at once; None while something has to be saved.
        abrupt: Whether the process has to end without cleaning up, as with others lost there is nobody to do it with.
    """

    def __init__(self, at_once: str = "stopped; nothing was saved by this command") -> None:
        self.asked = self.abrupt = False
        self.at_once: str | None = at_once
        self._second, self._asked = at_once, AFTER_THIS_CHUNK

    def ask(self) -> None:
        """Ask to stop."""
        self.asked = True

    @contextlib.contextmanager
    def saving(self, at_once: str, asked: str = AFTER_THIS_CHUNK) -> Iterator[None]:
        """While it is open there is something to save, so that nothing may end at once; who insists is told `at_once`.

        Args:
            at_once: What to say to a person who asks a second time and does not want to wait.
            asked: What to say to who asks a first time; empty: nothing.
        """
        before, self.at_once, self._second, self._asked = self.at_once, None, at_once, asked
        try:
            yield
        finally:
            self.at_once = before

    def end(self, message: str, code: int = STOPPED) -> None:
        """Called, in a thread, where waiting is in vain, as another process is lost: it has to end this one."""
        _say(message)
        os._exit(code)


class Interrupts(StopSignal):
    """Asks when the process is told to stop by a signal. Watches while it is open, as a context manager.

    Only in a process's main thread, which alone can have signal handlers; elsewhere it hears of none.
    """

    def __init__(self, at_once: str = "stopped; nothing was saved by this command") -> None:
        super().__init__(at_once)
        self._before: dict[int, Any] = {}
        self._asked_at = 0.0
        self._reader = self._writer = self._wakeup_before = -1

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` and shells in the background ask
                self._before[number] = signal.signal(number, lambda number, frame: None)
        threading.Thread(target=self._wait, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer < 0:
            return
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.write(self._writer, _WAKE)
        os.close(self._writer)

    def _wait(self) -> None:
        while (byte := os.read(self._reader, 1)) and byte != _WAKE:
            self._heard(byte[0])
        os.close(self._reader)

    def _heard(self, number: int) -> None:
        if self.at_once is not None:
            self.end(self.at_once)
        elif not self.asked:
            self.ask()
            self._asked_at = time.monotonic()
            if self._asked:
                _say(self._asked)
        elif number == signal.SIGINT or time.monotonic() - self._asked_at > _SAME:
            self.end(self._second)

    def end(self, message: str, code: int = STOPPED) -> None:
        """End the process at once; from any thread."""
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h")  # show the cursor, which a progress bar may have hidden
        _say(message)
        os._exit(code)


def _say(message: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(2, (one_line(message) + "\n").encode())
