"""`adaptax COMMAND ...`: finds the command, turns errors into one line and an exit code."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from adaptax.errors import AdaptaxError, ConfigError
from adaptax.settings import suggestion

USAGE = """\
usage: adaptax COMMAND ...

Agents that learn how to learn: meta-reinforcement learning.

  adaptax train ALGORITHM PROBLEM [options]   meta-train, evaluate on held-out tasks, draw the adaptation curve
  adaptax evaluate DIR [options]              evaluate a run again: other tasks, other opponents
  adaptax compare DIR AGENT ... [options]     agents side by side: how soon, how far it carries, what exploring costs
  adaptax inspect DIR [options]               what the memory knows of the task, after each episode
  adaptax reproduce NAME [options]            train and print a published table, side by side with the paper
  adaptax selftest NAME [options]             measure what the package claims of itself; exit code 1 if it does not hold
  adaptax list                                algorithms, problems, presets, tables

Each command has --help. Exit codes: 0 done, 2 wrong usage or configuration, 5 run unusable, 6 directory unwritable,
75 stopped early."""


def _train(arguments: Sequence[str]) -> int:
    from adaptax.cli.train import command

    return command(arguments)


def _evaluate(arguments: Sequence[str]) -> int:
    from adaptax.cli.evaluate import command

    return command(arguments)


def _compare(arguments: Sequence[str]) -> int:
    from adaptax.cli.compare import command

    return command(arguments)


def _inspect(arguments: Sequence[str]) -> int:
    from adaptax.cli.inspect import command

    return command(arguments)


def _reproduce(arguments: Sequence[str]) -> int:
    from adaptax.cli.reproduce import command

    return command(arguments)


def _selftest(arguments: Sequence[str]) -> int:
    from adaptax.cli.selftest import command

    return command(arguments)


def _list(arguments: Sequence[str]) -> int:
    from adaptax.cli.list import command

    return command(arguments)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": _train,
    "evaluate": _evaluate,
    "compare": _compare,
    "inspect": _inspect,
    "reproduce": _reproduce,
    "selftest": _selftest,
    "list": _list,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends in `SystemExit`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        sys.exit(_dispatch(arguments))
    except AdaptaxError as error:
        print(f"error[{error.exit_code}]: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped; nothing was saved by this command", file=sys.stderr)
        sys.exit(75)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _report_crash(error)
        sys.exit(1)


def _dispatch(arguments: Sequence[str]) -> int:
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
    return COMMANDS[name](arguments[1:])


def _report_crash(error: Exception) -> None:
    """Put the traceback into a file, and one line on the terminal."""
    path = Path(f"crash-{os.getpid()}-{time.monotonic_ns()}.txt")
    try:
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        where = f"the traceback is in {path}"
    except OSError:
        traceback.print_exception(error)
        where = "the traceback is above"
    print(f"error[1]: {type(error).__name__}: {error} (this should not happen; {where})", file=sys.stderr)
