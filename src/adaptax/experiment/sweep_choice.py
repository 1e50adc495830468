"""Which choice of a sweep is the best: by what its agents earn in validation tasks, never in test tasks.

All choices meet the same validation tasks, with seeds that began alike, so that they are compared in pairs: a choice
cannot be told apart from the best where 0 is in the 95 % interval of the mean difference, over seeds and tasks.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, DivergenceError, EnvironmentContractError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import evaluator
from adaptax.evaluation.encounters import at_most_all
from adaptax.evaluation.statistics import margin_95, plain
from adaptax.experiment.progress import Progress, patience
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_cells import CellRecord, figures_of, read_cell, read_scores, write_scores
from adaptax.experiment.sweep_plan import Cell, SweepPlan
from adaptax.experiment.validation import seed_of
from adaptax.runs.load import read_agent
from adaptax.training.swept import Swept, SweptParams

RESULTS = "results.json"


def judge(
    plan: SweepPlan, cells: Sequence[Cell], inside: Sequence[str], root: Path, surroundings: Surroundings
) -> None:
    """Evaluate trained cells on validation tasks, in one program if they differ `inside` alone, and write it down.

    Raises:
        CheckpointError: if a cell's agent cannot be read.
        EnvironmentContractError: if the environment did something that it must not.
    """
    agents = [read_agent(root / cell.name, surroundings.on_message, **_named(plan))[0] for cell in cells]
    try:
        scores = _scores(plan, cells, agents, inside, surroundings)
    except (DivergenceError, EnvironmentContractError):
        if len(cells) == 1:
            raise
        for cell in cells:  # one of them; the others are good
            _judge_alone(plan, cell, root, surroundings)
        return
    for cell, of_cell in zip(cells, scores, strict=True):
        _write(plan, root / cell.name, agents[0], of_cell)


def _judge_alone(plan: SweepPlan, cell: Cell, root: Path, surroundings: Surroundings) -> None:
    try:
        judge(plan, [cell], (), root, surroundings)
    except DivergenceError as error:
        record = read_cell(root / cell.name)
        with atomic_files.explained(f"the results of {root / cell.name}"):
            dataclasses.replace(record, diverged="validation tasks").write(root / cell.name)
        surroundings.on_message(f"{cell}: {error}; it is out")


def _named(plan: SweepPlan) -> dict[str, Any]:
    """Names for whoever reads runs: the plan was believed, so its cells are."""
    return {"problem": plan.recipe.problem, "algorithm": plan.recipe.algorithm}


def _scores(
    plan: SweepPlan,
    cells: Sequence[Cell],
    agents: Sequence[TrainedAgent],
    inside: Sequence[str],
    surroundings: Surroundings,
) -> list[np.ndarray]:
    """What each cell's agents earned, `[seed, task]`: in a trial; of who learns from windows, in an adapted episode."""
    first, seeds = agents[0], plan.options.seeds
    together = first
    if len(cells) > 1:
        rows = [agent.meta if seeds > 1 else jax.tree.map(lambda x: x[None], agent.meta) for agent in agents]
        meta = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *rows)
        values = {
            name: jnp.repeat(jnp.asarray([cell.changes[name] for cell in cells], jnp.float32), seeds) for name in inside
        }
        swept = SweptParams(values, meta)
        together = TrainedAgent(Swept(first.algorithm), first.problem, swept, len(cells) * seeds, name=first.name)
    family = first.problem.validation
    num_tasks = at_most_all(family, plan.options.validation_tasks)
    total = num_tasks
    with patience("evaluating on validation tasks", surroundings.on_message):
        found = evaluator.evaluate(
            together,
            num_tasks=num_tasks,
            seed=seed_of(plan.options.seed),
            family=family,
            on_progress=lambda done: surroundings.on_progress(Progress("validate", done, total)),
        )
    scores = found.adapted_returns if first.learns_from_windows else found.scores
    return list(scores.reshape(len(cells), seeds, -1))


def _write(plan: SweepPlan, directory: Path, agent: TrainedAgent, scores: np.ndarray) -> None:
    what = "an adapted episode" if agent.learns_from_windows else "a trial"
    more = {"what": what, "split": "validation", "tasks": scores.shape[1], "seed": seed_of(plan.options.seed)}
    record = dataclasses.replace(read_cell(directory), figures=figures_of(scores, **more))
    with atomic_files.explained(f"the results of {directory}"):
        write_scores(directory, scores)
        record.write(directory)


@dataclasses.dataclass(frozen=True)
class Standing:
    """A choice and how it did.

    Attributes:
        cell: Which.
        record: What came of it.
        behind: Mean difference to the best in the same tasks, and its 95 % margin; None: it diverged.
        alike: Whether it cannot be told apart from the best.
    """

    cell: Cell
    record: CellRecord
    behind: tuple[float, float] | None = None
    alike: bool = False

    @property
    def mean(self) -> float:
        """What it earned."""
        return -np.inf if self.record.figures is None else float(self.record.figures["mean"])

    def to_json(self, root: Path) -> dict[str, Any]:
        """As plain data."""
        figures = {"figures": self.record.figures, "diverged": self.record.diverged}
        behind = {} if self.behind is None else {"behind_best": self.behind[0], "margin": plain(self.behind[1])}
        return {
            "settings": dict(self.cell.changes),
            "directory": str(root / self.cell.name),
            **figures,
            **behind,
            "alike": self.alike,
        }


def ranked(root: Path, cells: Sequence[Cell]) -> list[Standing]:
    """All cells, the best first; those that diverged are last.

    Raises:
        CheckpointError: if a result is not what was written.
    """
    standings = [Standing(cell, read_cell(root / cell.name)) for cell in cells]
    order = sorted(standings, key=lambda one: -one.mean)
    if not order or order[0].record.figures is None:
        return order
    best = read_scores(root / order[0].cell.name)
    return [order[0], *(_beside(one, best, root) for one in order[1:])]


def _beside(one: Standing, best: np.ndarray, root: Path) -> Standing:
    """A choice beside the best, in the same tasks and with the same seeds."""
    if one.record.figures is None:
        return one
    mine = read_scores(root / one.cell.name)
    if mine.shape != best.shape:
        raise CheckpointError(f"{root / one.cell.name}: has other tasks than the best choice; nothing was changed")
    behind, margin = difference(mine, best)
    return dataclasses.replace(one, behind=(behind, margin), alike=alike(behind, margin))


def difference(mine: np.ndarray, best: np.ndarray) -> tuple[float, float]:
    """Mean of `mine[seed, task]` − `best[seed, task]`, and the margin of its 95 % interval."""
    apart = mine - best
    return float(apart.mean()), margin_95(apart)


def alike(behind: float, margin: float) -> bool:
    """Whether 0 is in the interval of a difference; where there is no interval, nothing can be told apart."""
    return not abs(behind) > margin


def unfinished(root: Path, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are not trained and evaluated yet."""
    return [cell for cell in cells if not read_cell(root / cell.name).finished]


def write_results(root: Path, content: Mapping[str, Any]) -> None:
    """Write the results down.

    Raises:
        OutputError: if they cannot be written.
        ResourceError: if the disk is full.
    """
    with atomic_files.explained(f"the results in {root}"):
        atomic_files.write(root / RESULTS, (json.dumps(content, indent=2) + "\n").encode())
