"""What the agent of a golden checkpoint does: the same observations and rewards, always."""

import hashlib
from pathlib import Path

import jax
import numpy as np

from adaptax.deployment.agent import Agent

REWARDS = (1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def lived(directory: Path) -> dict[str, list]:
    """Actions of three lives, one of them by the best action known, and the bits of the memory after each step."""
    agent = Agent.load(directory, seed=3)
    actions: list[int] = []
    floats: list[list[str]] = []
    for explore in (True, False, True):
        agent.begin()
        for reward in REWARDS:
            actions.append(int(agent.act([], explore=explore)))
            agent.observe(reward, episode_over=True)
            floats.append([float(x).hex() for leaf in jax.tree.leaves(agent._agent.memory) for x in np.ravel(leaf)])
    return {"actions": actions, "memory": floats}


def processor() -> str:
    """A fingerprint of what this processor can do: XLA compiles for that, and rounds accordingly."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:16]
