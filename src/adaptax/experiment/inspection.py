"""What the memory of a run's agent knows of the task, after each episode."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import atomic_files
from adaptax.core.errors import if_installed
from adaptax.core.notebook import html_table, text_table
from adaptax.core.precision import in_single_precision
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import inspection
from adaptax.evaluation.beliefs import Beliefs, has_beliefs, record_beliefs
from adaptax.evaluation.encounters import tasks_are_held_out
from adaptax.evaluation.memory_recording import check_remembers, has_posteriors
from adaptax.evaluation.posteriors import Posteriors, can_be_compared, record_posteriors
from adaptax.experiment.evaluation import directory_of
from adaptax.experiment.options import InspectOptions, check_training_seed
from adaptax.experiment.progress import OnMessage, OnProgress, Progress, ignore, log
from adaptax.experiment.recipes import options_for
from adaptax.experiment.results import expect_room, kept
from adaptax.registry.encoders import accept_encoder
from adaptax.runs.directory import read_recipe, staying, write_json
from adaptax.runs.load import load_agent

FIGURES = "inspection.json"
PICTURE = "inspection.png"
PAGE = "inspection.html"
BELIEFS = "beliefs.png"
POSTERIOR = "posterior.png"


@dataclasses.dataclass(frozen=True, repr=False)
class Inspection:
    """What an inspection found.

    Attributes:
        found: The figures.
        content: The same as plain data, as in inspection.json, with how they were measured.
        title: What was inspected, in a line.
        unit: What an episode is called.
        directory: Where it is written down.
        beliefs: Where the agent believed a grid's goal to be, and where it could have known it to be; None of others.
        posteriors: What the agent believed of a linear bandit's weights, and what is known of them; None of others.
    """

    found: inspection.Inspection
    content: dict[str, Any]
    title: str
    unit: str
    directory: Path
    beliefs: Beliefs | None = None
    posteriors: Posteriors | None = None

    def rows(self) -> list[tuple[str, str, str]]:
        """A row for each recorded episode: how well the task can be told from the memory after it."""
        curve = self.found.pooled
        return [
            (str(episode), f"{curve.value[row]:.2f} ± {curve.stderr[row]:.2f}", " … ".join(_texts(curve.interval[row])))
            for row, episode in enumerate(self.found.episodes)
        ]

    def __repr__(self) -> str:
        return text_table(self.title, (f"{self.unit}s", "R² ± s.e.", "95 % interval"), self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.title, (f"{self.unit}s", "R² ± s.e.", "95 % interval"), self.rows())


@in_single_precision
def inspect(
    run: Any,
    options: InspectOptions | None = None,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    **changes: Any,
) -> Inspection:
    """Decode the task from the memory of a run's agent, as `adaptax inspect` does; nothing is printed.

    Figures, a picture and a page are written into the run's directory, or `out`.

    Args:
        run: A `Run`, or its directory.
        options: How to inspect.
        on_progress: Called now and then with how far it is.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        changes: Single options by name, as in `tasks=100`.

    Raises:
        ConfigError: if an option is not what it must be, or the agent remembers nothing.
        CheckpointError: if there is no run, or it is damaged.
        OutputError: if it cannot be written down: before anything is computed, or with the inspection as `result`; or
            if the run was moved meanwhile.
        ResourceError: the same, as the disk is full.
    """
    options, directory = options_for(options or InspectOptions(), changes), directory_of(run)
    check_place = staying(directory)
    accept_encoder(options)
    recipe, trained_with = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    num_seeds = int(trained_with["seeds"])
    check_training_seed(options, directory, num_seeds)
    into = expect_room(directory, options.out)
    agent = load_agent(directory, on_message, checkpoint=options.checkpoint).of_seed(options.training_seed)
    problem = agent.problem
    check_remembers(agent)  # before anything is shown
    on_progress(Progress("inspect", 0, 2 * options.tasks))
    found: Any = inspection.inspect_memory(
        agent,
        num_tasks=options.tasks,
        seed=options.seed,
        explore=options.policy == "sample",
        on_progress=lambda done: on_progress(Progress("inspect", done, 2 * options.tasks, "trials")),
    )
    protocol = _protocol(agent, num_seeds, options)
    if not protocol["held_out"]:
        on_message("note: this family is a small finite set of tasks; the test tasks are those of training")
    beliefs: Any
    beliefs, posteriors = _beside_the_exact(agent, options)
    believed = {} if beliefs is None else {"beliefs": beliefs.to_json()}
    believed |= {} if posteriors is None else {"posterior": posteriors.to_json()}
    content = {"directory": str(directory), **found.to_json(), **believed, "protocol": protocol}
    unit = "pull" if problem.env.horizon == 1 else "episode"
    shown = Inspection(found, content, recipe.title(), unit, into, beliefs, posteriors)
    with kept(shown, into):
        check_place()
        write_json(into / FIGURES, content)
        with if_installed(PICTURE, on_message):
            from adaptax.reports.inspection_figures import plot_inspection

            plot_inspection(into / PICTURE, found, title=f"What the memory knows: {recipe.title()}", unit=unit)
        if beliefs is not None:
            with if_installed(BELIEFS, on_message):
                from adaptax.reports.belief_figures import plot_beliefs

                plot_beliefs(into / BELIEFS, beliefs, title=f"What is believed: {recipe.title()}")
        if posteriors is not None:
            with if_installed(POSTERIOR, on_message):
                from adaptax.reports.posterior_figures import plot_posteriors

                plot_posteriors(into / POSTERIOR, posteriors, title=f"What is believed: {recipe.title()}")
        with if_installed(PAGE, on_message):
            from adaptax.reports.run_page import inspection_page

            words = ["adaptax", "inspect", str(directory), "--tasks", str(options.tasks)]
            page = inspection_page(recipe.title(), content, unit, shlex.join(words))
            atomic_files.write(into / PAGE, page.encode())
    return shown


def _beside_the_exact(agent: TrainedAgent, options: InspectOptions) -> tuple[Beliefs | None, Posteriors | None]:
    """What the agent believes, where it can be known what it should."""
    how: dict[str, Any] = {"num_tasks": options.tasks, "seed": options.seed, "explore": options.policy == "sample"}
    beliefs = record_beliefs(agent, **how) if has_beliefs(agent) else None
    return beliefs, record_posteriors(agent, **how) if can_be_compared(agent) else None


def _texts(figures: np.ndarray) -> list[str]:
    return [f"{x:.2f}" for x in figures]


def _protocol(agent: TrainedAgent, num_seeds: int, options: InspectOptions) -> dict[str, Any]:
    """How it was measured."""
    problem, memory = agent.problem, "fresh for each task, kept across its episodes; read with the last reward taken in"
    if has_posteriors(agent):
        memory = "the posterior over a latent vector: its mean, and the logarithms of its deviations"
    return {
        "split": "test",
        "tasks": options.tasks,
        "fitted_on": f"{options.tasks} tasks of the training split",
        "seed": options.seed,
        "training_seed": options.training_seed,
        "training_seeds": num_seeds,
        "episodes": problem.episodes,
        "horizon": problem.env.horizon,
        "policy": "sample" if agent.learns_from_windows else options.policy,
        "memory": memory,
        "held_out": tasks_are_held_out(problem),
    }
