"""What it costs to look at every step, and at every update, whether all is sound.

    python benchmarks/checks.py rl2 bandit
    python benchmarks/checks.py rl2 tabular-mdp --preset 10
    python benchmarks/checks.py maml point-robot --num-tasks 8

Two programs train from the same state in the same process: as it is, and with the checks taken out here (there is no
switch in the package). They take turns, which goes first alternates, and the ratio is of processor time, so that
what else the machine does matters little. It prints the median of the rounds' ratios with their quartiles.

Two programs that do almost the same may differ by some percent for other reasons: the compiler lays them out as it
likes. So the checks' own work is timed too, apart from all else, for one trial in each task and one update (`own`).
"""

import argparse
import dataclasses
import json
import time
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import rollout
from adaptax.core.algorithm import init
from adaptax.core.types import replace
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS, build
from adaptax.training import loop


def unchecked_steps(env: Any, trajectory: Any) -> Any:
    """Instead of `rollout._checked`."""
    return trajectory


def unchecked_update(algorithm: Any, problem: Any, state: Any, num_seeds: int = 1) -> Any:
    """Instead of `loop.sound_update`."""
    new, metrics = algorithm.update(problem, state)
    return new, (metrics, jnp.asarray(True))


def compiled(algorithm: Any, problem: Any, state: Any, chunk: int, *, checks: bool) -> Any:
    """A chunk of updates as one program."""

    def run(state: Any) -> Any:
        update = lambda state, _: loop.sound_update(algorithm, problem, state)  # noqa: E731
        return jax.lax.scan(update, state, None, length=chunk)

    if checks:
        return jax.jit(run).lower(state).compile()
    with (
        mock.patch.object(rollout, "_checked", unchecked_steps),
        mock.patch.object(loop, "sound_update", unchecked_update),
    ):
        return jax.jit(run).lower(state).compile()


def seconds(program: Any, state: Any) -> tuple[float, float]:
    """Processor time and time of a run."""
    processor, wall = time.process_time(), time.perf_counter()
    jax.block_until_ready(program(state))
    return time.process_time() - processor, time.perf_counter() - wall


def own_share(algorithm: Any, problem: Any, state: Any) -> float:
    """Processor time of the checks alone, over that of an update."""
    keys = jax.random.split(jax.random.key(0), (algorithm.num_tasks, 2))
    tasks = jax.vmap(problem.train.sample)(keys[:, 0])
    collecting = jax.jit(lambda keys: rollout.collect(algorithm, problem, state.meta, tasks, keys))
    collected = replace(collecting(keys[:, 1]), aux=None)

    def check_steps(trajectory: Any) -> Any:
        one_task = lambda trajectory: rollout._checked(problem.env, trajectory)  # noqa: E731
        return jax.vmap(one_task, in_axes=1, out_axes=1)(trajectory).reward

    def check_update(state: Any) -> Any:
        return loop.sound_update(Nothing(), problem, state)

    def alone(function: Any, argument: Any) -> float:
        program = jax.jit(function).lower(argument).compile()
        return float(np.median([seconds(program, argument)[0] for _ in range(20)]))

    checks = alone(check_steps, collected) + alone(check_update, state)
    return checks / alone(lambda state: algorithm.update(problem, state), state)


class Nothing:
    """An algorithm that does nothing in an update."""

    def update(self, problem: Any, state: Any) -> tuple[Any, dict[str, Any]]:
        """Nothing."""
        return state, {}


def measure(algorithm: Any, problem: Any, chunk: int, rounds: int) -> dict[str, Any]:
    """Ratios with to without."""
    state = init(algorithm, problem, seed=0)
    own = own_share(algorithm, problem, state)
    programs = {checks: compiled(algorithm, problem, state, chunk, checks=checks) for checks in (True, False)}
    for program in programs.values():
        seconds(program, state)
    ratios, walls = [], []
    for index in range(rounds):
        order = (True, False) if index % 2 else (False, True)
        took = {checks: seconds(programs[checks], state) for checks in order}
        ratios.append(took[True][0] / took[False][0])
        walls.append(took[True][1] / took[False][1])
    low, median, high = np.percentile(ratios, [25, 50, 75])
    return {"ratio": median, "quartiles": [low, high], "wall_ratio": float(np.median(walls)), "own": own}


def main() -> None:
    """Measure one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm")
    parser.add_argument("problem")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--num-tasks", type=int)
    parser.add_argument("--chunk", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    settings, problem_settings = settings_for(options.algorithm, options.problem, options.preset)
    if options.num_tasks:
        settings = dataclasses.replace(settings, num_tasks=options.num_tasks)
    algorithm = build(LEARNERS[options.algorithm], settings)
    problem = build(PROBLEMS[options.problem], problem_settings)
    found = measure(algorithm, problem, options.chunk, options.rounds)
    print(json.dumps({"algorithm": options.algorithm, "problem": options.problem, **found}))


if __name__ == "__main__":
    main()
