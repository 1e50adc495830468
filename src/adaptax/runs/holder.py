"""Who is at work in a run's directory, found out without taking its lock, and how the last one ended."""

import os
import re
import socket
import time
from pathlib import Path
from typing import NamedTuple

from adaptax.core import atomic_files
from adaptax.runs.directory import ENDED, LOCK

SILENT = 120.0
"""Seconds without a sign after which a process on another host, whose lock cannot be seen, is taken to have ended."""
_LARGEST = 10_000
_LOCKS = Path("/proc/locks")


class Holder(NamedTuple):
    """What can be known.

    Attributes:
        held: Whether a process works there.
        failed: What the last one failed of; empty if it did not, or nobody knows.
    """

    held: bool
    failed: str


def holder_of(directory: Path, changed: float) -> Holder:
    """Who is at work there.

    Args:
        directory: The run's.
        changed: When the run was last written to, in seconds since the epoch.
    """
    path = directory / LOCK
    try:
        text = atomic_files.read(path, _LARGEST).decode(errors="replace")
        status = os.stat(path)
    except OSError:
        return Holder(False, "")
    signed, _, rest = text.partition("\n")
    failed = rest.removeprefix(ENDED).strip() if rest.startswith(ENDED) else ""
    found = re.match(r"process (\d+) on (\S+), since ", signed)
    process, host = (int(found[1]), found[2]) if found else (0, "")
    if host not in ("", socket.gethostname()):  # what it has locked is not in our system's list
        return Holder(not failed and time.time() - changed < SILENT, failed)
    held = _locked(status, process)
    return Holder(_is_alive(process) and not failed if held is None else held, failed)


def _locked(status: os.stat_result, process: int) -> bool | None:
    """Whether the system lists a lock of this file; None where it keeps no list that can be read."""
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    device = os.major(status.st_dev), os.minor(status.st_dev)
    for line in lines:
        found = re.match(r"\d+: FLOCK +\S+ +\S+ +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ", line)
        if found is None or int(found[4]) != status.st_ino:
            continue
        # Some file systems call their device otherwise there; then it is told by who has signed.
        if (int(found[2], 16), int(found[3], 16)) == device or int(found[1]) == process:
            return True
    return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return process > 0
