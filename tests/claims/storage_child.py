"""A child process of `python -m tests.claims storage`: trains, while the disk becomes full, or its folder disappears.

python -c "from tests.claims.storage_child import main; main()" COMMANDS RESULTS

COMMANDS is a file with a list of JSON objects (`Command`); a line of JSON for each goes to RESULTS. All in one process,
so that JAX is started once.
"""

import contextlib
import dataclasses
import io
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import adaptax.cli.train  # noqa: F401  (another user may be unable to read our files)
from adaptax.cli.main import main as adaptax_main

BEGINNING = -1
NEVER = 10**6


@dataclasses.dataclass(frozen=True)
class Command:
    """What to do, and what is to happen meanwhile. Chunks are counted from 0.

    Attributes:
        arguments: Of the command line.
        full_from: Chunk from which on no file can grow; −1: the beginning.
        full_for: For how many chunks.
        gone_at: Chunk before which the run's directory disappears.
        user: Number of the user to become first; None: stay. It is for good.
    """

    arguments: list[str]
    full_from: int = NEVER
    full_for: int = NEVER
    gone_at: int = NEVER
    user: int | None = None


def main() -> None:
    """Do all commands of a file."""
    results = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for content in json.loads(Path(sys.argv[1]).read_text()):
        _full(False)
        os.write(results, (json.dumps(done(Command(**content))) + "\n").encode())
    os.close(results)


def done(command: Command) -> dict[str, Any]:
    """Do one; return its exit code, what it said, how long it took, and whether JAX was there in the end."""
    said, printed = io.StringIO(), io.StringIO()
    if command.user is not None:
        _become(command.user)
    began = time.monotonic()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed), _meanwhile(command):
        try:
            adaptax_main(command.arguments)
        except SystemExit as end:
            code = end.code
    return {
        "code": code,
        "said": said.getvalue(),
        "seconds": time.monotonic() - began,
        "jax": "jax" in sys.modules,
    }


@contextlib.contextmanager
def _meanwhile(command: Command) -> Iterator[None]:
    """Make happen what is to happen."""
    _full(command.full_from == BEGINNING)
    if min(command.full_from, command.gone_at) == NEVER:
        yield  # without JAX, if the command does not need it
    else:
        from adaptax.experiment.run_writer import RunWriter

        chunks = iter(range(NEVER))
        write = RunWriter.chunk

        def chunk(self: RunWriter, progress: Any, *, last: bool) -> None:
            number = next(chunks)
            _full(command.full_from <= number < command.full_from + command.full_for)
            if number == command.gone_at:
                shutil.rmtree(self._directory)
            write(self, progress, last=last)

        with mock.patch.object(RunWriter, "chunk", chunk):
            yield
    _full(False)


def _full(yes: bool) -> None:
    """Whether files may not grow: writing then fails with "File too large", as it does where there is no space."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 if yes else hard, hard))


def _become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
