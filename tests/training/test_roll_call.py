import queue
import socket
import threading

import pytest

from adaptax.core.errors import ConfigError, LostError
from adaptax.training.roll_call import answer, gather

PATIENCE = 900.0


def call_roll(count, others, seconds=PATIENCE):
    """What becomes of the first process, and of others that say (number, how many they expect), in turn."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = queue.Queue()

    def done(name, what, *words):
        try:
            found.put((name, what(*words)))
        except (ConfigError, LostError) as error:
            found.put((name, error))

    members = [("first", gather, port, count, seconds)]
    members += [(str(place), answer, "127.0.0.1", port, *other, PATIENCE) for place, other in enumerate(others)]
    for member in members:
        threading.Thread(target=done, args=member, daemon=True).start()
    return dict(found.get(timeout=PATIENCE) for _ in members), port


def test_all_are_there_and_the_port_is_free_afterwards():
    found, port = call_roll(3, [(2, 3), (1, 3)])
    assert found == {"first": None, "0": None, "1": None}
    socket.create_server(("", port)).close()


def test_E45_two_with_the_same_number_are_told_and_nobody_waits():
    found, _ = call_roll(3, [(1, 3), (1, 3)])
    assert len(found) == 3
    for error in found.values():
        assert isinstance(error, ConfigError)
        assert str(error).startswith("--process-id: expected a number of its own for each process; found 1 on ")


def test_E46_another_number_of_processes_is_told_to_both():
    found, _ = call_roll(2, [(1, 4)])
    assert {str(error).partition(" on ")[0] for error in found.values()} == {
        "--num-processes: expected the same in all processes; found 2 in process 0 and 4 in process 1"
    }


def test_who_is_missing_is_said():
    with pytest.raises(LostError, match=r"did not come in 0.1 s: 1, 2 of 3 are missing"):
        gather(0, 3, 0.1)
    with pytest.raises(LostError, match=r"did not come in 0.1 s"):
        answer("127.0.0.1", 9, 1, 2, 0.1)


def test_a_stranger_is_sent_away():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    first = threading.Thread(target=gather, args=(port, 2, PATIENCE), daemon=True)
    first.start()
    while True:
        try:
            stranger = socket.create_connection(("127.0.0.1", port))
            break
        except ConnectionRefusedError:
            pass
    with stranger:
        stranger.sendall(b"GET / HTTP/1.1" + b" " * 100)
        answer("127.0.0.1", port, 1, 2, PATIENCE)
    first.join(PATIENCE)
    assert not first.is_alive()


def test_E45_one_that_comes_when_all_are_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def other_protocol():
            line, _ = server.accept()
            with line:
                line.sendall(b"HTTP/2")
                line.recv(1000)

        threading.Thread(target=other_protocol, daemon=True).start()
        with pytest.raises(ConfigError, match=r"found 1 once more, at .*, where all are there already"):
            answer("127.0.0.1", server.getsockname()[1], 1, 2, PATIENCE)
