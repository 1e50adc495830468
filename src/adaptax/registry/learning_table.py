"""Does it learn? Every learner on every problem that it suits, beside its own untrained self. No JAX here."""

import dataclasses
import functools
from collections.abc import Mapping

from adaptax.core.entry import DEFAULT
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, episodes_of, horizon_of
from adaptax.registry.paper_tables import Table
from adaptax.registry.presets import known_to_gain_nothing, presets_for, settings_for
from adaptax.registry.registry import NATIVE_PROBLEMS, OWN_FROM_SCRATCH, OWN_PROBLEMS, OWN_TRAINABLE

NAME = "all-algorithms"
MULTITASK = "multitask-ppo"
"""The best policy on average: what does not adapt is no better."""
SEEDS, SEEDS_ON = 3, {"point-robot": 5}
TASKS = 2000
"""Held-out tasks for each row: its error over tasks is far below that over seeds."""
STEPS = 4_000_000
"""Environment steps in which one training is evaluated, at most: long trials are had in fewer tasks."""
STEPS_FROM_SCRATCH = 1_000_000
"""The same of those that learn all the while, which takes longer than acting."""
FEWEST_TASKS = 100
PUBLISHED: Mapping[tuple[str, str], tuple[float, str]] = {
    ("maml", "point-robot"): (-3.23, "after 3 steps, Finn et al. 2017, appendix A.3"),
}
"""A paper's figure for the same pair, and where it is from."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One learner on one problem, by its default preset.

    Attributes:
        algorithm: Its name.
        problem: The problem's.
        seeds: Trainings, side by side in one program; of those that learn every task from nothing 1, as each task is a
            training of its own.
        tasks: Held-out tasks that it is evaluated in, unless it is said how many.
        published: A paper's figure; None if there is none.
        source: Whose it is.
    """

    algorithm: str
    problem: str
    seeds: int
    tasks: int = TASKS
    published: float | None = None
    source: str = ""


def why_left_out(algorithm: str, problem: str) -> str:
    """Why a pair has no row: it does not suit, or nothing is gained there; "" if it has one."""
    try:
        settings, of_problem = settings_for(algorithm, problem)
        settings.check_problem(of_problem)
    except ConfigError as error:
        return str(error)
    return known_to_gain_nothing(algorithm, problem)


def left_out(name: str) -> str:
    """Why there is no row of a name, ALGORITHM-PROBLEM; "" if there is one, or if there are no such two."""
    for algorithm in [*OWN_TRAINABLE, *OWN_FROM_SCRATCH]:
        problem = name.removeprefix(f"{algorithm}-")
        if problem != name and problem in NATIVE_PROBLEMS:
            return why_left_out(algorithm, problem)
    return ""


def standing(algorithm: str) -> dict[str, list[str]]:
    """The problems that an algorithm suits: where its default was measured, where not, and where it gains nothing."""
    table: dict[str, list[str]] = {"measured": [], "not measured": [], "gains nothing": []}
    for problem in OWN_PROBLEMS:
        if known_to_gain_nothing(algorithm, problem):
            table["gains nothing"].append(problem)
        elif not why_left_out(algorithm, problem):
            known = presets_for(algorithm, problem)[DEFAULT].measured
            table["measured" if known else "not measured"].append(problem)
    return {kind: problems for kind, problems in table.items() if problems}


@functools.cache
def learning_table() -> Table:
    """The table of all rows, by ALGORITHM-PROBLEM; problem by problem, the multi-task policy first."""
    trainable = [MULTITASK, *(name for name in OWN_TRAINABLE if name != MULTITASK)]
    rows = {
        f"{algorithm}-{problem}": _row(algorithm, problem)
        for problem in NATIVE_PROBLEMS
        for algorithm in [*trainable, *OWN_FROM_SCRATCH]
        if not why_left_out(algorithm, problem)
    }
    summary = "every learner on every problem that it suits, beside its untrained self; cells ALGORITHM-PROBLEM"
    return Table(summary, "", "", rows, TASKS)


def _row(algorithm: str, problem: str) -> Row:
    scratch = algorithm in OWN_FROM_SCRATCH
    seeds = 1 if scratch else SEEDS_ON.get(problem, SEEDS)
    tasks = _tasks(settings_for(algorithm, problem)[1], STEPS_FROM_SCRATCH if scratch else STEPS)
    return Row(algorithm, problem, seeds, tasks, *PUBLISHED.get((algorithm, problem), (None, "")))


def _tasks(problem: Settings, most_steps: int) -> int:
    return max(FEWEST_TASKS, min(TASKS, most_steps // (horizon_of(problem) * episodes_of(problem)[1])))
