"""Where the report of a comparison goes. No JAX here."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from adaptax.core.errors import OutputError
from adaptax.runs.directory import claim, create_directory

FIGURES = "comparison.json"
REPORT = "report.html"


@contextlib.contextmanager
def reserve(out: Path | None) -> Iterator[Path]:
    """Make the report's directory, before anything is measured, and keep other processes from it meanwhile.

    Raises:
        OutputError: if it cannot be made or written to, is in use, or already holds a report or a run.
    """
    directory = create_directory(out, "compare", fresh=False)
    with claim(directory, fresh=True):
        if any(os.path.lexists(directory / name) for name in (FIGURES, REPORT)):
            raise OutputError(
                f"{directory}: already holds a report; nothing was changed. Choose another --out, or move it away"
            )
        yield directory
