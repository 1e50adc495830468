"""Seconds until something happens: the import, `--help`, and the compilation of `adaptax train rl2 bandit`.

    python benchmarks/startup.py

Each is a process of its own, started several times; compilation is timed with an empty cache of programs and with one
that holds the program.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

COMPILE = """
import time
from adaptax.experiment.jax_setup import devices_for, start_jax
start_jax()
import jax
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS, build
from adaptax.training.loop import chunk_of_updates
from adaptax.core.algorithm import first_state
a, p = settings_for("rl2", "bandit", "default")
algorithm, problem = build(LEARNERS["rl2"], a), build(PROBLEMS["bandit"], p)
devices = devices_for(0, algorithm.tasks_per_minibatch)
state = jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0)))
run = chunk_of_updates(algorithm, problem, devices=devices)
begin = time.perf_counter()
jax.jit(run, donate_argnums=0).lower(state, jax.ShapeDtypeStruct((), "int32")).compile()
print(time.perf_counter() - begin)
"""


def wall(arguments: list[str], rounds: int = 5) -> float:
    """Median seconds of a process."""
    taken = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def compiling(cache: str) -> float:
    """Seconds of lowering and compiling, with programs kept in `cache`."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env={**os.environ, "XDG_CACHE_HOME": cache},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    entry = "from adaptax.cli import main; main()"
    found = {
        "python alone": wall(["-c", ""]),
        "import adaptax": wall(["-c", "import adaptax"]),
        "adaptax --help": wall(["-c", entry, "--help"]),
        "adaptax train rl2 bandit --help": wall(["-c", entry, "train", "rl2", "bandit", "--help"]),
    }
    cold, cached = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(compiling(cache))
            cached.append(compiling(cache))
    found["compile train rl2 bandit, cold"] = statistics.median(cold)
    found["compile train rl2 bandit, cached"] = statistics.median(cached)
    print(json.dumps({name: round(seconds, 3) for name, seconds in found.items()}, indent=2))


if __name__ == "__main__":
    main()
