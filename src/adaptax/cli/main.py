"""`adaptax COMMAND ...`: finds the command, turns errors into one line and an exit code."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from adaptax.core.errors import AdaptaxError, ConfigError
from adaptax.core.settings import suggestion
from adaptax.experiment.signals import STOPPED, Interrupts, StopSignal
from adaptax.experiment.tracebacks import write_traceback

USAGE = """\
usage: adaptax COMMAND ...

Agents that learn how to learn: meta-reinforcement learning.

  adaptax train ALGORITHM PROBLEM [options]   meta-train, evaluate on held-out tasks, draw the adaptation curve
  adaptax train --resume DIR                  go on with a run that was stopped or killed
  adaptax plan ALGORITHM PROBLEM [options]    what that would need: memory, steps, disk; nothing is trained
  adaptax evaluate DIR [options]              evaluate a run again: other tasks, other opponents
  adaptax compare DIR AGENT ... [options]     agents side by side: how soon, how far it carries, what exploring costs
  adaptax inspect DIR [options]               what the memory knows of the task, after each episode
  adaptax check-env MODULE:FACTORY            does an environment of your own keep its contract?
  adaptax reproduce NAME [options]            train and print a published table, side by side with the paper
  adaptax list                                algorithms, problems, presets, tables

Each command has --help. Exit codes: 0 done, 2 wrong usage or configuration, 3 an environment broke its contract,
4 numbers diverged, 5 checkpoint unusable, 6 directory locked or unwritable, 7 out of memory or disk, 75 stopped, and
can be resumed."""


def _train(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.train import command

    return command(arguments, stop)


def _plan(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.plan import command

    return command(arguments)


def _evaluate(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.evaluate import command

    return command(arguments)


def _compare(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.compare import command

    return command(arguments)


def _inspect(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.inspect import command

    return command(arguments)


def _check_env(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.check_env import command

    return command(arguments)


def _reproduce(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.reproduce import command

    return command(arguments, stop)


def _list(arguments: Sequence[str], stop: StopSignal) -> int:
    from adaptax.cli.list import command

    return command(arguments)


COMMANDS: dict[str, Callable[[Sequence[str], StopSignal], int]] = {
    "train": _train,
    "plan": _plan,
    "evaluate": _evaluate,
    "compare": _compare,
    "inspect": _inspect,
    "check-env": _check_env,
    "reproduce": _reproduce,
    "list": _list,
}


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
        print(USAGE)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(version("adaptax"))
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise ConfigError(f"COMMAND: expected one of {', '.join(COMMANDS)}; found '{name}'{suggestion(name, COMMANDS)}")
    return COMMANDS[name](arguments[1:], stop)
