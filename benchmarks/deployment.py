"""How fast an agent in use is, alone and in many sessions, and whether it grows: RL² of 64 units on bandits.

    python benchmarks/deployment.py                          # two minutes
    python benchmarks/deployment.py --sessions 1000 --steps 100000 --json

`one` is `Agent.act`, in microseconds. `many` is a step of all sessions (`Sessions.act` and `observe`), and `act` that
without `observe`, in actions a second: the best second of all, as other programs share the machine, and the median.
`growth` is by how much the process grew from the first tenth of the steps of one session to their end, in per cent.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from adaptax import problems
from adaptax.algorithms import RL2
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent


def resident() -> int:
    """Bytes of memory that this process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def one_session(agent: Agent, steps: int) -> dict[str, float]:
    """Latency of `act`, and growth."""
    taken, seen = np.empty(steps), np.zeros(0, np.float32)
    for _ in range(50):  # the first ones compile
        agent.act(seen)
        agent.observe(1.0, episode_over=True)
    early = 0
    for step in range(steps):
        begin = time.perf_counter()
        agent.act(seen)
        taken[step] = time.perf_counter() - begin
        agent.observe(1.0, episode_over=True)
        if step == steps // 10:
            early = resident()
    p50, p99 = np.percentile(1e6 * taken, [50, 99])
    return {"p50": p50, "p99": p99, "growth": 100 * (resident() / early - 1)}


def many_sessions(agent: Agent, num: int, seconds: float) -> dict[str, float]:
    """Actions a second."""
    sessions, seen, reward = agent.sessions(num), np.zeros((num, 0), np.float32), np.ones(num)
    whole, acting, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        sessions.act(seen)
        acted = time.perf_counter()
        sessions.observe(reward, episode_over=True)
        acting.append(acted - begin)
        whole.append(time.perf_counter() - begin)
    found: dict[str, Any] = {}
    for name, times in (("many", whole[5:]), ("act", acting[5:])):
        chunks = np.array_split(np.array(times), max(1, int(seconds)))
        found[name] = num / min(chunk.mean() for chunk in chunks)
        found[f"{name} (median)"] = num / float(np.median(times))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000, help="side by side; default %(default)s")
    parser.add_argument("--steps", type=int, default=100_000, help="of one session; default %(default)s")
    parser.add_argument("--seconds", type=float, default=10, help="of many sessions; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    agent = Agent(TrainedAgent.initial(RL2(memory_size=64), problems.bernoulli_bandit()))
    found = {
        **many_sessions(agent, options.sessions, options.seconds),
        **one_session(agent, options.steps),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name in ("many", "act"):
        print(f"{name:6} {found[name]:>10,.0f} actions/s, median {found[f'{name} (median)']:>10,.0f}")
    print(f"one    p50 {found['p50']:7.1f} µs   p99 {found['p99']:7.1f} µs")
    print(f"growth {found['growth']:.2f} % of memory from {options.steps // 10:,} to {options.steps:,} steps")


if __name__ == "__main__":
    main()
