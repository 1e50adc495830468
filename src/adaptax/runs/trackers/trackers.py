"""All that a run is logged to: TensorBoard, and the trackers that were asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from adaptax.core.types import ENV_STEPS
from adaptax.runs.tensorboard import TensorBoard
from adaptax.runs.trackers.background import Background
from adaptax.runs.trackers.tracker import EVALUATION, TRAINING, VALIDATION, Row, TrackedRun

_SPLIT = "split"
_UNSAID = {TRAINING: ("update",), VALIDATION: ("update", ENV_STEPS, "tasks")}
"""Numbers of a row that are said otherwise; the steps of an update, by the row before."""


def row_of(row: Mapping[str, Any]) -> Row:
    """A row of `metrics.jsonl`, as it is logged: its numbers, without what is a list (of seeds, of episodes)."""
    kind = VALIDATION if _SPLIT in row else TRAINING
    numbers = {name: float(x) for name, x in row.items() if name not in _UNSAID[kind] and type(x) in (int, float)}
    return Row(row["update"], kind, numbers)


class Trackers:
    """Gives each tracker what a run has measured; a context manager, around all that is to be logged.

    Attributes:
        stopped: Whether the run was stopped early; to be set by whoever stops it.
    """

    def __init__(
        self,
        names: Sequence[str],
        directory: Path,
        config: Mapping[str, Any],
        on_message: Callable[[str], None],
    ):
        """Prepare them; nothing is imported or begun.

        Args:
            names: Of those that were asked for, beside TensorBoard.
            directory: The run's directory.
            config: What it is, as plain data.
            on_message: Called with a line for a person if one fails, once for each.
        """
        self._directory, self._on_message, self._config = directory, on_message, config
        run = TrackedRun(directory.absolute().name, directory, config)
        self._others = [Background(name, run, on_message) for name in names]
        self._board: TensorBoard | None = None
        self._taken = 0
        self.stopped = False

    def start(self, taken: int, before: Iterable[Mapping[str, Any]] = ()) -> None:
        """Begin, or go on.

        Args:
            taken: Environment steps taken before.
            before: Rows of `metrics.jsonl` until then. Who has not been given them, as the run was not logged there or
                the tracker was down, is given them now.
        """
        self._taken = taken
        self._board = TensorBoard(self._directory / "tensorboard", self._on_message)
        self._board.start(taken + 1)
        for other in self._others:
            other.start()
        if self._others and (rows := sorted(map(row_of, before), key=lambda row: row.place)):
            for other in self._others:
                other.log(rows)

    def log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log rows of `metrics.jsonl`."""
        found = [row_of(row) for row in rows]
        for row in found:
            self._taken = int(row.metrics.get(ENV_STEPS, self._taken))
            self._to_board(row.metrics)
        for other in self._others:
            other.log(found)

    def evaluated(self, update: int, figures: Mapping[str, float]) -> None:
        """Log what the evaluation at the end has found, by name."""
        row = Row(update, EVALUATION, figures)
        self._to_board(figures)
        for other in self._others:
            if not other.has(row):  # or it would be woken to be told nothing
                other.log([row])

    def _to_board(self, metrics: Mapping[str, float]) -> None:
        if self._board is not None:
            self._board.log(self._taken, {name: x for name, x in metrics.items() if name != ENV_STEPS})

    @property
    def lost(self) -> bool:
        """Whether one was given up: its package may have the process wait for it at its end."""
        return any(other.lost for other in self._others)

    def finish(self, status: str) -> None:
        """Say how the run has ended: "finished", "stopped" or "failed"."""
        if self._board is not None:
            self._board.finish(status)
        for other in self._others:
            other.end(status)
        for other in self._others:  # all at once: what is down costs no longer if there are several
            other.wait()

    def __enter__(self) -> "Trackers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = error is not None and isinstance(error, Exception)
        self.finish("failed" if failed else "stopped" if self.stopped or error is not None else "finished")
