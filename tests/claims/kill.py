"""Kill −9 anywhere, resume, and get bitwise the result of the run that nobody killed.

Three in five are killed at named points (before, during and after a write, a flush, a renaming, a removal, an
evaluation), the others at random moments of training.
"""

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.claims import children
from tests.claims.checks import Check, at_least, measured
from tests.claims.children import Ended, Result, end, result_of, start, wait_for_rows, workplace
from tests.claims.fatal import main as fatal_main

UPDATES = 200
TRAIN = (
    "train rl2 bandit --num-arms 3 --num-pulls 20 --num-tasks 64 --memory-size 8 --critic-size 8 --num-minibatches 2 "
    f"--num-updates {UPDATES}"
).split()
EVALUATE, SKIP = ("--eval-tasks", "20"), ("--eval-tasks", "0")
FATAL = f"from {fatal_main.__module__} import main; main()"


class Death(NamedTuple):
    """How a run is killed.

    Attributes:
        kind: What is done at the point; "time" for a random moment.
        number: The point; for a moment, the row of the metrics after which it comes.
        when: "before", "during" or "after" the point.
    """

    kind: str
    number: int
    when: str


def points(trace: Path) -> dict[str, list[int]]:
    """Numbers of the points of a run by what is done at them, from the first checkpoint on."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(trace.read_text(encoding="utf-8").splitlines()):
        kind, _, subject = line.partition(" ")
        what = "weights" if "safetensors" in subject else "manifest" if subject.startswith("update-") else subject
        found[kind if kind == "evaluate" else f"{kind} {what}"].append(number)
    return found


def deaths(found: dict[str, list[int]], n: int, chance: random.Random) -> list[Death]:
    """Three fifths of `n` at points, every kind in turn; the rest at random moments."""
    named, whens = 3 * n // 5, ("before", "during", "after")
    kinds = sorted(found)
    chosen = [
        Death(kinds[i % len(kinds)], chance.choice(found[kinds[i % len(kinds)]]), whens[(i + i // len(kinds)) % 3])
        for i in range(named)
    ]
    return chosen + [Death("time", chance.randrange(1, UPDATES - 20), "") for _ in range(n - named)]


def die(death: Death, place: Path, name: str) -> Ended:
    """Start a run and kill it."""
    arguments = [*TRAIN, *(EVALUATE if death.kind == "evaluate" else SKIP), "--out", name]
    if death.kind != "time":
        return end(start(["", str(death.number), death.when, *arguments], place, program=FATAL))
    process = start(arguments, place)
    wait_for_rows(process, place / name, death.number)
    time.sleep(random.Random(death.number).uniform(0, 0.05))
    os.killpg(process.pid, signal.SIGKILL)
    return end(process)


def go_on(place: Path, name: str, options: Sequence[str]) -> Ended:
    """Resume; a run that had not begun to exist is started again."""
    if (place / name / "config.json").exists():
        return children.run(["train", "--resume", name], place)
    return children.run([*TRAIN, *options, "--out", name], place)


def attempt(death: Death, place: Path, name: str, whole: dict[bool, Result | None]) -> tuple[bool, bool, str]:
    """Kill, resume, compare: whether all is equal, whether it died before training was over, and what went wrong."""
    ended = die(death, place, name)
    mid = ended.code == -signal.SIGKILL and not (place / name / "checkpoints" / f"update-{UPDATES:08d}.json").exists()
    resumed = go_on(place, name, EVALUATE if death.kind == "evaluate" else SKIP)
    equal = resumed.code == 0 and result_of(place / name) == whole[death.kind == "evaluate"]
    said = resumed.stderr.strip().splitlines()
    return equal, mid, "" if equal else f"{death}: exit {resumed.code}, {said[-1] if said else 'silent'}"


def run_whole(place: Path) -> tuple[dict[bool, Result | None], dict[str, list[int]]]:
    """The runs that nobody kills, with an evaluation and without; and the points of the first."""
    trace = place / "trace"
    children.run(
        [*TRAIN, *EVALUATE, "--out", "warm"], place
    )  # what is compiled is kept, and is no longer among the points
    end(start([str(trace), "-1", "", *TRAIN, *EVALUATE, "--out", "whole"], place, program=FATAL))
    children.run([*TRAIN, *SKIP, "--out", "short"], place)
    return {True: result_of(place / "whole"), False: result_of(place / "short")}, points(trace)


def run(seed: int, n: int) -> Iterator[Check]:
    """Kill `n` runs."""
    chance = random.Random(seed)
    with workplace() as place:
        whole, found = run_whole(place)
        long, short = whole[True], whole[False]
        sound = long is not None and short is not None and long[:2] == short[:2]
        yield at_least("runs that nobody killed agree", int(sound), 1)
        equal = mid = 0
        wrong = []
        for number, death in enumerate(deaths(found, n, chance)):
            same, early, why = attempt(death, place, f"run {number}", whole)
            equal, mid = equal + same, mid + early
            wrong += [why] if why else []
        yield measured("kinds of named points", len(found))
        yield at_least("killed before training was over", mid, 4 * n // 5, f"of {n}")
        yield at_least(
            "resumed to bitwise the same state, metrics and figures", equal, n, "; ".join(wrong[:3]) or f"of {n}"
        )
