"""What a training writes between chunks: metrics and checkpoints; and what becomes of it when the disk is full."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptax.core.errors import FULL, AdaptaxError, OutputError, ResourceError
from adaptax.experiment.progress import OnMessage, log
from adaptax.runs import checkpoints
from adaptax.runs.metrics_log import RunLog
from adaptax.training.loop import Progress

PATIENCE = 3
"""So many checkpoints in a row may fail before training gives up."""


class RunWriter:
    """Writes a run's metrics and checkpoints. While the disk is full, training goes on and writing is tried again.

    Attributes:
        directory: The run's directory.
        saved: Update of the last good checkpoint.
        best: Update of a checkpoint that is kept until another is better; None: there is none.
    """

    def __init__(
        self,
        directory: Path,
        metrics: RunLog,
        about: Mapping[str, Any],
        *,
        saved: int = 0,
        save_every: int = 1,
        keep_every: int = 0,
        on_message: OnMessage = log,
    ):
        """Begin.

        Args:
            directory: The run's directory.
            metrics: Its metrics.
            about: What checkpoints are of.
            saved: Update of the last good checkpoint.
            save_every: Updates between two checkpoints, at least.
            keep_every: Checkpoints of its multiples are kept for good.
            on_message: Called with a line for a person while the disk is full.
        """
        self.directory, self._metrics, self._about, self._on_message = directory, metrics, about, on_message
        self._save_every, self._keep_every = save_every, keep_every
        self.saved, self._failures = saved, 0
        self.best: int | None = None

    def chunk(self, progress: Progress, *, last: bool, evaluation: Mapping[str, Any] | None = None) -> None:
        """Write what a chunk has brought; a checkpoint if it is due, or the last.

        Args:
            progress: What it has brought.
            evaluation: What an evaluation after it has found, by name.
            last: Whether a checkpoint is written in any case.

        Raises:
            ResourceError: if the disk is full, and has been for some checkpoints, or at the last one.
            OutputError: if the directory cannot be written to for another reason.
        """
        try:
            self._metrics.write(progress, evaluation)
            if last or progress.done - self.saved >= self._save_every:
                self.checkpoint(progress.state, progress.done)
        except OSError as error:
            self._failed(error, progress.done, last=last)

    def checkpoint(self, state: Any, update: int) -> None:
        """Write a checkpoint.

        Raises:
            OSError: if it cannot be written.
        """
        checkpoints.save(
            self.directory,
            state,
            update=update,
            about=self._about,
            keep_every=self._keep_every,
            keep=() if self.best is None else (self.best,),
            metrics=self._metrics.position,
        )
        self.saved, self._failures = update, 0

    def _failed(self, error: OSError, update: int, *, last: bool) -> None:
        where = f"update {update}; the last good checkpoint is {self.saved}"
        self._failures += 1
        if last or error.errno not in FULL or self._failures >= PATIENCE:
            raise unwritable(self.directory, error, where) from error
        self._on_message(
            f"warning: {self.directory}: {error.strerror or error} at {where}; training goes on, and tries again"
        )


def unwritable(directory: Path, error: OSError, where: str) -> AdaptaxError:
    """The error that says that a run's directory cannot be written to, and why."""
    what = f"{directory}: {error.strerror or error} at {where}"
    again = f"adaptax train --resume {directory}"
    if error.errno in FULL:
        return ResourceError(f"{what}. Make room, then: {again}")
    return OutputError(f"{what}. See to it, then: {again}")


def warn_if_disk_is_nearly_full(directory: Path, size: int, on_message: OnMessage = log) -> None:
    """Say so if there is not room for three checkpoints of `size` bytes."""
    free = shutil.disk_usage(directory).free
    if free < 3 * size:
        on_message(f"warning: {directory}: {free:,} bytes are free, but three checkpoints take {3 * size:,}")
