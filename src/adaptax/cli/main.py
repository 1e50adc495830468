"""`adaptax COMMAND ...`: finds the command, turns errors into one line and an exit code."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from adaptax.core.errors import AdaptaxError, ConfigError
from adaptax.core.settings import suggestion
from adaptax.experiment.signals import STOPPED, Interrupts, StopSignal
from adaptax.experiment.tracebacks import write_traceback


class Command(NamedTuple):
    """A command.

    Attributes:
        module: Its module, which has a function `command` from the words after it to an exit code.
        words: What may follow it.
        summary: One line.
        trains: Whether it trains, and so is given what asks it to stop.
    """

    module: str
    words: str
    summary: str
    trains: bool = False


RUN = "ALGORITHM PROBLEM [options]"
COMMANDS: dict[str, Command] = {
    "train": Command(
        "train", RUN, "meta-train, evaluate on held-out tasks; --resume DIR goes on with a run", trains=True
    ),
    "plan": Command("plan", RUN, "what that would need: memory, steps, disk; nothing is trained"),
    "evaluate": Command("evaluate", "DIR [options]", "evaluate a run again: other tasks, other opponents"),
    "compare": Command(
        "compare", "DIR AGENT ... [options]", "agents side by side: how soon, how far it carries, at what cost"
    ),
    "inspect": Command("inspect", "DIR [options]", "what the memory knows of the task, after each episode"),
    "check-env": Command("check_env", "MODULE:NAME", "does an environment of your own keep its contract?"),
    "reproduce": Command(
        "reproduce", "NAME [options]", "train and print a published table, side by side with the paper", trains=True
    ),
    "list": Command("list", "", "algorithms, problems, presets, tables"),
}
"""By name; each is imported when it is typed."""


def usage() -> str:
    """What `adaptax --help` says."""
    lines = [f"  adaptax {name + ' ' + entry.words:<38}{entry.summary}" for name, entry in COMMANDS.items()]
    return "\n".join(
        (
            "usage: adaptax COMMAND ...",
            "",
            "Agents that learn how to learn: meta-reinforcement learning.",
            "",
            *lines,
            "",
            FOOT,
        )
    )


FOOT = """\
Each command has --help. Exit codes: 0 done, 2 wrong usage or configuration, 3 an environment broke its contract,
4 numbers diverged, 5 checkpoint unusable, 6 directory locked or unwritable, 7 out of memory or disk, 69 an optional
package is missing, 75 stopped, and can be resumed."""


class _Patient:
    """Standard error that may have been closed: a terminal that has gone must not stop a training."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def _open_what_is_closed() -> None:
    """Give a process without standard streams such that go nowhere; else a file of the run would get their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


@contextlib.contextmanager
def _any_letter() -> Iterator[None]:
    """Print what a terminal does not know as "?", and leave the streams as they were."""
    before = [(stream, stream.errors) for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    for stream, _ in before:
        stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream, errors in before:
            with contextlib.suppress(OSError, ValueError):  # it may have been closed
                stream.reconfigure(errors=errors)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends in `SystemExit`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_what_is_closed()
    with _any_letter(), contextlib.redirect_stderr(_Patient(sys.stderr)), Interrupts() as interrupts:
        code = _run(arguments, interrupts)
        if interrupts.abrupt:
            sys.stdout.flush()
            os._exit(code)
        sys.exit(code)


def _run(arguments: Sequence[str], stop: StopSignal) -> int:
    """Do it; what goes wrong becomes a line on standard error and an exit code."""
    try:
        return _dispatch(arguments, stop)
    except AdaptaxError as error:
        print(f"error[{error.exit_code}]: {error}", file=sys.stderr)
        # Of what the system has refused, the line says all; and there may be no room for more, or no folder.
        if (
            error.__cause__ is not None
            and not isinstance(error.__cause__, OSError)
            and hasattr(error, "crash_directory")
        ):
            write_traceback(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; nothing was saved by this command", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:
        print(f"error[7]: out of memory ({write_traceback(error)}). Lower the number of tasks", file=sys.stderr)
        return 7
    except Exception as error:
        where = write_traceback(error)
        print(f"error[1]: {type(error).__name__}: {error} (this should not happen; {where})", file=sys.stderr)
        return 1


def _dispatch(arguments: Sequence[str], stop: StopSignal) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(version("adaptax"))
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise ConfigError(f"COMMAND: expected one of {', '.join(COMMANDS)}; found '{name}'{suggestion(name, COMMANDS)}")
    module, words = importlib.import_module(f"adaptax.cli.{COMMANDS[name].module}"), arguments[1:]
    return int(module.command(words, stop) if COMMANDS[name].trains else module.command(words))
