"""`adaptax compare RUN AGENT ...`: what meta-learning is worth, in figures, with a report to read and to print."""

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import names, parse, wants_help
from adaptax.core.errors import ConfigError, OutputError, if_installed
from adaptax.core.settings import Settings
from adaptax.experiment.agent_specs import Contestant, resolve
from adaptax.experiment.options import CompareOptions, log
from adaptax.problems.settings import episodes_of
from adaptax.registry.registry import ALGORITHMS, PROBLEMS, build, lookup, view
from adaptax.runs.directory import create_directory, write_json

if TYPE_CHECKING:
    from adaptax.evaluation.comparison import Entrant

FIGURES = "comparison.json"
REPORT = "report.html"
VERSIONS = ("adaptax", "jax", "jaxlib", "equinox", "optax", "numpy", "matplotlib")


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    words, rest = names(arguments, len(arguments))
    if not arguments:
        raise ConfigError("compare: expected directories of runs, and names of agents that need no training")
    options: CompareOptions = parse(
        {"compare": CompareOptions()},
        rest,
        program="adaptax compare RUN|AGENT ...",
        description="Compare agents in the same new tasks: how soon they are good (sample efficiency), what carries "
        "over to other tasks (generalisation), what finding out costs (exploration). RUN: a run's directory; AGENT: "
        "a name, of an agent that needs no training.",
    )["compare"]
    problem, contestants = resolve(words, options.problem, options.episodes)
    if len(contestants) < 2 and not wants_help(rest):
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
    """Load the agents and let them live; with a progress bar."""
    from adaptax.evaluation.comparison import Plan, compare
    from adaptax.experiment.progress import Bar

    base = build_problem(problem, contestants[0].problem_settings)
    entrants = [entrant_of(contestant, problem, options.seed) for contestant in contestants]
    plan = Plan(options.tasks, options.family_tasks, options.seed, explore=options.policy == "sample")
    with Bar("compare", sum(plan.work(base, entrant) for entrant in entrants)) as bar:
        return compare(base, entrants, plan, bar.update)


def build_problem(name: str, settings: Settings) -> Any:
    """Build a problem from its settings."""
    return build(lookup("problem", PROBLEMS, name), settings)


def entrant_of(contestant: Contestant, problem: str, seed: int) -> "Entrant":
    """Build an agent, and load what it has learned.

    Raises:
        ConfigError: if it cannot live in this problem.
        CheckpointError: if a run is not finished, or damaged.
    """
    import jax
    import jax.numpy as jnp

    from adaptax.core.algorithm import init
    from adaptax.evaluation.comparison import Entrant
    from adaptax.registry.presets import agent_for
    from adaptax.runs.load import load_meta

    entry = ALGORITHMS[contestant.algorithm]
    seen = view(entry, build_problem(problem, contestant.problem_settings))
    if contestant.settings is None:
        algorithm = agent_for(contestant.algorithm, problem, contestant.problem_settings)
    else:
        algorithm = build(entry, contestant.settings)
    early = None if contestant.early is None else build_problem(problem, contestant.early)
    about = {
        "algorithm": contestant.algorithm,
        "settings": None if contestant.settings is None else dataclasses.asdict(contestant.settings),
        "runs": [
            {"directory": str(run.directory), "seed": run.seed, "seeds": run.num_seeds} for run in contestant.runs
        ],
    }
    if contestant.kind != "meta-trained":
        try:
            meta = init(algorithm, seen, seed=seed).meta
        except ValueError as error:
            raise ConfigError(f"{contestant.name}: does not suit {problem}: {error}") from error
        return Entrant(contestant.name, contestant.kind, algorithm, seen, meta, early=early, about=about)
    metas = []
    for run in contestant.runs:
        meta = load_meta(run.directory, algorithm, seen, run.num_seeds, log)
        metas.append(meta if run.num_seeds > 1 else jax.tree.map(lambda x: x[None], meta))
    num_seeds = sum(run.num_seeds for run in contestant.runs)
    meta = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *metas)
    meta = meta if num_seeds > 1 else jax.tree.map(lambda x: x[0], meta)
    return Entrant(contestant.name, contestant.kind, algorithm, seen, meta, num_seeds, about=about)
