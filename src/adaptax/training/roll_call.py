"""Whether all who are to train together are there, each once: asked before `jax.distributed` brings them together.

That one aborts them all if two have the same number, and the others wait for minutes. So the first process listens at
the port that it will have, hears the number of each of the others, and answers when all are there, or what is wrong.
"""

import contextlib
import socket
import struct
import time
from typing import NamedTuple

from adaptax.core.errors import ConfigError, LostError

_HELLO = struct.Struct("!8sII64s")
_WHO = b"adaptax1"
_ALL_HERE, _REFUSED = b"+", b"-"
_PAUSE = 0.2
"""Seconds between two attempts to reach the first process, which may not be there yet."""


class _Other(NamedTuple):
    """Another process, waiting at the other end of a connection."""

    host: str
    line: socket.socket


def gather(port: int, count: int, seconds: float) -> None:
    """As the first of `count` processes, wait at `port` until all others have said who they are.

    Raises:
        OSError: if it cannot listen there.
        ConfigError: if two have the same number, or one expects another number of processes; all are told.
        LostError: if they are not all there after `seconds`.
    """
    end, came = time.monotonic() + seconds, dict[int, _Other]()
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(_listening(port))
        while len(came) < count - 1:
            server.settimeout(max(end - time.monotonic(), 0.01))
            try:
                line = opened.enter_context(server.accept()[0])
            except TimeoutError:
                absent = ", ".join(str(index) for index in range(1, count) if index not in came)
                raise LostError(
                    f"the other processes did not come in {seconds:g} s: {absent} of {count} are missing; nothing was "
                    "changed. Start all, each with its own --process-id"
                ) from None
            if (hello := _hello(line)) is None:  # somebody else
                line.close()
                continue
            index, expected, host = hello
            if wrong := _wrong(index, expected, host, count, came):
                for told in (line, *(other.line for other in came.values())):
                    _send(told, _REFUSED + wrong.encode())
                raise ConfigError(wrong)
            came[index] = _Other(host, line)
        for other in came.values():
            _send(other.line, _ALL_HERE)
        for other in came.values():
            _rest(other.line, 5.0)  # whoever closes first cannot listen at that port at once, and JAX will


def answer(host: str, port: int, index: int, count: int, seconds: float) -> None:
    """As process `index` of `count`, tell the first one, and wait until all are there.

    Raises:
        ConfigError: if two have the same number, one expects another number of processes, or they began without this.
        LostError: if they are not all there after `seconds`.
    """
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        with contextlib.suppress(OSError), socket.create_connection((host, port), min(left, 5.0)) as line:
            line.sendall(_HELLO.pack(_WHO, index, count, socket.gethostname().encode()[:64]))
            line.settimeout(max(end - time.monotonic(), 0.01))
            found = line.recv(1)
            if found == _ALL_HERE:
                return
            if found == _REFUSED:
                raise ConfigError(_rest(line, 5.0).decode(errors="replace"))
            if found:
                raise ConfigError(
                    f"--process-id: expected a number of its own for each process; found {index} once more, at "
                    f"{host}:{port}, where all are there already. Nothing was changed"
                )
        time.sleep(_PAUSE)
    raise LostError(f"the other processes did not come in {seconds:g} s; nothing was changed. Start all")


def _listening(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _wrong(index: int, expected: int, host: str, count: int, came: dict[int, _Other]) -> str:
    """What is wrong with a process that says who it is; nothing if it is welcome."""
    if expected != count:
        return (
            f"--num-processes: expected the same in all processes; found {count} in process 0 and {expected} in "
            f"process {index} on {host}. Nothing was changed; start all with the same words"
        )
    if index in came or not 0 < index < count:
        where = came[index].host if index in came else "the first host"
        return (
            f"--process-id: expected a number of its own for each process; found {index} on {where} and again on "
            f"{host}. Nothing was changed; start each with its own"
        )
    return ""


def _hello(line: socket.socket) -> tuple[int, int, str] | None:
    """Who is there: number, how many it expects, host; None if it is nobody of ours."""
    line.settimeout(5.0)
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < _HELLO.size and (part := line.recv(_HELLO.size - len(data))):
            data += part
    if len(data) < _HELLO.size or not data.startswith(_WHO):
        return None
    _, index, expected, host = _HELLO.unpack(data)
    return index, expected, host.rstrip(b"\0").decode(errors="replace")


def _send(line: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        line.sendall(data)


def _rest(line: socket.socket, seconds: float) -> bytes:
    """What comes until the other side closes, or is silent for so long."""
    line.settimeout(seconds)
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < 10_000 and (part := line.recv(4096)):
            data += part
    return data
