"""A report of one run, or of several side by side, as one page that needs nothing else."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from adaptax.core import atomic_files
from adaptax.core.errors import AdaptaxError, ConfigError, MissingPackageError
from adaptax.core.precision import in_single_precision
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import inspection
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.memory_recording import check_remembers
from adaptax.evaluation.recording import FAMILIES, Recorder
from adaptax.experiment.evaluation import directory_of
from adaptax.experiment.options import ReportOptions
from adaptax.experiment.progress import OnMessage, OnProgress, Progress, ignore, log
from adaptax.experiment.recipes import options_for
from adaptax.experiment.reports import REPORT
from adaptax.experiment.results import expect_room, kept
from adaptax.experiment.run_reading import read_facts
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.encoders import accept_encoder
from adaptax.reports.run_facts import RunFacts
from adaptax.runs.directory import create_directory, staying
from adaptax.runs.load import load_agent
from adaptax.runs.recipe import Recipe

if TYPE_CHECKING:
    from adaptax.experiment.run import Run


LEAST_TASKS = 200
"""Where fewer tasks are evaluated after a training, somebody tries something out: its report has no films."""
SHORT = ("held-out", "shifted")
"""Families of tasks in the report of a training; training tasks it has seen enough."""
LONG = 600.0
"""After so many seconds of training, it does not matter how long a report takes."""


@dataclasses.dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        path: Where it is.
        runs: The directories that it is of.
        missing: What could not be shown, in lines.
    """

    path: Path
    runs: tuple[Path, ...]
    missing: tuple[str, ...] = ()


@in_single_precision
def report(
    runs: Any,
    options: ReportOptions | None = None,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    **changes: Any,
) -> Report:
    """Write a report of a run, or of several side by side, as `adaptax report` does; nothing is printed.

    It shows what the runs wrote down, and what is computed for it: a few trials step by step, what the agent earns in
    training and shifted tasks, and what its memory knows. What is damaged or missing is said in the page.

    Args:
        runs: A `Run` or its directory, or several.
        options: How to report.
        on_progress: Called now and then with how far it is.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        changes: Single options by name, as in `trials=2`.

    Raises:
        ConfigError: if an option is not what it must be, or there is no run.
        CheckpointError: if there is a directory of which nothing can be shown.
        MissingPackageError: if jinja2 is not installed.
        OutputError: if the page cannot be written, or a run was moved meanwhile.
        ResourceError: the same, as the disk is full.
    """
    from adaptax.reports.run_page import run_page, runs_page

    options = options_for(options or ReportOptions(), changes)
    given = runs if isinstance(runs, (list, tuple)) else [runs]
    directories = [directory_of(run) for run in given]
    if not directories:
        raise ConfigError("report: expected at least one run; found none")
    accept_encoder(options)
    checks = [staying(directory) for directory in directories]
    found = [
        read_facts(directory, name, problem=options.problem, algorithm=options.algorithm)
        for directory, name in zip(directories, names_of(directories), strict=True)
    ]
    one = len(directories) == 1
    into = expect_room(directories[0], options.out) if one else create_directory(options.out, "report", fresh=False)
    for number, (facts, recipe) in enumerate(found):
        complete(facts, recipe, directories[number], options, _share(on_progress, number, len(found)), on_message)
    facts_of = [facts for facts, _ in found]
    page = run_page(facts_of[0]) if one else runs_page(facts_of, command_of(directories, options))
    for check in checks:
        check()
    return written(page, into, directories, facts_of)


def written(page: str, into: Path, directories: Sequence[Path], facts: Sequence[RunFacts]) -> Report:
    """Put the page into its file, which is the old one or the whole new one."""
    missing = tuple(f"{each.name}: {why}" for each in facts for why in each.missing.values())
    result = Report(into / REPORT, tuple(directories), missing)
    with kept(result, into), atomic_files.explained(f"the report {into / REPORT}"):
        atomic_files.write(into / REPORT, page.encode())
    return result


def names_of(directories: Sequence[Path]) -> list[str]:
    """What runs are called beside each other: by their directories' names, or by their paths where those are alike."""
    names = [directory.name or str(directory) for directory in directories]
    return names if len(set(names)) == len(names) else [str(directory) for directory in directories]


def command_of(directories: Sequence[Path], options: ReportOptions) -> str:
    """What makes the page again."""
    words = ["adaptax", "report", *map(str, directories)]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value != field.default and field.name not in ("out", "json"):
            name = field.name.replace("_", "-")
            words += [f"--{'' if value else 'no-'}{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    return shlex.join(words)


def _share(on_progress: OnProgress, number: int, count: int) -> Callable[[int, int, str], None]:
    """Progress of one of several runs, in thousandths of it."""

    def say(done: int, total: int, text: str) -> None:
        on_progress(Progress("report", 1000 * number + round(1000 * done / max(1, total)), 1000 * count, text))

    return say


def complete(
    facts: RunFacts,
    recipe: Recipe | None,
    directory: Path,
    options: ReportOptions,
    say: Callable[[int, int, str], None] = lambda done, total, text: None,
    on_message: OnMessage = log,
    *,
    agent: TrainedAgent | None = None,
    families: Sequence[str] = FAMILIES,
) -> None:
    """Compute what a run has not written down; what cannot be computed is noted.

    Args:
        facts: What it wrote, to be completed.
        recipe: What was trained, if that is known.
        directory: The run's.
        options: How.
        say: Called with how far it is.
        on_message: Called with a line for a person.
        agent: What was trained, if it is at hand.
        families: In which families of tasks it is to be seen.
    """
    facts.commands = {**facts.commands, "report": command_of([directory], options)}
    if recipe is None:
        return
    if agent is None:
        try:
            agent = load_agent(directory, on_message, checkpoint=options.checkpoint)
        except AdaptaxError as error:
            for what in ("recording", "families", "inspection"):
                facts.missing.setdefault(what, f"The agent cannot be loaded: {error}.")
            return
    if agent.problem.optimum is not None and facts.evaluation is not None and "protocol" not in facts.protocol:
        facts.optimum = agent.problem.optimum
    facts.shift = agent.problem.shift or ""
    facts.sizes |= sizes_of(agent, directory)
    if options.training_seed >= agent.num_seeds:
        raise ConfigError(
            f"--training-seed: expected at most {agent.num_seeds - 1}, as {directory} has {agent.num_seeds}; found "
            f"{options.training_seed}"
        )
    mine = agent.of_seed(options.training_seed)
    if agent.num_seeds > 1:
        facts.notes.append(
            f"Films, families of tasks and memory are those of training {options.training_seed} of {agent.num_seeds}."
        )
    _attempt(facts, ("recording", "families"), lambda: _record(facts, mine, options, say, families))
    if facts.inspection is None and options.inspect_tasks:
        _attempt(facts, ("inspection",), lambda: _inspect(facts, mine, options, say))
    say(1, 1, "")


def _attempt(facts: RunFacts, what: Sequence[str], do: Callable[[], None]) -> None:
    """Do it; if it cannot be done, note why: all else is worth showing."""
    try:
        do()
    except AdaptaxError as error:
        for name in what:
            facts.missing.setdefault(name, f"{str(error).removeprefix('inspect: ')}.")


def _record(
    facts: RunFacts,
    agent: TrainedAgent,
    options: ReportOptions,
    say: Callable[[int, int, str], None],
    families: Sequence[str],
) -> None:
    """A few trials step by step, and what is earned in each family of tasks."""
    if not options.animation:
        facts.inapplicable["recording"] = "Left out, as was asked for (--no-animation)."
    has = [name for name in families if name != "shifted" or agent.problem.shifted is not None]
    seed, met = options.seed, None
    if facts.evaluation is not None and options.seed == facts.protocol.get("seed"):
        met = encounters(agent.problem.test, int(facts.protocol["tasks"]), seed)
    recorder = Recorder(agent, num_tasks=max(options.tasks, options.trials), seed=seed, met=met)
    steps = len(has) + 2
    for number, family in enumerate(has):
        say(number, steps, "trials")
        shown = options.trials if family == "held-out" and options.animation else 0
        earned, recording = recorder.record(family, num_shown=shown)
        facts.families = {**facts.families, family: earned}
        facts.recording = recording or facts.recording
    say(len(has), steps, "trials")


def _inspect(
    facts: RunFacts, agent: TrainedAgent, options: ReportOptions, say: Callable[[int, int, str], None]
) -> None:
    """What the memory knows of the task."""
    say(3, 5, "memory")
    try:
        check_remembers(agent)
    except ConfigError as error:
        facts.inapplicable["inspection"] = f"{str(error).partition('; found ')[2]}."
        return
    found: Any = inspection.inspect_memory(agent, num_tasks=options.inspect_tasks, seed=options.seed)
    facts.inspection = {**found.to_json(), "protocol": {"tasks": options.inspect_tasks}}
    words = ["adaptax", "inspect", facts.directory, "--tasks", str(options.inspect_tasks)]
    facts.commands = {**facts.commands, "inspect": shlex.join(words)}


def sizes_of(agent: TrainedAgent, directory: Path) -> dict[str, str]:
    """How large things are, in words."""
    one = agent.of_seed(0)
    state = jax.eval_shape(lambda key: one.algorithm.begin(one.meta, key), jax.random.key(0))
    numbers = sum(x.size for x in jax.tree.leaves(state.memory))
    on_disk = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    peak = _peak_megabytes()
    return {
        "numbers that were learned": f"{agent.num_parameters:,}",
        "numbers that an agent remembers of a task": f"{numbers:,}",
        "the run on the disk": f"{on_disk / 1e6:,.1f} MB",
        **({} if peak is None else {"memory of the process that made this page, at most": f"{peak:,.0f} MB"}),
    }


def _peak_megabytes() -> float | None:
    """The most memory that this process has had; None where the system does not say."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1024)


def report_of_training(run: "Run", agent: TrainedAgent, surroundings: Surroundings) -> Path | None:
    """Write the report of a run that was trained and evaluated right now; None if that is not possible.

    The run is good whatever happens here: an error is a warning. Where few tasks were evaluated, nothing is computed
    for it.
    """
    assert run.directory is not None
    on_message = surroundings.on_message
    try:
        from adaptax.reports.run_page import run_page

        facts, _ = read_facts(run.directory, run.directory.name)
        if run.options.eval_tasks >= LEAST_TASKS:
            long = run.seconds >= LONG
            options = ReportOptions(inspect_tasks=ReportOptions.inspect_tasks if long else 0)
            say = _share(surroundings.on_progress, 0, 1)
            if not long:
                facts.missing["inspection"] = _later(run.directory, "to keep short trainings short")
            complete(facts, run.recipe, run.directory, options, say, on_message, agent=agent, families=SHORT)
        else:
            later = _later(run.directory, "as few tasks were evaluated")
            facts.missing |= dict.fromkeys(("recording", "families", "inspection"), later)
            facts.sizes |= sizes_of(agent, run.directory)
        return written(run_page(facts), run.directory, [run.directory], [facts]).path
    except MissingPackageError as error:
        on_message(f"note: {REPORT} is left out: {error}")
    except Exception as error:
        on_message(f"warning: {REPORT} could not be written ({type(error).__name__}: {error}); the run is good")
    return None


def _later(directory: Path, why: str) -> str:
    return f"Not computed, {why}: adaptax report {shlex.quote(str(directory))}"
