"""What pages are made of: sections with figures, tables and films; `templates/report.html` lays them out."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from adaptax.core.errors import needs
from adaptax.reports.charts import Line, legend, line_chart, numbers_of
from adaptax.reports.html import TEMPLATES, Cell, render

with needs("reports", "an HTML page"):
    from markupsafe import Markup

MOST_FILM_BYTES = 3_000_000
"""Films that would make a page larger are left out, and that is said."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes:
        headers: Of its columns.
        rows: By name.
        bold: Names of rows that stand out.
        title: Above it; empty for none.
        folded: Whether only its title is seen until somebody asks for it.
    """

    headers: Sequence[Cell]
    rows: Mapping[str, Sequence[Cell]]
    bold: Sequence[str] = ()
    title: str = ""
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class Figure:
    """A chart with what is said of it.

    Attributes:
        svg: The chart.
        title: What it shows.
        caption: What has to be known to read it.
        keys: Names of its lines, each with its look.
        numbers: The same in figures; None: a table beside it has them.
        command: What makes it again.
    """

    svg: Markup
    title: str
    caption: str
    keys: Sequence[tuple[str, str]] = ()
    numbers: Table | None = None
    command: str = ""


@dataclasses.dataclass
class Section:
    """A section of a page.

    Attributes:
        heading: Its heading.
        answer: What is to be seen, in a sentence or two.
        figures: Its charts, side by side where there is room.
        tables: Its tables.
        notes: What else is to be known.
        missing: What cannot be shown, and why.
        films: Films to play; see `adaptax.reports.films`.
        film_caption: What they show.
        film_command: What makes them again.
        codes: Lines to type, each with what it makes.
    """

    heading: str
    answer: str = ""
    figures: list[Figure] = dataclasses.field(default_factory=list)
    tables: list[Table] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    films: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    film_caption: str = ""
    film_command: str = ""
    codes: Mapping[str, str] = dataclasses.field(default_factory=dict)


def lines_figure(
    lines: Sequence[Line],
    *,
    title: str,
    caption: str,
    x_label: str,
    y_label: str,
    command: str = "",
    log: bool = False,
    from_zero: bool = False,
    whole: bool = False,
) -> Figure:
    """A chart of lines with its legend and its numbers."""
    svg = line_chart(lines, title=title, x_label=x_label, y_label=y_label, log=log, from_zero=from_zero, whole=whole)
    headers, rows = numbers_of(lines, x_label)
    return Figure(svg, title, caption, legend(lines), Table(headers, rows) if rows else None, command)


def page(title: str, lead: str, sections: Sequence[Section], *, warnings: Sequence[str] = ()) -> str:
    """A page of sections, whole in itself.

    Args:
        title: Its title.
        lead: What it is about, in a sentence.
        sections: What it has.
        warnings: What a reader must know first.
    """
    return render(
        "report.html",
        title=title,
        lead=lead,
        sections=sections,
        warnings=warnings,
        films=[section.films for section in sections if section.films],
        scripts=[script(name) for name in ("scenes.js", "player.js")] if any(s.films for s in sections) else [],
    )


def script(name: str) -> Markup:
    """One of our own scripts, to stand in a page; nothing is put into it."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
