"""`adaptax check-env MODULE:FACTORY`: does an environment keep its contract?"""

import dataclasses
import json
import time
from collections.abc import Sequence

from adaptax.cli.options import parse
from adaptax.core.errors import ConfigError, EnvironmentContractError
from adaptax.core.settings import Settings, setting, suggestion
from adaptax.registry.factories import expect_module, is_factory, load_factory, made
from adaptax.registry.registry import PROBLEMS, build


@dataclasses.dataclass(frozen=True)
class CheckEnvOptions(Settings):
    """How to check.

    Attributes:
        seed: Decides tasks, actions and all keys.
        steps: Environment steps to live in each family of tasks, at least.
        tasks: Tasks to live in, of each family.
        json: Print one JSON object on standard output and nothing else there.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    steps: int = setting(1000, low=1, high=1_000_000)
    tasks: int = setting(32, low=2, high=4096)
    json: bool = False


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it; 0 if all rules hold, else 3."""
    typed = parse(
        {"check": CheckEnvOptions()},
        arguments,
        program="adaptax check-env",
        names={"MODULE:FACTORY": "MODULE:FACTORY, or the name of a problem"},
        description="Live in the problem that FACTORY() makes, and say what in it breaks the contract of environments.",
    )
    options: CheckEnvOptions = typed["check"]
    (name,) = typed["names"]
    if is_factory(name):
        expect_module(name)
    elif name not in PROBLEMS:
        hint = suggestion(name, PROBLEMS)
        raise ConfigError(f"check-env: expected MODULE:FACTORY or one of {', '.join(PROBLEMS)}; found '{name}'{hint}")
    from adaptax.experiment.jax_setup import start_jax

    start_jax()
    if is_factory(name):
        problem = made(name, load_factory(name))
    else:
        settings = PROBLEMS[name].settings
        assert settings is not None
        problem = build(PROBLEMS[name], settings())
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
        print(json.dumps({"name": name, **counts, "findings": findings}))
    else:
        for finding in verdict.findings:
            print(finding.line())
        rules = f"FAIL {broken} of {len(RULES)} rules" if broken else f"PASS {len(RULES)}/{len(RULES)} rules"
        lived = f"{verdict.tasks:,} tasks, {verdict.steps:,} steps" if verdict.steps else "found before any step"
        print(f"{rules}, {lived} ({seconds:.1f} s)")
    return EnvironmentContractError.exit_code if broken else 0
