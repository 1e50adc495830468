"""What a person sees: messages and progress on standard error, tables on standard output."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from adaptax.cli.streams import Results
from adaptax.cli.streams import say as say  # noqa: PLC0414  (what a person sees is found here)
from adaptax.cli.streams import tell as tell  # noqa: PLC0414
from adaptax.core.errors import AdaptaxError, one_line
from adaptax.experiment.progress import Progress

try:
    import rich.console
    import rich.progress
except ModuleNotFoundError:  # all is printed plainly then
    rich = None  # type: ignore[assignment]

LINES = 10
"""Lines that a whole piece of work prints where there is no terminal."""


class PlainConsole:
    """Where tables are printed if `rich` is not installed: standard output."""

    def print(self, table: Any) -> None:
        """Print a table."""
        print(table)


def rich_console() -> Any:
    """Standard output of `rich`; None if that is not installed."""
    return None if rich is None else rich.console.Console()


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
            self._bar.update(self._bar.task_ids[0], completed=done, text=one_line(text))
        elif text and tenth > self._said:
            self._said = tenth
            say(f"{self._title} {done}/{self._total} {text}")


def _bar_of(title: str, total: int) -> Any:
    """A bar on standard error, if that is a terminal."""
    if rich is None or not (console := rich.console.Console(stderr=True)).is_terminal:
        return None
    bar = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(bar_width=24),
        rich.progress.TextColumn("{task.percentage:>3.0f}%"),
        rich.progress.TextColumn("{task.fields[text]}", markup=False),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("left"),
        rich.progress.TimeRemainingColumn(),
        console=console,
    )
    bar.add_task(title, total=total, text="")
    return bar


@contextlib.contextmanager
def showing_all_the_same(show: Callable[[Any], object]) -> Iterator[None]:
    """Show a result that could not be written down, before that is said."""
    try:
        yield
    except AdaptaxError as error:
        if error.result is not None:
            show(error.result)
        raise


@contextlib.contextmanager
def standard_output_for_us() -> Iterator[None]:
    """Send what libraries write to standard output, past Python, to standard error: it is for results."""
    ours, results = os.dup(1), sys.stdout
    os.dup2(2, 1)
    try:
        with os.fdopen(ours, "w", encoding=results.encoding, errors="replace") as stream:
            sys.stdout = kept = Results(stream)
            yield
            if lost := kept.end():
                raise lost
    finally:
        results.flush()
        sys.stdout = results
