"""One training from its first state, or a checkpoint, to its last update, or until somebody asks to stop."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from adaptax.core.algorithm import first_state, init, num_parameters
from adaptax.core.errors import CheckpointError
from adaptax.core.meta_learner import may_take_fewer_steps
from adaptax.core.version import __version__
from adaptax.experiment import causes, memory
from adaptax.experiment.chunks import Chunks
from adaptax.experiment.curves import draw_training
from adaptax.experiment.jax_setup import devices_for
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.progress import Progress, patience
from adaptax.experiment.run import Run
from adaptax.experiment.run_writer import RunWriter, unwritable, warn_if_disk_is_nearly_full
from adaptax.experiment.source import Source, source_of
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.validation import Validator
from adaptax.problems.checks.check import require
from adaptax.registry.presets import DEFAULT, known_to_gain_nothing
from adaptax.registry.registry import FROM_SCRATCH, OWN_PROBLEMS
from adaptax.runs import checkpoints, numerics
from adaptax.runs.directory import save_config
from adaptax.runs.metrics_log import RunLog, rows_after
from adaptax.runs.options import KeptOptions
from adaptax.runs.recipe import Recipe
from adaptax.runs.trackers.trackers import Trackers
from adaptax.training import loop
from adaptax.training.beginning import begin


class TrainSession:
    """A training in a directory that this process has claimed, as the writer of its group.

    Attributes:
        trackers: Where it is logged; to be opened around `run` and what follows it.
    """

    def __init__(
        self,
        recipe: Recipe,
        options: TrainOptions,
        directory: Path,
        surroundings: Surroundings,
        started_with: dict[str, Any] | None = None,
        *,
        preset: str = DEFAULT,
    ):
        """Build what is trained.

        Args:
            recipe: What to train.
            options: How.
            directory: The run's directory.
            surroundings: Whom to tell, and whom to ask.
            started_with: What was written down of the options of the run in `directory`, if it is to be gone on with;
                None: it is a new one.
            preset: Where the settings come from, to be written down.
        """
        algorithm, problem = recipe.build()
        self._run = Run(recipe, options, directory, algorithm, problem, None)
        self._source: Source | None = None
        self._program: Callable[[], Any] | None = None
        self._directory, self._around, self._on_message = directory, surroundings, surroundings.on_message
        self._trains, self._new = recipe.algorithm not in FROM_SCRATCH, started_with is None
        if started_with is None:
            if recipe.problem not in OWN_PROBLEMS:  # those keep the contract by tests
                require(problem, seed=options.seed)
            self._devices = self._devices_for(options.devices)
            if options.from_ is not None:
                self._source = source_of(options.from_, recipe, algorithm, problem, options.seeds, self._on_message)
            # `out` is a path of the machine that trained and says nothing about the run.
            typed = {**dataclasses.asdict(options), "out": None, "from_": None}
            source = {} if self._source is None else self._source.written
            kept = KeptOptions(**{**typed, **source}, preset=preset, used_devices=self._devices)
            written = dataclasses.asdict(kept)
            with self._writing():
                save_config(directory, recipe, written)
        else:
            written, self._devices = started_with, self._devices_again(started_with["used_devices"])
        self._written, self._about = written, recipe.about(written)
        config = {**recipe.to_json(), "options": written, "version": __version__}
        self.trackers = Trackers(written["log"] or (), directory, config, self._on_message)
        self._validator: Validator | None = None

    def run(self) -> Run:
        """Train to the end, or until it is asked to stop.

        Raises:
            CheckpointError: if it cannot be gone on with.
            DivergenceError: if numbers became NaN or infinite.
            EnvironmentContractError: if the environment did something that it must not.
            ResourceError: if memory or disk is not enough.
        """
        run, group = self._run, self._around.group
        recipe, algorithm = run.recipe, run.algorithm
        group.directory = self._directory
        self._around.stop.at_once = f"stopped; to go on: adaptax train --resume {self._directory}"
        position = self._first_state()
        if self._trains and run.options.evaluation_interval:
            self._validator = Validator(algorithm, run.problem, run.options, self._directory, self._on_message)
        if not self._trains or run.done >= algorithm.num_updates:
            self._nothing_to_train()
            return run
        reason = known_to_gain_nothing(recipe.algorithm, recipe.problem)
        if reason and self._new:
            self._on_message(f"warning: by default, {recipe.algorithm} gains nothing on {recipe.problem}: {reason}")
        steps = algorithm.update_steps(run.problem) * run.options.seeds
        at_most = "at most " if may_take_fewer_steps(algorithm, run.problem) else ""
        self._on_message(
            f"{recipe.algorithm} on {recipe.problem}: {algorithm.num_updates} updates × {at_most}{steps:,} environment "
            f"steps, "
            f"{num_parameters(run.state.meta) // run.options.seeds:,} parameters, "
            f"{self._devices} device{'s'[: self._devices > 1]}; compiling …"
        )
        size = sum(x.nbytes for x in jax.tree.leaves(run.state))
        warn_if_disk_is_nearly_full(self._directory, size, self._on_message)
        with self._writing():
            opened = RunLog(
                self._directory,
                steps,
                position,
                done=run.done,
                trackers=self.trackers,
                on_message=self._on_message,
            )
        with opened as metrics_log, self._explained():
            self._train(metrics_log, steps)
            run.metrics, run.validations = metrics_log.rows, metrics_log.evaluations
            draw_training(run, self._on_message)
        self._on_message(f"trained {run.done} updates in {run.seconds:.1f} s")
        return run

    def _train(self, metrics_log: RunLog, steps: int) -> None:
        """Tell the others what to train, and train with them; `run` says how far it is."""
        run, options, group, stop = self._run, self._run.options, self._around.group, self._around.stop
        before, total = run.done, run.algorithm.num_updates
        writer = self._writer(metrics_log)
        state = self._shared_state()
        self._around.on_progress(Progress("train", before, total))
        chunks = Chunks(run, writer, self._validator, self._around, steps=steps)
        with group.training(), chunks.watchdog.open(), contextlib.ExitStack() as saving:
            compiling = saving.enter_context(contextlib.ExitStack())
            compiling.enter_context(patience("compiling", self._on_message))

            def on_compiled(program: Any) -> None:
                compiling.close()
                memory.check(run.algorithm, self._devices)(program)
                # Until here a signal may end the process at once: the last checkpoint is all that there is.
                saving.enter_context(stop.saving("stopped at once; the last checkpoint can be resumed"))
                chunks.expect(first=True)

            run.state = loop.train(
                run.algorithm,
                run.problem,
                state,
                num_updates=total,
                num_seeds=options.seeds,
                devices=self._devices,
                done=before,
                program=self._program,
                on_compiled=on_compiled,
                on_chunk=chunks,
            )
        run.stopped = run.done < total

    def _nothing_to_train(self) -> None:
        """Say why, and let the other processes go."""
        recipe, group, validator = self._run.recipe, self._around.group, self._validator
        from_scratch = f"{recipe.algorithm} on {recipe.problem}: learns every task from nothing, so there is nothing to"
        trained = f"{self._directory}: trained already; evaluating"
        self._on_message(trained if self._trains else f"{from_scratch} train")
        if validator is not None and validator.selects:
            with self._writing():
                validator.take_up(self._run.done, self._run.state.meta, ())
        group.broadcast(None)
        group.leave()

    def _writer(self, metrics_log: RunLog) -> RunWriter:
        """What writes into the directory, when what is known of the first parameters stands there."""
        run, options = self._run, self._run.options
        if self._validator is not None:
            with self._writing():
                found = self._validator.take_up(run.done, run.state.meta, metrics_log.evaluations)
                if found is not None:
                    metrics_log.write_evaluation(run.done, found)
        return RunWriter(
            self._directory,
            metrics_log,
            self._about,
            saved=run.done,
            save_every=options.save_every,
            keep_every=options.keep_every,
            on_message=self._on_message,
        )

    def _shared_state(self) -> Any:
        """Tell the other processes what to train, and from where; return that state."""
        run, group = self._run, self._around.group
        content = {
            "recipe": run.recipe.to_json(),
            "options": {name: value for name, value in self._written.items() if name not in OWN},
            "devices": self._devices,
            "done": run.done,
            "random": numerics.configured(numerics.RANDOM),
        }
        group.broadcast(content)
        return group.broadcast_arrays(run.state)

    def _devices_for(self, requested: int) -> int:
        algorithm = self._run.algorithm
        if not self._trains:
            return 1
        return devices_for(requested, algorithm.tasks_per_minibatch, on_host=self._run.problem.env.on_host)

    def _devices_again(self, used: int) -> int:
        """As many devices as the run had, or as there are; then it is said that sums are rounded differently."""
        devices = self._devices_for(0)
        if not self._trains:
            return devices
        if 1 <= used <= jax.device_count() and used % jax.process_count() == 0:
            return used
        before = f"{used} devices" if used else "an unknown number of devices"
        self._on_message(
            f"warning: trained on {before} so far, on {devices} from here: results agree up to rounding, not bitwise"
        )
        return devices

    def _first_state(self) -> Any:
        """Set the state to train from and the updates that it has behind it; return how far the metrics are."""
        run, directory = self._run, self._directory
        # Nothing is lost by making the state of update 0 again; where anything was trained, that is not done silently.
        updates = checkpoints.updates_in(directory)
        trained = any(updates) or rows_after(directory, None, 1_000_000) > 0
        trained = trained or (not updates and checkpoints.missing_after(directory) is not None)
        begun_from = self._written["from_"]
        trained = trained or bool(begun_from and updates)  # that state cannot be made again without the other run
        if self._new or not trained:
            if begun_from and self._source is None:
                raise CheckpointError(
                    f"{directory}: was stopped before the parameters that it begins from (of {begun_from}) were kept; "
                    "nothing was trained. Begin again, into another directory: adaptax train … --from DIR --out OTHER"
                )
            if not self._new:
                self._on_message(f"{directory}: stopped before its first update; starting at update 0")
            self._on_message(f"{run.recipe.algorithm} on {run.recipe.problem}: preparing the first state …")
            with self._explained(), patience("preparing", self._on_message):
                run.state, self._program = self._begun()
            if self._source is not None:
                run.state = self._source.put_into(run.state, run.options.seeds)
            with self._writing():
                checkpoints.save(directory, run.state, update=0, about=self._about)
            return None
        like = shapes(run.algorithm, run.problem, run.options.seeds)
        last = getattr(run.algorithm, "num_updates", 0)
        complete = functools.partial(run.recipe.complete, planned_before=self._written["planned_before"])
        found = checkpoints.newest(directory, like, self._about, self._on_message, complete, at_most=last)
        position = found.manifest.get("metrics")
        lost = rows_after(directory, position)
        self._on_message(f"{directory}: resumed at update {found.update} ({lost} lost)")
        if (other := numerics.differences(found.manifest)) is not None:
            self._on_message(f"warning: checkpoint {found.update} was {other}")
        run.state, run.done = found.state, found.update
        self._fit_the_plan()
        return position

    def _begun(self) -> tuple[Any, Callable[[], Any] | None]:
        """The state before the first update, and what waits for the program, if it is being compiled by now."""
        run, options = self._run, self._run.options
        how = {"seed": options.seed, "num_seeds": options.seeds}
        if not self._trains or self._source is not None or jax.process_count() > 1:
            return init(run.algorithm, run.problem, **how), None
        fits = memory.check_state(run.algorithm, self._devices)
        return begin(run.algorithm, run.problem, **how, devices=self._devices, on_shapes=fits)

    def _fit_the_plan(self) -> None:
        """Say so if the run goes on before the update at which it got its present plan."""
        run, planned_at = self._run, self._written["planned_at"]
        if run.done >= planned_at:
            return
        self._written["planned_at"] = run.done
        with self._writing():
            save_config(self._directory, run.recipe, self._written)
        self._on_message(
            f"warning: {self._directory}: planned for {run.algorithm.num_updates} updates at update {planned_at}, goes "
            f"on at {run.done}: what is trained twice may be other than it was"
        )

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        """Say what made numbers NaN, and what memory was too small for."""
        run = self._run
        return causes.of_training(
            run.algorithm,
            run.problem,
            self._directory,
            seed=run.options.seed,
            num_seeds=run.options.seeds,
            on_message=self._on_message,
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Say so if the directory cannot be written to at the beginning."""
        try:
            yield
        except OSError as error:
            raise unwritable(self._directory, error, "the beginning; nothing was trained") from error


OWN = ("out", "json", "from_", "log")
"""Options in which processes may differ."""


def shapes(algorithm: Any, problem: Any, num_seeds: int) -> Any:
    """Shapes and types of what training starts from; nothing is computed."""
    return jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0), num_seeds))
