"""`python -m tests.claims hostile`: that a directory that somebody has prepared can do nothing to whoever loads it.

Every attack of the corpus is tried at the doors that everybody uses, in a child process that watches itself (`guard`):
no code of a file is run, no name in it imported, nothing outside of the run's directory written; in 5 seconds, and in
memory that is in proportion to the files. What is refused is refused with a `CheckpointError` (or `OutputError`) of one
line, and the files are left as they are, byte by byte. Then come random ones, and a few through the command line.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.claims.attacks import corpus
from tests.claims.checks import Check, at_least, at_most, measured
from tests.claims.children import environment_for_tests, lines_of
from tests.claims.forging import begin_again, precious
from tests.claims.guard import SECONDS
from tests.claims.tiny_run import TinyRun

MEMORY = 256_000_000
"""Bytes by which the process may grow, beyond twice the files' size."""
COMMANDS = {
    "arrays, sealed: serialised call of os.system": ("evaluate", 5),
    "arrays: a zip of arrays of objects": ("train", 5),
    "manifest, sealed: about an algorithm, 250 deep": ("train", 5),
    "configuration: text for eval": ("train", 5),
    "configuration: algorithm 'os:system'": ("evaluate", 5),
    "configuration: a pipe": ("evaluate", 5),
    "checkpoints: a link to a folder": ("evaluate", 5),
    "lock: a link to a precious file": ("train", 6),
    "metrics: a link to a precious file": ("train", 0),
}
"""Attacks that are tried through the command line too: the command, and its exit code."""


def run(seed: int, n: int) -> Iterator[Check]:
    """All checks.

    Args:
        seed: Decides the random attacks.
        n: How many there are of those, of each kind; the corpus is always the same.
    """
    directory = Path(tempfile.mkdtemp(prefix="adaptax-hostile-"))
    try:
        found = list(_trials(directory / "trials", seed, n))
        yield from _verdict("corpus", [trial for trial in found if trial["kind"] == "corpus"])
        yield from _verdict("random", [trial for trial in found if trial["kind"] == "random"])
        yield from _commands(directory / "commands", seed)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _verdict(kind: str, trials: list[dict[str, Any]]) -> Iterator[Check]:
    """What came of all trials of a kind."""
    files = len({trial["name"] for trial in trials})
    yield at_least(f"{kind}: directories", files, 60 if kind == "corpus" else 1, f"{len(trials)} trials")
    for fault, what in FAULTS.items():
        bad = [trial for trial in trials if trial["faults"].get(fault)]
        example = f"{bad[0]['name']}, {bad[0]['door']}: {bad[0]['faults'][fault]}"[:200] if bad else ""
        yield at_most(f"{kind}: {what}", len(bad), 0, example)
    slowest = max(trials, key=lambda trial: trial["seconds"])
    yield at_most(f"{kind}: most seconds", slowest["seconds"], SECONDS, slowest["name"])
    largest = max(trials, key=lambda trial: trial["memory"] - 2 * trial["size"])
    excess = (largest["memory"] - 2 * largest["size"]) / 1e6
    yield at_most(f"{kind}: memory beyond twice the files, MB", excess, MEMORY / 1e6, largest["name"])
    outcomes = Counter(trial["outcome"] for trial in trials)
    yield measured(f"{kind}: refused", outcomes["refused"], ", ".join(f"{n} {name}" for name, n in outcomes.items()))


FAULTS = {
    "ran": "ran or imported something, or wrote elsewhere",
    "canary": "a program in a file was run",
    "changed": "files changed",
    "outcome": "neither refused nor the genuine run",
    "error": "other errors than ours",
    "message": "messages of more than a line, or with control characters",
    "hung": "did not come back",
}
"""What can be wrong with a trial."""


def _trials(directory: Path, seed: int, n: int) -> Iterator[dict[str, Any]]:
    """Try everything in child processes; one that does not come back is ended, and the next goes on behind it."""
    done = 0
    while True:
        directory.mkdir(parents=True)
        program = "from tests.claims.trials import main; main()"
        command = [sys.executable, "-c", program, str(directory), str(seed), str(n), str(done)]
        with subprocess.Popen(command, env=environment_for_tests(), stdout=subprocess.PIPE, text=True) as child:
            ended = False
            for line in lines_of(child, patience=60):
                trial = json.loads(line)
                ended = trial.get("ended", False)
                if not ended:
                    done += 1
                    yield trial
            child.kill()
        shutil.rmtree(directory, ignore_errors=True)
        if ended:
            return
        done += 1
        hung = {"hung": f"trial {done}, or the process died"}
        yield {"kind": "corpus", "name": f"trial {done}", "door": "", "faults": hung, "outcome": "", **_NOTHING}


_NOTHING = {"seconds": 0.0, "memory": 0, "size": 0}


def _commands(directory: Path, seed: int) -> Iterator[Check]:
    """A few of the attacks through the command line."""
    canary = directory / "canary"
    (directory / "root" / "run").mkdir(parents=True)
    tiny = TinyRun(directory / "root" / "run", seed)
    attacks = corpus(canary)
    wrong = []
    environment = {**os.environ, "XDG_CACHE_HOME": str(directory / "cache")}
    for name, (command, code) in COMMANDS.items():
        begin_again(tiny)
        attacks[name].plant(tiny)
        words = ["train", "--resume"] if command == "train" else ["evaluate", "--tasks", "20"]
        words.insert(1 if command == "evaluate" else 2, str(tiny.directory))
        ended = subprocess.run(
            [sys.executable, "-c", "from adaptax.cli import main; main()", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        lines = ended.stderr.splitlines()
        said = [line for line in lines if line.startswith(f"error[{code}]")]
        good = ended.returncode == code and "Traceback" not in ended.stderr and (len(said) == (code > 0))
        if not good or precious(tiny).read_bytes() != b"precious" or canary.exists():
            wrong.append(f"{name}: exit code {ended.returncode}, {' / '.join(lines)[-300:]}")
    note = wrong[0] if wrong else f"of {len(COMMANDS)}"
    yield at_most("command line: other than exit code 5 or 6 and one line", len(wrong), 0, note)
