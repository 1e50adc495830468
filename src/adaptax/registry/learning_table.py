"""Does it learn? Every meta-learner on every problem that it suits, beside its own untrained self. No JAX here."""

import dataclasses
import functools
from collections.abc import Mapping

from adaptax.core.errors import ConfigError
from adaptax.registry.paper_tables import Table
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import OWN_PROBLEMS, OWN_TRAINABLE

NAME = "all-algorithms"
MULTITASK = "multitask-ppo"
"""The best policy on average: what does not adapt is no better."""
SEEDS, SEEDS_ON = 3, {"point-robot": 5}
TASKS = 2000
"""Held-out tasks for each row: its error over tasks is far below that over seeds."""
PUBLISHED: Mapping[tuple[str, str], tuple[float, str]] = {
    ("maml", "point-robot"): (-3.23, "after 3 steps, Finn et al. 2017, appendix A.3"),
}
"""A paper's figure for the same pair, and where it is from."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One meta-learner on one problem, trained by its default preset.

    Attributes:
        algorithm: Its name.
        problem: The problem's.
        seeds: Trainings, side by side in one program.
        published: A paper's figure; None if there is none.
        source: Whose it is.
    """

    algorithm: str
    problem: str
    seeds: int
    published: float | None = None
    source: str = ""


def suits(algorithm: str, problem: str) -> bool:
    """Whether an algorithm trains on a problem by its default preset; others say before training why not."""
    try:
        settings, of_problem = settings_for(algorithm, problem)
        settings.check_problem(of_problem)
    except ConfigError:
        return False
    return True


@functools.cache
def learning_table() -> Table:
    """The table of all rows, by ALGORITHM-PROBLEM; problem by problem, the multi-task policy first."""
    algorithms = [MULTITASK, *(name for name in OWN_TRAINABLE if name != MULTITASK)]
    rows = {
        f"{algorithm}-{problem}": Row(
            algorithm, problem, SEEDS_ON.get(problem, SEEDS), *PUBLISHED.get((algorithm, problem), (None, ""))
        )
        for problem in OWN_PROBLEMS
        for algorithm in algorithms
        if suits(algorithm, problem)
    }
    summary = "every meta-learner on every problem that it suits, beside its untrained self; cells ALGORITHM-PROBLEM"
    return Table(summary, "", "", rows, TASKS)
