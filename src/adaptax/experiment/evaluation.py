"""Evaluate a trained agent beside others on the same held-out tasks; table, picture, JSON."""

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core.errors import DivergenceError, EnvironmentContractError, if_installed
from adaptax.core.rollout import num_probes, num_windows, shots
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import Evaluation, encounters, evaluate, oracle_return, tasks_are_held_out
from adaptax.evaluation.trials import run_trials
from adaptax.experiment.options import log
from adaptax.experiment.progress import Bar, table_console
from adaptax.registry.presets import agent_for
from adaptax.registry.registry import PROBLEMS
from adaptax.reports.results import goals_of
from adaptax.reports.tables import results_table, shots_table
from adaptax.runs.directory import write_json
from adaptax.runs.recipe import Recipe

PATHS = "paths.png"
NUM_PATHS = 4
"""Tasks in the picture of paths."""
NUM_STREAMS = 5
"""Paths drawn in each of them."""


@dataclasses.dataclass(frozen=True)
class Assessment:
    """What an evaluation found.

    Attributes:
        results: Evaluations by agent, the trained agent first.
        oracle: Mean return of one episode for a policy that knows the tasks; NaN if unknown.
        optimum: Expected return of each episode of a Bayes-optimal agent, where it is known.
        protocol: How it was measured.
        paths: Positions in a plane before and after each window of adaptation, and the goals, where there are such.
    """

    results: dict[str, Evaluation]
    oracle: float
    optimum: tuple[float, ...] | None
    protocol: dict[str, Any]
    paths: tuple[np.ndarray, np.ndarray | None] | None = None

    def to_json(self) -> dict[str, Any]:
        """As `adaptax evaluate --json` prints it; unknown figures are null."""
        episodes = self.protocol["episodes"]
        return {
            "agents": {name: result.to_json() for name, result in self.results.items()},
            "oracle": None if math.isnan(self.oracle) else self.oracle * episodes,
            "optimum": None if self.optimum is None else sum(self.optimum),
            "protocol": self.protocol,
        }


def assess(
    recipe: Recipe,
    trained: TrainedAgent,
    *,
    num_tasks: int,
    seed: int,
    against: Sequence[str] | None,
    explore: bool = False,
) -> Assessment:
    """Evaluate the agent and its opponents; warns if a mean is above an exact optimum."""
    names = PROBLEMS[recipe.problem].baselines if against is None else tuple(against)
    results: dict[str, Evaluation] = {}
    with Bar("evaluate", (1 + len(names)) * num_tasks) as bar:
        for number, name in enumerate([recipe.algorithm, *names]):
            agent = trained
            if number > 0:
                opponent = agent_for(name, recipe.problem, recipe.problem_settings)
                agent = TrainedAgent.initial(opponent, recipe.build_problem(), seed=seed, name=name)
            with explained(agent, num_tasks=num_tasks, seed=seed, explore=explore):
                results[name] = evaluate(
                    agent,
                    num_tasks=num_tasks,
                    seed=seed,
                    explore=explore,
                    on_progress=lambda done, number=number, name=name: bar.update(number * num_tasks + done, name),
                )
    algorithm, problem, adapts = trained.algorithm, trained.problem, trained.learns_from_windows
    tasks, _ = encounters(problem.test, num_tasks, seed)
    protocol = {
        "split": "test",
        "tasks": num_tasks,
        "seed": seed,
        "training_seeds": trained.num_seeds,
        "episodes": problem.episodes,
        "horizon": problem.env.horizon,
        "policy": "sample" if explore or adapts else "mode",
        "memory": "fresh for each task, kept across its episodes",
        "held_out": tasks_are_held_out(problem),
    }
    if adapts:
        probes, windows = num_probes(algorithm, problem), num_windows(algorithm, problem)
        protocol["episodes_between"] = problem.episodes // probes if probes < windows else None
        protocol["windows"] = (
            "after_windows: 'sample' as lived, 'mode' on further episodes that nothing was learned from"
        )
    oracle, paths = oracle_return(problem, tasks), paths_of(trained.of_seed(0), seed)
    assessment = Assessment(results, oracle, problem.optimum, protocol, paths)
    _warn(assessment)
    return assessment


@contextlib.contextmanager
def explained(agent: TrainedAgent, *, num_tasks: int, seed: int, explore: bool) -> Iterator[None]:
    """Say what made a return of an evaluation NaN: lives that life again."""
    import jax

    from adaptax.training import diagnosis

    try:
        yield
    except EnvironmentContractError as error:
        if error.task is None:  # found while the program was traced, and named already
            raise
        where, one, problem = error.task, agent.of_seed(error.trained), agent.problem
        log(f"task {where}: not finite; looking for the cause …")
        tasks, keys = encounters(problem.test, num_tasks, seed)
        breach = diagnosis.breach_in_life(
            one.algorithm,
            problem,
            one.meta,
            jax.tree.map(lambda x: x[where], tasks),
            keys[where],
            explore=explore or agent.learns_from_windows,
            probes=agent.is_probed,
        )
        if breach is None:
            raise
        breach = dataclasses.replace(breach, task=where)
        if breach.field == "action":
            raise DivergenceError(f"{type(agent.algorithm).__name__}: the policy's output: {breach}") from error
        raise EnvironmentContractError(
            f"{type(problem.env).__name__}: {breach}; `adaptax check-env` finds more"
        ) from error


def paths_of(agent: TrainedAgent, seed: int) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Sampled paths of a few held-out tasks; None unless the agent adapts to windows, in a plane."""
    env = agent.problem.env
    if not agent.learns_from_windows or getattr(env.observation_space, "shape", None) != (2,):
        return None
    tasks, keys = encounters(agent.problem.test, NUM_PATHS, seed)

    def trial(agent: TrainedAgent, task: Any, key: Any) -> Any:
        seen = shots(agent.algorithm, agent.problem, agent.meta, task, key, explore=True)
        return seen.valid, seen.next_observation

    valid, after = (x[0] for x in run_trials(agent, tasks, keys, trial))
    positions = np.where(valid[..., None], after, np.nan)
    return positions[..., :NUM_STREAMS, :], goals_of(tasks)


def _warn(assessment: Assessment) -> None:
    """Say what a reader of the figures must know."""
    if not assessment.protocol["held_out"]:
        log("note: this family is a small finite set of tasks; the test tasks are those of training")
    episodes = assessment.protocol["episodes"]
    bounds = {"a policy that knows the tasks": assessment.oracle * episodes}
    if assessment.optimum is not None:
        bounds["the exact optimum"] = sum(assessment.optimum)
    for name, result in assessment.results.items():
        for what, bound in bounds.items():
            if result.exceeds(bound):
                mean = f"{result.summary.mean:.3f}"
                log(f"warning: {name} ({mean}) is above {what} ({bound:.3f}) by more than 3 standard errors: a leak?")


def present(assessment: Assessment, directory: Path, title: str, *, as_json: bool, extra: dict[str, Any]) -> None:
    """Write evaluation.json and adaptation.png, and print the table, or the JSON."""
    content = {**extra, **assessment.to_json()}
    write_json(directory / "evaluation.json", content)
    optimum = None if assessment.optimum is None else np.asarray(assessment.optimum)
    unit = "pull" if assessment.protocol["horizon"] == 1 else "episode"
    pictures = _draw(assessment, directory, title, optimum, unit)
    if as_json:
        print(json.dumps(content))
        return
    best_known = list(assessment.results)[-1] if len(assessment.results) > 2 else None
    table = results_table(
        assessment.results,
        title=title,
        oracle=assessment.oracle,
        optimum=optimum,
        reference=best_known,
        unit=unit,
    )
    table_console().print(table)
    trained = next(iter(assessment.results.values()))
    if trained.shots is not None:
        apart = assessment.protocol["episodes_between"]
        table = shots_table(trained.window_returns, trained.shots, unit=unit, episodes_between=apart)
        table_console().print(table)
    for name, path in pictures.items():
        print(f"{name:7} {path}")
    print(f"run     {directory}")


def _draw(
    assessment: Assessment, directory: Path, title: str, optimum: np.ndarray | None, unit: str
) -> dict[str, Path]:
    """Draw paths, if there are any, and how agents adapt; return where. It is left out where matplotlib is missing."""
    drawn: dict[str, Path] = {}
    with if_installed("adaptation.png", log):
        from adaptax.reports.figures import plot_adaptation, plot_paths

        if assessment.paths is not None:
            drawn["paths"] = directory / PATHS
            plot_paths(drawn["paths"], *assessment.paths, title=title)
        picture = directory / "adaptation.png"
        plot_adaptation(picture, assessment.results, title=title, oracle=assessment.oracle, optimum=optimum, unit=unit)
        drawn["picture"] = picture
    return drawn
