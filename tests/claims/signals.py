"""SIGTERM at random times and Ctrl-C at every stage: the run ends soon and quietly, and can be gone on with."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.claims import children
from tests.claims.checks import Check, at_least, at_most
from tests.claims.children import Ended, end, has_children, result_of, rows_in, start, workplace
from tests.claims.kill import EVALUATE, TRAIN, go_on

Reached = Callable[[Path, float], bool]
"""From a run's directory and the seconds since it was started to whether a stage is reached."""


STAGES: dict[str, tuple[Reached, int]] = {
    "importing": (lambda directory, seconds: (directory / ".lock").exists(), 1),
    "compiling": (lambda directory, seconds: (directory / "config.json").exists(), 1),
    "training": (lambda directory, seconds: rows_in(directory) >= 10, 1),
    "saving": (lambda directory, seconds: rows_in(directory) >= 10 and any(directory.glob("checkpoints/*.tmp")), 1),
    "evaluating": (lambda directory, seconds: (directory / "training.png").exists(), 1),
    "twice in training": (lambda directory, seconds: rows_in(directory) >= 10, 2),
}
"""By name: when it is reached, and how often Ctrl-C is pressed."""


def _said(process: "subprocess.Popen[str]") -> str:
    """What a child has said so far, on standard error."""
    assert process.stderr is not None
    descriptor, said = process.stderr.fileno(), b""
    os.set_blocking(descriptor, False)
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(descriptor, 65536):
            said += chunk
    os.set_blocking(descriptor, True)
    return said.decode(errors="replace")


class Stopped(NamedTuple):
    """What became of a run that was told to stop.

    Attributes:
        ended: How it ended.
        seconds: How long it took after it was told.
        lines: What it said after that.
        left: Whether something that it started is still there.
    """

    ended: Ended
    seconds: float
    lines: int
    left: bool


def stop(place: Path, name: str, number: int, reached: Reached, presses: int = 1) -> Stopped:
    """Start a run, and send a signal when a stage is reached; to the whole group, as a terminal does."""
    said = place / f"{name}.stderr"
    process = start([*TRAIN, *EVALUATE, "--out", name], place)
    began = time.monotonic()
    while process.poll() is None and not reached(place / name, time.monotonic() - began):
        time.sleep(0.002)
    before = _said(process)
    told = time.monotonic()
    for _ in range(presses):
        if process.poll() is None:
            os.killpg(process.pid, number)
            time.sleep(0.05)
    ended = end(process)
    said.write_text(before + ended.stderr, encoding="utf-8")
    return Stopped(ended, time.monotonic() - told, ended.stderr.count("\n"), has_children(process))


def stopped_well(stopped: Stopped) -> bool:
    """Whether it was stopped in a way that can be resumed, or was done before, or had not begun to run our code."""
    return stopped.ended.code in (75, 0, -signal.SIGTERM, -signal.SIGINT) and "Traceback" not in stopped.ended.stderr


def run(seed: int, n: int) -> Iterator[Check]:
    """Stop `n` runs by SIGTERM, and three by Ctrl-C in each of six stages if `n` is 20 or more, else one."""
    chance, presses = random.Random(seed), 3 if n >= 20 else 1
    with workplace() as place:
        began = time.monotonic()
        children.run([*TRAIN, *EVALUATE, "--out", "warm"], place)
        children.run([*TRAIN, *EVALUATE, "--out", "whole"], place)
        lasts, whole = (time.monotonic() - began) / 2, result_of(place / "whole")
        resumable = codes = 0
        slowest = 0.0
        for number in range(n):
            moment, name = chance.uniform(0.2, lasts), f"term {number}"
            stopped = stop(place, name, signal.SIGTERM, lambda directory, seconds, moment=moment: seconds > moment)
            slowest, codes = max(slowest, stopped.seconds), codes + (stopped.ended.code == 75)
            resumed = go_on(place, name, EVALUATE)
            resumable += stopped_well(stopped) and resumed.code == 0 and result_of(place / name) == whole
        yield at_least("SIGTERM at random times: resumed to bitwise the same", resumable, n, f"{codes} exit codes 75")
        yield at_most("longest time from SIGTERM to the end (s)", slowest, 10)
        quiet = left = equal = 0
        for number, (reached, times) in enumerate(STAGES.values()):
            for again in range(presses):
                name = f"ctrl-c {number} {again}"
                stopped = stop(place, name, signal.SIGINT, reached, times)
                quiet += stopped.lines <= 5 and stopped_well(stopped)
                left += stopped.left
                equal += go_on(place, name, EVALUATE).code == 0 and result_of(place / name) == whole
        total = len(STAGES) * presses
        yield at_least("Ctrl-C in six stages: at most 5 lines, no traceback", quiet, total)
        yield at_most("Ctrl-C in six stages: processes left", left, 0)
        yield at_least("Ctrl-C in six stages: resumed to bitwise the same", equal, total)
