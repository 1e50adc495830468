"""Weights & Biases. `WANDB_MODE=offline` writes into the run's directory, for `wandb sync` later."""

import os
import secrets
from collections.abc import Mapping
from typing import Any

from adaptax.runs.trackers.tracker import TrackedRun

LOGIN = 20.0
"""Seconds in which who is not logged in may do so."""


class WandbTracker:
    """A run of Weights & Biases, in the project $WANDB_PROJECT, or else "adaptax"."""

    def __init__(self) -> None:
        self._run: Any = None

    def start(self, run: TrackedRun) -> str:
        """Begin it, or go on with it."""
        import wandb

        identity = run.identity or secrets.token_hex(4)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "adaptax"),
            id=identity,
            name=run.name,
            dir=os.environ.get("WANDB_DIR", str(run.directory)),
            config=dict(run.config),
            resume="allow",
            # Standard output is the command line's.
            settings=wandb.Settings(console="off", login_timeout=LOGIN),
        )
        return identity

    def log(self, update: int, metrics: Mapping[str, float]) -> None:
        """Log numbers of an update."""
        self._run.log(dict(metrics), step=update)

    def finish(self, status: str) -> None:
        """Send what there is."""
        self._run.finish(exit_code=int(status == "failed"))
