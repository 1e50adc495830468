"""`adaptax check-env MODULE:NAME`: does an environment keep its contract?"""

import dataclasses
import json
import time
from collections.abc import Sequence

from adaptax.cli.options import parse
from adaptax.cli.streams import tell
from adaptax.core.errors import EnvironmentContractError
from adaptax.core.settings import Settings, setting
from adaptax.experiment import jax_setup
from adaptax.experiment.options import SimulatorOptions
from adaptax.registry.registry import build
from adaptax.registry.resolve import needs_import, resolve_problem, unchecked_problem
from adaptax.registry.simulation import accept_simulation, simulated
from adaptax.registry.user_code import is_reference


@dataclasses.dataclass(frozen=True)
class CheckEnvOptions(Settings):
    """How to check.

    Attributes:
        seed: Decides tasks, actions and all keys.
        steps: Environment steps to take in each family of tasks, at least.
        tasks: Tasks to try, of each family.
        json: Print one JSON object on standard output and nothing else there.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    steps: int = setting(1000, low=1, high=1_000_000)
    tasks: int = setting(32, low=2, high=4096)
    json: bool = False


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it; 0 if all rules hold, else 3."""
    typed = parse(
        {"check": CheckEnvOptions(), "simulators": SimulatorOptions()},
        arguments,
        program="adaptax check-env",
        names={"MODULE:NAME": "MODULE:NAME, or the name of a problem"},
        description="Live in the problem that NAME() makes, and say what in it breaks the contract of environments.",
    )
    options: CheckEnvOptions = typed["check"]
    (name,) = typed["names"]
    accept_simulation(typed["simulators"], name)
    if not needs_import(name):
        resolve_problem(name, what="check-env")
    jax_setup.start_jax()
    if is_reference(name):
        problem = unchecked_problem(name)
    else:
        entry = resolve_problem(name)
        problem = build(entry, entry.settings() if entry.settings else None)
    if hasattr(problem, "env"):  # else it is no problem, as the report says
        simulated(name, problem)
    return report(name, problem, options)


def report(name: str, problem: object, options: CheckEnvOptions) -> int:
    """Check, and print a line for each finding."""
    from adaptax.problems.checks.check import RULES, examine

    began = time.monotonic()
    verdict = examine(problem, seed=options.seed, steps=options.steps, tasks=options.tasks)
    seconds, broken = time.monotonic() - began, len(verdict.findings)
    if options.json:
        counts = {"rules": len(RULES), "tasks": verdict.tasks, "steps": verdict.steps, "seconds": seconds}
        findings = [dataclasses.asdict(finding) for finding in verdict.findings]
        print(json.dumps({"name": name, **counts, "findings": findings, "notes": verdict.notes}))
    else:
        for finding in verdict.findings:
            tell(finding.line())
        for note in verdict.notes:
            tell(f"note: {note}")
        rules = f"FAIL {broken} of {len(RULES)} rules" if broken else f"PASS {len(RULES)}/{len(RULES)} rules"
        extent = f"{verdict.tasks:,} tasks, {verdict.steps:,} steps" if verdict.steps else "found before any step"
        print(f"{rules}, {extent} ({seconds:.1f} s)")
    return EnvironmentContractError.exit_code if broken else 0
