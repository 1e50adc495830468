"""Who simulates a row of environments: this process, or workers that may raise, die or hang without taking it along."""

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np

from adaptax.core.errors import UseError, needs
from adaptax.problems.host.simulations import Maker, Outcome, Simulations

with needs("gymnasium", "a Gymnasium environment"):
    from gymnasium.vector.utils import CloudpickleWrapper

BEGINNING = 120.0
"""Seconds that a worker may take to import what it needs."""


class Pool(Protocol):
    """What simulates rows of environments."""

    def reset(self, rows: Sequence[int], tasks: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Outcome:
        """Begin episodes in some rows."""
        ...

    def step(self, rows: Sequence[int], actions: np.ndarray) -> Outcome:
        """Do an action in some rows."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Workers:
    """Processes that simulate side by side; row i is with worker i modulo their number.

    Args:
        maker: What makes the environments.
        count: How many processes.
        timeout: Seconds that a step, or a reset, of all rows of a worker may take. One that takes longer is ended, its
            rows are lost, and another takes its place.
    """

    def __init__(self, maker: Maker, count: int, timeout: float):
        self.maker, self.count, self.timeout = maker, count, timeout
        self._workers: list[_Worker | None] = [None] * count

    def reset(self, rows: Sequence[int], tasks: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Outcome:
        """Begin episodes in some rows, with new processes in place of those that were lost."""
        parts = self._parts(rows)
        for number in parts:
            if self._workers[number] is None:
                self._workers[number] = _Worker(self.maker)
        given = {n: ([rows[i] for i in p], [tasks[i] for i in p], [seeds[i] for i in p]) for n, p in parts.items()}
        return self._all("reset", parts, rows, given)

    def step(self, rows: Sequence[int], actions: np.ndarray) -> Outcome:
        """Do an action in some rows, all workers at the same time."""
        parts = self._parts(rows)
        given = {n: ([rows[i] for i in p], actions[p]) for n, p in parts.items()}
        return self._all("step", parts, rows, given)

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            if worker is not None:
                worker.close()
        self._workers = [None] * len(self._workers)

    @property
    def processes(self) -> list[int]:
        """Numbers of the processes that there are."""
        return [worker.process.pid for worker in self._workers if worker is not None]

    def _parts(self, rows: Sequence[int]) -> dict[int, list[int]]:
        """Which places of `rows` each worker has."""
        parts: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            parts.setdefault(row % len(self._workers), []).append(place)
        return parts

    def _all(self, method: str, parts: dict[int, list[int]], rows: Sequence[int], given: dict[int, Any]) -> Outcome:
        failed = {}
        for number in parts:
            worker = self._workers[number]
            if worker is None:
                failed[number] = "its process was lost before"
            elif (reason := worker.ask(method, given[number])) is not None:
                failed[number] = reason
        answers: dict[int, Outcome] = {}
        for number in parts:
            worker = self._workers[number]
            if number in failed or worker is None:
                continue
            found = worker.answer(self.timeout)
            if isinstance(found, str):
                failed[number] = found
            else:
                answers[number] = found
        for number in failed:
            if (worker := self._workers[number]) is not None:
                worker.close()
                self._workers[number] = None
        return _joined(parts, rows, answers, failed)


def _joined(
    parts: dict[int, list[int]], rows: Sequence[int], answers: dict[int, Outcome], failed: dict[int, str]
) -> Outcome:
    """What all workers have answered, in the order of the rows."""
    blank = next((np.zeros_like(x.observation[0]) for x in answers.values()), np.zeros(()))
    observation = np.zeros((len(rows), *blank.shape), blank.dtype)
    reward, flags = np.zeros(len(rows), np.float32), np.zeros((3, len(rows)), bool)
    lost: dict[int, str] = {}
    for number, places in parts.items():
        if number in failed:
            lost.update((rows[place], failed[number]) for place in places)
            continue
        found = answers[number]
        lost.update(found.lost)
        if found.observation.shape[1:] == blank.shape:  # else it has lost all of its rows
            observation[places] = found.observation
        reward[places], flags[:, places] = found.reward, (found.terminated, found.truncated, found.success)
    terminated, truncated, success = flags
    return Outcome(observation, reward, terminated, truncated, success, lost)


class _Worker:
    """One process, and the line to it."""

    def __init__(self, maker: Maker):
        near, far = socket.socketpair()
        with tempfile.TemporaryFile() as file, far:
            file.write(bytes(8))
            file.flush()
            self._board = mmap.mmap(file.fileno(), 8)
            # Found where this process finds it, a user's module included, whatever the folder.
            paths = os.pathsep.join(path or os.curdir for path in sys.path)
            self.process = subprocess.Popen(
                [sys.executable, "-m", "adaptax.problems.host.worker", str(far.fileno()), str(file.fileno())],
                pass_fds=(far.fileno(), file.fileno()),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the process that learns, which then ends this one
            )
        self._line = Connection(near.detach())
        self._new = True
        self._finalizer = weakref.finalize(self, _end, self.process, self._line)
        self._line.send(CloudpickleWrapper(maker))  # type: ignore[arg-type]  # it wraps whatever can be called

    def ask(self, method: str, arguments: Any) -> str | None:
        """Ask for something; return why not, if it cannot be asked."""
        try:
            self._line.send((method, arguments))
        except OSError:
            return self._died()
        return None

    def answer(self, timeout: float) -> Outcome | str:
        """What it answers; or what has become of it."""
        try:
            if self._new:
                if not self._line.poll(BEGINNING):
                    return f"the process of its worker was not ready after {BEGINNING:g} seconds"
                self._line.recv()
                self._new = False
            if not self._line.poll(timeout):
                row = int.from_bytes(self._board[:8], "little", signed=True)
                return f"environment {row} has not answered for {timeout:g} seconds; its process was ended"
            found: Outcome = self._line.recv()
        except (OSError, EOFError):
            return self._died()
        return found

    def _died(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        row = int.from_bytes(self._board[:8], "little", signed=True)
        code = self.process.returncode
        if code is None or code >= 0:
            how = f"with code {code}"
        else:
            memory = " (often: out of memory)" if -code == signal.SIGKILL else ""
            how = f"by {signal.Signals(-code).name}{memory}"
        while_doing = f" in environment {row}" if row >= 0 else ""
        return f"the process of its worker ended{while_doing} {how}"

    def close(self) -> None:
        """End it, at once, and leave no zombie."""
        self._finalizer()


def _end(process: Any, line: Connection) -> None:
    with contextlib.suppress(OSError):
        line.close()
    process.kill()
    process.wait()


class Here(Simulations):
    """This process.

    Args:
        maker: What makes the environments.
        timeout: Seconds that workers would have.
    """

    def __init__(self, maker: Maker, timeout: float):
        super().__init__(maker)
        self.maker, self.timeout = maker, timeout


def pool_of(maker: Maker, workers: int, timeout: float) -> Pool:
    """Who simulates: this process if there are to be no workers."""
    return Workers(maker, workers, timeout) if workers else Here(maker, timeout)


def again(pool: Any, workers: int | None, timeout: float | None) -> Pool:
    """The same with another number of workers, and another time for a step; None: as before."""
    if not isinstance(pool, Here | Workers):
        raise UseError("its vector environment simulates all of them by itself")
    count = getattr(pool, "count", 0) if workers is None else workers
    return pool_of(pool.maker, count, pool.timeout if timeout is None else timeout)
