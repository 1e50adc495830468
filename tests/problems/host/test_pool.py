"""Workers do what one process does; those that die, hang or raise cost their own rows and nothing else."""

import os
import signal
import time

import numpy as np
import pytest

from adaptax.problems.host.pool import Workers, pool_of
from adaptax.problems.host.simulations import Maker, Simulations
from tests.problems.host.walks import Faulty, Noisy

TIMEOUT = 3.0
TASKS = [{"goal": 0.1 * index, "drift": 0.0} for index in range(5)]
ROWS, SEEDS = [0, 1, 2, 3, 4], [3, 4, 5, 6, 7]
ACTIONS = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]


@pytest.fixture
def workers(request):
    made = Workers(Maker(getattr(request, "param", Noisy), None), 2, TIMEOUT)
    yield made
    made.close()


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_do_what_one_process_does(workers):
    alone = Simulations(Maker(Noisy, None))
    for pool in (workers, alone):
        pool.reset(ROWS, TASKS, SEEDS)
    for rows in (ROWS, [0, 2, 4], [3]):
        one, other = (pool.step(rows, ACTIONS[rows]) for pool in (alone, workers))
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.process
def test_no_process_is_left(workers):
    workers.reset(ROWS, TASKS, SEEDS)
    processes = workers.processes
    assert len(processes) == 2
    assert all(map(alive, processes))
    workers.close()
    assert not any(map(alive, processes))


@pytest.mark.process
def test_one_that_is_killed_is_named_and_replaced(workers):
    workers.reset(ROWS, TASKS, SEEDS)
    killed, other = workers.processes
    os.kill(killed, signal.SIGKILL)
    found = workers.step(ROWS, ACTIONS)
    assert sorted(found.lost) == [0, 2, 4]
    assert "SIGKILL (often: out of memory)" in found.lost[0]
    assert workers.processes == [other]
    assert sorted(workers.step(ROWS, ACTIONS).lost) == [0, 2, 4]
    assert not workers.reset(ROWS, TASKS, SEEDS).lost
    assert not workers.step(ROWS, ACTIONS).lost
    assert not alive(killed)


@pytest.mark.process
@pytest.mark.parametrize("workers", [Faulty], indirect=True)
@pytest.mark.parametrize(
    ("kind", "lost", "says"),
    [
        ("kill", 1, "ended in environment"),
        ("hang", 1, "has not answered for 3 seconds"),
        ("raise", 0, "RuntimeError: the simulator has exploded"),
        ("nonsense", 0, "reward is nan"),
    ],
)
def test_what_a_simulator_does_to_its_process(workers, kind, lost, says, tmp_path, monkeypatch):
    faults = tmp_path / "faults"
    for folder in (faults, tmp_path / "faults.done"):
        folder.mkdir()
    monkeypatch.setenv("WALK_FAULTS", str(faults))
    workers.reset(ROWS, TASKS, SEEDS)
    (faults / f"1-{kind}").touch()
    begun = time.monotonic()
    found = workers.step(ROWS, ACTIONS)
    assert time.monotonic() - begun < TIMEOUT + 5
    assert len(found.lost) in ((2, 3) if lost else (1,))  # all rows of the worker, or the one
    assert all(says in reason for reason in found.lost.values())
    assert not workers.reset(ROWS, TASKS, SEEDS).lost


@pytest.mark.process
def test_what_a_simulator_prints_is_not_taken_for_an_answer(workers):
    class Chatty(Noisy):
        def step(self, action):
            print("step")
            os.write(1, b"raw\n")
            return super().step(action)

    chatty = Workers(Maker(Chatty, None), 1, TIMEOUT)  # a class that no module has
    try:
        chatty.reset(ROWS, TASKS, SEEDS)
        assert not chatty.step(ROWS, ACTIONS).lost
    finally:
        chatty.close()


def test_without_workers_it_is_this_process():
    assert isinstance(pool_of(Maker(Noisy, None), 0, 1.0), Simulations)
    assert isinstance(pool_of(Maker(Noisy, None), 1, 1.0), Workers)
