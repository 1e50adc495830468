"""`adaptax selftest NAME`: measure here what the package claims of itself."""

import dataclasses
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from adaptax.cli.options import names, parse, wants_help
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, setting, suggestion


@dataclasses.dataclass(frozen=True)
class SelftestOptions(Settings):
    """How to test.

    Attributes:
        seed: Decides the random instances.
        n: Random instances of each kind; 0: as many as the claim is about.
        json: Print one JSON object for each self-test on standard output and nothing else there.
    """

    seed: int = setting(0, low=0, high=2**31 - 1)
    n: int = setting(0, low=0, high=10_000)
    json: bool = False


@dataclasses.dataclass(frozen=True)
class Selftest:
    """One self-test.

    Attributes:
        target: "module:function"; from seed and number of instances to an iterator of checks.
        summary: One line.
        n: Random instances that the claim is about.
        starts_jax: Whether it needs JAX in this process.
    """

    target: str
    summary: str
    n: int = 50
    starts_jax: bool = True


SELFTESTS: Mapping[str, Selftest] = {
    "gradients": Selftest(
        "tests.claims.gradients:run",
        "meta-gradients against finite differences, estimators against enumeration (1 to 2 minutes)",
    ),
    "config": Selftest(
        "tests.claims.configurations:run",
        "wrong command lines, refused in a line that names what is wrong (seconds; --n 2000 for many)",
        starts_jax=False,
    ),
    "kill": Selftest(
        "tests.claims.kill:run",
        "kill −9 at named points and at random, then resume to bitwise the same (10 minutes)",
        n=50,
        starts_jax=False,
    ),
    "signals": Selftest(
        "tests.claims.signals:run",
        "SIGTERM at random times, Ctrl-C in every stage, then resume (8 minutes)",
        n=20,
        starts_jax=False,
    ),
    "corrupt": Selftest(
        "tests.claims.corrupt:run",
        "n bit flips, n truncations and n/5 structural damages to checkpoints: none is loaded (a minute)",
        n=1000,
    ),
    "hostile": Selftest(
        "tests.claims.hostile:run",
        "a corpus of hostile run directories, n random ones of each kind, and a few typed (2 minutes)",
        n=300,
    ),
    "storage": Selftest(
        "tests.claims.storage:run",
        "n full disks, read-only and vanishing folders, n (at most 20) starts in one directory (3 minutes)",
        n=20,
        starts_jax=False,
    ),
    "nan": Selftest(
        "tests.claims.nan:run",
        "broken environments, losses, gradients and policies: named, and kept from the parameters (5 minutes)",
        n=20,
    ),
    "leak": Selftest(
        "tests.claims.leak:run",
        "other tasks swapped 100 times: nothing changes in the one that stays, for every way of learning (2 minutes)",
    ),
    "heldout": Selftest(
        "tests.claims.heldout:run",
        "no task of an evaluation is one of training (2 minutes)",
    ),
    "memory": Selftest(
        "tests.claims.memory:run",
        "RL² learns from what it saw, remembers over episodes, and forgets between trials (a minute)",
        n=10,
    ),
    "oracles": Selftest(
        "tests.claims.oracles:run",
        "oracles and optima against enumeration, search and published values (a minute)",
    ),
    "shard": Selftest(
        "tests.claims.shard:run",
        "two devices do the work of one (2 minutes)",
        n=10,
    ),
    "hosts": Selftest(
        "tests.claims.hosts:run",
        "two processes train together; n times one is lost, the other ends, and the run goes on (10 minutes)",
        n=12,
        starts_jax=False,
    ),
    "determinism": Selftest(
        "tests.claims.determinism:run",
        "every agent in two processes: the same to the last bit (5 minutes)",
    ),
    "odd-config": Selftest(
        "tests.claims.odd_settings:run",
        "odd but valid settings, each trained for one update (seconds for each)",
    ),
}
"""By name."""
ALL = "all"
"""Stands for all of them, in turn."""


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it; 0 if all checks pass, 1 otherwise."""
    chosen, rest = names(arguments, 1)
    if not chosen and not wants_help(rest):
        raise ConfigError(f"selftest: expected NAME, one of {', '.join(SELFTESTS)}, or {ALL}; found nothing")
    listing = "\n\n".join(f"{name}: {test.summary}" for name, test in SELFTESTS.items())
    options: SelftestOptions = parse(
        {"selftest": SelftestOptions()},
        rest,
        program="adaptax selftest NAME",
        description="Measure what is claimed; exit code 1 if a figure misses its bar; `all` runs them in turn.\n\n"
        + listing,
    )["selftest"]
    name = chosen[0]
    if name not in {*SELFTESTS, ALL}:
        hint = suggestion(name, SELFTESTS)
        raise ConfigError(f"NAME: expected one of {', '.join(SELFTESTS)}, or {ALL}; found '{name}'{hint}")
    wanted = list(SELFTESTS) if name == ALL else [name]
    if any(SELFTESTS[each].starts_jax for each in wanted):
        from adaptax.experiment.jax_setup import start_jax

        start_jax()
    return max([report(each, options, titled=name == ALL) for each in wanted])


def load(name: str) -> Any:
    """Import a self-test (and JAX, if it needs that)."""
    module, function = SELFTESTS[name].target.split(":")
    return getattr(importlib.import_module(module), function)


def report(name: str, options: SelftestOptions, *, titled: bool = False) -> int:
    """Run a self-test and print its figures as they come; first its name, if asked to."""
    if titled and not options.json:
        print(f"\n{name}: {SELFTESTS[name].summary}", flush=True)
    began = time.perf_counter()
    checks = []
    for check in load(name)(options.seed, options.n or SELFTESTS[name].n):
        checks.append(check)
        if not options.json:
            print(check.line(), flush=True)
    judged = [check for check in checks if check.bar]
    failed = sum(not check.passed for check in judged)
    seconds = time.perf_counter() - began
    if options.json:
        figures = [dataclasses.asdict(check) for check in checks]
        print(json.dumps({"name": name, "passed": not failed, "seconds": seconds, "checks": figures}))
    else:
        verdict = f"FAIL {failed}/{len(judged)}" if failed else f"PASS {len(judged)}/{len(judged)}"
        print(f"{verdict}  ({seconds:.0f} s)")
    return 1 if failed else 0
