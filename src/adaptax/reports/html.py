"""Parts of a self-contained HTML page, to read on a screen and on paper: texts, tables, pictures."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TypeAlias

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  color: #1c1c1c; background: #fff; max-width: 62rem; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .4rem; padding-top: .9rem; border-top: 2px solid #1c1c1c; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
p { margin: .5rem 0; max-width: 48rem; }
.lead { color: #555; }
.answer { font-size: 1.05rem; border-left: 4px solid #d55e00; padding: .1rem 0 .1rem 1rem; margin: 1rem 0; }
.warning { border-left: 4px solid #b00020; padding: .1rem 0 .1rem 1rem; }
figure { margin: 1.2rem 0; }
figure img { width: 100%; height: auto; }
figcaption, .note { color: #555; font-size: .88rem; max-width: 52rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; margin: .9rem 0; }
th, td { text-align: right; padding: .32rem .8rem; white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; overflow-wrap: break-word;
  min-width: 5.5rem; max-width: 15rem; }
thead th { border-bottom: 1.5px solid #1c1c1c; font-weight: 600; vertical-align: bottom; white-space: normal; }
tbody tr { border-bottom: 1px solid #e4e4e4; }
tr.trained td { font-weight: 600; }
td small, th small { display: block; font-weight: 400; color: #555; }
td.none { color: #999; }
code { font-size: .85rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; font-size: .9rem; }
dt { color: #555; } dd { margin: 0; }
@page { margin: 16mm 14mm; }
@media print {
  body { font-size: 10.5pt; margin: 0; max-width: none; padding: 0; }
  h2 { break-after: avoid; } figure, table, .answer { break-inside: avoid; } .wide { overflow: visible; }
  table { font-size: 8pt; } th, td { padding: .15rem .4rem; } figure img { max-height: 105mm; object-fit: contain; }
}
"""

Cell: TypeAlias = str | tuple[str, str]
"""A text, or a text with a small one below."""

NOTHING = ("–", "n/a")
"""Texts of cells in which there is nothing to see."""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts, which are HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `text` is HTML."""
    return f'<p class="{kind}">{text}</p>' if kind else f"<p>{text}</p>"


def picture(svg: bytes, alt: str, caption: str) -> str:
    """An SVG within the page; each is an image of its own, so that names inside of them cannot clash."""
    data = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure><img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(headers: Sequence[Cell], rows: Mapping[str, Sequence[Cell]], bold: Sequence[str] = ()) -> str:
    """A table with a row for each name."""
    head = "".join(f"<th>{_cell(header)}</th>" for header in headers)
    body = ""
    for name, cells in rows.items():
        kind = ' class="trained"' if name in bold else ""
        tds = "".join(f"<td{' class=none' if cell in NOTHING else ''}>{_cell(cell)}</td>" for cell in cells)
        body += f"<tr{kind}><td>{escape(name)}</td>{tds}</tr>\n"
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>'


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return escape(cell)
    text, below = cell
    return escape(text) + (f"<small>{escape(below)}</small>" if below else "")
