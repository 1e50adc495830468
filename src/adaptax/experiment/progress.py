"""Progress of long work on standard error: a bar on a terminal, now and then a line elsewhere."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINES = 10
"""Lines that a whole piece of work prints where there is no terminal."""


def table_console() -> Console:
    """Where tables are printed: standard output, 100 columns wide where there is no terminal to measure."""
    console = Console()
    return console if console.is_terminal else Console(width=100)


class Bar:
    """A progress bar with a free text, as a context manager."""

    def __init__(self, title: str, total: int):
        self._title, self._total, self._said = title, total, 0
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=False,
        )
        self._task = self._bar.add_task(title, total=total, text="")

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, done: int, text: str = "") -> None:
        """Say how far it is."""
        self._bar.update(self._task, completed=done, text=text)
        tenth = done * LINES // self._total
        if self._bar.disable and tenth > self._said:
            self._said = tenth
            self._console.print(f"{self._title} {done}/{self._total} {text}", highlight=False)
