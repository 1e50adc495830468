"""What the second-order meta-gradient costs: time of an outer update of MAML over that of first-order MAML.

    python benchmarks/second_order.py [--problem point-robot] [--outer trpo] [--rounds 7] [--json]

Both methods run the problem's preset in turns in one process, on the same tasks, so that what else the machine does
meets both. Compilation is not counted. Prints the median time per update of each, and the ratio's median and range.
"""

import argparse
import dataclasses
import json
import statistics
import time
from typing import Any

import jax

from adaptax.core.algorithm import init
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import PROBLEMS
from adaptax.runs.recipe import Recipe

METHODS = ("maml", "fomaml")
UPDATES = 3
"""Updates in each timing."""


def timed_program(method: str, problem_name: str, outer: str) -> Any:
    """A compiled program of a few updates, and the state that it starts from."""
    settings, of_problem = settings_for(method, problem_name)
    algorithm, problem = Recipe(method, problem_name, dataclasses.replace(settings, outer=outer), of_problem).build()

    def updates(state: Any) -> Any:
        return jax.lax.scan(lambda state, _: algorithm.update(problem, state), state, None, length=UPDATES)

    state = init(algorithm, problem, seed=0)
    return jax.jit(updates).lower(state).compile(), state


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="point-robot", choices=tuple(PROBLEMS))
    parser.add_argument("--outer", default="trpo", choices=("trpo", "ppo", "gradient"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    programs = {method: timed_program(method, options.problem, options.outer) for method in METHODS}
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for _ in range(options.rounds + 1):  # the first round warms up
        for method, (program, state) in programs.items():
            begin = time.perf_counter()
            jax.block_until_ready(program(state))
            seconds[method].append((time.perf_counter() - begin) / UPDATES)
    seconds = {method: times[1:] for method, times in seconds.items()}
    ratios = [second / first for second, first in zip(seconds["maml"], seconds["fomaml"], strict=True)]
    result = {
        "problem": options.problem,
        "outer": options.outer,
        "seconds": {method: statistics.median(times) for method, times in seconds.items()},
        "ratio": statistics.median(ratios),
        "range": [min(ratios), max(ratios)],
        "device": str(jax.devices()[0]),
    }
    if options.json:
        print(json.dumps(result))
        return
    for method, value in result["seconds"].items():
        print(f"{method:8}{value * 1e3:9.1f} ms per update")
    print(f"ratio   {result['ratio']:9.2f} ({min(ratios):.2f} … {max(ratios):.2f})")


if __name__ == "__main__":
    main()
