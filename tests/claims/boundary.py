"""The command line in this process, up to where it would begin to compute; what goes wrong before that is what counts.

Names, settings, directories, configurations, checkpoints and the building of problems and agents are the real ones.
Instead of the first compiled program `REACHED` is raised, an error of the house with the exit code of what was stopped.
"""

import contextlib
import io
import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from adaptax.core.errors import LostError

REACHED = "the boundary was reached"
CODES = {0, 2, 3, 4, 5, 6, 7, 64, LostError.exit_code}
"""Those of the table in docs/reliability.md. 1 is none: "this should not happen"."""
MOST_LETTERS = 4000
"""Of what is said; a misspelt option of `train` may be told with a list of names."""
PROGRAMS = (
    "adaptax.experiment.session.init",
    "adaptax.experiment.session.begin",
    "adaptax.experiment.session.loop.train",
    "adaptax.core.trained_agent.init",
    "adaptax.evaluation.evaluator.evaluate",
    "adaptax.evaluation.comparison.compare",
    "adaptax.evaluation.inspection.inspect_memory",
    "adaptax.experiment.planning.memory.program_of",
    "adaptax.problems.checks.check.examine",
)
"""What compiles, behind the commands."""
JOINED = "adaptax.cli.train.joined"
"""What waits for other processes."""


class Answer(NamedTuple):
    """What became of a command line.

    Attributes:
        code: The exit code; None if something other than `SystemExit` came out.
        stdout: What it printed.
        stderr: What it said.
        seconds: How long it took.
        memory: By how many bytes the process's largest size grew.
    """

    code: Any
    stdout: str
    stderr: str
    seconds: float
    memory: int


def _reached(*arguments: Any, **named: Any) -> Any:
    raise LostError(REACHED)


@contextlib.contextmanager
def stopping_there() -> Iterator[None]:
    """While this lasts, nothing is computed (JAX is imported here, and is to be started before)."""
    with contextlib.ExitStack() as patches:
        for name in PROGRAMS:
            patches.enter_context(mock.patch(name, _reached))
        patches.enter_context(mock.patch(JOINED, _joined()))
        patches.enter_context(mock.patch("adaptax.experiment.session.require", return_value=None))
        patches.enter_context(mock.patch("adaptax.experiment.jax_setup.start_jax", return_value=None))
        yield


def _joined() -> Any:
    """Alone as ever; nobody is waited for."""
    from adaptax.cli.train import joined as alone

    return lambda options, *more: _reached() if options.distributed else alone(options, *more)


def run(words: Sequence[str], place: Path) -> Answer:
    """Do what is typed in a folder."""
    from adaptax.cli import main

    out, err, code, before, began = io.StringIO(), io.StringIO(), None, _largest(), time.monotonic()
    here = os.getcwd()
    os.chdir(place)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(words))
    except SystemExit as stop:
        code = stop.code
    except BaseException as error:
        err.write(f"Traceback: {error!r}")
    finally:
        os.chdir(here)
    return Answer(code, out.getvalue(), err.getvalue(), time.monotonic() - began, _largest() - before)


def _largest() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def faults(answer: Answer) -> dict[str, str]:
    """What is wrong with an answer, by the names in `FAULTS`."""
    found = {}
    lines = answer.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error[")]
    if "Traceback" in answer.stderr or answer.code is None:
        found["traceback"] = answer.stderr[-300:]
    elif answer.code not in CODES:
        found["code"] = answer.stderr[-300:]
    told = [f"error[{answer.code}]: "] if answer.code else []
    usage = answer.code == 2 and not errors and answer.stdout.startswith("usage: ")
    if not usage and [line[: len(told[0])] if told else line for line in errors] != told:
        found["line"] = " / ".join(errors)[:300] or "none"
    if not all(line.isprintable() for line in lines):
        found["control"] = repr(next(line for line in lines if not line.isprintable()))[:300]
    if len(answer.stderr) > MOST_LETTERS:
        found["long"] = f"{len(answer.stderr)} letters: {answer.stderr[:100]!r}"
    return found


FAULTS = {
    "traceback": "end in a traceback",
    "code": "exit code is none of the table",
    "line": "not exactly one line of error where there is a code, or one where there is none",
    "control": "say what is not printable",
    "long": "say more than anybody reads",
    "changed": "change files, though they only read",
    "hung": "did not come back, or the process died",
}
"""What can be wrong, in words."""
