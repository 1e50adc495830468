"""Self-contained HTML pages from the templates beside this module; whatever is put into them is escaped."""

import base64
from pathlib import Path
from typing import Any, TypeAlias

from adaptax.core.errors import needs

with needs("reports", "an HTML page"):
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"

Cell: TypeAlias = str | tuple[str, str]
"""A text, or a text with a small one below."""


def environment() -> jinja2.Environment:
    """Where templates are found; a name that a template does not get is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["data_uri"] = data_uri
    return made


def render(template: str, **context: Any) -> str:
    """A page: `template`, filled in."""
    return environment().get_template(template).render(**context)


def data_uri(svg: bytes) -> str:
    """An SVG within the page; each is an image of its own, so that names inside of them cannot clash."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
