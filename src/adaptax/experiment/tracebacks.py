"""Where a traceback goes: into a file of the run, while a person gets one line."""

import contextlib
import os
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
    directory: Path = getattr(error, "crash_directory", Path())
    path = directory / f"crash-{os.getpid()}-{time.monotonic_ns()}.txt"
    text = "".join(traceback.format_exception(error))
    home = os.path.expanduser("~").rstrip("/")
    if home:
        text = text.replace(home + "/", "~/")  # a run's directory is shared with others, who need not know whose it was
    try:
        atomic_files.write(path, text.encode(errors="replace"))
    except OSError:
        traceback.print_exception(error)
        return "the traceback is above"
    return f"the traceback is in {path}"
