import contextlib
import queue
import socket
import threading
import time

import pytest

from adaptax.training.heartbeat import Heartbeat, Peer, Server, connect

WATCHING = []
PATIENCE = 300.0
"""Seconds: a fuse, so that a hang is told."""


@pytest.fixture
def lines():
    """Both ends of a connection: the first process's, and the second's."""
    server = Server("127.0.0.1")
    second = queue.Queue()
    threading.Thread(target=lambda: second.put(connect(server.address, 1, PATIENCE)), daemon=True).start()
    first = server.accept(1, PATIENCE)
    both = first, second.get(timeout=PATIENCE)
    yield both
    for heartbeat in WATCHING:
        heartbeat.hang_up()
    WATCHING.clear()
    for line in (*both[0].values(), *both[1].values()):
        line.close()


def _watched(lines, silence):
    lost = queue.Queue()
    WATCHING.append(Heartbeat(lines, silence, lambda peer, how: lost.put((peer, how))))
    return WATCHING[-1], lost


def test_they_know_each_other(lines):
    first, second = lines
    assert list(first) == [Peer(1, socket.gethostname())]
    assert list(second) == [Peer(0, "127.0.0.1")]
    assert str(Peer(3, "node7")) == "process 3 on node7"


@pytest.mark.compiles
def test_while_both_are_alive_nobody_is_lost(lines):
    _, by_first = _watched(lines[0], 5.0)
    _, by_second = _watched(lines[1], 5.0)
    time.sleep(11.0)
    assert by_first.empty()
    assert by_second.empty()


@pytest.mark.parametrize("who", [0, 1])
def test_one_that_ends_is_noticed_at_once(lines, who):
    _, lost = _watched(lines[1 - who], 60.0)
    (line,) = lines[who].values()
    line.close()
    peer, how = lost.get(timeout=PATIENCE)
    assert peer.index == who
    assert how == "it has ended"


def test_one_that_is_silent_is_noticed(lines):
    _, lost = _watched(lines[0], 1.0)
    began = time.monotonic()
    peer, how = lost.get(timeout=PATIENCE)
    assert (peer.index, how) == (1, "silent for 1 s")
    assert time.monotonic() - began > 0.9


def test_one_that_hangs_up_is_lost_to_the_other_but_not_the_reverse(lines):
    mine, by_first = _watched(lines[0], 60.0)
    _, by_second = _watched(lines[1], 60.0)
    mine.hang_up()
    assert by_second.get(timeout=PATIENCE)[0].index == 0
    time.sleep(0.5)
    assert by_first.empty()


def test_after_closing_others_may_end(lines):
    mine, lost = _watched(lines[0], 60.0)
    mine.close()
    (line,) = lines[1].values()
    line.close()
    time.sleep(1.0)
    assert lost.empty()


@pytest.mark.parametrize("said", [b"", b"x" * 500, b"GET / HTTP/1.1\r\n\r\n"])
def test_connections_without_the_token_are_refused(said):
    server = Server("127.0.0.1")
    stranger = socket.create_connection(server.address[:2])
    stranger.sendall(said)
    stranger.shutdown(socket.SHUT_WR)
    second = queue.Queue()
    threading.Thread(target=lambda: second.put(connect(server.address, 5, PATIENCE)), daemon=True).start()
    accepted = server.accept(1, PATIENCE)
    assert [peer.index for peer in accepted] == [5]
    stranger.settimeout(PATIENCE)
    with contextlib.suppress(ConnectionError):  # it had more to say
        assert stranger.recv(1) == b""
    stranger.close()
    for line in (*accepted.values(), *second.get(timeout=PATIENCE).values()):
        line.close()


def test_nobody_comes():
    server = Server("127.0.0.1")
    with pytest.raises(OSError, match="timed out"):
        server.accept(1, 0.2)


def test_nobody_is_there():
    server = Server("127.0.0.1")
    with pytest.raises(OSError, match="timed out"):
        server.accept(1, 0.05)
    with pytest.raises(OSError, match="refused"):
        connect(server.address, 1, 1.0)


@pytest.mark.parametrize("who", [0, 1])
def test_E46_one_that_says_why_it_ends_is_not_taken_for_lost(lines, who):
    heard, lost = queue.Queue(), queue.Queue()
    mine, theirs = lines[who], lines[1 - who]
    WATCHING.append(
        Heartbeat(theirs, 60.0, lambda peer, how: lost.put(how), lambda peer, why: heard.put((peer.index, why)))
    )
    Heartbeat(mine, 60.0, lambda peer, how: lost.put(how)).hang_up("2 --seed: ü")
    assert heard.get(timeout=PATIENCE) == (who, "2 --seed: ü")
    assert lost.empty()


def test_E46_what_is_said_last_arrives_before_an_orderly_end():
    """A connection that is closed while something is unread is reset, and what was sent last may be lost."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as theirs,
        server.accept()[0] as mine,
    ):
        heartbeat = Heartbeat({Peer(0, "a"): mine}, 60.0, print)
        heartbeat.close()
        heartbeat._thread.join()
        theirs.sendall(b".")
        heartbeat.hang_up("3 env")
        theirs.settimeout(PATIENCE)
        said = b""
        while more := theirs.recv(100):
            said += more
    assert said.lstrip(b".") == b"!3 env"


def test_E46_the_first_process_passes_on_what_one_of_the_others_says():
    pairs = [socket.socketpair() for _ in range(2)]
    heard, lost = queue.Queue(), queue.Queue()
    first = Heartbeat({Peer(n + 1, "a"): pair[0] for n, pair in enumerate(pairs)}, 60.0, print, lambda *said: None)
    last = Heartbeat({Peer(0, "a"): pairs[1][1]}, 60.0, lambda *how: lost.put(how), lambda *said: heard.put(said))
    WATCHING.extend((first, last))
    Heartbeat({Peer(0, "a"): pairs[0][1]}, 60.0, print).hang_up("3 env")
    assert heard.get(timeout=PATIENCE) == (Peer(0, "a"), "3 env")
    assert lost.empty()
    for heartbeat in (first, last):
        heartbeat.hang_up()
