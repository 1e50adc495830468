"""How much of Meta-World's speed is left: arms stepped with random actions, and training MAML on ML1.

    python benchmarks/metaworld_speed.py [--task reach-v3] [--workers 2] [--updates 2]

In turns in one process:

- bare: Meta-World's own environment, stepped with random actions that were drawn beforehand, on one core;
- training: updates of MAML by its preset, 20 tasks × 2 windows × 10 episodes, with `--horizon` steps each.

Printed as one JSON object: steps/s of wall time, and of processor time (all processes), the machine's load, and the
most memory that this process and its workers have had together.
"""

import argparse
import json
import os
import resource
import time
from typing import Any

import jax
import metaworld
import numpy as np

from adaptax.core.algorithm import init
from adaptax.core.host_program import program
from adaptax.problems import METAWORLD
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import TRAINABLE, build


def bare(task: str, steps: int) -> dict[str, float]:
    """Meta-World's environment alone."""
    benchmark = metaworld.ML1(task, seed=0)
    env = benchmark.train_classes[task]()
    env.set_task(benchmark.train_tasks[0])
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 4)).astype(np.float32)
    env.reset()
    began = time.perf_counter(), time.process_time()
    for number, action in enumerate(actions):
        if number and number % 500 == 0:
            env.reset()
        env.step(action)
    return {"wall": steps / (time.perf_counter() - began[0]), "cpu": steps / (time.process_time() - began[1])}


def training(task: str, horizon: int, workers: int, updates: int) -> dict[str, Any]:
    """MAML's updates, after one that compiles."""
    settings, _ = settings_for("maml", "metaworld-ml1")
    of_problem = METAWORLD["metaworld-ml1"].settings
    problem = build(METAWORLD["metaworld-ml1"], of_problem(task=task, num_episodes=20, horizon=horizon))
    problem.env.simulate_with(workers, None)
    algorithm = build(TRAINABLE["maml"], settings)
    update = program(lambda state: algorithm.update(problem, state), on_host=True)
    state = init(algorithm, problem, seed=0)
    state, _ = jax.block_until_ready(update(state))
    rates: dict[str, list[float]] = {"wall": [], "cpu": []}
    steps = algorithm.update_steps(problem)
    for _ in range(updates):
        began = time.perf_counter(), _processor_time(problem)
        state, _ = jax.block_until_ready(update(state))
        rates["wall"].append(steps / (time.perf_counter() - began[0]))
        rates["cpu"].append(steps / (_processor_time(problem) - began[1]))
    workers_now = _worker_processes(problem)
    return {
        "steps of an update": steps,
        **{kind: [round(rate) for rate in found] for kind, found in rates.items()},
        "memory, GB": round(sum(_most_memory(process) for process in (os.getpid(), *workers_now)) / 1e6, 2),
    }


def _worker_processes(problem: Any) -> list[int]:
    return list(getattr(problem.env.simulators._pool, "processes", []))


def _processor_time(problem: Any) -> float:
    """Seconds of this process and its workers."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ticks = 0
    for process in _worker_processes(problem):
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return own.ru_utime + own.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def _most_memory(process: int) -> int:
    """The most that a process has had, in kB."""
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="reach-v3")
    parser.add_argument("--horizon", type=int, default=500)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--updates", type=int, default=2)
    options = parser.parse_args()
    found = {
        "task": options.task,
        "workers": options.workers,
        "load before": os.getloadavg()[0],
        "bare": {kind: round(rate) for kind, rate in bare(options.task, 2000).items()},
        "training": training(options.task, options.horizon, options.workers, options.updates),
        "load after": os.getloadavg()[0],
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
