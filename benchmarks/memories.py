"""How well each memory counts, and how long it remembers.

    python benchmarks/memories.py bandit --memory lstm lru transformer --seeds 3
    python benchmarks/memories.py t-maze --memory gru lru transformer

`bandit`: 100 pulls of 10 Bernoulli arms, held-out tasks; what 100 % is, the Gittins index, plays the same ones.
`t-maze`: a sign that has to be remembered for 1,000 steps (`--length`); 100 % is 1, and forgetting it 50 %.

Each memory is trained with RL²'s defaults on bandits, and with `MAZE` in the T-maze; `--set learning_rate=1e-3` changes
settings. Printed: a line for each memory and seed, as JSON.
"""

import argparse
import dataclasses
import json
import time
from typing import Any

from adaptax.algorithms import RL2
from adaptax.core.algorithm import init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.evaluation.statistics import stderr
from adaptax.registry.presets import agent_for, settings_for
from adaptax.registry.registry import PROBLEMS, build
from adaptax.training.loop import train

MAZE: dict[str, Any] = {
    "memory_size": 32,
    "discount": 0.0,
    "entropy_cost": 0.05,
    "num_tasks": 16,
    "num_minibatches": 4,
    "num_updates": 200,
}
"""Rewards say at once what an action was worth, so nothing is to be foreseen. Not enough yet: see docs/results.md."""


def settings_of(problem: str, memory: str, changes: dict[str, Any], length: int) -> tuple[RL2, Any]:
    """The learner and the problem's settings."""
    of = PROBLEMS["t-maze"].settings(length=length) if problem == "t-maze" else None  # type: ignore[misc]
    settings, problem_settings = settings_for("rl2", problem, of=of)
    suited = MAZE if problem == "t-maze" else {}
    return RL2(**{**dataclasses.asdict(settings), "memory": memory, **suited, **changes}), problem_settings


def run(problem_name: str, memory: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train with one seed; measure."""
    algorithm, problem_settings = settings_of(problem_name, memory, options.set, options.length)
    problem = build(PROBLEMS[problem_name], problem_settings)
    state = init(algorithm, problem, seed=seed)
    begun = time.perf_counter()
    state = train(algorithm, problem, state, num_updates=algorithm.num_updates)
    seconds = time.perf_counter() - begun
    found = evaluate(TrainedAgent(algorithm, problem, state.meta), num_tasks=options.tasks, seed=seed)
    best = 1.0
    if problem_name == "bandit":
        gittins = agent_for("gittins", problem_name, problem_settings)
        played = evaluate(TrainedAgent(gittins, problem, gittins.describe(problem)), num_tasks=options.tasks, seed=seed)
        best = float(played.scores.mean())
    score = float(found.scores.mean())
    return {
        "memory": memory,
        "seed": seed,
        "score": round(score, 4),
        "s.e.": round(float(stderr(found.scores)), 4),
        "of the best": round(score / best, 4),
        "steps": algorithm.num_updates * algorithm.update_steps(problem),
        "seconds": round(seconds),
    }


def _change(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, json.loads(value)


def main() -> None:
    """Print one line per memory and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=["bandit", "t-maze"])
    parser.add_argument("--memory", nargs="+", default=["gru", "lru", "transformer"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--length", type=int, default=1000, help="of the T-maze's corridor")
    parser.add_argument("--set", type=_change, nargs="*", default=[], help="settings that are changed, NAME=VALUE")
    options = parser.parse_args()
    options.set = dict(options.set)
    for memory in options.memory:
        for seed in range(options.first, options.first + options.seeds):
            print(json.dumps(run(options.problem, memory, seed, options)), flush=True)


if __name__ == "__main__":
    main()
