"""`python -m tests.claims corrupt`: that a damaged checkpoint is never loaded, and the newest good one is.

Three checkpoints of a real run are damaged: the newest, the two newest, or all. What `checkpoints.newest` returns is
compared bit by bit with what was saved, and what it says with what was done.

bit flips, truncations    of one file of each
structural damage         `damages`: files missing, exchanged, replaced, of another run, …
configuration             bit flips in `config.json`: refused, or without any effect
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import CheckpointError
from adaptax.runs import checkpoints
from adaptax.runs.directory import CONFIG, read_recipe
from tests.claims.checks import Check, at_least, at_most, measured
from tests.claims.damages import STRUCTURAL, Damage, flip, newest_ones, truncate
from tests.claims.tiny_run import UPDATES, TinyRun, bitwise_equal


class Tally:
    """Counts what came of damaged checkpoints.

    Attributes:
        counts: How often each happened.
        examples: An example of each, in words.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, outcome: str, example: str) -> None:
        """Book one."""
        self.counts[outcome] += 1
        self.examples.setdefault(outcome, example)

    def bad(self, outcome: str) -> tuple[int, str]:
        """How often something happened that must not, and an example."""
        return self.counts[outcome], self.examples.get(outcome, "")


def judge(run: TinyRun, name: str, damage: Damage, rng: np.random.Generator, tally: Tally) -> None:
    """Damage the run's checkpoints, load, and book what came of it."""
    run.restore()
    damaged = damage(run, rng)
    linked = run.folder.is_symlink()
    left = [update for update in UPDATES if update not in damaged and run.is_there(update) and not linked]
    said: list[str] = []
    try:
        found = checkpoints.newest(run.directory, run.like, run.about, said.append)
    except CheckpointError as error:
        silent = [update for update in damaged if f"checkpoint {update} " not in str(error)]
        outcome = "missed" if left else "unnamed" if silent else "refused"
        tally.add(outcome, f"{name}: {error}")
    except Exception as error:
        tally.add("exception", f"{name}: {type(error).__name__}: {error}")
    else:
        passed = [update for update in damaged if not left or update > left[-1]]
        silent = [update for update in passed if f"checkpoint {update} " not in " ".join(said)]
        if not left or found.update != left[-1] or not bitwise_equal(found.state, run.states[left[-1]]):
            tally.add("wrong", f"{name}: loaded {found.update}, good are {left}")
        else:
            tally.add("unnamed" if silent else "fell back" if passed else "newest", f"{name}: {said}")


def check_damage(run: TinyRun, kind: str, damages: Sequence[tuple[str, Damage]], rng: Any) -> Iterator[Check]:
    """Each of them, and what came of all."""
    tally = Tally()
    for name, damage in damages:
        judge(run, name, damage, rng, tally)
    for outcome, what in (
        ("wrong", "loads of something else than the newest good one"),
        ("exception", "other exceptions than CheckpointError"),
        ("missed", "refused, though there was a good one"),
        ("unnamed", "damaged checkpoints that were not named"),
    ):
        count, example = tally.bad(outcome)
        yield at_most(f"{kind}: {what}", count, 0, example or f"of {len(damages)}")
    fell, refused = tally.counts["fell back"], tally.counts["refused"]
    done = fell + refused + tally.counts["newest"]
    note = f"{fell} fell back, {refused} had nothing left, {tally.counts['newest']} had the newest left"
    yield at_least(f"{kind}: detected, of {len(damages)}", done, len(damages), note)


def check_configuration(run: TinyRun, n: int, rng: np.random.Generator) -> Iterator[Check]:
    """Bit flips in the configuration: with what it says, nothing else than the run itself is loaded."""
    run.restore()
    path = run.directory / CONFIG
    good = path.read_bytes()
    recipe, options = read_recipe(run.directory)
    refused = harmless = wrong = 0
    example, odd = "", ""
    for _ in range(n):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            other, other_options = read_recipe(run.directory)
            found = checkpoints.newest(
                run.directory, run.like, other.about(other_options), lambda line: None, other.complete
            )
            same = (other, other_options) == (recipe, options) and bitwise_equal(found.state, run.states[UPDATES[-1]])
            harmless, wrong = harmless + same, wrong + (not same)
            example = example if same else f"{other} {other_options}"
        except CheckpointError:
            refused += 1
        except Exception as error:
            odd = odd or f"{type(error).__name__}: {error}"
    path.write_bytes(good)
    yield at_most(f"{CONFIG}, flips: a run with another configuration loaded", wrong, 0, example or f"of {n}")
    yield at_least(f"{CONFIG}, flips: refused or without effect, of {n}", refused + harmless, n, odd)
    yield measured(f"{CONFIG}, flips: without effect", harmless, "versions, device; nothing that decides")


def run(seed: int, n: int) -> Iterator[Check]:
    """All checks, as they are done.

    Args:
        seed: Decides the damage.
        n: Bit flips, and truncations, and flips in the configuration; and a fifth of it structural damages.
    """
    rng = np.random.default_rng(seed)
    directory = Path(tempfile.mkdtemp(prefix="adaptax-corrupt-"))
    try:
        tiny = TinyRun(directory, seed)
        yield from check_damage(tiny, "bit flips", [("flip", newest_ones(flip))] * n, rng)
        yield from check_damage(tiny, "truncations", [("truncation", newest_ones(truncate))] * n, rng)
        kinds = list(STRUCTURAL.items())
        structural = [kinds[i % len(kinds)] for i in range(max(n // 5, len(kinds)))]
        yield from check_damage(tiny, "structural", structural, rng)
        yield from check_configuration(tiny, n, rng)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
