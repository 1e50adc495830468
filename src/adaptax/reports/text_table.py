"""A table of texts: printed plainly, or by `rich` where that is installed."""

import dataclasses
import textwrap
from typing import Any

from adaptax.core.errors import one_line

WIDTH = 100
"""Columns of a terminal that a table is printed for plainly."""
LEAST = 10
"""Columns that a folded name has at least."""
APART = "  "


@dataclasses.dataclass
class Table:
    """Names on the left and figures on the right.

    Attributes:
        title: Above the table; empty for none.
        headers: Of the columns.
        fold: Whether long names are folded into several lines.
        caption: Below the table.
        rows: Texts of each row.
        emphasis: Of each row: "bold", "dim" or None.
    """

    title: str
    headers: tuple[str, ...]
    fold: bool = False
    caption: str = ""
    rows: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    emphasis: list[str | None] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        """Show the title as it may reach a terminal; cells are shown so, too."""
        self.title = one_line(self.title)

    def add_row(self, *cells: str, emphasis: str | None = None) -> None:
        """Add a row.

        Raises:
            ValueError: There are not as many cells as columns.
        """
        if len(cells) != len(self.headers):
            raise ValueError(f"row: expected {len(self.headers)} cells, found {len(cells)}")
        self.rows.append(tuple(map(one_line, cells)))
        self.emphasis.append(emphasis)

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.headers, *self.rows, strict=True)]
        if self.fold:
            widths[0] = min(widths[0], max(LEAST, WIDTH - sum(widths[1:]) - len(APART) * (len(widths) - 1)))
        lines = [self.title] if self.title else []
        lines += _lines(self.headers, widths)
        lines.append("─" * (sum(widths) + len(APART) * (len(widths) - 1)))
        for row in self.rows:
            lines += _lines(row, widths)
        return "\n".join([*lines, *textwrap.wrap(self.caption, WIDTH)])

    def __rich__(self) -> Any:
        """As `rich` shows it. What is written in cells is text, whatever brackets it has."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left")
        shown.title = Text(self.title, "table.title") if self.title else None
        shown.caption = Text(self.caption, "dim") if self.caption else None
        shown.add_column(Text(self.headers[0]), no_wrap=not self.fold, overflow="fold")
        for header in self.headers[1:]:
            shown.add_column(Text(header), justify="right", no_wrap=True)
        for row, emphasis in zip(self.rows, self.emphasis, strict=True):
            shown.add_row(*map(Text, row), style=emphasis)
        return shown


def _lines(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """A row, in as many lines as its name needs."""
    name, *rest = textwrap.wrap(row[0], widths[0]) or [""]
    figures = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
    return [APART.join((name.ljust(widths[0]), *figures)).rstrip(), *rest]
