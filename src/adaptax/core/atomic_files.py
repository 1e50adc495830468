"""Files that are whole or not there, and reading that trusts nothing.

Written under a name of its own, flushed to the disk, then renamed; and the folder flushed, or a rename may be lost with
the power. So two processes may write the same file, of which one comes last; and a link in its place is replaced, not
followed.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from adaptax.core.errors import FULL, AdaptaxError, OutputError, ResourceError

TEMPORARY = ".tmp"
"""Ends the name of a file that is being written. One that is left over comes from a process that died, and is never
read; whether its process lives is not guessed at, so only who has the folder for itself may remove it."""
_WARY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""How to open a name that somebody else may have made: not through a link, and without waiting at a pipe for ever."""


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: one call may take only a part of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write(path: Path, data: bytes) -> None:
    """Put `data` into a file that is the old one until it is the whole new one, whatever dies meanwhile.

    Raises:
        OSError: if it cannot be written; it names `path`, and nothing is left of what was begun.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(8)}{TEMPORARY}")
    try:
        descriptor = create(temporary)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException as error:  # Ctrl-C, too
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # the name of a file that is gone says nothing to anyone
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    sync_directory(path.parent)


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Around a `write`: what the system has refused becomes a line for a person.

    Args:
        what: What is written, and where: "the picture DIR/x.png".

    Raises:
        ResourceError: if the disk is full.
        OutputError: if it cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        raise refusal(what, error) from error


def refusal(what: object, error: OSError) -> AdaptaxError:
    """What the system has said about writing `what`, as `explained` raises it."""
    refused = f"cannot write {what}: {error.strerror or error}; what was there is as it was."
    if error.errno in FULL:
        return ResourceError(f"{refused} Make room, then repeat the command")
    return OutputError(f"{refused} Move away what is in its place, or choose another directory")


def sync_directory(directory: Path) -> None:
    """Flush a folder's entries to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, at_most: int) -> bytes:
    """Read a regular file of a bounded size; its size is looked at before anything is allocated.

    Raises:
        FileNotFoundError: if there is none.
        OSError: if it cannot be read, is a link or not a regular file, or is larger than `at_most` bytes.
    """
    descriptor = open_to_read(path)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        if size > at_most:
            raise OSError(f"{size:,} bytes, expected at most {at_most:,}")
        return file.read(size)


def open_to_read(path: Path) -> int:
    """Open a regular file, not through a link, and return its descriptor.

    Raises:
        OSError: if it cannot be opened, is a link or not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | _WARY)
    _check(descriptor, links=True)
    return descriptor


def create(path: Path) -> int:
    """Make a new file to write, and return its descriptor.

    Raises:
        OSError: if it cannot be made, or anything has that name.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _WARY, 0o666)


def open_to_update(path: Path) -> int:
    """Open a file to read and write it, or make it; return its descriptor.

    Raises:
        OSError: if it cannot be opened, is a link (a hard one too: its other name may be dear to someone), or is not a
            regular file.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _WARY, 0o666)
    _check(descriptor, links=False)
    return descriptor


def _check(descriptor: int, *, links: bool) -> None:
    """Close an open file again, and raise `OSError`, if it is not a regular one, or has other names and must not."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and (links or status.st_nlink <= 1):
        return
    os.close(descriptor)
    raise OSError("has another name, too" if stat.S_ISREG(status.st_mode) else "not a regular file")
