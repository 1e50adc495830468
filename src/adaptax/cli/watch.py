"""`adaptax watch [DIR ...]`: how far runs are, followed from another process, which reads and disturbs nothing."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from adaptax.cli.options import parse
from adaptax.cli.streams import say, tell
from adaptax.core.errors import ConfigError
from adaptax.experiment.options import FollowOptions
from adaptax.experiment.signals import StopSignal
from adaptax.reports.run_table import line_of, table_of
from adaptax.runs.watching import RunView, Watcher

HELP = """\
Show how far runs are, and follow them until Ctrl-C. DIR: a run's directory, or a folder of runs; by default runs. They
are only read; new ones appear, and those that are removed go.

  running: a process has the run's lock
  stopped: it can be gone on with (adaptax train --resume DIR)
  finished: trained and evaluated
  failed: it ended with an error
  damaged: its files are not what was written
"""
BY_DEFAULT = "runs"
SOON = 0.1
"""Seconds until it is noticed that somebody has asked to stop."""


def command(arguments: Sequence[str], stop: StopSignal | None = None) -> int:
    """Follow runs until `stop` asks to stop, or show once how far they are."""
    stop = stop or StopSignal()
    names = {"[DIR ...]": "a directory of a run, or of runs"}
    typed = parse({"watch": FollowOptions()}, arguments, program="adaptax watch", description=HELP, names=names)
    options: FollowOptions = typed["watch"]
    folders = [Path(name) for name in typed["names"]] or [Path(BY_DEFAULT)]
    if typed["names"] and (missing := next((x for x in folders if not os.path.lexists(x)), None)) is not None:
        raise ConfigError(f"watch: expected the directory of a run, or of runs; found nothing at {missing}")
    watcher = Watcher(folders)
    if options.once:
        _once(watcher, folders, as_json=options.json)
        return 0
    with stop.saving("stopped", asked=""), _shown() as show:
        while not stop.asked and getattr(sys.stdout, "takes_more", True):
            show(watcher.look())
            _wait(options.interval, stop)
    return 0


def _once(watcher: Watcher, folders: Sequence[Path], *, as_json: bool) -> None:
    from adaptax.cli.console import table_console

    views = watcher.look()
    if as_json:
        tell(json.dumps({"runs": [view.to_json() for view in views]}))
    elif views:
        table_console().print(table_of(views))
    else:
        say(f"no runs in {', '.join(map(str, folders))}")


def _wait(seconds: float, stop: StopSignal) -> None:
    """Wait, or until somebody asks to stop."""
    end = time.monotonic() + seconds
    while not stop.asked and (left := end - time.monotonic()) > 0:
        time.sleep(min(SOON, left))


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[list[RunView]], object]]:
    """What shows runs: a table that changes, on a terminal; elsewhere a line for each run that has changed."""
    from adaptax.cli.console import rich_console

    console = rich_console()
    if console is None or not console.is_terminal:
        yield Lines()
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield lambda views: live.update(table_of(views), refresh=True)


class Lines:
    """Tells a line for each run that is not as it was, and for each that is gone."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def __call__(self, views: list[RunView]) -> None:
        """Tell what has changed."""
        now: dict[str, Any] = {view.directory: line_of(view) for view in views}
        for name, line in now.items():
            if self._told.get(name) != line:
                tell(line)
        for name in self._told.keys() - now.keys():
            tell(f"{name}: gone")
        self._told = now
        sys.stdout.flush()
