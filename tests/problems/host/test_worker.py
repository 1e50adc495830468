"""What a worker does, without a process: it answers in turn, says which row it is at, and ends with the line."""

import mmap
import os
import socket
import subprocess
import sys
import threading
from multiprocessing.connection import Connection

import numpy as np
import pytest
from gymnasium.vector.utils import CloudpickleWrapper

from adaptax.problems.host import worker
from adaptax.problems.host.simulations import Maker
from tests.problems.host.walks import Walk


@pytest.fixture
def line(monkeypatch):
    """A line to a worker in a thread, and its board."""
    monkeypatch.setattr(os, "dup2", lambda *descriptors: None)  # standard output is this process's
    near, far = (Connection(end.detach()) for end in socket.socketpair())
    board = mmap.mmap(-1, 8)
    serving = threading.Thread(target=worker.serve, args=(far, board))
    serving.start()
    yield near, board
    near.close()
    serving.join(10)
    assert not serving.is_alive()  # the line's end is the worker's
    far.close()


def test_it_is_ready_then_answers_what_is_asked_in_turn(line):
    near, board = line
    near.send(CloudpickleWrapper(Maker(Walk, None)))
    assert near.recv() is None
    near.send(("reset", ([3, 5], [{"goal": 0.5}, {"goal": -0.5}], [1, 2])))
    assert near.recv().observation.tolist() == [[0, 0], [0, 0]]
    near.send(("step", ([3, 5], np.asarray([[1.0], [-1.0]], np.float32))))
    found = near.recv()
    assert found.reward.tolist() == [0, 0]
    assert not found.lost
    assert int.from_bytes(board[:8], "little", signed=True) == -1  # nobody is simulated now


def test_it_loads_no_jax():
    program = "import adaptax.problems.host.worker, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
