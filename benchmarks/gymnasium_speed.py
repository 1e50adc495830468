"""How much of a Gymnasium simulator's speed is left: environments stepped with random actions, collecting, training.

    python benchmarks/gymnasium_speed.py [--envs 64] [--workers 2]

Environment steps per second, in turns in one process (medians of `--repeats`), of half-cheetahs and pendulums:

- bare: as many environments in a list, in a loop, with random actions that were drawn beforehand, and nothing else;
- collecting: trials of RL² with a GRU of 64 units;
- training: its updates.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import numpy as np

from adaptax import Problem
from adaptax.algorithms import RL2
from adaptax.core.algorithm import init
from adaptax.core.host_program import program
from adaptax.problems import gymnasium_problem

STEPS = 100


def reward_forward(env: Any, task: Any) -> None:
    """Put a half-cheetah into a task."""
    env.unwrapped._forward_reward_weight = task["forward"]


def pull(env: Any, task: Any) -> None:
    """Put a pendulum into a task."""
    env.unwrapped.g = task["g"]


FAMILIES = {
    "HalfCheetah-v5": ({"forward": (0.5, 2.0)}, reward_forward),
    "Pendulum-v1": ({"g": (5.0, 15.0)}, pull),
}


def bare(name: str, count: int) -> Callable[[], None]:
    """The environments alone."""
    envs = [gymnasium.make(name) for _ in range(count)]
    space = envs[0].action_space
    assert isinstance(space, gymnasium.spaces.Box)
    drawn = np.random.default_rng(0).uniform(space.low, space.high, (STEPS, count, *space.shape))
    actions = drawn.astype(space.dtype)

    def run() -> None:
        for seed, env in enumerate(envs):
            env.reset(seed=seed)
        for row in actions:
            for env, action in zip(envs, row, strict=True):
                env.step(action)

    return run


def learning(problem: Problem, count: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """RL²: collecting alone, and whole updates."""
    algorithm = RL2(memory="gru", memory_size=64, num_tasks=count, num_minibatches=4, num_updates=1000)
    state = init(algorithm, problem, seed=0)
    on_host = problem.env.on_host
    collect = program(lambda state: algorithm.collect(problem, state), on_host=on_host)
    update = program(lambda state: algorithm.update(problem, state), on_host=on_host)
    return lambda: jax.block_until_ready(collect(state)), lambda: jax.block_until_ready(update(state))


def measure(name: str, envs: int, workers: int, repeats: int) -> dict[str, Any]:
    """Rates of one family."""
    tasks, change = FAMILIES[name]
    problem = gymnasium_problem(name, tasks, set_task=change, episodes=1, horizon=STEPS, workers=workers)
    collecting, training = learning(problem, envs)
    runs = {"bare": bare(name, envs), "collecting": collecting, "training": training}
    rates: dict[str, list[float]] = {key: [] for key in runs}
    for repeat in range(repeats + 1):
        for key, run in runs.items():
            began = time.perf_counter()
            run()
            if repeat:  # the first one compiles
                rates[key].append(envs * STEPS / (time.perf_counter() - began))
    shares = {
        f"{key} of bare": round(statistics.median(a / b for a, b in zip(rates[key], rates["bare"], strict=True)), 3)
        for key in ("collecting", "training")
    }
    return {**{key: round(statistics.median(found)) for key, found in rates.items()}, **shares}


def main() -> None:
    """Print one JSON object for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    for name in FAMILIES:
        found = measure(name, options.envs, options.workers, options.repeats)
        about = {"family": name, "envs": options.envs, "workers": options.workers, "load": os.getloadavg()[0]}
        print(json.dumps({**about, **found}), flush=True)


if __name__ == "__main__":
    main()
