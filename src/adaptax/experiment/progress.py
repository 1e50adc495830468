"""Progress of long work on standard error: a bar on a terminal, now and then a line elsewhere or without `rich`."""

import sys
from types import TracebackType
from typing import Any

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


def table_console() -> Any:
    """Where tables are printed: standard output, 100 columns wide where there is no terminal to measure."""
    if rich is None:
        return PlainConsole()
    console = rich.console.Console()
    return console if console.is_terminal else rich.console.Console(width=100)


class Bar:
    """A progress bar with a free text, as a context manager."""

    def __init__(self, title: str, total: int):
        self._title, self._total, self._said = title, total, 0
        self._bar = _bar_of(title, total)

    def __enter__(self) -> "Bar":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, text: str = "") -> None:
        """Say how far it is."""
        tenth = done * LINES // self._total
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, text=text)
        elif tenth > self._said:
            self._said = tenth
            print(f"{self._title} {done}/{self._total} {text}".rstrip(), file=sys.stderr, flush=True)


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
