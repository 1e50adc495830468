"""Where a traceback goes: into a file of the run, while a person gets one line."""

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from adaptax.core import atomic_files


@contextlib.contextmanager
def tracebacks_into(directory: Path) -> Iterator[None]:
    """Note in what is raised inside that `directory` is the place for its traceback, unless one is noted already."""
    try:
        yield
    except Exception as error:
        error.__dict__.setdefault("crash_directory", directory)
        raise


def write_traceback(error: BaseException) -> str:
    """Write it down, here if nothing else is noted, and say where it is."""
    text = "".join(traceback.format_exception(error))
    return f"the traceback is {_written(getattr(error, 'crash_directory', Path()), text)}"


def write_stacks(directory: Path, what: str) -> str:
    """Write down where each thread of this process is, the main thread first, under `what`; say where that is.

    A callback that compiled code waits for runs in a thread of XLA's.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main, frames = threading.main_thread().ident, dict(sys._current_frames())
    frames.pop(threading.get_ident(), None)
    parts = [what + "\n"]
    for number in sorted(frames, key=lambda number: number != main):
        parts += [f"\nthread {names.get(number, number)}\n", *traceback.format_stack(frames[number])]
    return f"where it is stuck is {_written(directory, ''.join(parts))}"


def _written(directory: Path, text: str) -> str:
    """Where a text went: into a new file of a directory, or else to standard error."""
    path = directory / f"crash-{os.getpid()}-{time.monotonic_ns()}.txt"
    home = os.path.expanduser("~").rstrip("/")
    if home:
        text = text.replace(home + "/", "~/")  # a run's directory is shared with others, who need not know whose it was
    try:
        atomic_files.write(path, text.encode(errors="replace"))
    except OSError:
        print(text, end="", file=sys.stderr)
        return "above"
    return f"in {path}"
