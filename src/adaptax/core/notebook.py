"""What an object looks like in a notebook: a small table. Whatever is put into it is escaped."""

from collections.abc import Sequence
from html import escape

MOST_ROWS = 12


def html_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> str:
    """A table as HTML without any style of its own, so that it is readable in light and dark notebooks.

    Args:
        title: Above it.
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
    caption = f'<caption style="text-align: left; white-space: nowrap"><b>{escape(title)}</b></caption>'
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>{below}"


def evenly_spaced(number: int, most: int = MOST_ROWS) -> list[int]:
    """At most so many of 0 to `number` − 1, evenly spaced, the first and the last among them."""
    if number <= most:
        return list(range(number))
    return [round(index * (number - 1) / (most - 1)) for index in range(most)]
