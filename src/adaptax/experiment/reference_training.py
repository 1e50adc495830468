"""Train what agents are measured by where no optimum is known: a policy that is told the task, and one without memory.

Both are trained alike: the same algorithm, settings, seeds and number of updates. What is not finished is gone on with.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.core.notebook import html_table, text_table
from adaptax.core.precision import in_single_precision
from adaptax.core.settings import Settings
from adaptax.evaluation.encounters import encounters, oracle_return
from adaptax.experiment.options import ReferenceOptions
from adaptax.experiment.progress import OnMessage, OnProgress, Progress, ignore, log
from adaptax.experiment.reference_policies import check_marks, load, marks
from adaptax.experiment.reference_recipes import reference_recipes
from adaptax.experiment.results import kept
from adaptax.experiment.run import Run
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.tracebacks import tracebacks_into
from adaptax.experiment.training import begin, go_on
from adaptax.runs.checkpoints import updates_in
from adaptax.runs.directory import CONFIG, claim, claim_run, create_directory, write_json
from adaptax.runs.recipe import UPDATES, Recipe
from adaptax.runs.references import FORMAT, INFORMED, RECORD, place, read_policy, read_record, root

_HEADER = ("policy", "return of an episode", "95 % interval", "score")


@dataclasses.dataclass(frozen=True, repr=False)
class ReferenceTraining:
    """What was trained for a problem, as far as it is.

    Attributes:
        problem: The problem's name.
        directory: Where both runs are; evaluations of the same problem find them there.
        runs: The trainings, by what they are: "informed", "memoryless".
        content: What the policies earn in held-out tasks, as plain data; None if it was stopped.
        stopped: Whether it was stopped early; the same call goes on.
    """

    problem: str
    directory: Path
    runs: Mapping[str, Run]
    content: Mapping[str, Any] | None = None
    stopped: bool = False

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A row for each policy: return of an episode with its standard error and interval, and normalized score."""
        found = []
        for name, of in (self.content or {"policies": {}})["policies"].items():
            score, (low, high) = of["score"]["value"], of["interval"]
            share = "–" if score is None else f"{score:.1%}"
            found.append((name, f"{of['return']:.3f} ± {of['stderr'] or 0:.3f}", f"{low} … {high}", share))
        return found

    def __repr__(self) -> str:
        return text_table(f"references of {self.problem} ({self.directory})", _HEADER, self.rows())

    def _repr_html_(self) -> str:
        return html_table(f"references of {self.problem} ({self.directory})", _HEADER, self.rows())

    def to_json(self) -> dict[str, Any]:
        """As `adaptax reference --json` prints it."""
        return {"directory": str(self.directory), "problem": self.problem, **(self.content or {})}


def reference(
    problem: Any,
    options: ReferenceOptions | None = None,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    stop: StopSignal | None = None,
    **changes: Any,
) -> ReferenceTraining:
    """Train the reference policies of a problem, as `adaptax reference` does; nothing is printed.

    What is there already is kept, or gone on with. Evaluations and comparisons find them from then on.

    Args:
        problem: Its name, its settings, MODULE:NAME or the function that makes your own.
        options: How.
        on_progress: Called after each chunk of updates, and during the evaluation.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        stop: Says when to stop early.
        changes: Single settings of the problem, of both policies, and options, by the names that can be typed:
            `protocol="pearl", num_updates=500, seeds=3`.

    Raises:
        ConfigError: if a name or a setting is not what it must be, or what is there was trained in another way.
        CheckpointError: if what is there cannot be gone on with, or is of other tasks.
        OutputError: if the directory is in use, or cannot be written to.
        DivergenceError: if numbers became NaN or infinite.
        EnvironmentContractError: if the environment did something that it must not.
        ResourceError: if memory or disk is not enough.
    """
    recipes, options = reference_recipes(problem, options or ReferenceOptions(), changes)
    return train_references(recipes, options, Surroundings(on_progress, on_message, stop or StopSignal()))


@in_single_precision
def train_references(
    recipes: Mapping[str, Recipe], options: ReferenceOptions, surroundings: Surroundings
) -> ReferenceTraining:
    """Train both, with what `reference_recipes` returns, then evaluate them."""
    name, settings = recipes[INFORMED].problem, recipes[INFORMED].problem_settings
    references = root(options.references)
    directory = create_directory(place(references, name, settings), name, fresh=False)
    with claim(directory, fresh=True):
        tasks = marks(recipes[INFORMED].build()[1])
        record = read_record(directory)
        if record is None:
            with kept(None, directory):
                write_json(directory / RECORD, {"format": FORMAT, **_of(name, settings), "tasks": tasks})
        else:
            check_marks(directory, record["tasks"], tasks)
        runs: dict[str, Run] = {}
        for part, recipe in recipes.items():
            runs[part] = _trained(part, recipe, options, directory, surroundings)
            if runs[part].stopped:
                return ReferenceTraining(name, directory, runs, stopped=True)
        surroundings.stop.at_once = "stopped; both are trained. To evaluate them, type the same command again"
        content = _measured(recipes[INFORMED], references, options, surroundings)
        found = ReferenceTraining(name, directory, runs, content)
        with kept(found, directory):
            write_json(directory / RECORD, {"format": FORMAT, **_of(name, settings), "tasks": tasks, **content})
    for note in content["notes"]:
        surroundings.on_message(f"note: {note}")
    return found


def _of(name: str, settings: Settings) -> dict[str, Any]:
    return {"problem": name, "problem_settings": dataclasses.asdict(settings)}


def _trained(part: str, recipe: Recipe, options: ReferenceOptions, directory: Path, surroundings: Surroundings) -> Run:
    """One of them, trained to its end: begun, gone on with, or as it is."""
    where = directory / part
    if not os.path.lexists(where / CONFIG):
        create_directory(where, part, fresh=False)
        with claim(where, fresh=True), tracebacks_into(where):
            return begin(recipe, options.training(), where, surroundings)
    read_policy(directory, part, recipe.problem, recipe.problem_settings)
    with claim_run(where) as (found, started_with), tracebacks_into(where):
        _check_alike(where, recipe, found, options, started_with)
        wanted, planned = (getattr(x.algorithm_settings, UPDATES) for x in (recipe, found))
        if max(updates_in(where), default=0) >= planned > wanted:
            surroundings.on_message(f"{where}: has had {planned} updates, more than {wanted}, and is kept")
            wanted = planned
        return go_on(found, started_with, where, surroundings, wanted)


def _check_alike(
    where: Path, recipe: Recipe, found: Recipe, options: ReferenceOptions, started_with: Mapping[str, Any]
) -> None:
    """Refuse to go on with what was trained in another way than is asked for now.

    Raises:
        ConfigError: naming the first difference.
    """
    pairs = {name: (getattr(options, name), started_with[name]) for name in ("seed", "seeds")}
    for field in dataclasses.fields(recipe.algorithm_settings):
        if field.name != UPDATES:
            pairs[field.name] = tuple(getattr(x.algorithm_settings, field.name) for x in (recipe, found))
    for name, (asked, was) in pairs.items():
        if asked != was:
            raise ConfigError(
                f"--{name.replace('_', '-')}: expected {was!r}, as {where} was trained with; found {asked!r}. Nothing "
                f"was changed. Choose another place (--references), or move {where.parent} away"
            )


def _measured(
    recipe: Recipe, references: Path, options: ReferenceOptions, surroundings: Surroundings
) -> dict[str, Any]:
    """What both and random actions earn in held-out tasks."""
    name, settings, problem = recipe.problem, recipe.problem_settings, recipe.build_problem()
    said: list[str] = []
    policies = load(references, name, settings, problem, said.append)
    if policies is None:
        raise CheckpointError(said[0].partition(": ")[2] if said else f"{place(references, name, settings)}: is gone")
    met = encounters(problem.test, options.eval_tasks, options.seed)

    def progress(done: int, text: str) -> None:
        surroundings.on_progress(Progress("evaluate", done, 3 * options.eval_tasks, text))

    scores = policies.measure(met, seed=options.seed, on_progress=progress)
    oracle = oracle_return(problem, met.tasks)
    return {**scores.to_json(oracle=oracle), "evaluation": {"tasks": options.eval_tasks, "seed": options.seed}}
