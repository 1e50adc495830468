"""A run's metrics: JSON lines, and TensorBoard."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX import SummaryWriter

from adaptax.runs import METRICS
from adaptax.training import Progress


class RunLog:
    """Writes metrics of every update to `metrics.jsonl`, and of every chunk to TensorBoard; a context manager.

    Attributes:
        rows: The rows of `metrics.jsonl`.
    """

    def __init__(self, directory: Path, steps_per_update: int):
        """Open the files.

        Args:
            directory: The run's directory.
            steps_per_update: Environment steps in an update.
        """
        self.rows: list[dict[str, Any]] = []
        self._steps = steps_per_update
        self._file = (directory / METRICS).open("w", encoding="utf-8")
        self._board = SummaryWriter(str(directory / "tensorboard"))

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()

    def write(self, progress: Progress) -> None:
        """Write one chunk: a row per update with each metric's mean over seeds (and every seed's return)."""
        length = len(next(iter(progress.metrics.values())))
        for offset in range(length):
            update = progress.done - length + offset + 1
            row: dict[str, Any] = {"update": update, "env_steps": update * self._steps}
            row |= {name: float(values[offset].mean()) for name, values in progress.metrics.items()}
            if progress.metrics["return"].shape[1] > 1:
                row["returns"] = progress.metrics["return"][offset].tolist()
            self.rows.append(row)
            self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, values in progress.metrics.items():
            self._board.add_scalar(name, float(values.mean()), progress.done * self._steps)
        self._board.add_scalar(
            "steps_per_second", progress.done * self._steps / progress.seconds, progress.done * self._steps
        )
