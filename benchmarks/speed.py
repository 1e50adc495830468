"""Environment steps per second of whole training loops, beside what the machine can do and what others have measured.

    python benchmarks/speed.py                          # all, with one device and with one per core; about 6 minutes
    python benchmarks/speed.py grid-64 maml-2d --json
    python benchmarks/speed.py cart-pole cart-pole-256 --after 500000   # when episodes have become long
    python benchmarks/speed.py --csv benchmarks/speed.csv
    taskset -c 0 python benchmarks/speed.py --devices 1 --csv benchmarks/speed_one_core.csv

Work is that of public implementations (`WORK`), on our environments. A figure is of collection, adaptation and update
together; compilation is timed apart. In the same run the machine's limits are measured: products of matrices of the
sizes that the networks have, random actions in the same environment with as many streams, and copies. `share` is the
time that the update's products alone would take at that rate, over the time that the update takes; `busy` is how many
cores are at work while training: XLA spreads large operations of one device over all cores, so that more devices can
bring no more than what that leaves idle.
"""

import argparse
import csv
import dataclasses
import json
import math
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from adaptax import problems
from adaptax.algorithms import MAML, RL2
from adaptax.core.algorithm import init
from adaptax.core.rollout import collect
from adaptax.experiment.jax_setup import cores
from adaptax.experiment.memory import needed_bytes
from adaptax.networks.dense import OPERATIONS
from adaptax.registry.registry import CLASSICAL, build
from adaptax.training.loop import chunk_of_updates


class Work(NamedTuple):
    """What is timed.

    Attributes:
        algorithm: Makes the algorithm.
        problem: Makes the problem.
        peer: Who has measured the same work.
        theirs: Their environment steps per second, on two cores.
        bar: Ours, at least.
    """

    algorithm: Callable[[], Any]
    problem: Callable[[], Any]
    peer: str
    theirs: float
    bar: float


def _memory(size: int, streams: int, epochs: int, minibatches: int = 4) -> Callable[[], RL2]:
    sizes = {"memory_size": size, "critic_size": size, "num_tasks": streams}
    return lambda: RL2(memory="gru", num_epochs=epochs, num_minibatches=minibatches, **sizes)


def _cart_pole(steps: int) -> Callable[[], Any]:
    return lambda: problems.cart_pole(1, horizon=steps, variation=0.3)


WORK = {
    "grid-64": Work(
        _memory(64, 64, 1), lambda: problems.grid_navigation(4, horizon=8), "XLand-MiniGrid (JAX)", 10_150, 100_000
    ),
    "grid-1024": Work(
        _memory(64, 1024, 1), lambda: problems.grid_navigation(4, horizon=8), "XLand-MiniGrid (JAX)", 3_871, 120_000
    ),
    "varibad-grid": Work(_memory(64, 16, 2), problems.grid_navigation, "varibad (PyTorch)", 666, 60_000),
    "cart-pole": Work(_memory(128, 4, 4), _cart_pole(128), "PureJaxRL (JAX)", 6_067, 18_200),
    "cart-pole-256": Work(_memory(128, 256, 4), _cart_pole(32), "memorax 1.0.1 (JAX)", 12_821, 38_500),
    "cart-pole-1024": Work(_memory(128, 1024, 1), _cart_pole(128), "memorax 1.0.1 (JAX)", 58_609, 87_900),
    "maml-2d": Work(
        lambda: MAML(hidden_size=64, num_layers=2, num_tasks=20, trajectories=20, inner_steps=1, outer="trpo"),
        lambda: problems.point_robot(40),
        "pytorch-maml-rl",
        15_000,
        75_000,
    ),
    "maml-mdp": Work(
        lambda: MAML(hidden_size=32, num_layers=2, num_tasks=40, trajectories=20, inner_steps=1, outer="gradient"),
        lambda: problems.tabular_mdp(num_episodes=40),
        "torchopt (PyTorch)",
        3_265,
        150_000,
    ),
}
UPDATES = 5
"""Updates in a timing."""


def products(jaxpr: Jaxpr) -> int:
    """Floating-point operations of all products of matrices in a program; a loop without a known length counts once."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
        elif equation.primitive.name in OPERATIONS:
            left, right = (operand.aval.shape for operand in equation.invars)
            total += 2 * math.prod(left) * right[-2 if equation.primitive.name == "dense_backward" else -1]
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for found in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: isinstance(x, Jaxpr)):
            inner = found.jaxpr if isinstance(found, ClosedJaxpr) else found
            if isinstance(inner, Jaxpr):
                total += times * products(inner)
    return total


def seconds(function: Callable[[], Any], rounds: int = 7) -> float:
    """Median time of a call that returns arrays, after a first one."""
    taken = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        jax.block_until_ready(function())
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def cores_busy(function: Callable[[], Any]) -> float:
    """Processor time over time of a call."""
    processor, begin = time.process_time(), time.perf_counter()
    jax.block_until_ready(function())
    return (time.process_time() - processor) / (time.perf_counter() - begin)


def products_per_second(rows: int, size: int) -> float:
    """Operations per second of `rows × size` by `size × 3 size`, as a GRU's, inside of a loop."""
    left, right = jnp.ones((rows, size)), jnp.ones((size, 3 * size)) / size
    times = max(1, int(2e9 / (6 * rows * size * size)))

    def run(left: Any) -> Any:
        return jax.lax.fori_loop(0, times, lambda _, x: jnp.tanh((x @ right)[:, :size]), left)

    program = jax.jit(run)
    return times * 6 * rows * size * size / seconds(lambda: program(left), 5)


def copies_per_second() -> float:
    """Bytes per second that are read and written by a copy of 256 MB."""
    array = jnp.ones(2**26)
    program = jax.jit(lambda x: x + 1)
    return 2 * array.nbytes / seconds(lambda: program(array), 5)


def random_steps_per_second(problem: Any, streams: int) -> float:
    """Steps per second of random actions."""
    agent = build(CLASSICAL["random"])
    meta = agent.init(problem, jax.random.key(0)).meta
    tasks = jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(1), streams))
    keys = jax.random.split(jax.random.key(2), streams)
    program = jax.jit(lambda keys: collect(agent, problem, meta, tasks, keys).reward)
    return streams * problem.trial_steps / seconds(lambda: program(keys))


def devices_that_divide(name: str, devices: list[int]) -> list[int]:
    """Numbers of devices, the largest ones that divide the tasks of a minibatch."""
    algorithm = WORK[name].algorithm()
    groups = algorithm.tasks_per_minibatch
    return sorted({max(n for n in range(1, most + 1) if groups % n == 0) for most in devices})


def measure(name: str, devices: int, rounds: int, after: int = 0) -> dict[str, Any]:
    """Time one piece of work, at the beginning of training or `after` so many environment steps."""
    work = WORK[name]
    algorithm, problem = work.algorithm(), work.problem()
    before = math.ceil(after / algorithm.update_steps(problem) / UPDATES)
    algorithm = dataclasses.replace(algorithm, num_updates=(before + 1) * UPDATES)
    state = init(algorithm, problem, seed=0)
    function = chunk_of_updates(algorithm, problem, UPDATES, devices=devices)
    begin = time.perf_counter()
    program = jax.jit(function).lower(state).compile()
    compiling = time.perf_counter() - begin
    for _ in range(before):
        state, _ = program(state)
    each = seconds(lambda: program(state), rounds) / UPDATES
    _, (metrics, _) = program(state)
    # Those that were taken: where episodes end early, slots are more than steps (trap E51).
    steps = float(metrics["env_steps"].mean()) if problem.env.ends_early else algorithm.update_steps(problem)
    size = getattr(algorithm, "memory_size", getattr(algorithm, "hidden_size", 64))
    rows = algorithm.num_tasks * getattr(algorithm, "trajectories", 1)
    operations = products(jax.make_jaxpr(chunk_of_updates(algorithm, problem, UPDATES))(state).jaxpr) / UPDATES
    rate = products_per_second(rows, size)
    return {
        "work": name,
        "devices": devices,
        "after": after,
        "steps_per_second": steps / each,
        "bar": work.bar,
        "peer": work.peer,
        "times_peer": steps / each / work.theirs,
        "random_steps_per_second": random_steps_per_second(problem, rows),
        "gflop_per_second": rate / 1e9,
        "busy": statistics.median(cores_busy(lambda: program(state)) for _ in range(3)),
        "share": operations / rate / each,
        "compile_seconds": compiling,
        "memory_mb": (needed_bytes(program, devices) or 0) / 1e6,
    }


def machine() -> dict[str, Any]:
    """What it ran on."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": done.stdout.strip() or "unknown",
        "device": jax.devices()[0].device_kind,
        "cores": cores(),
        "jax": jax.__version__,
        "copy_gb_per_second": copies_per_second() / 1e9,
    }


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['work']:<14} {row['devices']} device(s) {row['steps_per_second']:>10,.0f} steps/s"
        f" (bar {row['bar']:,.0f}; {row['times_peer']:.1f} × {row['peer']})  products {row['share']:.2f} of"
        f" {row['gflop_per_second']:.0f} GFLOP/s  {row['busy']:.2f} cores busy"
        f"  random actions {row['random_steps_per_second']:,.0f}/s"
        f"  compiled in {row['compile_seconds']:.1f} s  {row['memory_mb']:.0f} MB"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", help=", ".join(WORK))
    parser.add_argument("--devices", type=int, nargs="*", default=sorted({1, cores()}))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--after", type=int, default=0, metavar="STEPS", help="train for so many steps first")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.work) - set(WORK):
        parser.error(f"expected work out of {', '.join(WORK)}; found {', '.join(sorted(unknown))}")
    jax.config.update("jax_num_cpu_devices", max(options.devices))
    where, rows = machine(), []
    for name in options.work or WORK:
        for devices in devices_that_divide(name, options.devices):
            rows.append({**where, **measure(name, devices, options.rounds, options.after)})
            if options.json:
                print(json.dumps(rows[-1]), flush=True)
            else:
                print(_line(rows[-1]), flush=True)
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(
                {k: f"{v:.4g}" if isinstance(v, float) and k != "steps_per_second" else v for k, v in row.items()}
                for row in rows
            )


if __name__ == "__main__":
    main()
