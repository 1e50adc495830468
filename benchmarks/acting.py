"""How long an agent in use takes: microseconds of `Agent.act` and `Agent.observe`, and of the compiled step alone.

    python benchmarks/acting.py                         # RL² on bandits; half a minute
    python benchmarks/acting.py --calls 10000 --json

`step` is the compiled program with the same arguments and the action on the host, without what `act` does around it.
They take turns, so that all meet the same machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from adaptax import problems
from adaptax.algorithms import RL2
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent
from adaptax.deployment.programs import LIVE, packed


def microseconds(function: Callable[[], Any]) -> float:
    """Time of one call."""
    begin = time.perf_counter()
    function()
    return 1e6 * (time.perf_counter() - begin)


def measure(calls: int) -> dict[str, dict[str, float]]:
    """Median and 99th percentile of each, in microseconds."""
    agent, seen = Agent(TrainedAgent.initial(RL2(), problems.bernoulli_bandit())), np.zeros(0, np.float32)

    def step() -> np.ndarray:
        programs, state = agent._batch.programs, agent._batch.state
        new = packed(seen[None], state.reward, state.first + LIVE, state.tasks, state.steps)
        known = programs.theta, state.adapted[0], state.memory[0], state.action, state.root
        return np.asarray(programs.act(*known, new, explore=False)[0])

    doors = {
        "act": lambda: agent.act(seen),
        "observe": lambda: agent.observe(1.0, episode_over=True),
        "step": step,
    }
    taken = [[microseconds(door) for door in doors.values()] for _ in range(50 + calls)]
    found = np.percentile(taken[50:], [50, 99], axis=0).T  # the first ones compile
    return {name: {"p50": p50, "p99": p99} for name, (p50, p99) in zip(doors, found.tolist(), strict=True)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000, help="of each; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = measure(options.calls)
    if options.json:
        print(json.dumps(found))
        return
    for name, taken in found.items():
        print(f"{name:8} p50 {taken['p50']:7.1f} µs   p99 {taken['p99']:7.1f} µs")


if __name__ == "__main__":
    main()
