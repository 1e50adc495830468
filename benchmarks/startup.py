"""Seconds until something happens: the import, `--help`, and `adaptax train rl2 bandit`, to its first metrics.

    python benchmarks/startup.py

Each is a process of its own, started several times; training and the compilation of its program are timed with an empty
cache of programs and with one that holds them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENTRY = "from adaptax.cli import main; main()"
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


def first_metrics(cache: str) -> float:
    """Seconds from the command to the first line of a run's metrics."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    with tempfile.TemporaryDirectory() as place:
        metrics, begin = Path(place) / "run" / "metrics.jsonl", time.perf_counter()
        words = [sys.executable, "-c", ENTRY, "train", "rl2", "bandit", "--out", str(metrics.parent)]
        with subprocess.Popen(
            words, env={**environment, "XDG_CACHE_HOME": cache}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
                time.sleep(0.01)
            taken = time.perf_counter() - begin
            process.kill()
        if process.returncode >= 0:
            sys.exit(f"adaptax train ended with {process.returncode} before its first metrics")
    return taken


def main() -> None:
    """Measure and print."""
    found = {
        "python alone": wall(["-c", ""]),
        "import adaptax": wall(["-c", "import adaptax"]),
        "adaptax --help": wall(["-c", ENTRY, "--help"]),
        "adaptax train rl2 bandit --help": wall(["-c", ENTRY, "train", "rl2", "bandit", "--help"]),
    }
    for name, measure in {"compile train rl2 bandit": compiling, "train rl2 bandit, to metrics": first_metrics}.items():
        cold, cached = [], []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as cache:
                cold.append(measure(cache))
                cached.append(measure(cache))
        found[f"{name}, cold"], found[f"{name}, cached"] = statistics.median(cold), statistics.median(cached)
    print(json.dumps({name: round(seconds, 3) for name, seconds in found.items()}, indent=2))


if __name__ == "__main__":
    main()
