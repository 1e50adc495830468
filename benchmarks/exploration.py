"""What a learned explorer is worth to the learner that it explores for, at equal episodes.

    python benchmarks/exploration.py chain --seeds 5
    python benchmarks/exploration.py point-robot-sparse --seeds 5

For each seed a meta-policy is trained (`adaptax train meta-policy-gradient PROBLEM` with its preset). Then, on the same
held-out tasks: the return of one episode by the base learner's best actions, after it has learned from K episodes of
the frozen meta-policy, and after it has learned from K episodes of its own exploring, in the same way. Q-learning is
also let learn as it usually does, step by step, for those K episodes. The ratio is to the better of its own two.
"""

import argparse
import dataclasses
import json
import sys

import numpy as np

from adaptax.algorithms import MetaPolicyGradient, QLearning
from adaptax.core.algorithm import init
from adaptax.core.problem import Problem
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.encounters import encounters, oracle_return
from adaptax.evaluation.evaluator import evaluate
from adaptax.evaluation.statistics import stderr
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import PROBLEMS, build
from adaptax.training.loop import train


def after_exploring(algorithm: MetaPolicyGradient, problem: Problem, meta: object, tasks: int, seed: int) -> np.ndarray:
    """Return of one episode after learning from the exploration, `[1, task]`."""
    found = evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=tasks, seed=seed)
    assert found.evaluation_episodes is not None
    return found.evaluation_episodes[..., 1]


def online(algorithm: MetaPolicyGradient, problem: Problem, tasks: int, seed: int) -> np.ndarray:
    """The same for Q-learning that learns at every step of its own K episodes."""
    episodes = algorithm.exploration_episodes
    learner = QLearning(
        learning_rate=algorithm.base_learning_rate, discount=algorithm.base_discount, epsilon_episodes=episodes
    )
    trial = replace(problem, episodes=2 * episodes)
    found = evaluate(TrainedAgent(learner, trial, learner.describe(trial)), num_tasks=tasks, seed=seed)
    assert found.evaluation_episodes is not None
    return found.evaluation_episodes[..., found.evaluation_episodes.shape[-1] // 2]


def run(name: str, seed: int, tasks: int) -> dict[str, float]:
    """Train with one seed; measure."""
    settings, problem_settings = settings_for("meta-policy-gradient", name)
    algorithm = MetaPolicyGradient(**dataclasses.asdict(settings))
    problem = build(PROBLEMS[name], problem_settings)
    state = init(algorithm, problem, seed=seed)
    state = train(algorithm, problem, state, num_updates=algorithm.num_updates)
    taught = after_exploring(algorithm, problem, state.meta, tasks, seed)
    alone = dataclasses.replace(algorithm, explorer="base")
    own = [after_exploring(alone, problem, state.meta, tasks, seed)]
    if algorithm.base == "q-learning":
        own.append(online(algorithm, problem, tasks, seed))
    best = max(own, key=np.mean)
    drawn, _ = encounters(problem.test, tasks, seed)
    return {
        "seed": seed,
        "episodes of exploration": algorithm.exploration_episodes,
        "taught": float(taught.mean()),
        "taught, s.e.": stderr(taught),
        "own": float(best.mean()),
        "own, s.e.": stderr(best),
        "ratio": float(taught.mean() / best.mean()),
        "oracle": oracle_return(problem, drawn),
    }


def main() -> None:
    """Print one line per seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=["chain", "point-robot-sparse"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--tasks", type=int, default=400)
    options = parser.parse_args()
    rows = []
    for seed in range(options.first, options.first + options.seeds):
        rows.append(run(options.problem, seed, options.tasks))
        print(json.dumps(rows[-1]), flush=True)
    worst = min(row["ratio"] for row in rows)
    print(f"{options.problem}: at least {worst:.1f} times its own on {len(rows)} of {len(rows)} seeds", file=sys.stderr)


if __name__ == "__main__":
    main()
