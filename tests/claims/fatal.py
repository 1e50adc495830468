"""Runs `adaptax` in a process that dies, by SIGKILL, at a chosen point of what it does to files.

    python -c "from tests.claims.fatal import main; main()" TRACE 17 during train rl2 bandit ...

Points are counted in the order in which they come: every write, flush to the disk, renaming and removal by our own
code, and every evaluation. With point −1 it goes on, and TRACE gets a line for each point: what it was, and on what.
"""

import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OURS = ("update-", "checkpoints", "config.json", "metrics.jsonl", "evaluation.json")
"""How the names of a run's files begin; JAX writes files, too."""


class Fate:
    """Counts points, and kills at one of them.

    Attributes:
        number: The point.
        when: "before", "during" or "after" it.
        trace: Where to write down the points.
    """

    def __init__(self, number: int, when: str, trace: Path | None):
        self.number, self.when, self.trace = number, when, trace
        self._count = 0

    def at(self, kind: str, subject: str, act: Callable[[], Any], half: Callable[[], Any] = lambda: None) -> Any:
        """Pass a point: `act` is what happens there, `half` what has happened if it dies meanwhile."""
        if kind != "evaluate" and not subject.startswith(OURS):
            return act()
        number, self._count = self._count, self._count + 1
        if self.trace is not None:
            with self.trace.open("a", encoding="utf-8") as file:
                file.write(f"{kind} {subject}\n")
        if number == self.number and self.when == "before":
            _die()
        if number == self.number and self.when == "during":
            half()
            _die()
        result = act()
        if number == self.number:
            _die()
        return result


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def doom(fate: Fate) -> None:
    """Put points into what our code does to files, and into the evaluation."""
    durable: Any = importlib.import_module("adaptax.core.atomic_files")
    system: Any = os
    write_all, fsync, replace, unlink = durable.write_all, os.fsync, os.replace, os.unlink

    def writing(descriptor: int, data: bytes) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        half = lambda: os.write(descriptor, bytes(data)[: len(data) // 2])  # noqa: E731
        fate.at("write", name, lambda: write_all(descriptor, data), half)

    def flushing(descriptor: int) -> None:
        fate.at("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, lambda: fsync(descriptor))

    def renaming(source: Any, target: Any, **options: Any) -> None:
        fate.at("replace", Path(target).name, lambda: replace(source, target, **options))

    def removing(path: Any, **options: Any) -> None:
        act = lambda: unlink(path, **options)  # noqa: E731
        if os.path.lexists(path):
            fate.at("unlink", Path(path).name, act)
        else:
            act()

    durable.write_all, system.fsync, system.replace, system.unlink = writing, flushing, renaming, removing
    prepared: Any = importlib.import_module("adaptax.evaluation.evaluator").PreparedEvaluation
    evaluate = prepared.__call__

    @functools.wraps(evaluate)
    def evaluating(self: Any, *arguments: Any) -> Any:
        act = functools.partial(evaluate, self, *arguments)
        return fate.at("evaluate", type(self.agent.algorithm).__name__, act, act)

    prepared.__call__ = evaluating


def main() -> None:
    """Do what was typed: TRACE (or an empty word), POINT, WHEN, and the words after `adaptax`."""
    trace, number, when, *arguments = sys.argv[1:]
    # Devices have to be configured before JAX is asked for anything, so before what is run is imported.
    importlib.import_module("adaptax.experiment.jax_setup").start_jax()
    doom(Fate(int(number), when, Path(trace) if trace else None))
    importlib.import_module("adaptax.cli.main").main(arguments)
