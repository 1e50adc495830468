"""`adaptax check-env MODULE:FACTORY`: does an environment keep its contract?"""

import dataclasses
import json
import time
from collections.abc import Sequence

from adaptax.cli.factories import is_factory, load_factory, made
from adaptax.cli.options import names, parse, wants_help
from adaptax.errors import ConfigError, EnvironmentContractError
from adaptax.registry import PROBLEMS, build
from adaptax.settings import Settings, setting, suggestion


@dataclasses.dataclass(frozen=True)
class CheckEnvOptions(Settings):
    """How to check.

    Attributes:
        seed: Decides tasks, actions and all keys.
        steps: Environment steps to live, at least.
        tasks: Tasks to live in, of each family.
        json: Print one JSON object on standard output and nothing else there.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    steps: int = setting(1000, low=1, high=1_000_000)
    tasks: int = setting(32, low=2, high=4096)
    json: bool = False


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it; 0 if all rules hold, else 3."""
    chosen, rest = names(arguments, 1)
    if not chosen and not wants_help(rest):
        raise ConfigError("check-env: expected MODULE:FACTORY, or the name of a problem; found nothing")
    options: CheckEnvOptions = parse(
        {"check": CheckEnvOptions()},
        rest,
        program="adaptax check-env MODULE:FACTORY",
        description="Live in the problem that FACTORY() makes, and say what in it breaks the contract of environments.",
    )["check"]
    name = chosen[0]
    if not is_factory(name) and name not in PROBLEMS:
        hint = suggestion(name, PROBLEMS)
        raise ConfigError(f"check-env: expected MODULE:FACTORY or one of {', '.join(PROBLEMS)}; found '{name}'{hint}")
    from adaptax.cli.session import start_jax

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
    from adaptax.envs.contract import RULES, check

    began = time.monotonic()
    findings = check(problem, seed=options.seed, steps=options.steps, tasks=options.tasks)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps({"name": name, "seconds": seconds, "findings": [dataclasses.asdict(f) for f in findings]}))
    else:
        for finding in findings:
            print(finding.line())
        kept = len(RULES) - len(findings)
        verdict = f"FAIL {len(findings)} of {len(RULES)} rules" if findings else f"PASS {kept}/{len(RULES)} rules"
        print(f"{verdict}  ({seconds:.0f} s)")
    return EnvironmentContractError.exit_code if findings else 0
