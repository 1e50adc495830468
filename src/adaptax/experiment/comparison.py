"""Compare agents in the same new tasks: what meta-learning is worth, in figures and in a report."""

import contextlib
import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from adaptax.core import atomic_files
from adaptax.core.errors import ConfigError, if_installed
from adaptax.core.notebook import html_table, text_table
from adaptax.core.precision import in_single_precision
from adaptax.core.settings import Settings
from adaptax.core.trained_agent import TrainedAgent, join_seeds
from adaptax.evaluation import comparison
from adaptax.evaluation.comparison import Plan
from adaptax.evaluation.reference_scores import INFORMED
from adaptax.experiment import reference_policies
from adaptax.experiment.agent_specs import RANDOM, AgentSpec, resolve
from adaptax.experiment.evaluation import directory_of
from adaptax.experiment.options import CompareOptions
from adaptax.experiment.progress import OnMessage, OnProgress, Progress, ignore, log
from adaptax.experiment.recipes import options_for
from adaptax.experiment.reports import FIGURES, REPORT, reserve
from adaptax.experiment.results import kept
from adaptax.problems.settings import episodes_of
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.presets import agent_for
from adaptax.registry.registry import ALGORITHMS, PROBLEMS, build, view
from adaptax.registry.resolve import resolve_problem
from adaptax.registry.simulation import simulated
from adaptax.runs.directory import write_json
from adaptax.runs.load import load_agent
from adaptax.runs.references import root

VERSIONS = ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy", "matplotlib", "mujoco", "gymnasium", "metaworld")


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """What a comparison found.

    Attributes:
        content: All figures, as plain data; the same as in comparison.json.
        directory: Where that and the report are.
    """

    content: Mapping[str, Any]
    directory: Path

    @property
    def report(self) -> Path:
        """The report to read and to print, which is missing where a package that it needs is not installed."""
        return self.directory / REPORT

    def rows(self) -> list[tuple[str, ...]]:
        """A row for each agent: its name, what it is, and its return at the end of a trial in each family of tasks."""
        families = self.content["families"]
        return [
            (name, agent["kind"], *(_spread(agent["families"][family]["after"]) for family in families))
            for name, agent in self.content["agents"].items()
        ]

    def _table(self) -> tuple[str, Sequence[str], list[tuple[str, ...]]]:
        title = f"{self.content['problem']['name']}: return of an episode at the end of a trial (95 % interval)"
        return title, ("agent", "kind", *self.content["families"]), self.rows()

    def __repr__(self) -> str:
        return text_table(*self._table())

    def _repr_html_(self) -> str:
        return html_table(*self._table())


def _spread(figure: Mapping[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f} … {high:.3f})"


def compare(
    agents: Sequence[Any],
    options: CompareOptions | None = None,
    *,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
    **changes: Any,
) -> Comparison:
    """Compare agents in the same new tasks, as `adaptax compare` does; nothing is printed.

    Args:
        agents: Runs, directories of runs, and names of agents that need no training; `random` comes along.
        options: How to compare.
        on_progress: Called now and then with how far it is.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        changes: Single options by name, as in `tasks=100, problem="bandit"`.

    Raises:
        ConfigError: if an agent or an option is not what it must be.
        CheckpointError: if a run is not finished, or damaged.
        OutputError: if the report's directory holds one already, or cannot be written to; if that was found out when
            all was measured, it has the comparison as its `result`.
        ResourceError: the same, as the disk is full.
    """
    options = options_for(options or CompareOptions(), changes)
    words = [agent if isinstance(agent, str) else str(directory_of(agent)) for agent in agents]
    accept_encoder(options)
    problem, specs = resolve(words, options.problem, options.episodes, options.algorithm or ())
    if len(specs) < 2:
        raise ConfigError("compare: expected at least one agent besides random; found none")
    with reserve(options.out) as directory:
        return compare_in(directory, words, problem, specs, options, on_progress, on_message)


@in_single_precision
def compare_in(
    directory: Path,
    words: Sequence[str],
    problem: str,
    specs: Sequence[AgentSpec],
    options: CompareOptions,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
) -> Comparison:
    """Compare agents that were resolved before, and write figures and report into a directory that is reserved."""
    content = {
        **provenance(words, problem, specs, options),
        **measure(problem, specs, options, on_progress, on_message),
    }
    for warning in content["warnings"]:
        on_message(f"warning: {warning}")
    found = Comparison(content, directory)
    with kept(found, directory):
        write_json(directory / FIGURES, content)
        with if_installed(REPORT, on_message):
            from adaptax.reports.comparison_page import report

            atomic_files.write(directory / REPORT, report(content).encode())
    return found


def provenance(
    words: Sequence[str], problem: str, specs: Sequence[AgentSpec], options: CompareOptions
) -> dict[str, Any]:
    """What was asked for, and with what it was measured."""
    settings = dataclasses.asdict(specs[0].problem_settings)
    settings.pop(episodes_of(specs[0].problem_settings)[0] or "", None)
    return {
        "command": ["adaptax", "compare", *words, *_typed(options)],
        "problem": {"name": problem, "summary": PROBLEMS[problem].summary, "settings": settings},
        "options": {**dataclasses.asdict(options), "out": None, "references": None},
        "versions": installed_versions(),
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.local_device_count(),
    }


def installed_versions(names: Sequence[str] = VERSIONS) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _typed(options: Settings) -> list[str]:
    """Options that are not the default, as they are typed."""
    words = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        name = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return words


def measure(
    problem: str,
    specs: Sequence[AgentSpec],
    options: CompareOptions,
    on_progress: OnProgress = ignore,
    on_message: OnMessage = log,
) -> dict[str, Any]:
    """Load the agents and run their trials."""
    base = build_problem(problem, specs[0].problem_settings)
    agents = [agent_of(spec, problem, options, on_message) for spec in specs]
    policies = _reference_policies(problem, specs, options, on_message)
    early = {
        spec.name: early_agent(agent, build_problem(problem, spec.early), options.seed)
        for spec, agent in zip(specs, agents, strict=True)
        if spec.early is not None
    }
    agents += policies  # after all others, whose resamples are the same with and without them
    plan = Plan(options.tasks, options.family_tasks, options.seed, explore=options.policy == "sample")
    total = sum(plan.num_trials(base, early=agent.name in early) for agent in agents)
    on_progress(Progress("compare", 0, total))
    return comparison.compare(
        base,
        agents,
        plan,
        lambda done, text: on_progress(Progress("compare", done, total, text)),
        early=early,
        informed=INFORMED if policies else None,
    )


def _reference_policies(
    problem: str, specs: Sequence[AgentSpec], options: CompareOptions, on_message: OnMessage
) -> list[TrainedAgent]:
    """The problem's reference policies as agents in a trial of the longest's length; none if there are none."""
    if not options.reference:
        return []
    settings = next(spec.problem_settings for spec in specs if spec.name == RANDOM)
    of_problem = problem, settings, build_problem(problem, settings)
    policies = reference_policies.load(root(options.references), *of_problem, on_message)
    if policies is None:
        return []
    on_message(
        f"comparing {len(policies.agents)} more agents, the reference policies in {policies.directory} "
        "(--no-reference: without them)"
    )
    return list(policies.agents.values())


def build_problem(name: str, settings: Settings) -> Any:
    """Build a problem from its settings."""
    return simulated(name, build(resolve_problem(name), settings))


def agent_of(spec: AgentSpec, problem: str, options: CompareOptions, on_message: OnMessage = log) -> TrainedAgent:
    """Build an agent, or load what its runs have learned.

    Raises:
        ConfigError: if it does not suit this problem.
        CheckpointError: if a run is not finished, or damaged.
    """
    described: dict[str, Any] = {"name": spec.name, "kind": spec.kind, "about": about(spec)}
    if spec.kind == "meta-trained":
        joined = join_seeds([load_agent(run.directory, on_message, checkpoint=options.checkpoint) for run in spec.runs])
        return dataclasses.replace(joined, **described)
    entry = ALGORITHMS[spec.algorithm]
    seen = view(entry, build_problem(problem, spec.problem_settings))
    if spec.settings is None:
        algorithm = agent_for(spec.algorithm, problem, spec.problem_settings)
    else:
        algorithm = build(entry, spec.settings)
    try:
        return TrainedAgent.initial(algorithm, seen, seed=options.seed, **described)
    except ValueError as error:
        raise ConfigError(f"{spec.name}: does not suit {problem}: {error}") from error


def early_agent(agent: TrainedAgent, problem: Any, seed: int) -> TrainedAgent:
    """A learner from scratch with the shorter trial of `problem`."""
    return TrainedAgent.initial(agent.algorithm, problem, seed=seed, name=agent.name, kind=agent.kind)


def about(spec: AgentSpec) -> dict[str, Any]:
    """What is written down of an agent besides its figures."""
    return {
        "algorithm": spec.algorithm,
        "settings": None if spec.settings is None else dataclasses.asdict(spec.settings),
        "runs": [{"directory": str(run.directory), "seed": run.seed, "seeds": run.num_seeds} for run in spec.runs],
    }
