"""How far runs are, read from another process: nothing is locked, written or imported, and nothing need be whole."""

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, one_line, short_repr
from adaptax.runs.directory import CONFIG, FORMAT, METRICS
from adaptax.runs.holder import holder_of
from adaptax.runs.tail import Tail

STATES = ("running", "failed", "damaged", "stopped", "finished")
POINTS = 16
"""Points of the curve of returns."""
DEEPEST = 6
"""Folders below one that is watched, at most."""
_ENV_STEPS = "env_steps"
_LARGEST = 20_000_000
_RECENT = 10
"""Rows of times that say how fast it is now."""
_LONGEST = 200


@dataclasses.dataclass(frozen=True)
class Score:
    """A mean return of a trial and its standard error, after an update."""

    update: int
    mean: float
    stderr: float


@dataclasses.dataclass(frozen=True)
class RunView:
    """How far a run is.

    Attributes:
        directory: Where it is, as it was found.
        state: One of `STATES`. Stopped: it may be gone on with.
        algorithm: Its name; empty if that cannot be read.
        problem: The same.
        seeds: Trainings side by side.
        doing: What a running one is at: "compiling", "training" or "evaluating"; else empty.
        reason: Why it failed, or what is damaged.
        done: Updates done.
        total: Of how many; 0: it learns from nothing, and has none.
        env_steps: Environment steps taken.
        updates_per_second: Lately; None: not known yet.
        seconds_left: Until the last update, of a running one; None: not known.
        last_return: Mean return of a trial in the last update.
        curve: Returns over all updates: means of parts of equal length.
        validation: The last evaluation on validation tasks.
        best: The best of them.
        evaluation: What its agent has earned in the evaluation at the end.
        changed: When it was last written to, in seconds since the epoch.
    """

    directory: str
    state: str
    algorithm: str = ""
    problem: str = ""
    seeds: int = 1
    doing: str = ""
    reason: str = ""
    done: int = 0
    total: int = 0
    env_steps: int = 0
    updates_per_second: float | None = None
    seconds_left: float | None = None
    last_return: float | None = None
    curve: tuple[float, ...] = ()
    validation: Score | None = None
    best: Score | None = None
    evaluation: Score | None = None
    changed: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As `adaptax watch --once --json` prints it."""
        return dataclasses.asdict(self)


class WatchedRun:
    """One run, looked at again and again."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._config: Any = None
        self._metrics, self._times = Tail(directory / METRICS), Tail(directory / "times.jsonl")
        self._updates: list[tuple[int, float, int]] = []
        self._scores: list[Score] = []
        self._speeds: list[tuple[int, float]] = []

    def look(self) -> RunView:
        """How far it is now."""
        name, wrong = str(self.directory), ""
        config = _json(self.directory / CONFIG)
        if config is None or config.get("format") != FORMAT:
            # It is replaced as a whole, so what cannot be read is not just being written.
            found = "unreadable" if config is None else f"of format {short_repr(config.get('format'))}"
            return RunView(name, "damaged", reason=f"{CONFIG} is {found}", changed=_changed(self.directory / CONFIG))
        self._take_metrics()
        self._take_times()
        changed = max(self._metrics.changed, self._times.changed, _changed(self.directory / CONFIG))
        algorithm, options = _dict(config, "algorithm_settings"), _dict(config, "options")
        done, last, env_steps = self._updates[-1] if self._updates else (0, None, 0)
        total = _count(algorithm.get("num_updates"))
        evaluation = self._evaluation(str(config.get("algorithm")))
        held, failed = holder_of(self.directory, changed)
        complete = done >= total and (evaluation is not None or options.get("eval_tasks") == 0)
        crashed = _changed_last(self.directory, "crash-*.txt") >= changed
        if self._metrics.unreadable:
            wrong = f"{self._metrics.unreadable} lines of {METRICS} are unreadable"
        state = "running" if held else "damaged" if wrong else "finished" if complete else "stopped"
        if not held and not complete and (failed or crashed):
            state = "failed"
        speed = self._speed()
        doing = "" if not held else "compiling" if not done and total else "evaluating" if done >= total else "training"
        return RunView(
            name,
            state,
            algorithm=one_line(config.get("algorithm")),
            problem=one_line(config.get("problem")),
            seeds=_count(options.get("seeds"), 1),
            doing=doing,
            reason=one_line(failed)[:_LONGEST] if state == "failed" else wrong,
            done=done,
            total=total,
            env_steps=env_steps,
            updates_per_second=speed,
            seconds_left=(total - done) / speed if held and speed and done < total else None,
            last_return=last,
            curve=means([x for _, x, _ in self._updates]),
            validation=self._scores[-1] if self._scores else None,
            best=max(self._scores, key=lambda one: (one.mean, -one.update), default=None),
            evaluation=evaluation,
            changed=changed,
        )

    def _take_metrics(self) -> None:
        fresh, rows = self._metrics.read()
        if fresh:
            self._updates, self._scores = [], []
        for row in rows:
            update, steps = row.get("update"), _count(row.get(_ENV_STEPS))
            if type(update) is not int:
                continue
            if "split" in row:
                score = _score(update, row.get("validation_return"), row.get("validation_stderr"))
                self._scores = [one for one in self._scores if one.update < update] + ([score] if score else [])
            elif (value := _number(row.get("return"))) is not None:
                while self._updates and self._updates[-1][0] >= update:  # it was gone on with from an earlier one
                    self._updates.pop()
                self._updates.append((update, value, steps))

    def _take_times(self) -> None:
        fresh, rows = self._times.read()
        if fresh:
            self._speeds = []
        for row in rows:
            update, seconds = row.get("update"), _number(row.get("seconds"))
            if type(update) is int and seconds is not None:
                before = [x for x in self._speeds if x[0] < update]
                self._speeds = [*before[-_RECENT:], (update, seconds)]

    def _speed(self) -> float | None:
        """Updates per second lately."""
        if not self._speeds:
            return None
        (first, begun), (last, ended) = ((0, 0.0) if len(self._speeds) == 1 else self._speeds[0]), self._speeds[-1]
        return (last - first) / (ended - begun) if ended > begun else None

    def _evaluation(self, algorithm: str) -> Score | None:
        content = _json(self.directory / "evaluation.json")
        if content is None:
            return None
        found = _dict(_dict(content, "agents"), algorithm)
        update = _dict(content, "protocol").get("update")
        return _score(_count(update), found.get("mean"), found.get("stderr"))


class Watcher:
    """All runs in some folders, as there are more of them and fewer."""

    def __init__(self, folders: Sequence[Path]):
        self._folders = folders
        self._known: dict[Path, WatchedRun] = {}

    def look(self) -> list[RunView]:
        """How far each is: those that run first, then what was written last.

        Raises:
            CheckpointError: if a folder cannot be looked into.
        """
        found = dict.fromkeys(run for folder in self._folders for run in find_runs(folder))
        self._known = {run: self._known.get(run) or WatchedRun(run) for run in found}
        views = [run.look() for run in self._known.values()]
        return sorted(views, key=lambda view: (view.state != "running", -view.changed, view.directory))


def find_runs(folder: Path) -> Iterator[Path]:
    """The runs in a folder, or it alone if it is one; links are not followed.

    Raises:
        CheckpointError: if there is something else of that name, or it cannot be looked into.
    """
    try:
        with os.scandir(folder):
            pass
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be looked into ({error.strerror or error}). Give the directory of a run, or of runs"
        ) from error
    for place, folders, files in os.walk(folder):
        if CONFIG in files:
            yield Path(place)
            folders.clear()
        elif len(Path(place).relative_to(folder).parts) >= DEEPEST:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def means(values: Sequence[float], points: int = POINTS) -> tuple[float, ...]:
    """Values as at most so many means of parts of about equal length.

    >>> means([1.0, 3.0, 5.0, 7.0], points=2)
    (2.0, 6.0)
    """
    parts = min(points, len(values))
    bounds = [len(values) * part // parts for part in range(parts + 1)] if parts else [0]
    return tuple(math.fsum(values[a:b]) / (b - a) for a, b in itertools.pairwise(bounds))


def _json(path: Path) -> dict[str, Any] | None:
    """What a file says, if that are names and values."""
    try:
        content = json.loads(atomic_files.read(path, _LARGEST).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _dict(content: dict[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _count(found: Any, otherwise: int = 0) -> int:
    return found if type(found) is int and 0 <= found < 2**63 else otherwise


def _number(found: Any) -> float | None:
    return float(found) if type(found) in (int, float) and abs(found) < 1e300 else None


def _score(update: int, mean: Any, stderr: Any) -> Score | None:
    mean, stderr = _number(mean), _number(stderr)
    return None if mean is None else Score(update, mean, 0.0 if stderr is None else stderr)


def _changed(path: Path) -> float:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0


def _changed_last(directory: Path, pattern: str) -> float:
    return max((_changed(path) for path in directory.glob(pattern)), default=-1.0)
