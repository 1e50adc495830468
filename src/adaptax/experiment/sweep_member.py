"""One cell of a sweep as it is trained together with others: its directory is a run's, like any other."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptax.core.errors import CheckpointError
from adaptax.experiment.chunks import Chunks
from adaptax.experiment.curves import draw_training
from adaptax.experiment.progress import OnMessage, ignore
from adaptax.experiment.run import Run
from adaptax.experiment.run_writer import RunWriter, unwritable
from adaptax.experiment.session import shapes
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_cells import read_cell
from adaptax.experiment.sweep_plan import Cell, SweepPlan
from adaptax.experiment.validation import Validator
from adaptax.runs import checkpoints, numerics
from adaptax.runs.directory import CONFIG, read_recipe, save_config
from adaptax.runs.metrics_log import RunLog
from adaptax.runs.options import KeptOptions
from adaptax.training.loop import Progress


class Member:
    """A cell of a batch.

    Attributes:
        cell: Which.
        run: Its run, filled in as it goes.
        record: What is written down of it.
        found: The checkpoint from which it goes on; None: it begins.
    """

    def __init__(
        self, plan: SweepPlan, cell: Cell, directory: Path, algorithm: Any, problem: Any, on_message: OnMessage
    ):
        """Find out how far it is.

        Args:
            plan: The sweep's.
            cell: Which of its cells.
            directory: Its directory, which this process has claimed.
            algorithm: The algorithm, with its settings.
            problem: The problem as the algorithm sees it.
            on_message: Called with lines for a person.

        Raises:
            CheckpointError: if a run was begun there that cannot be gone on with.
        """
        self.cell, self.directory, self._on_message = cell, directory, on_message
        recipe, options = plan.recipe_of(cell), plan.options.training()
        self.run = Run(recipe, options, directory, algorithm, problem, None)
        self.record = read_cell(directory)
        self._begun = (directory / CONFIG).exists()
        if self._begun:
            there, self._written = read_recipe(directory, problem=recipe.problem, algorithm=recipe.algorithm)
            if there != recipe or self._written["seeds"] != options.seeds or self._written["seed"] != options.seed:
                raise CheckpointError(f"{directory}: holds another run; nothing was changed. Move it away")
        else:
            typed = {**dataclasses.asdict(options), "out": None, "from_": None}
            self._written = dataclasses.asdict(KeptOptions(**{**typed, "preset": plan.preset, "used_devices": 1}))
        self._about = recipe.about(self._written)
        self.found = self.checkpoint() if self._begun and any(checkpoints.updates_in(directory)) else None
        self._writer: RunWriter | None = None
        self._chunks: Chunks | None = None
        self._stop = StopSignal()

    def checkpoint(self, only: int | None = None) -> checkpoints.Checkpoint:
        """The newest good checkpoint, or that of one update.

        Raises:
            CheckpointError: if there is none.
        """
        run = self.run
        like = shapes(run.algorithm, run.problem, run.options.seeds)
        complete = functools.partial(run.recipe.complete, planned_before=None)
        last = run.algorithm.num_updates
        found = checkpoints.newest(
            self.directory, like, self._about, self._on_message, complete, only=only, at_most=last
        )
        if (other := numerics.differences(found.manifest)) is not None:
            self._on_message(f"warning: {self.directory}: checkpoint {found.update} was {other}")
        return found

    def write_down(self, together: tuple[str, ...]) -> None:
        """Write down what it is, and with whom it is trained, if it is new.

        Raises:
            OutputError: if it cannot be written.
            ResourceError: if the disk is full.
        """
        self.record = dataclasses.replace(self.record, together=together)
        with self._writing(0):
            self.record.write(self.directory)
            if not self._begun:
                save_config(self.directory, self.run.recipe, self._written)

    @contextlib.contextmanager
    def opened(self, done: int, state: Any) -> Iterator[None]:
        """Ready to take chunks after update `done`, at which its state is `state`; in the end its picture is drawn.

        Raises:
            OutputError: if it cannot be written.
            ResourceError: if the disk is full.
        """
        run, options, say = self.run, self.run.options, self._on_message
        run.done, run.state = done, state
        steps = run.algorithm.update_steps(run.problem) * options.seeds
        position = None if done == 0 or self.found is None else self.found.manifest.get("metrics")
        with contextlib.ExitStack() as stack:
            with self._writing(done):
                if done == 0:
                    checkpoints.save(self.directory, state, update=0, about=self._about)
                log = stack.enter_context(RunLog(self.directory, steps, position, done=done, on_message=say))
                validator = self._validator(log)
            self._writer = RunWriter(
                self.directory,
                log,
                self._about,
                saved=done,
                save_every=options.save_every,
                keep_every=options.keep_every,
                on_message=say,
            )
            self._chunks = Chunks(run, self._writer, validator, Surroundings(ignore, say, self._stop), steps=steps)
            yield
            run.metrics, run.validations = log.rows, log.evaluations
        draw_training(run, say)

    def _validator(self, log: RunLog) -> Validator | None:
        """What evaluates during training, if that is asked for, and has been by now where it is due."""
        run = self.run
        if not run.options.evaluation_interval:
            return None
        validator = Validator(run.algorithm, run.problem, run.options, self.directory, self._on_message)
        found = validator.take_up(run.done, run.state.meta, log.evaluations)
        if found is not None:
            log.write_evaluation(run.done, found)
        return validator

    def take(self, progress: Progress, *, stop: bool) -> None:
        """Take a chunk, of which `stop` says whether it is the last in any case.

        Raises:
            AdaptaxError: if its evaluation fails, or it cannot be written.
        """
        assert self._chunks is not None
        self._stop.asked = stop
        self._chunks(progress)

    def out(self, update: int) -> None:
        """Its numbers became NaN or infinite in an update: it is out, and its last good checkpoint stays.

        Raises:
            OutputError: if it cannot be written.
        """
        self.record = dataclasses.replace(self.record, diverged=f"update {update}")
        with self._writing(update):
            self.record.write(self.directory)
        self._on_message(
            f"{self.cell}: update {update} became NaN or infinite; it is out. What was the cause: adaptax train "
            f"--resume {self.directory}"
        )

    @contextlib.contextmanager
    def _writing(self, done: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.directory, error, f"update {done}") from error
