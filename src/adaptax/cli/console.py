"""What a person sees: messages and progress on standard error, tables on standard output."""

import contextlib
import os
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from adaptax.experiment.progress import Progress

try:
    import rich.console
    import rich.progress
except ModuleNotFoundError:  # all is printed plainly then
    rich = None  # type: ignore[assignment]

LINES = 10
"""Lines that a whole piece of work prints where there is no terminal."""


def say(message: str) -> None:
    """Say something on standard error."""
    print(message, file=sys.stderr, flush=True)


class PlainConsole:
    """Where tables are printed if `rich` is not installed: standard output."""

    def print(self, table: Any) -> None:
        """Print a table."""
        print(table)


def table_console() -> Any:
    """Where tables are printed: standard output, 100 columns wide where there is no terminal to measure."""
    if rich is None:
        return PlainConsole()
    console = rich.console.Console()
    return console if console.is_terminal else rich.console.Console(width=100)


class Bars:
    """Shows progress on standard error: a bar on a terminal, now and then a line elsewhere; a context manager.

    Each piece of work has a bar of its own, one after the other.
    """

    def __init__(self) -> None:
        self._bar: _Bar | None = None
        self._work = ""

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._bar is None or progress.work != self._work:
            self._end()
            self._bar, self._work = _Bar(progress.work, progress.total), progress.work
        self._bar.update(progress.done, progress.text)
        if progress.done >= progress.total:
            self._end()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = None


class _Bar:
    """One bar with a free text, or lines."""

    def __init__(self, title: str, total: int):
        self._title, self._total, self._said = title, total, 0
        self._bar = _bar_of(title, total)
        if self._bar is not None:
            self._bar.start()

    def stop(self) -> None:
        """It stays as it is."""
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, text: str = "") -> None:
        """Say how far it is."""
        tenth = done * LINES // self._total
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, text=text)
        elif text and tenth > self._said:
            self._said = tenth
            print(f"{self._title} {done}/{self._total} {text}", file=sys.stderr, flush=True)


def _bar_of(title: str, total: int) -> Any:
    """A bar on standard error, if that is a terminal."""
    if rich is None or not (console := rich.console.Console(stderr=True)).is_terminal:
        return None
    bar = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width=24),
        rich.progress.TextColumn("{task.percentage:>3.0f}%"),
        rich.progress.TextColumn("{task.fields[text]}"),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("left"),
        rich.progress.TimeRemainingColumn(),
        console=console,
    )
    bar.add_task(title, total=total, text="")
    return bar


@contextlib.contextmanager
def standard_output_for_us() -> Iterator[None]:
    """Send what libraries write to standard output, past Python, to standard error: it is for results."""
    ours, results = os.dup(1), sys.stdout
    os.dup2(2, 1)
    try:
        with os.fdopen(ours, "w", encoding=results.encoding, errors="replace") as stream:
            sys.stdout = stream
            yield
    finally:
        results.flush()
        sys.stdout = results
