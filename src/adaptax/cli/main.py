"""`adaptax COMMAND ...`: finds the command, turns errors into one line and an exit code."""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from adaptax.cli.streams import Patient, Results, any_letter, open_what_is_closed, say
from adaptax.core.errors import FULL, AdaptaxError, ConfigError, ResourceError, short_repr, unwritten
from adaptax.core.settings import suggestion
from adaptax.core.version import __version__
from adaptax.experiment.signals import STOPPED, Interrupts, StopSignal
from adaptax.experiment.tracebacks import write_traceback
from adaptax.runs.commit import commit


class Command(NamedTuple):
    """A command.

    Attributes:
        module: Its module, which has a function `command` from the words after it to an exit code.
        words: What may follow it.
        summary: One line.
        trains: Whether it trains, or goes on for ever, and so is given what asks it to stop.
    """

    module: str
    words: str
    summary: str
    trains: bool = False


RUN = "ALGORITHM PROBLEM [options]"
COMMANDS: dict[str, Command] = {
    "demo": Command("demo", "[NAME] [options]", "watch a small trained agent in tasks that it has never seen"),
    "play": Command("play", "[NAME|DIR] [options]", "a page in which an agent plays beside you, without a network"),
    "train": Command(
        "train", RUN, "meta-train, evaluate on held-out tasks; --resume DIR goes on with a run", trains=True
    ),
    "plan": Command("plan", RUN, "what that would need: memory, steps, disk; nothing is trained"),
    "sweep": Command("sweep", RUN, "many settings in one program, ranked by validation tasks; --optuna N", trains=True),
    "evaluate": Command("evaluate", "DIR [options]", "evaluate a run again: other tasks, other opponents"),
    "reference": Command(
        "reference",
        "PROBLEM [options]",
        "where no optimum is known: train what agents are measured by",
        trains=True,
    ),
    "compare": Command(
        "compare", "DIR AGENT ... [options]", "agents side by side: how soon, how far it carries, at what cost"
    ),
    "inspect": Command("inspect", "DIR [options]", "what the memory knows of the task, after each episode"),
    "watch": Command(
        "watch", "[DIR ...] [options]", "follow runs from another terminal: how far, how fast", trains=True
    ),
    "report": Command(
        "report", "DIR [DIR ...] [options]", "a page of a run, or of several: curves, films, what it knows"
    ),
    "export": Command("export", "DIR [options]", "an agent as NumPy, JavaScript, C, ONNX or StableHLO"),
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
Each command has --help. Exit codes: 0 done, 2 wrong usage or configuration, or an optional package is
missing, 3 an environment broke its contract, 4 numbers diverged, 5 checkpoint unusable, 6 directory locked or
unwritable, 7 out of memory or disk, 75 stopped, and can be resumed. Whoever reads the output may stop reading when it
likes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; always ends in `SystemExit`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_what_is_closed()
    results = Results(sys.stdout)
    with contextlib.ExitStack() as around:
        around.enter_context(_rare_collections())
        around.enter_context(any_letter())
        around.enter_context(contextlib.redirect_stderr(Patient(sys.stderr)))
        around.enter_context(contextlib.redirect_stdout(results))
        interrupts = around.enter_context(Interrupts())
        code = _run(arguments, interrupts)
        if lost := results.end():
            code = code or _told(lost)
        if interrupts.abrupt:
            os._exit(code)
        sys.exit(code)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """While it is open Python looks for cycles among its objects a hundred times less often.

    Imports and traced programs are a million objects that stay: looking at them is a tenth of the time to the first
    update, and finds nothing.
    """
    before = gc.get_threshold()
    gc.set_threshold(100 * max(before[0], 700), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _run(arguments: Sequence[str], stop: StopSignal) -> int:
    """Do it; what goes wrong becomes a line on standard error and an exit code."""
    try:
        return _dispatch(arguments, stop)
    except SystemExit as end:  # after --help
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        say("stopped; nothing was saved by this command")
        return STOPPED
    except Exception as error:
        return _told(_explained(error))


MOST_LETTERS = 2000
"""Of what is said of an error; more would be what was typed, such as a path of many thousand letters."""


def _told(error: AdaptaxError) -> int:
    """Say what went wrong; return the exit code."""
    text, half = str(error), MOST_LETTERS // 2
    say(f"error[{error.exit_code}]: {text if len(text) <= MOST_LETTERS else f'{text[:half]} … {text[-half:]}'}")
    return error.exit_code


def _explained(error: Exception) -> AdaptaxError:
    """What to say of an error; where its cause is of interest to whoever mends it, that is written down."""
    if isinstance(error, AdaptaxError):
        # Of what the system has refused, the line says all; and there may be no room for more, or no folder.
        cause = error.__cause__
        if cause is not None and not isinstance(cause, OSError) and hasattr(error, "crash_directory"):
            write_traceback(error)
        return error
    if isinstance(error, MemoryError):
        return ResourceError(f"out of memory ({write_traceback(error)}). Lower the number of tasks")
    if isinstance(error, OSError) and error.errno in FULL:
        return unwritten(error.filename or "a file", error, "Make room, and try again")
    kind = type(error).__name__
    return AdaptaxError(f"{kind}: {error} (this should not happen; {write_traceback(error)})")


def _dispatch(arguments: Sequence[str], stop: StopSignal) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        known = commit()
        print(f"{__version__} ({known})" if known else __version__)
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise ConfigError(
            f"COMMAND: expected one of {', '.join(COMMANDS)}; found {short_repr(name)}{suggestion(name, COMMANDS)}"
        )
    module, words = importlib.import_module(f"adaptax.cli.{COMMANDS[name].module}"), arguments[1:]
    return int(module.command(words, stop) if COMMANDS[name].trains else module.command(words))
