"""Two processes that train together: what they learn, and what becomes of one when the other is lost.

Each loss (kill −9 of either process, or one that is stopped and stays silent) must end the other soon, with exit code
75 and a line that says who was lost; and the run must go on to bitwise the result of two that nobody disturbed.
"""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.claims.checks import Check, at_least, at_most
from tests.claims.children import Ended, Result, end, result_of, start, wait_for_rows, workplace
from tests.claims.kill import SKIP, TRAIN, UPDATES

HEARTBEAT = 3
"""Seconds of silence after which a process is taken for lost here."""
ALLOWED = HEARTBEAT + 60.0
"""Seconds in which a process must end after the other was lost."""


class Loss(NamedTuple):
    """How a process is lost.

    Attributes:
        name: In words.
        victim: Its number.
        signal: What it is sent.
    """

    name: str
    victim: int
    signal: int


LOSSES = (
    Loss("the second killed", 1, signal.SIGKILL),
    Loss("the first killed", 0, signal.SIGKILL),
    Loss("the second stuck", 1, signal.SIGSTOP),
    Loss("the first stuck", 0, signal.SIGSTOP),
)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def pair(arguments: Sequence[str], place: Path, others: Sequence[str] = ()) -> list["subprocess.Popen[str]"]:
    """Start two processes that train together, on a device each; the second with `others` as well."""
    where = f"--distributed --coordinator 127.0.0.1:{free_port()} --num-processes 2 --heartbeat {HEARTBEAT}".split()
    return [
        start([*arguments, *(others if number else ()), *where, "--process-id", str(number)], place)
        for number in range(2)
    ]


def both(arguments: Sequence[str], place: Path, others: Sequence[str] = ()) -> list[Ended]:
    """Train in two processes until both have ended."""
    return [end(process) for process in pair(arguments, place, others)]


class Aftermath(NamedTuple):
    """What became of the process that was left.

    Attributes:
        ended: How it ended.
        seconds: How long that took.
        named: Whether it said who was lost.
        result: The run's result after it was gone on with.
    """

    ended: Ended
    seconds: float
    named: bool
    result: Result | None


def lose(loss: Loss, place: Path, name: str, rows: int) -> Aftermath:
    """Start two, lose one after so many rows of metrics, and go on with two."""
    processes = pair([*TRAIN, *SKIP, "--out", name, "--devices", "2"], place)
    wait_for_rows(processes[0], place / name, rows)
    os.kill(processes[loss.victim].pid, loss.signal)
    lost = time.monotonic()
    ended = end(processes[1 - loss.victim])
    seconds = time.monotonic() - lost
    os.kill(processes[loss.victim].pid, signal.SIGKILL)
    end(processes[loss.victim])
    both(["train", "--resume", name], place)
    named = f"process {loss.victim} on " in ended.stderr
    return Aftermath(ended, seconds, named, result_of(place / name))


def run(seed: int, n: int) -> Iterator[Check]:
    """Lose a process `n` times, each way in turn.

    Args:
        seed: Decides when.
        n: How often.
    """
    chance = random.Random(seed)
    with workplace() as place:
        whole = [both([*TRAIN, *SKIP, "--out", name, "--devices", "2"], place) for name in ("whole", "again")]
        codes = [ended.code for ended in whole[0] + whole[1]]
        yield at_least("two processes train together, twice", codes.count(0), 4, f"exit codes {codes}")
        expected = result_of(place / "whole")
        same = expected is not None and expected == result_of(place / "again")
        yield at_least("  to bitwise the same", int(same), 1)
        ended, named, equal, slowest, wrong = 0, 0, 0, 0.0, []
        for number in range(n):
            loss = LOSSES[number % len(LOSSES)]
            after = lose(loss, place, f"run {number}", chance.randrange(10, UPDATES - 30))
            ended, named = ended + (after.ended.code == 75), named + after.named
            equal, slowest = equal + (after.result == expected), max(slowest, after.seconds)
            if after.ended.code != 75 or not after.named or after.result != expected:
                said = after.ended.stderr.strip().splitlines()
                wrong.append(f"{loss.name}: exit {after.ended.code}, {said[-1] if said else 'silent'}")
        yield at_least("one is lost: the other ends with exit code 75", ended, n, "; ".join(wrong[:3]) or f"of {n}")
        yield at_least("  and says who was lost", named, n)
        yield at_most("  longest time from loss to end (s)", slowest, ALLOWED, f"heartbeat {HEARTBEAT} s")
        yield at_least("  gone on with: to bitwise the same", equal, n)
