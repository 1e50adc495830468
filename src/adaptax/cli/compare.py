"""`adaptax compare RUN AGENT ...`: what meta-learning is worth, in figures, with a report to read and to print."""

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import parse
from adaptax.core.errors import ConfigError, OutputError, if_installed
from adaptax.core.settings import Settings
from adaptax.experiment.agent_specs import Contestant, resolve
from adaptax.experiment.options import CompareOptions, log
from adaptax.problems.settings import episodes_of
from adaptax.registry.registry import ALGORITHMS, PROBLEMS, build, lookup, view
from adaptax.runs.directory import create_directory, write_json

if TYPE_CHECKING:
    from adaptax.core.trained_agent import TrainedAgent

FIGURES = "comparison.json"
REPORT = "report.html"
VERSIONS = ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy", "matplotlib")


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"compare": CompareOptions()},
        arguments,
        program="adaptax compare",
        names={"RUN|AGENT ...": "directories of runs, and names of agents that need no training"},
        description="Compare agents in the same new tasks: how soon they are good (sample efficiency), what carries "
        "over to other tasks (generalisation), what finding out costs (exploration). RUN: a run's directory; AGENT: "
        "a name, of an agent that needs no training.",
    )
    options: CompareOptions = typed["compare"]
    problem, contestants = resolve(typed["names"], options.problem, options.episodes)
    if len(contestants) < 2:
        raise ConfigError("compare: expected at least one agent besides random; found none")
    directory = reserve(options.out)
    from adaptax.experiment.jax_setup import start_jax

    start_jax()
    content = {**provenance(arguments, problem, contestants, options), **measure(problem, contestants, options)}
    write_json(directory / FIGURES, content)
    write_report(directory / REPORT, content)
    for warning in content["warnings"]:
        log(f"warning: {warning}")
    if options.json:
        print(json.dumps({"directory": str(directory), **content}))
        return 0
    from adaptax.experiment.progress import table_console
    from adaptax.reports.comparison_tables import tables

    for table in tables(content):
        table_console().print(table)
    if (directory / REPORT).exists():
        print(f"report  {directory / REPORT}")
    print(f"figures {directory / FIGURES}")
    return 0


def reserve(out: Path | None) -> Path:
    """Make the report's directory, before anything is measured.

    Raises:
        OutputError: if it cannot be made or written to, or if it already holds a report or a run.
    """
    if out is not None and any((out / name).exists() for name in (FIGURES, REPORT)):
        raise OutputError(f"{out}: already holds a report; nothing was changed. Choose another --out, or move it away")
    return create_directory(out, "compare")


def write_report(path: Path, content: Mapping[str, Any]) -> None:
    """Write the report, unless a package that it needs is not installed.

    Raises:
        OutputError: if it cannot be written.
    """
    with if_installed(path.name, log):
        from adaptax.reports.comparison_page import report

        try:
            path.write_text(report(content), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write the report {path}: {error.strerror or error}") from error


def provenance(
    arguments: Sequence[str], problem: str, contestants: Sequence[Contestant], options: CompareOptions
) -> dict[str, Any]:
    """What was asked for, and with what it was measured."""
    import jax

    settings = dataclasses.asdict(contestants[0].problem_settings)
    settings.pop(episodes_of(contestants[0].problem_settings)[0] or "", None)
    return {
        "command": ["adaptax", "compare", *arguments],
        "problem": {"name": problem, "summary": PROBLEMS[problem].summary, "settings": settings},
        "options": {**dataclasses.asdict(options), "out": None},
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


def measure(problem: str, contestants: Sequence[Contestant], options: CompareOptions) -> dict[str, Any]:
    """Load the agents and run them; with a progress bar."""
    from adaptax.evaluation.comparison import Plan, compare
    from adaptax.experiment.progress import Bar

    base = build_problem(problem, contestants[0].problem_settings)
    agents = [agent_of(contestant, problem, options.seed) for contestant in contestants]
    early = {
        contestant.name: early_of(agent, build_problem(problem, contestant.early), options.seed)
        for contestant, agent in zip(contestants, agents, strict=True)
        if contestant.early is not None
    }
    plan = Plan(options.tasks, options.family_tasks, options.seed, explore=options.policy == "sample")
    trials = sum(plan.num_trials(base, early=agent.name in early) for agent in agents)
    with Bar("compare", trials) as bar:
        return compare(base, agents, plan, bar.update, early=early)


def build_problem(name: str, settings: Settings) -> Any:
    """Build a problem from its settings."""
    return build(lookup("problem", PROBLEMS, name), settings)


def agent_of(contestant: Contestant, problem: str, seed: int) -> "TrainedAgent":
    """Build an agent, or load what its runs have learned.

    Raises:
        ConfigError: if it cannot live in this problem.
        CheckpointError: if a run is not finished, or damaged.
    """
    from adaptax.core.trained_agent import TrainedAgent, join_seeds
    from adaptax.registry.presets import agent_for
    from adaptax.runs.load import load_agent

    described: dict[str, Any] = {"name": contestant.name, "kind": contestant.kind, "about": about(contestant)}
    if contestant.kind == "meta-trained":
        joined = join_seeds([load_agent(run.directory, log) for run in contestant.runs])
        return dataclasses.replace(joined, **described)
    entry = ALGORITHMS[contestant.algorithm]
    seen = view(entry, build_problem(problem, contestant.problem_settings))
    if contestant.settings is None:
        algorithm = agent_for(contestant.algorithm, problem, contestant.problem_settings)
    else:
        algorithm = build(entry, contestant.settings)
    try:
        return TrainedAgent.initial(algorithm, seen, seed=seed, **described)
    except ValueError as error:
        raise ConfigError(f"{contestant.name}: does not suit {problem}: {error}") from error


def early_of(agent: "TrainedAgent", problem: Any, seed: int) -> "TrainedAgent":
    """A learner from scratch with the shorter trial of `problem`."""
    from adaptax.core.trained_agent import TrainedAgent

    return TrainedAgent.initial(agent.algorithm, problem, seed=seed, name=agent.name, kind=agent.kind)


def about(contestant: Contestant) -> dict[str, Any]:
    """What is written down of an agent besides its figures."""
    return {
        "algorithm": contestant.algorithm,
        "settings": None if contestant.settings is None else dataclasses.asdict(contestant.settings),
        "runs": [
            {"directory": str(run.directory), "seed": run.seed, "seeds": run.num_seeds} for run in contestant.runs
        ],
    }
