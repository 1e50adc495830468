"""What results look like in a notebook: a small table, as text and as HTML in which whatever is put is escaped."""

from collections.abc import Sequence
from html import escape

MOST_ROWS = 12

Rows = Sequence[Sequence[str]]


def text_table(title: str, headers: Sequence[str], rows: Rows) -> str:
    """A table as text; the first column to the left, the others to the right. An empty title has no line."""
    lines = [headers, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    lines_of_text = [title] if title else []
    for first, *others in lines:
        cells = [first.ljust(widths[0]), *(x.rjust(width) for x, width in zip(others, widths[1:], strict=True))]
        lines_of_text.append("  ".join(cells).rstrip())
    return "\n".join(lines_of_text)


def html_table(title: str, headers: Sequence[str], rows: Rows, note: str = "") -> str:
    """A table as HTML without any style of its own, so that it is readable in light and dark notebooks.

    Args:
        title: Above it; empty: none.
        headers: Of the columns; none: a row's first cell is its header.
        rows: Texts.
        note: Below it.
    """
    head = f"<thead><tr>{''.join(f'<th>{escape(x)}</th>' for x in headers)}</tr></thead>" if headers else ""

    def cells(row: Sequence[str]) -> str:
        first = f'<th style="text-align: left">{escape(row[0])}</th>'
        return first + "".join(f"<td>{escape(x)}</td>" for x in row[1:])

    body = "".join(f"<tr>{cells(row)}</tr>" for row in rows)
    below = f"<p><small>{escape(note)}</small></p>" if note else ""
    caption = (
        f'<caption style="text-align: left; white-space: nowrap"><b>{escape(title)}</b></caption>' if title else ""
    )
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>{below}"


def evenly_spaced(number: int, most: int = MOST_ROWS) -> list[int]:
    """At most so many of 0 to `number` − 1, evenly spaced, the first and the last among them."""
    if number <= most:
        return list(range(number))
    return [round(index * (number - 1) / (most - 1)) for index in range(most)]
