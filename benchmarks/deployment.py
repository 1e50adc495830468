"""How fast an agent in use is, alone and in many sessions, and whether it grows: RL² of 64 units on bandits.

    python benchmarks/deployment.py                          # two minutes
    python benchmarks/deployment.py --sessions 1000 --steps 100000 --json

`one` is `Agent.act`, in microseconds. `act` is `Sessions.act` of all sessions, `many` that and `observe`, in actions a
second: of the best tenth of calls, as other programs share the machine, and of the median one. `cpu` is the same by the
time of processors, which others do not lengthen as much. `growth` is by how much the process grew from the first tenth
of the steps of one session to their end.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from adaptax import problems
from adaptax.algorithms import RL2
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent


def both_clocks() -> np.ndarray:
    """Seconds that have passed, and seconds of processors that this process has had."""
    return np.array([time.perf_counter(), time.process_time()])


def resident() -> int:
    """Bytes of memory that this process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def one_session(agent: Agent, steps: int) -> dict[str, float]:
    """Latency of `act` by both clocks, and growth."""
    taken, seen = np.empty((2, steps)), np.zeros(0, np.float32)
    for _ in range(50):  # the first ones compile
        agent.act(seen)
        agent.observe(1.0, episode_over=True)
    early = 0
    for step in range(steps):
        begin = both_clocks()
        agent.act(seen)
        taken[:, step] = both_clocks() - begin
        agent.observe(1.0, episode_over=True)
        if step == steps // 10:
            early = resident()
    (p50, p99), (cpu50, cpu99) = np.percentile(1e6 * taken, [50, 99], axis=1).T
    return {"p50": p50, "p99": p99, "cpu p50": cpu50, "cpu p99": cpu99, "growth": 100 * (resident() / early - 1)}


def many_sessions(agent: Agent, num: int, calls: int) -> dict[str, float]:
    """Actions a second, by both clocks, of the best tenth of calls and of the median one."""
    sessions, seen, reward = agent.sessions(num), np.zeros((num, 0), np.float32), np.ones(num)
    acting, whole = [], []
    for _ in range(5 + calls):
        begin = both_clocks()
        sessions.act(seen)
        acting.append(both_clocks() - begin)
        sessions.observe(reward, episode_over=True)
        whole.append(both_clocks() - begin)
    found: dict[str, float] = {}
    for name, times in (("act", acting), ("many", whole)):
        best, median = num / np.quantile(np.array(times[5:]), [0.1, 0.5], axis=0)
        found |= {name: best[0], f"{name} median": median[0], f"{name} cpu": best[1], f"{name} cpu median": median[1]}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000, help="side by side; default %(default)s")
    parser.add_argument("--steps", type=int, default=100_000, help="of one session; default %(default)s")
    parser.add_argument("--calls", type=int, default=500, help="of many sessions; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    agent = Agent(TrainedAgent.initial(RL2(memory_size=64), problems.bernoulli_bandit()))
    found = {
        **many_sessions(agent, options.sessions, options.calls),
        **one_session(agent, options.steps),
    }
    if options.json:
        print(json.dumps(found))
        return
    for name in ("act", "many"):
        for clock in ("", " cpu"):
            best, median = found[f"{name}{clock}"], found[f"{name}{clock} median"]
            print(f"{name + clock:10} {best:>10,.0f} actions/s, median {median:>10,.0f}")
    for clock in ("", "cpu "):
        print(f"{'one ' + clock:10} p50 {found[clock + 'p50']:7.1f} µs   p99 {found[clock + 'p99']:7.1f} µs")
    print(f"growth {found['growth']:.2f} % of memory from {options.steps // 10:,} to {options.steps:,} steps")


if __name__ == "__main__":
    main()
