"""Watches what a piece of Python does: what it runs, imports, opens and connects to, its time, and its memory.

Python reports such events itself (`sys.addaudithook`), whoever causes them. A hook stays for good, so this belongs into
a process of its own.
"""

import hashlib
import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

SECONDS = 5
"""How long one file may take."""
RUNS = (
    "pickle.find_class", "exec", "compile", "import", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.forkpty", "pty.spawn", "subprocess.Popen", "ctypes.dlopen", "code.__new__", "marshal.loads", "marshal.load",
    "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "webbrowser.open", "os.kill",
)  # fmt: skip
"""Events that must not happen at all."""
CHANGES = (
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.link", "os.symlink",
    "os.utime", "os.setxattr", "shutil.rmtree", "shutil.move", "shutil.copyfile",
)  # fmt: skip
"""Events that must not happen outside of a folder."""
_NOT_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0) | os.O_EXCL
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class TooLong(BaseException):
    """It took longer than it may. No `Exception`, so that nobody takes it for one of theirs."""


class Guard:
    """Watches what happens inside of it, as a context manager.

    Attributes:
        broken: What happened that must not, in words.
        seconds: How long it took.
        memory: By how many bytes the process grew at most.
    """

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.seconds, self.memory = 0.0, 0
        self._folder = ""
        self._thread: int | None = None
        self._began, self._before = 0.0, 0
        sys.addaudithook(self._heard)
        signal.signal(signal.SIGALRM, _too_long)

    def watching(self, folder: Path) -> "Guard":
        """What is in `folder` may be changed."""
        self.broken, self._folder = [], str(folder.resolve())
        return self

    def __enter__(self) -> "Guard":
        self._before = _memory_from_here()
        self._began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        self._thread = threading.get_ident()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.seconds = time.monotonic() - self._began
        self.memory = max(_status("VmHWM") - self._before, 0)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._thread != threading.get_ident():
            return
        if event in RUNS:
            self.broken.append(f"{event} {str(arguments[:1])[:100]}")
        elif event in CHANGES:
            paths = [path for path in arguments[:2] if isinstance(path, str | bytes | os.PathLike)]
            self.broken.extend(f"{event} {path!r}" for path in paths if not self._is_inside(path, follow=False))
        elif event == "open" and _writes(arguments):
            path, _, flags = arguments
            if not self._is_inside(path, follow=not flags & _NOT_THROUGH_LINKS):
                self.broken.append(f"{event} {path!r}")

    def _is_inside(self, path: Any, *, follow: bool) -> bool:
        """Whether a name is in the folder; with `follow`, whether what it leads to is."""
        plain = os.fsdecode(path)
        leads_to = plain if follow else os.path.dirname(os.path.abspath(plain))
        return (os.path.realpath(leads_to) + os.sep).startswith(self._folder + os.sep)


def _writes(arguments: tuple[Any, ...]) -> bool:
    """Whether a file is opened to change it, from the arguments of an "open" event: path, mode, flags."""
    path, mode, flags = arguments
    if isinstance(path, int):
        return False  # a descriptor; it was heard of when it was opened
    return bool(flags & WRITING) if mode is None else any(letter in mode for letter in "wax+")


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLong


def _memory_from_here() -> int:
    """The process's memory now, in bytes; its peak is counted from here."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:  # another system: the peak is that of all before, and growth is underestimated
        return _status("VmHWM")
    return _status("VmRSS")


def _status(name: str) -> int:
    """A figure of the process from /proc, in bytes; 0 where there is none."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith(name)), 0)
    except OSError:
        return 0


def fingerprint(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything in a folder: kinds, sizes, times and contents, so that a change of any is seen."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        # Access times change by reading, and sizes of folders are the file system's affair.
        facts: tuple[Any, ...] = (status.st_mode, status.st_nlink, status.st_mtime_ns)
        if stat.S_ISLNK(status.st_mode):
            facts += (os.readlink(path),)
        elif stat.S_ISREG(status.st_mode):
            small = status.st_blocks * 512 <= 10**8 and status.st_size <= 10**9
            facts += (status.st_size, hashlib.sha256(path.read_bytes()).hexdigest() if small else "")
        found[str(path.relative_to(folder))] = facts
    return found


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in a folder; of those with holes, what is not a hole."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
