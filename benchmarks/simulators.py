"""How much of a simulator's speed is left: MuJoCo's engine alone, random actions in a family, and training on it.

    python benchmarks/simulators.py

Environment steps per second of 64 half-cheetahs, in turns in one process (medians of `--repeats`):

- engine: `mujoco.rollout` alone, with as many threads, on controls that were drawn beforehand;
- random: episodes of the family `half-cheetah-velocity` with random actions, as a compiled program;
- training: updates of RL² with a GRU of 64 units (64 tasks of two episodes of 200 steps).
"""

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from mujoco import MjData, rollout

from adaptax import problems
from adaptax.algorithms import RL2
from adaptax.core.algorithm import init
from adaptax.core.problem import Problem
from adaptax.problems.mujoco import engine
from adaptax.problems.mujoco.half_cheetah import CHEETAH

ENVS, STEPS = 64, 200


def bare() -> Callable[[], int]:
    """The engine alone."""
    workers, threads = rollout.Rollout(nthread=engine.num_threads()), engine.num_threads()
    data = [MjData(CHEETAH.model) for _ in range(threads)]
    controls = np.random.default_rng(0).uniform(-1, 1, (STEPS, ENVS, 1, 6)).repeat(CHEETAH.substeps, 2)
    start = CHEETAH.begin(np.zeros((ENVS, 9)), np.zeros((ENVS, 9)))[0]

    def run() -> int:
        state = start
        for control in controls:
            path, _ = workers.rollout(CHEETAH.model, data, state, control, nstep=CHEETAH.substeps)
            state = np.ascontiguousarray(path[:, -1])
        return ENVS * STEPS

    return run


def random_actions(problem: Problem) -> Callable[[], int]:
    """Episodes with random actions."""
    env = problem.env
    keys = jax.random.split(jax.random.key(0), ENVS)
    tasks = jax.vmap(problem.train.sample)(keys)

    @jax.jit
    def episodes(key: jax.Array) -> jax.Array:
        actions = jax.random.uniform(key, (STEPS, ENVS, 6), minval=-1.0, maxval=1.0)

        def one(state: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
            step = jax.vmap(env.step)(state, action, tasks, keys)
            return step.state, step.reward

        return jnp.sum(jax.lax.scan(one, jax.vmap(env.reset)(tasks, keys)[0], actions)[1])

    def run() -> int:
        episodes(jax.random.key(1)).block_until_ready()
        return ENVS * STEPS

    return run


def training(problem: Problem, updates: int) -> Callable[[], int]:
    """Updates of RL²."""
    algorithm = RL2(memory="gru", memory_size=64, num_tasks=ENVS, num_minibatches=4, num_updates=1000)
    begun, update = init(algorithm, problem, seed=0), jax.jit(functools.partial(algorithm.update, problem))

    def run() -> int:
        state = begun
        for _ in range(updates):
            state, _ = jax.block_until_ready(update(state))
        return updates * ENVS * problem.trial_steps

    return run


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--updates", type=int, default=2)
    options = parser.parse_args()
    problem = problems.half_cheetah_velocity()
    runs = {"engine": bare(), "random": random_actions(problem), "training": training(problem, options.updates)}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(options.repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            steps = run()
            if repeat:  # the first one compiles
                rates[name].append(steps / (time.perf_counter() - began))
    median = {name: statistics.median(found) for name, found in rates.items()}
    shares = {f"{name} of engine": round(median[name] / median["engine"], 3) for name in ("random", "training")}
    about = {"version": engine.version(), "threads": engine.num_threads(), "devices": jax.local_device_count()}
    print(json.dumps({**about, **{name: round(rate) for name, rate in median.items()}, **shares}))


if __name__ == "__main__":
    main()
