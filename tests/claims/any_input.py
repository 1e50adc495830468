"""Claims `any-line` and `any-run`: whatever is typed, and whatever is in a run's files, ends in a code and a line.

A child process tries one after the other and tells what came of each; if it hangs or dies, that is told, and another
goes on behind it. `python -m tests.claims any-run --n 100000 --seed 3` can be stopped when it has run long enough.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.claims import boundary
from tests.claims.boundary import FAULTS, faults
from tests.claims.checks import Check, at_most, measured
from tests.claims.children import answers
from tests.claims.guard import fingerprint

MEMORY = 256_000_000
"""Bytes by which one of them may make the process grow."""


def run_lines(seed: int, n: int) -> Iterator[Check]:
    """All checks of command lines.

    Args:
        seed: Decides them.
        n: How many.
    """
    yield from _checks("lines", seed, n)


def run_runs(seed: int, n: int) -> Iterator[Check]:
    """All checks of runs.

    Args:
        seed: Decides what is done to them.
        n: How many.
    """
    yield from _checks("runs", seed, n)


def _checks(what: str, seed: int, n: int) -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="adaptax-any-") as name:
        program = "from tests.claims.any_input import child; child()"
        found = list(answers([sys.executable, "-c", program, what, name, str(seed), str(n)]))
    for fault, text in FAULTS.items():
        bad = [one for one in found if fault in one["faults"]]
        note = (
            f"number {bad[0]['number']}: {bad[0]['words']} {bad[0]['done']}: {bad[0]['faults'][fault]}" if bad else ""
        )
        yield at_most(f"{what}: {text}", len(bad), 0, note)
    largest = max(found, key=lambda one: one["memory"])
    yield at_most(f"{what}: MB by which one grew", largest["memory"] / 1e6, MEMORY / 1e6, str(largest["words"])[:100])
    slowest = max(found, key=lambda one: one["seconds"])
    yield measured(f"{what}: most seconds", slowest["seconds"], f"number {slowest['number']}: {slowest['words']}"[:200])
    codes = Counter(one["code"] for one in found)
    counts = ", ".join(f"{count} × {code}" for code, count in codes.most_common())
    yield measured(f"{what}: how many", len(found), f"exit codes: {counts}; 75: it would have begun to compute")


def child() -> None:
    """Try all from the SKIPPED-th on: WHAT PLACE SEED N SKIPPED."""
    what, place, (seed, n, skipped) = sys.argv[1], Path(sys.argv[2]), map(int, sys.argv[3:6])
    tell = lambda content: print(json.dumps(content), file=sys.__stdout__, flush=True)  # noqa: E731
    from adaptax.experiment.jax_setup import start_jax

    start_jax()
    with boundary.stopping_there():
        for number in range(skipped, n):
            tell(_tried(what, place, seed, number))
    tell(None)


def _tried(what: str, place: Path, seed: int, number: int) -> dict[str, Any]:
    """Try one, and say what came of it and what is wrong."""
    from tests.claims import fuzz_lines, fuzz_runs

    if what == "lines":
        done, words = "", fuzz_lines.lines(seed)(number)
        _furnish(place)
    else:
        done, words = fuzz_runs.trial(seed, number, place)
    reads, before = what == "runs" and words[0] != "train", fingerprint(place / "run")
    answer = boundary.run(words, place)
    wrong = faults(answer)
    if reads and fingerprint(place / "run") != before:
        wrong["changed"] = str(set(fingerprint(place / "run").items()) ^ set(before.items()))[:300]
    shown = [word if len(word) < 60 else f"{word[:60]}…" for word in words]
    figures = {"code": answer.code, "seconds": answer.seconds, "memory": answer.memory}
    return {"number": number, "words": shown, "done": done, "faults": wrong, **figures}


def _furnish(place: Path) -> None:
    """A run, and a folder that is none, beside what was made by lines before."""
    from tests.claims.fuzz_lines import NO_RUN, RUN
    from tests.claims.tiny_run import TinyRun

    if not (place / RUN).exists():
        (place / RUN).mkdir()
        TinyRun(place / RUN, 0)
    (place / NO_RUN).mkdir(exist_ok=True)
