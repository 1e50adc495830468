"""Training as the command line does it: with progress, metrics, checkpoints, and a cause for what goes wrong."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from adaptax.core.algorithm import first_state, init, num_parameters
from adaptax.core.errors import DivergenceError, EnvironmentContractError, ResourceError, if_installed
from adaptax.core.rollout import num_windows
from adaptax.experiment import memory
from adaptax.experiment.distributed import Group
from adaptax.experiment.jax_setup import devices_for
from adaptax.experiment.options import TrainOptions, log
from adaptax.experiment.progress import Bar
from adaptax.experiment.run_writer import Keeper, unwritable, warn_if_disk_is_nearly_full
from adaptax.experiment.signals import watching
from adaptax.problems.checks.check import require
from adaptax.registry.registry import FROM_SCRATCH
from adaptax.runs import checkpoints
from adaptax.runs.directory import save_config
from adaptax.runs.metrics_log import RunLog, rows_after
from adaptax.runs.recipe import Recipe
from adaptax.training import diagnosis
from adaptax.training.loop import Progress, train

NOTHING_YET = "the beginning; nothing was trained"


@dataclasses.dataclass
class Trained:
    """What `meta_train` returns.

    Attributes:
        algorithm: The algorithm.
        problem: The problem.
        state: The state after the last update done.
        done: Updates done.
        seconds: Seconds of training in this process, compilation apart.
        steps_per_second: Environment steps per second in training.
        stopped: Whether it was stopped early.
    """

    algorithm: Any
    problem: Any
    state: Any
    done: int = 0
    seconds: float = 0.0
    steps_per_second: float = 0.0
    stopped: bool = False


def meta_train(
    recipe: Recipe,
    run: TrainOptions,
    directory: Path,
    preset: str = "default",
    started_with: dict[str, Any] | None = None,
    group: Group | None = None,
) -> Trained:
    """Train as the recipe says, with a progress bar; writes configuration, metrics, checkpoints and training curve.

    Args:
        recipe: What to train.
        run: How.
        directory: The run's directory, which this process has claimed.
        preset: Where the settings come from, to be written down.
        started_with: The options of the run in `directory` if it is to be gone on with; None: it is a new one.
        group: The processes that train together, of which this is the first; None: it is alone.

    Raises:
        CheckpointError: if it cannot be gone on with.
        DivergenceError: if numbers became NaN or infinite.
        EnvironmentContractError: if the environment did something that it must not.
        ResourceError: if memory or disk is not enough.
    """
    group = group or Group()
    group.directory = directory
    algorithm, problem = recipe.build()
    trains = recipe.algorithm not in FROM_SCRATCH
    if started_with is None:
        require(problem, seed=run.seed)
        devices = devices_for(run.devices, algorithm.num_tasks // algorithm.num_minibatches) if trains else 1
        # `out` is a path of the machine that trained and says nothing about the run.
        options = {**dataclasses.asdict(run), "out": None, "preset": preset, "used_devices": devices}
        with _writing(directory, NOTHING_YET):
            save_config(directory, recipe, options)
    else:
        options, devices = started_with, _devices_again(started_with, algorithm, trains=trains)
    about = recipe.about(options)
    watching().at_once = f"stopped; to go on: adaptax train --resume {directory}"
    state, done, position = _first_state(algorithm, problem, run, directory, about, recipe, new=started_with is None)
    if not trains:
        log(f"{recipe.algorithm} on {recipe.problem}: learns every task from nothing, so there is nothing to train")
        group.dismiss()
        return Trained(algorithm, problem, state)
    if done >= algorithm.num_updates:
        log(f"{directory}: trained already; evaluating")
        group.dismiss()
        return Trained(algorithm, problem, state, done)
    steps = algorithm.update_steps(problem) * run.seeds
    log(
        f"{recipe.algorithm} on {recipe.problem}: {algorithm.num_updates} updates × {steps:,} environment steps, "
        f"{num_parameters(state.meta) // run.seeds:,} parameters, {devices} device{'s'[: devices > 1]}; compiling …"
    )
    warn_if_disk_is_nearly_full(directory, sum(x.nbytes for x in jax.tree.leaves(state)))
    trained = Trained(algorithm, problem, state, done)
    with _writing(directory, NOTHING_YET):
        opened = RunLog(directory, steps, position, done=done, say=log)
    with opened as metrics_log, explained(algorithm, problem, directory, run):
        keeper = Keeper(directory, metrics_log, about, saved=done, save_every=run.save_every, keep_every=run.keep_every)
        trained.state = group.begin(recipe, options, devices, done, trained.state)
        _train(trained, run, keeper, steps, devices, group)
        what = "a training trial" if num_windows(algorithm, problem) == 1 else "an adapted episode in training"
        if metrics_log.rows:
            with if_installed("training.png", log):
                from adaptax.reports.figures import plot_training

                plot_training(directory / "training.png", metrics_log.rows, title=recipe.title(), what=what)
    log(f"trained {trained.done} updates in {trained.seconds:.1f} s")
    return trained


def _train(trained: Trained, run: TrainOptions, keeper: Keeper, steps: int, devices: int, group: Group) -> None:
    """Run the loop; `trained` says how far it is."""
    algorithm, before = trained.algorithm, trained.done
    interrupts = watching()

    def on_chunk(progress: Progress) -> bool:
        last = progress.done >= algorithm.num_updates or group.asked_to_stop()
        trained.done, trained.seconds, trained.state = progress.done, progress.seconds, progress.state
        trained.steps_per_second = (progress.done - before) * steps / progress.seconds
        text = f"return {progress.metrics['return'].mean():.4g} · {trained.steps_per_second:,.0f} steps/s"
        bar.update(progress.done, text)
        keeper.chunk(progress, last=last)
        return last

    with group.training(), Bar("train", algorithm.num_updates) as bar, contextlib.ExitStack() as saving:

        def on_compiled(program: Any) -> None:
            memory.check(algorithm, trained.problem, devices, run.seeds)(program)
            # Until here a signal may end the process at once: the last checkpoint is all that there is.
            saving.enter_context(interrupts.saving("stopped at once; the last checkpoint can be resumed"))

        train(
            algorithm,
            trained.problem,
            trained.state,
            num_updates=algorithm.num_updates,
            num_seeds=run.seeds,
            devices=devices,
            done=before,
            on_compiled=on_compiled,
            on_chunk=on_chunk,
        )
    trained.stopped = trained.done < algorithm.num_updates


def _devices_again(started_with: dict[str, Any], algorithm: Any, *, trains: bool) -> int:
    """As many devices as the run had, or as there are; then it is said that sums are rounded differently."""
    used: int = started_with["used_devices"]
    if not trains:
        return 1
    devices = devices_for(0, algorithm.num_tasks // algorithm.num_minibatches)
    if 1 <= used <= jax.device_count() and used % jax.process_count() == 0:
        return used
    before = f"{used} devices" if used else "an unknown number of devices"
    log(f"warning: trained on {before} so far, on {devices} from here: results agree up to rounding, not bitwise")
    return devices


def _first_state(
    algorithm: Any,
    problem: Any,
    run: TrainOptions,
    directory: Path,
    about: dict[str, Any],
    recipe: Recipe,
    *,
    new: bool,
) -> tuple[Any, int, Any]:
    """The state to train from, the updates that it has behind it, and how far the metrics are."""
    # Nothing is lost by making the state of update 0 again; where anything was trained, that is never done silently.
    trained = any(checkpoints.updates_in(directory)) or rows_after(directory, None, 1_000_000)
    if new or not trained:
        if not new:
            log(f"{directory}: stopped before its first update; starting at update 0")
        with explained(algorithm, problem, directory, run):
            state = init(algorithm, problem, seed=run.seed, num_seeds=run.seeds)
        with _writing(directory, NOTHING_YET):
            checkpoints.save(directory, state, update=0, about=about)
        return state, 0, None
    like = jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0), run.seeds))
    found = checkpoints.newest(directory, like, about, log, recipe.complete)
    position = found.manifest.get("metrics")
    lost = rows_after(directory, position)
    log(f"{directory}: resumed at update {found.update} ({lost} lost)")
    made = found.manifest.get("versions")
    if made != checkpoints.versions() or found.manifest.get("device") != jax.devices()[0].device_kind:
        log("warning: made with other versions or on another kind of device: equal up to rounding, not bitwise")
    return found.state, found.update, position


@contextlib.contextmanager
def _writing(directory: Path, where: str) -> Iterator[None]:
    """Say so if the directory cannot be written to, and when that was."""
    try:
        yield
    except OSError as error:
        raise unwritable(directory, error, where) from error


@contextlib.contextmanager
def explained(algorithm: Any, problem: Any, directory: Path, run: TrainOptions) -> Iterator[None]:
    """Say what made numbers NaN, and what memory was too small for."""
    try:
        yield
    except DivergenceError as error:
        when = f"update {error.update}" if error.update else "before the first update"
        log(f"{when}: not finite; looking for the cause …")
        if error.update:
            breach = diagnosis.breach_in_update(algorithm, problem, error.state, run.seeds)
            safe = f"The last good checkpoint, in {directory}, is as it was"
        else:
            breach = diagnosis.breach_in_init(algorithm, problem, seed=run.seed, num_seeds=run.seeds)
            safe = "Nothing was trained"
        if breach is None:
            raise DivergenceError(f"{error}. {safe}") from error
        if breach.field == "action":
            raise DivergenceError(f"{when}: the policy's output: {breach}. {safe}") from error
        raise EnvironmentContractError(
            f"{type(problem.env).__name__}: {when}: {breach}. {safe}; `adaptax check-env` finds more"
        ) from error
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ResourceError(f"out of memory: {str(error).splitlines()[0]}. {memory.advice(algorithm)}") from error
