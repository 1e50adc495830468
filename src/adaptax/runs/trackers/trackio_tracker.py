"""Trackio: on this machine, in $TRACKIO_DIR; `trackio show` draws it."""

import os
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from adaptax.runs.trackers.tracker import TrackedRun


class TrackioTracker:
    """A run of Trackio, in the project $TRACKIO_PROJECT, or else "adaptax"."""

    def __init__(self) -> None:
        self._run: Any = None

    def start(self, run: TrackedRun) -> str:
        """Begin it, or go on with it. A run is known by its name there, so that has letters of its own."""
        import trackio

        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "trackio":
                vars(module)["print"] = _say  # it prints where results go
        identity = run.identity or f"{run.name}-{secrets.token_hex(3)}"
        self._run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "adaptax"),
            name=identity,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
        )
        return identity

    def log(self, update: int, metrics: Mapping[str, float]) -> None:
        """Log numbers of an update."""
        self._run.log(dict(metrics), step=update)

    def finish(self, status: str) -> None:
        """Write what there is."""
        self._run.finish()


def _say(*words: Any, **how: Any) -> None:
    print(*words, **{**how, "file": sys.stderr})
