"""Where the time of an update goes, and what each choice that was made for speed brings, one at a time.

    python benchmarks/leads.py rl2          # collecting, learning; the unroll of the memory in other ways
    python benchmarks/leads.py maml         # collecting and inner steps, the outer gradient, TRPO's products

Programs take turns in one process, so that what else the machine does falls on all; a figure is the median of the
rounds' ratios to the update as it is, with quartiles.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.algorithms import MAML, RL2
from adaptax.algorithms.gradient import outer_loop
from adaptax.core import rollout
from adaptax.core.algorithm import init
from adaptax.networks import heads, mlp
from adaptax.networks.memory import recurrent
from adaptax.problems import bernoulli_bandit, point_robot
from adaptax.training import loop

Program = Callable[[], Any]


def update(algorithm: Any, problem: Any, state: Any) -> Program:
    """One update, compiled."""
    program = jax.jit(lambda state: loop.sound_update(algorithm, problem, state)).lower(state).compile()
    return lambda: program(state)


def _by_steps(memory: Any, xs: Any, valid: Any = None) -> Any:
    """Unroll a memory by its `step`: input and memory enter at each step, and the derivative is XLA's."""
    state = jax.vmap(lambda _: memory.initial())(xs[0])
    return jax.lax.scan(jax.vmap(memory.step), state, xs)[1]


def rl2() -> dict[str, Program]:
    """RL² on 10-armed bandits of 100 pulls: GRU 64, 128 tasks, PPO with 4 epochs of 4 minibatches."""
    problem = bernoulli_bandit(num_arms=10, num_pulls=100)
    algorithm = RL2(memory="gru", memory_size=64, critic_size=64, num_tasks=128, num_epochs=4, num_minibatches=4)
    state = init(algorithm, problem, seed=0)
    one = partial(update, algorithm, problem, state)
    programs = {"as it is": one()}
    keys = jax.random.split(jax.random.key(0), (algorithm.num_tasks, 2))
    tasks = jax.vmap(problem.train.sample)(keys[:, 0])
    collecting = jax.jit(lambda keys: rollout.collect(algorithm, problem, state.meta, tasks, keys))
    programs["collecting"] = lambda: collecting(keys[:, 1])
    programs["1 epoch instead of 4"] = update(dataclasses.replace(algorithm, num_epochs=1), problem, state)
    with mock.patch.object(recurrent, "scan_cell", recurrent.scan_cell.fun):
        programs["autodiff of the scan"] = one()
    with mock.patch.object(recurrent.Recurrent, "unroll", _by_steps):
        programs["autodiff, inputs projected at each step"] = one()
    scan = jax.lax.scan
    for times in (2, 5):
        with mock.patch.object(jax.lax, "scan", lambda *a, times=times, **k: scan(*a, **{**k, "unroll": times})):
            programs[f"loops unrolled {times} times"] = one()
    return programs


def maml() -> dict[str, Program]:
    """MAML and TRPO on 2D navigation: 20 tasks, 20 trajectories before and after, 64-64 tanh."""
    problem = point_robot(40)
    algorithm = MAML(hidden_size=64, num_layers=2, num_tasks=20, trajectories=20, inner_steps=1, outer="trpo")
    state = init(algorithm, problem, seed=0)
    collected = jax.jit(lambda state: outer_loop.by_window(algorithm, algorithm.collect(problem, state)))
    with_outer = partial(dataclasses.replace, algorithm)
    programs = {"as it is": update(algorithm, problem, state), "collecting, with inner steps": lambda: collected(state)}
    programs["1 product in TRPO instead of 10"] = update(with_outer(cg_steps=1), problem, state)
    with mock.patch.object(heads, "dense", jnp.matmul):
        programs["products as JAX derives them"] = update(algorithm, problem, state)
    with mock.patch.dict(mlp.ACTIVATIONS, tanh=jnp.tanh):
        programs["tanh as JAX derives it"] = update(algorithm, problem, state)
    plain = with_outer(outer="gradient")
    programs["Adam instead of TRPO"] = update(plain, problem, init(plain, problem, seed=0))
    return programs


def measure(programs: dict[str, Program], rounds: int) -> dict[str, Any]:
    """Seconds of the first; of the others, the ratio to it."""
    for program in programs.values():
        jax.block_until_ready(program())
    taken: dict[str, list[float]] = {name: [] for name in programs}
    names = list(programs)
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            begin = time.perf_counter()
            jax.block_until_ready(programs[name]())
            taken[name].append(time.perf_counter() - begin)
    first = np.asarray(taken[names[0]])
    found: dict[str, Any] = {names[0]: {"seconds": float(np.median(first))}}
    for name in names[1:]:
        low, median, high = np.percentile(np.asarray(taken[name]) / first, [25, 50, 75])
        found[name] = {"ratio": float(median), "quartiles": [float(low), float(high)]}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm", choices=("rl2", "maml"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure({"rl2": rl2, "maml": maml}[options.algorithm](), options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    for name, figure in found.items():
        if "seconds" in figure:
            print(f"{name:<42} {figure['seconds'] * 1e3:8.1f} ms")
        else:
            low, high = figure["quartiles"]
            print(f"{name:<42} × {figure['ratio']:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
