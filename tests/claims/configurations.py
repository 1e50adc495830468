"""Wrong command lines, by the thousand: each ends with exit code 2 and one line that names what is wrong.

Most run in one process, which must never have imported JAX; some in processes of their own, as a user starts them.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.claims.checks import Check, at_most, measured
from tests.claims.children import PROGRAM, environment_for_tests, workplace
from tests.claims.fuzzing import Case, cases

NUM_PROCESSES = 20
"""Command lines that get a process of their own."""
MOST_SECONDS = 1.0
MOST_LETTERS = 2000
"""Of a message; it may list all algorithms."""
MANY = """
import contextlib, io, json, os, sys, time
from adaptax.cli import main
answers, before = [], set()
for words in json.load(sys.stdin):
    code, out, err, began = None, io.StringIO(), io.StringIO(), time.process_time()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(words)
    except SystemExit as stop:
        code = stop.code
    except BaseException as error:
        err.write("Traceback: " + repr(error))
    seconds, now = time.process_time() - began, set(os.listdir())
    answers.append([code, out.getvalue(), err.getvalue(), seconds, sorted(now - before)])
    before = now
imported = [name for name in ("jax", "equinox", "optax", "matplotlib") if name in sys.modules]
json.dump([answers, imported], sys.stdout)
"""
"""Runs command lines one after the other; prints what became of them, and what was imported."""


class Answer(NamedTuple):
    """What became of a command line.

    Attributes:
        code: The exit code; None if the program did not end as it should.
        stdout: What it printed.
        stderr: What it said.
        seconds: Processor time.
        left: Files in the working directory that were not there before.
    """

    code: int | None
    stdout: str
    stderr: str
    seconds: float
    left: list[str]


def run_many(drawn: Sequence[Case], place: Path) -> tuple[list[Answer], list[str]]:
    """Run command lines in one process; also the modules that it must not have imported, but has."""
    lines = json.dumps([case.words for case in drawn])
    done = subprocess.run(
        [sys.executable, "-c", MANY],
        cwd=place,
        env=environment_for_tests(),
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    answers, imported = json.loads(done.stdout)
    return [Answer(*answer) for answer in answers], imported


def run_one(case: Case, place: Path) -> tuple[Answer, float]:
    """Run a command line in a process of its own; also the seconds that passed."""
    there, before, began = set(place.iterdir()), os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *case.words], cwd=place, capture_output=True, text=True, check=False
    )
    passed, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    left = sorted(path.name for path in set(place.iterdir()) - there)
    return Answer(done.returncode, done.stdout, done.stderr, used, left), passed


def faults(case: Case, answer: Answer) -> set[str]:
    """What is wrong with an answer, by the names in `FAULTS`."""
    found = set()
    text = answer.stderr
    if "Traceback" in text or answer.code is None:
        found.add("traceback")
    if answer.code != 2:
        found.add("code")
    alternatives = [[part] if isinstance(part, str) else part for part in case.named]
    if not all(any(name in text for name in names) for names in alternatives):
        found.add("unnamed")
    if case.hint and "did you mean" not in text:
        found.add("hint")
    if not text.startswith("error[2]: ") or answer.stdout or len(text) > MOST_LETTERS:
        found.add("form")
    if answer.left:
        found.add("left")
    return found


FAULTS = {
    "traceback": "end in a traceback",
    "code": "exit code is not 2",
    "unnamed": "message does not name what is wrong",
    "hint": "misspelt, but no word is suggested",
    "form": "not just one short error message",
    "left": "leave files behind",
}
"""What can be wrong, in words."""


def run(seed: int, n: int) -> Iterator[Check]:
    """All checks.

    Args:
        seed: Decides the command lines.
        n: How many of them.
    """
    drawn = cases(seed, n)
    with workplace() as place:
        answers, imported = run_many(drawn, place)
        alone: list[Any] = [run_one(case, place) for case in drawn[:NUM_PROCESSES]]
    everything = [*zip(drawn, answers, strict=True), *zip(drawn, (answer for answer, _ in alone), strict=False)]
    found = [(case, answer, faults(case, answer)) for case, answer in everything]
    for fault, text in FAULTS.items():
        bad = [(case, answer) for case, answer, wrong in found if fault in wrong]
        note = f"of {n} command lines" + (f"; {described(*bad[0])}" if bad else "")
        yield at_most(f"wrong command lines: {text}", len(bad), 0, note)
    yield at_most("modules imported that take long", len(imported), 0, ", ".join(imported))
    yield at_most(
        "seconds of one command line in a running process", max(a.seconds for a in answers), MOST_SECONDS, f"of {n}"
    )
    note = f"largest of {len(alone)} processes"
    yield at_most("processor seconds of a process of its own", max(a.seconds for a, _ in alone), MOST_SECONDS, note)
    yield measured("seconds that passed meanwhile", max(passed for _, passed in alone), note + ", other work included")


def described(case: Case, answer: Answer) -> str:
    """A case that failed, to be tried again."""
    words = " ".join(repr(word if len(word) < 60 else word[:60] + "…") for word in case.words)
    return f"adaptax {words} → {answer.code}: {answer.stderr[:200]!r}"
