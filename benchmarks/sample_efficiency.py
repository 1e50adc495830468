"""Return in held-out tasks against the environment steps that training took, of learners side by side.

    python benchmarks/sample_efficiency.py point-robot off-policy-rl2:300000 rl2:6000000 --seeds 3
    python benchmarks/sample_efficiency.py bandit off-policy-rl2:100000 rl2:5000000 --problem num_arms=5 num_pulls=10
    python benchmarks/sample_efficiency.py half-cheetah-velocity off-policy-rl2:2000000 rl2:20000000 --seeds 1

Each learner trains with its default preset for so many steps, over which its learning rate falls. Now and then its
agent, as it then is, goes through one trial in each of the same held-out tasks; that takes no part in training. Means
are over seeds and tasks, with intervals of 95 %. At the end: how many steps each took to come to the lowest of their
last returns, which all came to. `--out NAME` writes NAME.json, and NAME.png where matplotlib is installed.
"""

import argparse
import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from adaptax.core.algorithm import init
from adaptax.core.problem import Problem
from adaptax.core.rollout import evaluate_trial
from adaptax.evaluation.statistics import margin_95
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS, build
from adaptax.training.loop import CHUNK, Progress, train


def values_of(words: list[str]) -> dict[str, Any]:
    """`["num_arms=5"]` as `{"num_arms": 5}`; what is no JSON is a word."""
    found = {}
    for name, _, value in (word.partition("=") for word in words):
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def built(name: str, problem_name: str, steps: int, of: dict[str, Any], changes: dict[str, Any]) -> tuple[Any, Problem]:
    """A learner with as many updates as have so many steps, and the problem."""
    start = settings_for(name, problem_name)[1]
    settings, problem_settings = settings_for(name, problem_name, of=dataclasses.replace(start, **of))
    problem = build(PROBLEMS[problem_name], problem_settings)
    algorithm = build(LEARNERS[name], dataclasses.replace(settings, **changes))
    updates = max(1, round(steps / algorithm.update_steps(problem)))
    return dataclasses.replace(algorithm, num_updates=updates), problem


def curve(algorithm: Any, problem: Problem, seed: int, tasks: int, points: int) -> list[dict[str, Any]]:
    """Train with one seed; what the agent earned in each held-out task, at some numbers of steps."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2**31 - 1), (tasks, 2))
    held_out = jax.vmap(problem.test.sample)(keys[:, 0])

    @jax.jit
    def returns(meta: Any) -> Any:
        one = lambda task, key: evaluate_trial(algorithm, problem, meta, task, key).returns.sum()  # noqa: E731
        return jax.vmap(one)(held_out, keys[:, 1])

    state, began = init(algorithm, problem, seed=seed), time.monotonic()
    rows = [{"steps": 0, "seconds": 0.0, "returns": np.asarray(returns(state.meta)).tolist()}]
    apart = max(CHUNK, algorithm.num_updates // points // CHUNK * CHUNK)
    taken = 0

    def look(progress: Progress) -> bool:
        nonlocal taken
        taken += sum(progress.env_steps(algorithm.update_steps(problem)))
        if progress.done % apart == 0 or progress.done == algorithm.num_updates:
            earned = np.asarray(returns(progress.state.meta)).tolist()
            rows.append({"steps": taken, "seconds": time.monotonic() - began, "returns": earned})
        return False

    train(algorithm, problem, state, num_updates=algorithm.num_updates, on_chunk=look)
    return rows


def joined(curves: list[list[dict[str, Any]]]) -> list[dict[str, float]]:
    """Curves of seeds, which look at the same updates, as one with intervals."""
    rows = []
    for looks in zip(*curves, strict=True):
        scores = np.asarray([look["returns"] for look in looks])
        steps, seconds = (float(np.mean([look[name] for look in looks])) for name in ("steps", "seconds"))
        rows.append({"steps": steps, "seconds": seconds, "mean": float(scores.mean()), "margin": margin_95(scores)})
    return rows


def steps_to(rows: list[dict[str, float]], level: float) -> float | None:
    """Steps after which a return was first reached, between two looks by a straight line; None: never."""
    for before, after in itertools.pairwise(rows):
        if after["mean"] >= level:
            rise = after["mean"] - before["mean"]
            share = 1.0 if rise <= 0 else max(0.0, (level - before["mean"]) / rise)
            return before["steps"] + share * (after["steps"] - before["steps"])
    return None


def draw(curves: dict[str, list[dict[str, float]]], title: str, path: Path) -> None:
    """Draw the curves with their intervals, steps on a logarithmic scale."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (optional)

    figure = Figure((7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, rows in curves.items():
        steps, mean, margin = (np.asarray([row[key] for row in rows[1:]]) for key in ("steps", "mean", "margin"))
        (line,) = axes.plot(steps, mean, label=name)
        axes.fill_between(steps, mean - margin, mean + margin, color=line.get_color(), alpha=0.2)
    axes.set(xscale="log", xlabel="environment steps of training", ylabel="return of a trial, held out", title=title)
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train all learners; print a line for each look, and who needed how many steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="PROBLEM", choices=list(PROBLEMS))
    parser.add_argument("learners", nargs="+", metavar="LEARNER:STEPS")
    parser.add_argument("--problem", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the problem")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="LEARNER.NAME=VALUE", help="settings other than a learner's preset's"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--tasks", type=int, default=300, help="held-out tasks")
    parser.add_argument("--points", type=int, default=12, help="looks, about")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    curves = {}
    for word in options.learners:
        name, _, steps = word.partition(":")
        mine = [other.removeprefix(f"{name}.") for other in options.set if other.startswith(f"{name}.")]
        algorithm, problem = built(name, options.name, int(steps), values_of(options.problem), values_of(mine))
        seeds = range(options.first, options.first + options.seeds)
        curves[name] = joined([curve(algorithm, problem, seed, options.tasks, options.points) for seed in seeds])
        for row in curves[name]:
            print(f"{name:<16} {row['steps']:>12,.0f} steps {row['mean']:>10.3f} ± {row['margin']:.3f}", flush=True)
    lowest = min(curves, key=lambda name: curves[name][-1]["mean"])
    level = curves[lowest][-1]["mean"]
    print(f"\nsteps to {level:.3f}, what {lowest} has at the end")
    for name, rows in curves.items():
        needed = steps_to(rows, level)
        print(f"{name:<16} {'never' if needed is None else format(needed, ',.0f')}")
    if options.out is not None:
        written = {"problem": options.name, "seeds": options.seeds, "tasks": options.tasks, "curves": curves}
        options.out.with_suffix(".json").write_text(json.dumps(written, indent=1))
        try:
            draw(curves, options.name, options.out.with_suffix(".png"))
        except ImportError:
            print("no picture: matplotlib is not installed")


if __name__ == "__main__":
    main()
