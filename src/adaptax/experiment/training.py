"""Training with all that belongs to it: a directory, metrics, checkpoints, resuming, causes of what goes wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaptax.core.precision import in_single_precision
from adaptax.experiment.curves import CURVE, draw_training
from adaptax.experiment.distributed import Group
from adaptax.experiment.evaluation import assess, write_assessment
from adaptax.experiment.extension import logged_to, replanned
from adaptax.experiment.follower import follow
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.progress import OnMessage, OnProgress, ignore, log
from adaptax.experiment.recipes import options_of, recipe_for
from adaptax.experiment.reporting import report_of_training
from adaptax.experiment.results import kept
from adaptax.experiment.run import Run
from adaptax.experiment.session import TrainSession
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.tracebacks import tracebacks_into
from adaptax.registry.encoders import register_encoder
from adaptax.registry.presets import DEFAULT
from adaptax.registry.registry import FROM_SCRATCH
from adaptax.runs.directory import claim, claim_run, create_directory
from adaptax.runs.load import read_agent
from adaptax.runs.options import checked_log
from adaptax.runs.recipe import Recipe
from adaptax.runs.references import root


def train(
    algorithm: Any,
    problem: Any,
    *,
    preset: str = DEFAULT,
    options: TrainOptions | None = None,
    directory: str | Path | None = None,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    stop: StopSignal | None = None,
    group: Group | None = None,
    chunk_timeout: float | None = None,
    reference: bool = True,
    references: str | Path | None = None,
    report: bool = True,
    **changes: Any,
) -> Run | None:
    """Train, evaluate, and leave a run's directory behind, as `adaptax train` does; nothing is printed.

    The run can be gone on with (`resume`), evaluated, compared and inspected, here or by the command line.

        train("rl2", "bandit", num_arms=3, num_updates=100, seed=1, directory="first")

    Args:
        algorithm: Its name (`adaptax list`), its settings, MODULE:NAME or the class of your own.
        problem: The same; of your own, the function that makes it.
        preset: Name of settings for this algorithm on this problem, of what is given by name.
        options: How to run.
        directory: Where it is written; by default the first free runs/ALGORITHM-PROBLEM-N.
        on_progress: Called after each chunk of updates, and during the evaluation.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        stop: Says when to stop early.
        group: The processes that train together, of which the first returns the run; None: this one is alone.
        chunk_timeout: Seconds that a chunk of updates may take. If one takes longer, this process is ended; where it is
            stuck is in the run's directory then, and the last checkpoint can be resumed.
        reference: Whether the problem's reference policies are evaluated too, if there are any.
        references: Where references are kept; by default $ADAPTAX_REFERENCES, or else runs/references.
        report: Whether a page of the run is written, if it was evaluated (`adaptax.experiment.report`).
        changes: Single settings and options, by the names that can be typed: `num_tasks=32`, `eval_tasks=0`.

    Raises:
        ConfigError: if a name or a setting is not what it must be; nothing was written.
        OutputError: if the directory is in use, holds a run already, or cannot be written to.
        DivergenceError: if numbers became NaN or infinite.
        EnvironmentContractError: if the environment did something that it must not.
        ResourceError: if memory or disk is not enough.
    """
    recipe, options = recipe_for(algorithm, problem, options or TrainOptions(), preset, changes)
    beside = root(references) if reference else None
    surroundings = Surroundings(
        on_progress, on_message, stop or StopSignal(), group or Group(), chunk_timeout, beside, report
    )
    if not surroundings.group.is_writer:
        return follow(surroundings, recipe, options)
    out = options.out if directory is None else Path(directory)
    directory = create_directory(out, f"{recipe.algorithm}-{recipe.problem}", fresh=False)  # `claim` says who has it
    with claim(directory, fresh=True), tracebacks_into(directory):
        return begin(recipe, options, directory, surroundings, preset=preset)


def resume(
    directory: str | Path,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    stop: StopSignal | None = None,
    group: Group | None = None,
    chunk_timeout: float | None = None,
    num_updates: int | None = None,
    problem: str | None = None,
    algorithm: str | None = None,
    encoder: str | None = None,
    log: str | Sequence[str] | None = None,
    reference: bool = True,
    references: str | Path | None = None,
    report: bool = True,
) -> Run | None:
    """Go on with a run that was stopped or killed, from its newest good checkpoint, to bitwise the same result.

    With `num_updates` it goes on after the last update that was planned, or ends earlier. What falls to 0 over a run (a
    learning rate, an entropy cost) is from here on as if that had been planned from the beginning.

    Args:
        directory: The run's.
        on_progress: As for `train`.
        on_message: As for `train`.
        stop: As for `train`.
        group: As for `train`.
        chunk_timeout: As for `train`.
        num_updates: How many updates it is to have in all; None: as many as was planned.
        problem: The run's problem, if it is your own (MODULE:NAME): a run has nothing imported that you do not name.
        algorithm: The run's algorithm, if it is your own.
        encoder: The run's encoder, if it is your own.
        log: Where else metrics are logged from here on ("wandb", "mlflow", "trackio"); None: where they were.
        reference: As for `train`.
        references: As for `train`.
        report: As for `train`.

    Raises:
        ConfigError: if it has made more updates than it is to have.
        CheckpointError: if there is no run, or it cannot be gone on with.
        OutputError: if the directory is in use, or cannot be written to.
        DivergenceError: if numbers became NaN or infinite.
        EnvironmentContractError: if the environment did something that it must not.
        ResourceError: if memory or disk is not enough.
    """
    beside = root(references) if reference else None
    surroundings = Surroundings(
        on_progress, on_message, stop or StopSignal(), group or Group(), chunk_timeout, beside, report
    )
    if not surroundings.group.is_writer:
        return follow(surroundings)
    directory = Path(directory)
    if encoder is not None:
        register_encoder(encoder)
    with (
        claim_run(directory, problem=problem, algorithm=algorithm) as (recipe, started_with),
        tracebacks_into(directory),
    ):
        return go_on(
            recipe, started_with, directory, surroundings, num_updates, None if log is None else checked_log(log)
        )


@in_single_precision
def begin(
    recipe: Recipe, options: TrainOptions, directory: Path, surroundings: Surroundings, *, preset: str = DEFAULT
) -> Run:
    """Train in a directory that this process has claimed and that holds no run yet, then evaluate."""
    return _trained(TrainSession(recipe, options, directory, surroundings, preset=preset), surroundings)


@in_single_precision
def go_on(
    recipe: Recipe,
    started_with: dict[str, Any],
    directory: Path,
    surroundings: Surroundings,
    num_updates: int | None = None,
    log: Sequence[str] | None = None,
) -> Run:
    """Go on in a directory that this process has claimed, with what `read_recipe` read there, then evaluate."""
    started_with = logged_to(recipe, started_with, directory, log)
    recipe, started_with = replanned(recipe, started_with, directory, num_updates, surroundings.on_message)
    options = options_of(started_with)
    return _trained(TrainSession(recipe, options, directory, surroundings, started_with), surroundings)


def _trained(session: TrainSession, surroundings: Surroundings) -> Run:
    """Train and evaluate, and log both."""
    trackers = session.trackers
    try:
        with trackers:
            run = _evaluated(session.run(), surroundings)
            trackers.stopped = run.stopped
            if run.evaluation is not None:
                trackers.evaluated(run.done, run.evaluation.scalars())
    finally:
        if trackers.lost:  # its package may have the process wait at its end for a server that does not answer
            surroundings.stop.abrupt = True
    return run


def _evaluated(run: Run, surroundings: Surroundings) -> Run:
    """Evaluate on held-out tasks, if it was asked for, and write it down."""
    if run.stopped or run.options.eval_tasks == 0:
        return run
    assert run.directory is not None
    agent, update = run.agent, run.done
    if run.options.select_on == "validation" and run.recipe.algorithm not in FROM_SCRATCH:
        agent, update = read_agent(run.directory, surroundings.on_message)
    found = assess(
        run.recipe,
        agent,
        num_tasks=run.options.eval_tasks,
        seed=run.options.seed,
        against=None,
        update=update,
        surroundings=surroundings,
        references=surroundings.references,
    )
    run.evaluation = found
    if (run.directory / CURVE).exists():  # where it cannot be drawn, that has been said
        draw_training(run, surroundings.on_message)
    with kept(run, run.directory):
        run.evaluation = write_assessment(found, run.directory, run.figures(), surroundings.on_message)
    if surroundings.report:
        run.report = report_of_training(run, agent, surroundings)
    return run
