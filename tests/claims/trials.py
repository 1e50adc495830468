"""The child process of the claim `hostile`: tries attacks, one after the other, and prints a line for each.

python -c "from tests.claims.trials import main; main()" DIRECTORY SEED N SKIPPED
"""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax.core.errors import CheckpointError, OutputError
from adaptax.deployment.agent import Agent
from adaptax.runs import checkpoints
from adaptax.runs.directory import CONFIG, claim, read_recipe, write_json
from adaptax.runs.metrics_log import RunLog
from tests.claims import fuzz
from tests.claims.attacks import corpus
from tests.claims.forging import EITHER, HARMLESS, REFUSED, Attack, begin_again
from tests.claims.guard import Guard, TooLong, fingerprint, size_on_disk
from tests.claims.tiny_run import UPDATES, TinyRun, bitwise_equal

NEWEST = UPDATES[-1]
LONGEST = 2000
"""Letters that an error may have."""


def _load(run: TinyRun) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that training is not finished
        agent = Agent.load(run.directory)
    return bitwise_equal(agent.meta, run.states[NEWEST].meta)


def _newest(run: TinyRun) -> bool:
    found = checkpoints.newest(run.directory, run.like, run.about, lambda line: None)
    return bitwise_equal(found.state, run.states[found.update]) and found.update == NEWEST


def _fallback(run: TinyRun) -> bool:
    """With the older ones as they were: the newest of those, or nothing."""
    found = checkpoints.newest(run.directory, run.like, run.about, lambda line: None)
    return bitwise_equal(found.state, run.states[found.update])


def _shapes(run: TinyRun) -> bool:
    """Whoever can seal a checkpoint chooses its numbers; but not their shapes."""
    found = checkpoints.newest(run.directory, run.like, run.about, lambda line: None)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), found.state, run.like)
    return all(jax.tree.leaves(same))


def _recipe(run: TinyRun) -> bool:
    recipe, options = read_recipe(run.directory)
    found = checkpoints.newest(run.directory, run.like, recipe.about(options), lambda line: None, recipe.complete)
    return bitwise_equal(found.state, run.states[NEWEST]) and recipe.about(options) == run.about


def _claim(run: TinyRun) -> bool:
    with claim(run.directory, fresh=False):
        return True


def _log(run: TinyRun) -> bool:
    found = checkpoints.newest(run.directory, run.like, run.about, lambda line: None)
    with RunLog(run.directory, 40, found.manifest.get("metrics"), done=found.update):
        return True


def _save(run: TinyRun) -> bool:
    checkpoints.save(run.directory, run.states[NEWEST], update=NEWEST + 10, about=run.about)
    write_json(run.directory / CONFIG, {})
    return True


DOORS: dict[str, Callable[[TinyRun], bool]] = {
    "load": _load,
    "newest": _newest,
    "fallback": _fallback,
    "shapes": _shapes,
    "recipe+newest": _recipe,
    "claim": _claim,
    "log": _log,
    "save": _save,
}
"""What is tried; each returns whether what it got is genuine."""
WRITING = ("claim", "log", "save")
"""Doors that may change the run's directory, and where the system's own errors are explained by the command line."""


def judge(run: TinyRun, guard: Guard, door: str, attack: Attack, canary: Path) -> dict[str, Any]:
    """Try one, and say what came of it and what was wrong."""
    outside = run.directory.parent
    faults: dict[str, str] = {}
    before, size = _seen(outside, door), size_on_disk(outside)
    ours = (CheckpointError, OutputError, *((OSError,) if door in WRITING else ()))
    try:
        with guard.watching(run.directory):
            outcome = HARMLESS if DOORS[door](run) else "wrong"
    except ours as error:
        outcome, text = REFUSED, str(error)
        if len(text) > LONGEST or not text.isprintable():
            faults["message"] = f"{len(text)} letters: {text[:100]!r}"
    except (Exception, TooLong) as error:
        outcome = "error"
        faults["error"] = f"{type(error).__name__}: {error}"[:300]
    if outcome == "wrong" or (outcome != "error" and attack.must not in (outcome, EITHER)):
        faults["outcome"] = f"{outcome}, expected {attack.must}"
    if guard.broken:
        faults["ran"] = "; ".join(guard.broken[:3])
    if _seen(outside, door) != before:
        faults["changed"] = str(sorted(set(_seen(outside, door).items()) ^ set(before.items()))[:1])[:200]
    if canary.exists():
        faults["canary"] = "it exists"
        canary.unlink()
    measures = {"seconds": guard.seconds, "memory": guard.memory, "size": size}
    return {"door": door, "outcome": outcome, "faults": faults, **measures}


def _seen(outside: Path, door: str) -> dict[str, tuple[Any, ...]]:
    """What must not change."""
    found = fingerprint(outside)
    if door not in WRITING:
        return found
    # Opening a hard link for writing is refused after it was opened; so contents count here, not what is in the run.
    return {name: facts for name, facts in found.items() if not name.startswith("run")}


def _all(run: TinyRun, canary: Path, seed: int, n: int) -> Iterator[tuple[str, str, str, Attack]]:
    """All trials: kind, name, door and attack."""
    for name, attack in corpus(canary).items():
        for door in attack.doors:
            yield "corpus", name, door, attack
        if attack.must == REFUSED and "newest" in attack.doors and name.startswith(("arrays", "manifest")):
            yield "corpus", name, "fallback", Attack(attack.plant, EITHER)
    for number in range(n):
        for kind, door in fuzz.KINDS.items():
            rng = np.random.default_rng([seed, number])
            plant = lambda run, kind=kind, rng=rng: fuzz.plant(run, kind, rng)  # noqa: E731
            yield "random", f"{kind} {number}", door, Attack(plant, EITHER)


def main() -> None:
    """Try all, from the SKIPPED-th on."""
    directory, seed, n, skipped = Path(sys.argv[1]), *(int(word) for word in sys.argv[2:5])
    canary = directory / "canary"
    root = directory / "root"
    (root / "run").mkdir(parents=True)
    run = TinyRun(root / "run", seed)
    guard = Guard()
    for use in DOORS.values():  # what is imported and compiled once
        run.restore()
        use(run)
    for number, (kind, name, door, attack) in enumerate(_all(run, canary, seed, n)):
        if number < skipped:
            continue
        begin_again(run)
        attack.plant(run)
        if door == "fallback":
            run.restore_older()
        print(json.dumps({"kind": kind, "name": name, **judge(run, guard, door, attack, canary)}), flush=True)
    print(json.dumps({"ended": True}), flush=True)
