"""Where the report of a comparison goes. No JAX here."""

from pathlib import Path

from adaptax.core.errors import OutputError
from adaptax.runs.directory import create_directory

FIGURES = "comparison.json"
REPORT = "report.html"


def reserve(out: Path | None) -> Path:
    """Make the report's directory, before anything is measured.

    Raises:
        OutputError: if it cannot be made or written to, or if it already holds a report or a run.
    """
    if out is not None and any((out / name).exists() for name in (FIGURES, REPORT)):
        raise OutputError(f"{out}: already holds a report; nothing was changed. Choose another --out, or move it away")
    return create_directory(out, "compare")
