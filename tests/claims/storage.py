"""Claim `storage`: full disks, directories that cannot be written to or disappear, and two runs in one.

full disk     from a random moment on, for a while or for good: training goes on if it can, says so if it cannot, and
              what was saved last is good; with room again it goes on to the same result, bit by bit
one directory of many runs that are started at once, one gets it; who has it is said; one that was killed leaves no lock
folders       read-only, with spaces in the name, gone while training
"""

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.runs.checkpoints import FOLDER
from adaptax.runs.directory import CONFIG, METRICS
from tests.claims import children
from tests.claims.checks import Check, at_least, at_most, measured
from tests.claims.children import ROOT

TRAIN = ["train", "rl2", "bandit", "--num-arms", "3", "--num-pulls", "5", "--num-tasks", "8", "--memory-size", "4"]
TRAIN += ["--critic-size", "4", "--num-minibatches", "2", "--eval-tasks", "0", "--devices", "1", "--num-updates"]
CHUNK, CHUNKS = 10, 6
UPDATES = CHUNK * CHUNKS
PATIENCE = 3
"""Chunks in a row that may fail (`run_writer.PATIENCE`)."""
STARTS = 20
NOBODY = 65534
SECONDS = 2
"""How soon a read-only directory is to be refused."""
BATCH = 40
"""Commands that a child process does."""
PROGRAM = "from tests.claims.storage_child import main; main()"


class Place:
    """A folder for all runs of the self-test, and processes that work in it.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._count = 0

    def do(self, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Do commands (`storage_child.Command`) in child processes, some in each, and return what came of them."""
        return [result for i in range(0, len(commands), BATCH) for result in self._do(commands[i : i + BATCH])]

    def _do(self, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._count += 1
        asked, results = self.folder / f"commands-{self._count}.json", self.folder / f"results-{self._count}.jsonl"
        asked.write_text(json.dumps(commands))
        ended = children.end(children.start([str(asked), str(results)], self.folder, program=PROGRAM))
        found = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
        died = {"code": ended.code, "said": f"the process died: {ended.stderr[-500:]}", "seconds": 0.0, "jax": True}
        return found + [died] * (len(commands) - len(found))


def train(out: Path, updates: int = UPDATES) -> list[str]:
    """Arguments of a training."""
    return [*TRAIN, str(updates), "--out", str(out)]


def weights(directory: Path, update: int) -> bytes:
    """The arrays of a checkpoint; empty if there are none."""
    path = directory / FOLDER / f"update-{update:08d}.safetensors"
    return path.read_bytes() if path.exists() else b""


def lines_of_error(said: str, code: int) -> int:
    """How many lines announce an error; a traceback counts as a hundred."""
    return sum(line.startswith(f"error[{code}]") for line in said.splitlines()) + 100 * said.count("Traceback")


def check_full_disk(place: Place, rng: np.random.Generator, n: int) -> Iterator[Check]:
    """From a random chunk on files cannot grow, for a random number of chunks; then go on with room."""
    reference = place.folder / "reference"
    cases: list[tuple[Path, int, int]] = []
    commands: list[dict[str, Any]] = [{"arguments": [*train(reference), "--keep-every", str(CHUNK)]}]
    for number in range(n):
        # The first is full from the beginning; of others, half have room again.
        begin = -1 if number == 0 else int(rng.integers(CHUNKS))
        length = int(rng.integers(1, CHUNKS)) if begin >= 0 and number % 2 else CHUNKS + 1
        out = place.folder / f"full-{number}"
        cases.append((out, begin, length))
        commands.append({"arguments": train(out), "full_from": begin, "full_for": length})
        commands.append({"arguments": ["train", "--resume", str(out)]})
    clean, *results = place.do(commands)
    yield at_most(
        "full disk: exit code of a run with room", clean["code"], 0, clean["said"][-200:] * (clean["code"] > 0)
    )
    wrong: dict[str, list[str]] = {"code": [], "said": [], "good": [], "resumed": []}
    for (out, begin, length), full, again in zip(cases, results[::2], results[1::2], strict=True):
        name = f"full from chunk {begin} for {length}: {full['code']}, {full['said'][-300:]!r}"
        code, last = _expected(begin, length)
        if full["code"] != code:
            wrong["code"].append(name)
        if "File too large" not in full["said"] or lines_of_error(full["said"], 7) != (code > 0):
            wrong["said"].append(name)
        if last is not None and f"the last good checkpoint is {last}" not in full["said"]:
            wrong["good"].append(name)
        same = weights(out, UPDATES) == weights(reference, UPDATES) != b""
        same = same and (out / METRICS).read_bytes() == (reference / METRICS).read_bytes()
        if begin >= 0 and (again["code"] != 0 or not same):
            wrong["resumed"].append(f"{name}; then {again['code']}, {again['said'][-300:]!r}")
    for fault, what in (
        ("code", "exit codes other than 7 if it stays full, 0 if there is room again"),
        ("said", "not said, not in a line, or with a traceback"),
        ("good", "another checkpoint named than the last good one"),
        ("resumed", "not gone on with to bitwise the same weights and metrics"),
    ):
        yield at_most(f"full disk: {what}", len(wrong[fault]), 0, wrong[fault][0] if wrong[fault] else f"of {n}")


def _expected(begin: int, length: int) -> tuple[int, int | None]:
    """Exit code, and the last good checkpoint that must have been named."""
    if begin < 0:
        return 7, None
    gives_up = length >= PATIENCE or begin + length >= CHUNKS
    return (7 if gives_up else 0), begin * CHUNK


def check_small_disk(place: Place) -> Iterator[Check]:
    """A file system with very little room."""
    outcomes = []
    for kilobytes in (60, 80, 100):
        disk = place.folder / f"disk-{kilobytes}"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
            yield measured("small disk: skipped", 0, "no file system can be mounted here")
            return
        try:
            out = disk / "run"
            (full,) = place.do([{"arguments": train(out)}])
            ok = full["code"] == 7 and lines_of_error(full["said"], 7) == 1 and "No space left" in full["said"]
            roomy = place.folder / f"roomy-{kilobytes}"
            shutil.copytree(out, roomy)
        finally:
            subprocess.run(["umount", str(disk)], capture_output=True, check=False)
        (again,) = place.do([{"arguments": ["train", "--resume", str(roomy)]}])
        reference = place.folder / "reference"
        same = again["code"] == 0 and weights(roomy, UPDATES) == weights(reference, UPDATES) != b""
        same = same or not (roomy / CONFIG).exists()  # there was not even room to begin
        outcomes.append(
            (ok and same, f"{kilobytes} kB: {full['code']}, {full['said'][-200:]!r}; {again['said'][-200:]!r}")
        )
    wrong = [text for good, text in outcomes if not good]
    yield at_most(
        "small disk: not exit code 7, or not gone on with elsewhere",
        len(wrong),
        0,
        (wrong or [f"of {len(outcomes)}"])[0],
    )


def check_one_directory(place: Place, starts: int) -> Iterator[Check]:
    """Many starts at once: one wins, the others say who did; then it is killed, and another takes over."""
    out = place.folder / "one for all"
    started = [children.start(train(out, 10**6), place.folder) for _ in range(starts)]
    losers: list[subprocess.Popen[str]] = []
    deadline = time.monotonic() + 300
    while len(losers) < starts - 1 and time.monotonic() < deadline:
        losers = [process for process in started if process.poll() is not None]
        time.sleep(0.05)
    winners = [process for process in started if process.poll() is None]
    said = [str(process.communicate()[1]) for process in losers]
    yield at_least(f"{starts} starts at once: runs that went on", len(winners) == 1, 1, f"{len(winners)} of {starts}")
    refused = sum(process.returncode == 6 for process in losers)
    yield at_least("  the others ended with exit code 6", refused, starts - 1, said[0].strip()[-120:] if said else "")
    named = sum(f"in use by process {process.pid} on " in text for text in said for process in winners)
    yield at_least("  and named the process that has it", named, starts - 1)
    _wait_for_rows(out / METRICS, 1, winners)
    for process in winners:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    rows = (out / METRICS).stat().st_size if (out / METRICS).exists() else 0
    other = children.start(["train", "--resume", str(out)], place.folder)
    _wait_for_rows(out / METRICS, rows + 1, [other])
    other.send_signal(signal.SIGTERM)
    line = next((line for line in other.communicate()[1].splitlines() if "resumed at" in line), "")
    yield at_least("  killed with −9: another takes its place", bool(line), 1, line[-60:])
    yield at_most("  and is stopped, exit code", other.returncode, 75)


def _wait_for_rows(path: Path, size: int, processes: "list[subprocess.Popen[str]]") -> None:
    """Until a file has a size, or there is nobody who would write it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        if path.exists() and path.stat().st_size >= size:
            return
        time.sleep(0.02)


def check_folders(place: Place) -> Iterator[Check]:
    """Folders that cannot be written to, have spaces in their names, or disappear."""
    spaced = place.folder / "a b" / "c  ü 'd' run"
    gone = place.folder / "gone"
    commands: list[dict[str, Any]] = [
        {"arguments": train(spaced)},
        {"arguments": ["train", "--resume", str(spaced)]},
        {"arguments": train(gone), "gone_at": 2},
    ]
    first, again, lost = place.do(commands)
    codes = (first["code"], again["code"])
    yield at_most(
        "spaces in the path: exit code, of a run and gone on with",
        max(codes),
        0,
        "" if codes == (0, 0) else first["said"],
    )
    clean = lost["code"] == 6 and lines_of_error(lost["said"], 6) == 1
    yield at_least("directory gone while training: exit code 6, one line", clean, 1, lost["said"].strip()[-150:])
    yield from _check_read_only(place)


def others_can_read() -> bool:
    """Whether a process of another user can import the tests from here."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (ROOT, *ROOT.parents))


def _check_read_only(place: Place) -> Iterator[Check]:
    """As a user who may not write there; root may write everywhere, so there it is tried as nobody."""
    if os.geteuid() == 0 and not others_can_read():
        yield measured("read-only directory: not tried, as only root can read this clone", 0)
        return
    read_only = place.folder / "read-only"
    (read_only / "run").mkdir(parents=True)
    for folder in (read_only / "run", read_only):
        folder.chmod(0o555)
    place.folder.chmod(0o755)
    user = NOBODY if os.geteuid() == 0 else None
    began = time.monotonic()
    refused = [place.do([{"arguments": train(out), "user": user}])[0] for out in (read_only / "run", read_only / "new")]
    seconds = (time.monotonic() - began) / len(refused)
    clean = sum(r["code"] == 6 and lines_of_error(r["said"], 6) == 1 for r in refused)
    yield at_least("read-only directory: exit code 6, one line", clean, 2, refused[0]["said"].strip()[-120:])
    yield at_most("  seconds, with the start of Python", seconds, SECONDS)
    yield at_most("  JAX was imported", sum(r["jax"] for r in refused), 0)


def run(seed: int, n: int) -> Iterator[Check]:
    """All checks.

    Args:
        seed: Decides when the disk becomes full, and for how long.
        n: How often; and of up to 20 runs that are started at once, how many.
    """
    rng = np.random.default_rng(seed)
    folder = Path(tempfile.mkdtemp(prefix="adaptax-storage-"))
    try:
        place = Place(folder)
        yield from check_full_disk(place, rng, n)
        yield from check_small_disk(place)
        yield from check_folders(place)
        yield from check_one_directory(place, max(min(n, STARTS), 2))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
