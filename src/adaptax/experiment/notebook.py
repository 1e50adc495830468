"""How results look in a notebook: plain tables, as text and as HTML."""

import html
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]


def text_table(title: str, header: Sequence[str], rows: Rows) -> str:
    """A table as text; the first column to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines_of_text = [title] if title else []
    for first, *others in lines:
        cells = [first.ljust(widths[0]), *(x.rjust(width) for x, width in zip(others, widths[1:], strict=True))]
        lines_of_text.append("  ".join(cells).rstrip())
    return "\n".join(lines_of_text)


def html_table(title: str, header: Sequence[str], rows: Rows) -> str:
    """The same table as HTML, with everything in it escaped."""

    def escaped(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)

    body = "".join(f"<tr>{escaped(row, 'td')}</tr>" for row in rows)
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    return f"<table>{caption}<thead><tr>{escaped(header, 'th')}</tr></thead><tbody>{body}</tbody></table>"
