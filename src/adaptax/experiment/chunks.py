"""What becomes of each chunk of updates: it is counted, evaluated, shown and written; and whether it was the last."""

import time
from typing import Any

from adaptax.core.errors import AdaptaxError
from adaptax.experiment.progress import Progress
from adaptax.experiment.run import Run
from adaptax.experiment.run_writer import RunWriter, unwritable
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.validation import Validator
from adaptax.experiment.watchdog import Watchdog
from adaptax.training import loop


class Chunks:
    """Follows a training from its first chunk to its last; `run` says how far it is."""

    def __init__(
        self,
        run: Run,
        writer: RunWriter,
        validator: Validator | None,
        surroundings: Surroundings,
        *,
        steps: int,
    ):
        """Be ready for the first.

        Args:
            run: Filled in.
            writer: Of the run's directory.
            validator: Evaluates during training.
            surroundings: Whom to tell, and who may ask to stop.
            steps: Environment steps of an update, at most.
        """
        self._run, self._writer, self._validator = run, writer, validator
        self._around, self._steps = surroundings, steps
        self._total = run.algorithm.num_updates
        self._evaluating = 0.0
        self.watchdog = Watchdog(surroundings.chunk_timeout, surroundings.stop, writer.directory)

    def expect(self, *, first: bool = False) -> None:
        """The next one begins; `first` says whether it is the first here."""
        done = self._run.done
        self.watchdog.begin(done, loop.next_look(done, self._total, first=first), self._writer.saved)

    def __call__(self, progress: loop.Progress) -> bool:
        """Take one; return whether training ends with it.

        Raises:
            AdaptaxError: if its evaluation fails, or it cannot be written.
        """
        run, around, total = self._run, self._around, self._total
        self.watchdog.rest()
        progress = progress._replace(seconds=progress.seconds - self._evaluating)
        run.done, run.seconds, run.state = progress.done, progress.seconds, progress.state
        run.env_steps += sum(progress.env_steps(self._steps))
        run.steps_per_second = run.env_steps / progress.seconds
        begun = time.monotonic()
        found = None if around.stop.asked and progress.done < total else self._validated(progress)
        self._evaluating += time.monotonic() - begun
        around.on_progress(Progress("train", progress.done, total, self._text(progress), progress.metrics))
        last = progress.done >= total or around.group.any(around.stop.asked)
        self._write(progress, found, last=last)
        if not last:
            self.expect()
        return last

    def _text(self, progress: loop.Progress) -> str:
        said = "" if self._validator is None or not self._validator.text else f" · {self._validator.text}"
        speed = f"{self._run.steps_per_second:,.0f} steps/s"
        return f"return {progress.metrics['return'].mean():.4g}{said} · {speed}"

    def _validated(self, progress: loop.Progress) -> dict[str, Any] | None:
        """What an evaluation on validation tasks has found, if it is time; if that fails, the chunk is kept first."""
        if self._validator is None or not self._validator.is_due(progress.done):
            return None
        try:
            return self._validator.validate(progress.done, progress.state.meta)
        except AdaptaxError:
            self._writer.chunk(progress, last=True)
            raise

    def _write(self, progress: loop.Progress, found: dict[str, Any] | None, *, last: bool) -> None:
        """Write what a chunk has brought and an evaluation has found; there is a checkpoint of what may be best."""
        validator, writer = self._validator, self._writer
        selected = validator is not None and validator.selects and found is not None
        writer.best = None if validator is None else validator.best
        writer.chunk(progress, last=last or selected, evaluation=found)
        if validator is not None and selected and writer.saved == progress.done:
            try:
                validator.record()
            except OSError as error:
                raise unwritable(writer.directory, error, f"the validation of update {progress.done}") from error
