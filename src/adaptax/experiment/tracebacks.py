"""Where a traceback goes: into a file of the run, while a person gets one line."""

import contextlib
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

_directory = Path()


@contextlib.contextmanager
def crashes_into(directory: Path) -> Iterator[None]:
    """Put the traceback of what goes wrong inside into `directory`."""
    global _directory  # noqa: PLW0603
    before, _directory = _directory, directory
    try:
        yield
    except Exception as error:
        error.__dict__.setdefault("crash_directory", directory)
        raise
    finally:
        _directory = before


def write_traceback(error: BaseException) -> str:
    """Write it down, and say where it is."""
    directory: Path = getattr(error, "crash_directory", _directory)
    path = directory / f"crash-{os.getpid()}-{time.monotonic_ns()}.txt"
    told = "".join(traceback.format_exception(error))
    home = os.path.expanduser("~").rstrip("/")
    if home:
        told = told.replace(home + "/", "~/")  # a run's directory is shared with others, who need not know whose it was
    try:
        path.write_text(told, encoding="utf-8")
    except OSError:
        traceback.print_exception(error)
        return "the traceback is above"
    return f"the traceback is in {path}"
