"""`python -m tests.claims NAME [--n N] [--seed S] [--json]`: measure here what the package claims of itself.

Exit code 1 if a figure misses its bar. Without `--n`, as many instances as the claim is about; pytest does the same
with few (`test_claims.py`).
"""

import argparse
import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

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


CLAIMS: Mapping[str, Claim] = {
    "gradients": Claim(
        "tests.claims.gradients:run",
        "meta-gradients against finite differences, estimators against enumeration (1 to 2 minutes)",
    ),
    "config": Claim(
        "tests.claims.configurations:run",
        "wrong command lines, refused in a line that names what is wrong (seconds; --n 2000 for many)",
        starts_jax=False,
    ),
    "kill": Claim(
        "tests.claims.kill:run",
        "kill −9 at named points and at random, then resume to bitwise the same (10 minutes)",
        n=50,
        starts_jax=False,
    ),
    "signals": Claim(
        "tests.claims.signals:run",
        "SIGTERM at random times, Ctrl-C in every stage, then resume (8 minutes)",
        n=20,
        starts_jax=False,
    ),
    "corrupt": Claim(
        "tests.claims.corrupt:run",
        "n bit flips, n truncations and n/5 structural damages to checkpoints: none is loaded (a minute)",
        n=1000,
    ),
    "hostile": Claim(
        "tests.claims.hostile:run",
        "a corpus of hostile run directories, n random ones of each kind, and a few typed (2 minutes)",
        n=300,
    ),
    "any-line": Claim(
        "tests.claims.any_input:run_lines",
        "command lines of any words, up to where computing begins: a code of the table, a line (3 minutes)",
        n=5000,
        starts_jax=False,
    ),
    "any-run": Claim(
        "tests.claims.any_input:run_runs",
        "runs with anything done to their files, before every command that reads them (10 minutes)",
        n=500,
        starts_jax=False,
    ),
    "storage": Claim(
        "tests.claims.storage:run",
        "n full disks, read-only and vanishing folders, n (at most 20) starts in one directory (3 minutes)",
        n=20,
        starts_jax=False,
    ),
    "nan": Claim(
        "tests.claims.nan:run",
        "broken environments, losses, gradients and policies: named, and kept from the parameters (5 minutes)",
        n=20,
    ),
    "leak": Claim(
        "tests.claims.leak:run",
        "other tasks swapped 100 times: nothing changes in the one that stays, for every way of learning (2 minutes)",
    ),
    "heldout": Claim(
        "tests.claims.heldout:run",
        "no task of an evaluation is one of training (2 minutes)",
    ),
    "memory": Claim(
        "tests.claims.memory:run",
        "RL² learns from what it saw, remembers over episodes, and forgets between trials (a minute)",
        n=10,
    ),
    "oracles": Claim(
        "tests.claims.oracles:run",
        "oracles and optima against enumeration, search and published values (a minute)",
    ),
    "shard": Claim(
        "tests.claims.shard:run",
        "two devices do the work of one (2 minutes)",
        n=10,
    ),
    "hosts": Claim(
        "tests.claims.hosts:run",
        "two processes train together; n times one is lost, the other ends, and the run goes on (10 minutes)",
        n=12,
        starts_jax=False,
    ),
    "determinism": Claim(
        "tests.claims.determinism:run",
        "every agent in two processes: the same to the last bit (5 minutes)",
    ),
    "odd-config": Claim(
        "tests.claims.odd_settings:run",
        "odd but valid settings, each trained for one update (seconds for each)",
    ),
}
"""By name."""
ALL = "all"
"""Stands for all of them, in turn."""


def main(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it; 0 if all checks pass, 1 otherwise."""
    listing = "\n".join(f"  {name:12} {claim.summary}" for name, claim in CLAIMS.items())
    parser = argparse.ArgumentParser(
        "python -m tests.claims",
        description="Measure what is claimed; exit code 1 if a figure misses its bar.",
        epilog=f"claims:\n{listing}\n  {ALL:12} all of them, in turn",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", choices=[*CLAIMS, ALL])
    parser.add_argument("--seed", type=_count, default=0, help="decides the random instances")
    parser.add_argument("--n", type=_count, default=0, help="random instances of each kind; 0: as the claim says")
    parser.add_argument("--json", action="store_true", help="one JSON object for each claim, and nothing else")
    options = parser.parse_args(arguments)
    wanted = list(CLAIMS) if options.name == ALL else [options.name]
    if any(CLAIMS[each].starts_jax for each in wanted):
        from adaptax.experiment.jax_setup import start_jax

        start_jax()
    titled = options.name == ALL
    return max([report(each, options.seed, options.n, as_json=options.json, titled=titled) for each in wanted])


def _count(word: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a whole number ≥ 0; found {word!r}")
    return int(word)


def load(name: str) -> Any:
    """Import a claim (and JAX, if it needs that)."""
    module, function = CLAIMS[name].target.split(":")
    return getattr(importlib.import_module(module), function)


def report(name: str, seed: int = 0, n: int = 0, *, as_json: bool = False, titled: bool = False) -> int:
    """Measure a claim and print its figures as they come; first its name, if asked to."""
    if titled and not as_json:
        print(f"\n{name}: {CLAIMS[name].summary}", flush=True)
    began = time.perf_counter()
    checks = []
    for check in load(name)(seed, n or CLAIMS[name].n):
        checks.append(check)
        if not as_json:
            print(check.line(), flush=True)
    judged = [check for check in checks if check.bar]
    failed = sum(not check.passed for check in judged)
    seconds = time.perf_counter() - began
    if as_json:
        figures = [dataclasses.asdict(check) for check in checks]
        print(json.dumps({"name": name, "passed": not failed, "seconds": seconds, "checks": figures}))
    else:
        verdict = f"FAIL {failed}/{len(judged)}" if failed else f"PASS {len(judged)}/{len(judged)}"
        print(f"{verdict}  ({seconds:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
