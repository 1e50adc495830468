"""Processes that work together notice when one of them is lost, and say which.

`jax.distributed` notices too, but it aborts the others with a dump for whoever wrote it. So the first process holds a
connection to each of the others; over each goes a byte a second in both directions. A connection that closes, or is
silent for too long, is a process that has ended or is stuck. A thread watches, so that it makes no difference what the
rest of the process computes or waits for.
"""

import contextlib
import dataclasses
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

TOKEN_BYTES = 16
_HELLO = struct.Struct(f"!{TOKEN_BYTES}sI64s")
_BEAT_SECONDS = 1.0
_BEAT = b"."
_FAREWELL = b"!"
"""Begins what a process says last: why it ends. It goes on until the connection closes."""
_LONGEST = 2000
"""Bytes of that."""


@dataclasses.dataclass(frozen=True)
class Peer:
    """Another process.

    Attributes:
        index: Its number.
        host: Where it runs.
    """

    index: int
    host: str

    def __str__(self) -> str:
        return f"process {self.index} on {self.host}"


class Address(NamedTuple):
    """Where the first process waits for the others, and the token by which it knows them."""

    host: str
    port: int
    token: bytes


class Server:
    """The first process's side: it accepts the connections of the others.

    Attributes:
        address: What they need to know.
    """

    def __init__(self, host: str):
        """Listen at a free port; `host` is the first process's name or number as the others know it."""
        self._socket = socket.create_server(("", 0))
        self.address = Address(host, self._socket.getsockname()[1], secrets.token_bytes(TOKEN_BYTES))

    def accept(self, count: int, seconds: float) -> dict[Peer, socket.socket]:
        """Wait for `count` others, refuse whoever has not the token, and stop listening.

        Raises:
            OSError: if they are not there after `seconds`.
        """
        came: dict[Peer, socket.socket] = {}
        end = time.monotonic() + seconds
        with self._socket:
            while len(came) < count:
                self._socket.settimeout(max(end - time.monotonic(), 0.01))
                line, _ = self._socket.accept()
                line.settimeout(max(min(end - time.monotonic(), 5.0), 0.01))
                with contextlib.suppress(OSError):
                    token, index, host = _HELLO.unpack(_exactly(line, _HELLO.size))
                    if secrets.compare_digest(token, self.address.token):
                        line.sendall(_BEAT)
                        came[Peer(index, _plain(host))] = line
                        continue
                line.close()
        return came


def connect(address: Address, index: int, seconds: float) -> dict[Peer, socket.socket]:
    """Connect to the first process's `Server`, as process `index`.

    Raises:
        OSError: if it cannot be reached within `seconds`, or refuses this process.
    """
    line = socket.create_connection((address.host, address.port), seconds)
    line.sendall(_HELLO.pack(address.token, index, socket.gethostname().encode()[:64]))
    _exactly(line, 1)
    return {Peer(0, address.host): line}


class Heartbeat:
    """Watches over connections until it is closed."""

    def __init__(
        self,
        lines: Mapping[Peer, socket.socket],
        silence: float,
        on_lost: Callable[[Peer, str], None],
        on_farewell: Callable[[Peer, str], None] = lambda peer, why: None,
    ):
        """Begin.

        Args:
            lines: Connections to others.
            silence: Seconds without a sign of life after which one is taken for lost.
            on_lost: Called, in a thread, with the first that is lost, and how it was noticed.
            on_farewell: Called, in a thread, with the first that says why it ends, and what it says; the others, who
                cannot hear it, have been told.
        """
        self._lines, self._silence = dict(lines), silence
        self._on_lost, self._on_farewell = on_lost, on_farewell
        self._closed = threading.Event()
        for line in self._lines.values():
            line.setblocking(False)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """From here on others may end; this process stays with them until it hangs up."""
        self._closed.set()

    def hang_up(self, farewell: str = "") -> None:
        """Close the connections: those who still watch take this process for lost, or hear why it ends."""
        self._closed.set()
        self._thread.join(2 * _BEAT_SECONDS)
        if farewell:
            self._say_to_all(farewell)
            self._until_heard()
        for line in self._lines.values():
            line.close()

    def _until_heard(self) -> None:
        """Let the others hear what was said: closing while something of theirs is unread resets the connection.

        What was sent may then never reach them. So say that this was all, and read until they have heard it, or for as
        long as a beat.
        """
        waiting = []
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_WR)
                waiting.append(line)
        end = time.monotonic() + _BEAT_SECONDS
        while waiting and (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select(waiting, [], [], left)
            waiting = [line for line in waiting if line not in ready or _heard(line)]

    def _say_to_all(self, farewell: str) -> None:
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                line.send(_FAREWELL + farewell.encode()[:_LONGEST])

    def _watch(self) -> None:
        begin = time.monotonic()
        heard = dict.fromkeys(self._lines, begin)
        beat = begin
        while not self._closed.is_set():
            ready, _, _ = select.select(list(self._lines.values()), [], [], _BEAT_SECONDS / 4)
            now = time.monotonic()
            for peer, line in self._lines.items():
                if line in ready:
                    data = _heard(line)
                    if _FAREWELL in data:
                        return self._part(peer, line, data.partition(_FAREWELL)[2])
                    if not data:
                        return self._tell(peer, "it has ended")
                    heard[peer] = now
                elif now - heard[peer] > self._silence:
                    return self._tell(peer, f"silent for {self._silence:g} s")
            if now >= beat:
                # Whether anybody is there to hear it is for the reading side to notice.
                for line in self._lines.values():
                    with contextlib.suppress(OSError):
                        line.send(_BEAT)
                beat = now + _BEAT_SECONDS
        return None

    def _part(self, peer: Peer, line: socket.socket, begun: bytes) -> None:
        """Hear to its end why another ends, and pass it on: only the first process hears them all."""
        line.settimeout(_BEAT_SECONDS)
        with contextlib.suppress(OSError):
            while len(begun) < _LONGEST and (more := line.recv(_LONGEST)):
                begun += more
            line.shutdown(socket.SHUT_WR)
        if not self._closed.is_set():
            why = begun.decode(errors="replace")
            self._say_to_all(why)
            self._on_farewell(peer, why)

    def _tell(self, peer: Peer, how: str) -> None:
        if not self._closed.is_set():
            self._on_lost(peer, how)


def _heard(line: socket.socket) -> bytes:
    """Signs of life, or nothing if that was the end of the connection."""
    try:
        return line.recv(4096)
    except BlockingIOError:
        return _BEAT
    except OSError:
        return b""


def _exactly(line: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes of a connection.

    Raises:
        OSError: if the connection closes before, or stays silent.
    """
    data = b""
    while len(data) < size:
        if not (part := line.recv(size - len(data))):
            raise ConnectionError("closed")
        data += part
    return data


def _plain(host: bytes) -> str:
    """A host's name for a person to read."""
    name = host.rstrip(b"\0").decode(errors="replace")
    return "".join(letter if letter.isprintable() else "?" for letter in name)
