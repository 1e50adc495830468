"""Standard streams as a command finds them: closed, full, read by somebody who has read enough, without some letters.

What happens to them is no reason to stop what is being computed: it is told when the command has ended.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from adaptax.core.errors import AdaptaxError, one_line, unwritten


class Patient:
    """Standard error that may have been closed: a terminal that has gone must not stop a training."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what can be handed on."""
        with contextlib.suppress(OSError):
            self._stream.flush()


class Results(Patient):
    """Standard output: if it takes no more, the rest is dropped, and `end` says so.

    A reader that has gone (`adaptax list | head -1`) has read what it wanted, which is no error.
    """

    def __init__(self, stream: Any):
        super().__init__(stream)
        self._failed: OSError | None = None

    def write(self, text: str) -> int:
        """Write it, or note that it cannot be written."""
        with self._noted():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand it on, or note that it cannot be done."""
        with self._noted():
            self._stream.flush()

    @property
    def takes_more(self) -> bool:
        """Whether what is written still goes somewhere."""
        return self._failed is None

    def end(self) -> AdaptaxError | None:
        """Hand on what there is; what to say of it, if it was not taken."""
        self.flush()
        if self._failed is None or isinstance(self._failed, BrokenPipeError):
            return None
        return unwritten("standard output", self._failed, "Files that were written are whole. Send it elsewhere")

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failed = self._failed or error
            # What the stream still holds goes nowhere; Python would complain of it once more at exit.
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def open_what_is_closed() -> None:
    """Give a process without standard streams such that go nowhere; else a file of the run would get their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


@contextlib.contextmanager
def any_letter() -> Iterator[None]:
    """Print what a terminal does not know as "?", and leave the streams as they were."""
    before = [(stream, stream.errors) for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    for stream, _ in before:
        stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream, errors in before:
            with contextlib.suppress(OSError, ValueError):  # it may have been closed
                stream.reconfigure(errors=errors)


def tell(result: object) -> None:
    """Tell a line of the result on standard output."""
    print(one_line(result))


def say(message: object) -> None:
    """Say something on standard error, in one line."""
    print(one_line(message), file=sys.stderr, flush=True)
