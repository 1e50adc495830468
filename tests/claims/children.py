"""`adaptax` in processes of its own, as a user starts it, for self-tests that kill, interrupt or starve it."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
"""Where children find the tests."""
PROGRAM = "from adaptax.cli import main; main()"
SIGNALS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A shell's background jobs ignore Ctrl-C and so do their children; here, children are to be stopped by it."""
PATIENCE = 900.0
"""Seconds that a child may take: far more than it does, so that a hang is told from a busy machine."""


class Ended(NamedTuple):
    """A child that has ended.

    Attributes:
        code: Its exit code; negative: the signal that killed it.
        stdout: What it printed.
        stderr: What it said.
    """

    code: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A temporary directory, with a cache of compiled programs beside the runs in it."""
    with tempfile.TemporaryDirectory(prefix="adaptax-claims-") as name:
        yield Path(name)


def environment_for_tests() -> dict[str, str]:
    """Environment variables of a child that imports the tests, wherever it is started."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def start(
    arguments: Sequence[str], place: Path, environment: Mapping[str, str] | None = None, program: str = PROGRAM
) -> "subprocess.Popen[str]":
    """Start `adaptax ARGUMENTS` in `place`, in a process group of its own."""
    cache = os.environ.get("XDG_CACHE_HOME", str(place / "cache"))
    # Tiny programs take longer to compile than to run.
    env = {
        **environment_for_tests(),
        "XDG_CACHE_HOME": cache,
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        **(environment or {}),
    }
    return subprocess.Popen(
        [sys.executable, "-c", SIGNALS + program, *arguments],
        cwd=place,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[str]") -> Ended:
    """Wait for a child's end; kill it and what it started if it takes too long."""
    with process:
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            stderr += "\n(killed: it took too long)"
    return Ended(process.returncode, stdout, stderr)


def run(arguments: Sequence[str], place: Path, **options: str) -> Ended:
    """Run `adaptax ARGUMENTS` to its end; `options` are environment variables."""
    return end(start(arguments, place, options))


def has_children(process: "subprocess.Popen[str]", seconds: float = 6.0) -> bool:
    """Whether anything that an ended child has started is still there after a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def rows_in(directory: Path) -> int:
    """Rows of a run's metrics so far."""
    try:
        return (directory / "metrics.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def wait_for_rows(process: "subprocess.Popen[str]", directory: Path, rows: int) -> None:
    """Wait until a run has so many rows of metrics, or has ended."""
    while process.poll() is None and rows_in(directory) < rows:
        time.sleep(0.002)


def lines_of(child: "subprocess.Popen[str]", patience: float) -> Iterator[str]:
    """Lines that a process prints, as long as the next one comes in time."""
    lines: queue.Queue[str | None] = queue.Queue()
    assert child.stdout is not None
    stream = child.stdout

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            return
        if line is None:
            return
        yield line


def answers(command: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What a child says of its trials, a line of JSON for each, null after the last one.

    It is started with the number of the trial to begin with as its last argument; one that does not come back, or dies,
    is ended, that trial is "hung", and another goes on behind it; not for ever, if none comes to say anything.

    Raises:
        RuntimeError: if `SILENT` of them in a row have said nothing: they cannot even be started here.
    """
    done = silent = 0
    while silent < SILENT:
        words, silent = [*command, str(done)], silent + 1
        with subprocess.Popen(words, env=environment_for_tests(), stdout=subprocess.PIPE, text=True) as child:
            for line in lines_of(child, patience=PATIENCE / 5):
                if (answer := json.loads(line)) is None:
                    return
                done, silent = answer["number"] + 1, 0
                yield answer
            child.kill()
        yield {"number": done, "words": [], "done": "", "faults": {"hung": ""}, "code": None, "seconds": 0, "memory": 0}
        done += 1
    raise RuntimeError(f"{SILENT} children in a row have said nothing: {' '.join(words)[:300]}")


SILENT = 5
"""Children that may end one after the other without a word."""


class Result(NamedTuple):
    """What a run has left behind that must not depend on what happened to it on the way.

    Attributes:
        checkpoint: Name and content of its last checkpoint: parameters, optimiser, key, counters.
        metrics: Its metrics.
        agents: The figures of its evaluation.
    """

    checkpoint: tuple[str, bytes]
    metrics: bytes
    agents: str


def result_of(directory: Path) -> Result | None:
    """A run's result; None if it has none."""
    weights = sorted((directory / "checkpoints").glob("*.safetensors"))
    try:
        evaluation = json.loads((directory / "evaluation.json").read_bytes())
        agents = json.dumps([evaluation["agents"], evaluation["protocol"]])
    except (OSError, ValueError, KeyError):
        agents = ""
    try:
        return Result((weights[-1].name, weights[-1].read_bytes()), (directory / "metrics.jsonl").read_bytes(), agents)
    except (OSError, IndexError):
        return None
