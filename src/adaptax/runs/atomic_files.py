"""Files that are whole or not there, and reading that trusts nothing.

Written under another name, flushed to the disk, then renamed; and the folder flushed, or a rename may be lost with the
power.
"""

import os
import stat
from pathlib import Path

TEMPORARY = ".tmp"
"""Ends the name of a file that is being written; one that is left over comes from a process that died."""
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
        OSError: if it cannot be written; nothing is left of it then.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    # A new file, always: what has that name may be a link, to make us overwrite another file, or a pipe.
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


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
