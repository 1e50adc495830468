"""No result that was computed is lost because it cannot be written down. No JAX here."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import OutputError, ResourceError
from adaptax.runs.directory import create_directory


def expect_room(directory: Path, out: Path | None) -> Path:
    """Where results of a run go: its directory or `out`, which is made; asked before anything is computed.

    Raises:
        OutputError: if it cannot be made or written to, or holds another run.
    """
    try:
        return create_directory(out or directory, "results", fresh=out not in (None, directory))
    except OutputError as error:
        if out is not None:
            raise
        again = "Nothing was computed. Make it writable, or choose another place: --out"
        raise OutputError(f"{str(error).rpartition('. ')[0]}. {again}") from error


@contextlib.contextmanager
def kept(result: Any, directory: Path) -> Iterator[None]:
    """Around what writes down a result: what is raised if that is impossible carries it, to be shown all the same."""
    try:
        yield
    except (OutputError, ResourceError) as error:
        error.result = result
        raise
    except OSError as error:
        refused = atomic_files.refusal(error.filename or directory, error)
        refused.result = result
        raise refused from error
