"""Evaluate a trained agent beside others on the same held-out tasks; figures, pictures, JSON."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import if_installed
from adaptax.core.precision import in_single_precision
from adaptax.core.rollout import evaluation_episodes, num_evaluations, num_windows
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import evaluator
from adaptax.evaluation.encounters import Encounters, at_most_all, encounters, oracle_return, tasks_are_held_out
from adaptax.evaluation.evaluator import Evaluation
from adaptax.evaluation.protocols import PROTOCOLS, Protocol
from adaptax.evaluation.trials import run_trials
from adaptax.experiment import causes, reference_policies
from adaptax.experiment.assessment import SAMPLE_THEN_MODE, Assessment
from adaptax.experiment.options import EvaluateOptions
from adaptax.experiment.progress import OnMessage, OnProgress, Progress, ignore, log
from adaptax.experiment.recipes import options_for
from adaptax.experiment.results import expect_room, kept
from adaptax.experiment.returns import RETURNS, write_returns
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.presets import agent_for, check_agent
from adaptax.registry.registry import PROBLEMS
from adaptax.reports.results import goals_of
from adaptax.runs.directory import read_recipe, staying, write_json
from adaptax.runs.load import read_agent
from adaptax.runs.recipe import Recipe
from adaptax.runs.references import root

FIGURES, PICTURE, PATHS = "evaluation.json", "adaptation.png", "paths.png"
NUM_PATHS = 4
"""Tasks in the picture of paths."""
NUM_STREAMS = 5
"""Paths drawn in each of them."""


@in_single_precision
def evaluate(
    run: Any,
    options: EvaluateOptions | None = None,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    **changes: Any,
) -> Assessment:
    """Evaluate the agent that a run has trained on held-out tasks, as `adaptax evaluate` does; nothing is printed.

    Figures and pictures are written into the run's directory, or `out`.

    Args:
        run: A `Run`, or its directory.
        options: How to evaluate.
        on_progress: Called now and then with how far it is.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        changes: Single options by name, as in `tasks=100, against=("random",)`.

    Raises:
        ConfigError: if an option or an agent is not what it must be.
        CheckpointError: if there is no run, or it is damaged.
        EnvironmentContractError: if the environment did something that it must not.
        DivergenceError: if what an agent learns in a task becomes NaN or infinite.
        OutputError: if it cannot be written down: before anything is computed, or with the assessment as `result`; or
            if the run was moved meanwhile.
        ResourceError: the same, as the disk is full.
    """
    options = options_for(options or EvaluateOptions(), changes)
    directory = directory_of(run)
    check_place = staying(directory)
    accept_encoder(options)
    recipe, _ = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    for name in options.against or ():
        check_agent(name, recipe.problem, recipe.problem_settings)
    into = expect_room(directory, options.out)
    agent, update = read_agent(directory, on_message, checkpoint=options.checkpoint)
    found = assess(
        recipe,
        agent,
        num_tasks=options.tasks,
        seed=options.seed,
        against=options.against,
        update=update,
        explore=options.policy == "sample",
        asked=PROTOCOLS.get(options.protocol),
        surroundings=Surroundings(on_progress, on_message),
        references=root(options.references) if options.reference else None,
    )
    with kept(found, into):
        check_place()
    return write_assessment(found, into, {"directory": str(directory)}, on_message)


def directory_of(run: Any) -> Path:
    """Where a run is that is given by its directory, or as what `train` returns."""
    return Path(getattr(run, "directory", run))


def assess(
    recipe: Recipe,
    trained: TrainedAgent,
    *,
    num_tasks: int,
    seed: int,
    against: Sequence[str] | None,
    update: int | None = None,
    explore: bool = False,
    asked: Protocol | None = None,
    surroundings: Surroundings | None = None,
    references: Path | None = None,
) -> Assessment:
    """Evaluate an agent and its opponents; warns if a mean is above an exact optimum.

    Reference policies meet the same tasks after all others, whose figures are the same with and without them.

    Args:
        recipe: What was trained.
        trained: The agent.
        num_tasks: Held-out tasks; where they can be listed, each once at most.
        seed: Decides the tasks and all randomness.
        against: Names of opponents; None: those that suit the problem.
        update: Updates behind the agent, to be written down; None: that is not known.
        explore: Whether to act as in training.
        asked: A protocol; None: one trial.
        surroundings: Whom to tell.
        references: Where reference policies are kept; None: they are left out.
    """
    num_tasks = at_most_all(trained.problem.test, num_tasks)
    names = PROBLEMS[recipe.problem].baselines if against is None else tuple(against)
    around = surroundings or Surroundings()
    # The trained agent's problem may have another number of episodes; opponents share theirs.
    problem, mine = trained.problem, encounters(trained.problem.test, num_tasks, seed)
    shared = recipe.build_problem() if names or references else problem
    theirs = encounters(shared.test, num_tasks, seed) if names or references else mine
    of_problem = recipe.problem, recipe.problem_settings
    policies = reference_policies.load(references, *of_problem, shared, around.on_message) if references else None
    more = 0 if policies is None else policies.number(names)
    entrants = [(recipe.algorithm, trained, mine)]
    for name in names:
        opponent = TrainedAgent.initial(agent_for(name, *of_problem), shared, seed=seed, name=name)
        entrants.append((name, opponent, theirs))
    start = Progress("evaluate", 0, (len(entrants) + more) * num_tasks)
    results, seconds = _run(entrants, start, asked, seed=seed, explore=explore, around=around)
    reference = None
    if policies is not None:
        before = dataclasses.replace(start, done=len(entrants) * num_tasks)
        how = f"the first took {seconds:.0f} s"
        reference = policies.beside(results, theirs, seed=seed, explore=explore, before=before, how=how, around=around)
    protocol = _protocol(trained, asked, num_tasks=num_tasks, seed=seed, explore=explore)
    protocol |= {} if update is None else {"update": update}
    oracle, paths = oracle_return(problem, mine.tasks), paths_of(trained.of_seed(0), seed)
    optimum = problem.optimum if asked is None else None
    found = Assessment(results, oracle, optimum, protocol, paths, recipe.title(), reference=reference)
    _warn(found, around.on_message)
    if references and policies is None and math.isnan(oracle) and problem.optimum is None:
        around.on_message(reference_policies.hint(*of_problem, references))
    return found


def _run(
    entrants: Sequence[tuple[str, TrainedAgent, Encounters]],
    start: Progress,
    asked: Protocol | None,
    *,
    seed: int,
    explore: bool,
    around: Surroundings,
) -> tuple[dict[str, Evaluation], float]:
    """What each agent does in its encounters, by name; and the seconds that the first took.

    All are compiled side by side; what is compiled first runs first.
    """
    results: dict[str, Evaluation] = {}
    begun, seconds, done = time.monotonic(), 0.0, 0
    around.on_progress(start)
    pool = ThreadPoolExecutor(2, thread_name_prefix="compiling")
    compiling = []
    try:
        for _, agent, met in entrants:
            num_tasks = len(met.keys)
            with _said(agent, asked, num_tasks=num_tasks, seed=seed, explore=explore, on_message=around.on_message):
                how: dict[str, Any] = {"num_tasks": num_tasks, "seed": seed, "explore": explore}
                prepared = evaluator.prepare(agent, **how, met=met, protocol=asked)
                # Traced here and not by the threads: what JAX is told by context managers is told to one thread alone.
                compiling.append((prepared, pool.submit(prepared.lower().compile)))
        for (name, agent, met), (evaluate_it, compiled) in zip(entrants, compiling, strict=True):
            num_tasks = len(met.keys)
            with _said(agent, asked, num_tasks=num_tasks, seed=seed, explore=explore, on_message=around.on_message):
                compiled.result()
                results[name] = evaluate_it(
                    agent.meta,
                    lambda more, done=done, name=name: around.on_progress(
                        dataclasses.replace(start, done=done + more, text=name)
                    ),
                )
            done += num_tasks
            seconds = seconds or time.monotonic() - begun
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return results, seconds


def _said(agent: TrainedAgent, asked: Protocol | None, **how: Any) -> contextlib.AbstractContextManager[None]:
    """Around an evaluation: say what made a return NaN, where that can be found out: in a trial."""
    return causes.of_evaluation(agent, **how) if asked is None else contextlib.nullcontext()


def _protocol(
    trained: TrainedAgent, asked: Protocol | None, *, num_tasks: int, seed: int, explore: bool
) -> dict[str, Any]:
    """How it was measured."""
    algorithm, problem, adapts = trained.algorithm, trained.problem, trained.learns_from_windows
    protocol: dict[str, Any] = {
        "split": "test",
        "tasks": num_tasks,
        "seed": seed,
        "training_seeds": trained.num_seeds,
        "episodes": problem.episodes if asked is None else asked.episodes,
        "horizon": problem.env.horizon,
        "policy": SAMPLE_THEN_MODE if asked is not None else "sample" if explore or adapts else "mode",
        "memory": "fresh for each task, kept across its episodes",
        "held_out": tasks_are_held_out(problem),
    }
    if asked is not None:
        protocol["protocol"] = asked.to_json()
    elif adapts:
        evaluations, windows = num_evaluations(algorithm, problem), num_windows(algorithm, problem)
        protocol["episodes_between"] = problem.episodes // evaluations if evaluations < windows else None
        protocol["windows"] = (
            "after_windows: 'sample' in the trial itself, 'mode' on further episodes that nothing was learned from"
        )
    return protocol


def paths_of(agent: TrainedAgent, seed: int) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Sampled paths of a few held-out tasks; None unless the agent adapts to windows, in a plane."""
    env = agent.problem.env
    if not agent.learns_from_windows or getattr(env.observation_space, "shape", None) != (2,):
        return None
    tasks, keys = encounters(agent.problem.test, NUM_PATHS, seed)

    def trial(agent: TrainedAgent, task: Any, key: Any) -> Any:
        seen = evaluation_episodes(agent.algorithm, agent.problem, agent.meta, task, key, explore=True)
        return seen.valid, seen.next_observation

    valid, after = (x[0] for x in run_trials(agent, tasks, keys, trial))
    positions = np.where(valid[..., None], after, np.nan)
    return positions[..., :NUM_STREAMS, :], goals_of(tasks)


def _warn(assessment: Assessment, on_message: OnMessage) -> None:
    """Say what a reader of the figures must know."""
    if not assessment.protocol["held_out"]:
        on_message("note: this family is a small finite set of tasks; the test tasks are those of training")
    episodes = assessment.protocol["episodes"]
    bounds = {"a policy that knows the tasks": assessment.oracle * episodes}
    for note in [] if assessment.reference is None else assessment.reference.notes(assessment.results):
        on_message(f"note: {note}")
    if assessment.optimum is not None:
        bounds["the exact optimum"] = sum(assessment.optimum)
    for name, result in assessment.results.items():
        for what, bound in bounds.items():
            if result.exceeds(bound):
                mean = f"{result.summary.mean:.3f}"
                on_message(
                    f"warning: {name} ({mean}) is above {what} ({bound:.3f}) by more than 3 standard errors: a leak?"
                )


def write_assessment(
    assessment: Assessment, directory: Path, extra: Mapping[str, Any], on_message: OnMessage = log
) -> Assessment:
    """Write evaluation.json, with `extra` in front, returns.npz and the pictures into a directory.

    Pictures are left out, and that is said, where matplotlib is not installed.

    Raises:
        OutputError: if they cannot be written; it has the assessment as its `result`.
        ResourceError: the same, as the disk is full.
    """
    drawn: dict[str, Path] = {}
    assessment = dataclasses.replace(assessment, directory=directory, pictures=drawn)
    with kept(assessment, directory):
        write_json(directory / FIGURES, {**extra, **assessment.to_json()})
        write_returns(directory / RETURNS, assessment.results)
        with if_installed(PICTURE, on_message):
            _draw(assessment, directory, drawn)
    return assessment


def _draw(assessment: Assessment, directory: Path, drawn: dict[str, Path]) -> None:
    """Draw the pictures, and note each."""
    from adaptax.reports.figures import plot_adaptation, plot_paths

    if assessment.paths is not None:
        plot_paths(directory / PATHS, *assessment.paths, title=assessment.title)
        drawn["paths"] = directory / PATHS
    plot_adaptation(
        directory / PICTURE,
        {**assessment.results, **({} if assessment.reference is None else assessment.reference.policies)},
        title=assessment.title,
        oracle=assessment.oracle,
        optimum=None if assessment.optimum is None else np.asarray(assessment.optimum),
        unit=assessment.unit,
        note=assessment.note,
    )
    drawn["picture"] = directory / PICTURE
