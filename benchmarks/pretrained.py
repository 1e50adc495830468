"""Make the small agents that ship with the package anew: train, measure in held-out tasks, keep θ.

    python benchmarks/pretrained.py bandit                    # or grid-navigation, point-robot: some minutes each
    python benchmarks/pretrained.py bandit --run runs/mine    # of a run that there is

It writes the agent's folder below `src/adaptax/deployment/pretrained`, or `--out`, and prints what is in `result.json`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import adaptax
from adaptax import experiment
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment import pretrained
from adaptax.deployment.export.arrays import numpy_files
from adaptax.deployment.export.traced import exported
from adaptax.deployment.pretrained.steps import ARRAYS, write_step
from adaptax.evaluation.encounters import encounters, oracle_return, tasks_are_held_out
from adaptax.evaluation.statistics import stderr
from adaptax.registry.presets import agent_for
from adaptax.runs.directory import read_recipe, write_json
from adaptax.runs.load import read_agent
from adaptax.runs.parameters import write_parameters

SMALL = {"memory": "gru", "critic_size": 32}
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "bandit": ("rl2", {**SMALL, "memory_size": 48, "num_updates": 600}),
    "grid-navigation": ("rl2", {"memory": "gru", "memory_size": 18, "critic_size": 16, "num_updates": 600}),
    "point-robot": ("maml", {"horizon": 30}),
}
"""By name, which is the problem's: the algorithm, and what differs from its defaults."""
BEST = {
    "bandit": ("gittins", "the Gittins index"),
    "grid-navigation": ("bayes-optimal-grid", "the best search"),
}
"""Who does as well as can be done without knowing the task; elsewhere, it is whoever knows the task."""
LARGEST = 100_000
"""Bytes of an agent's folder, at most."""


def scores(agent: TrainedAgent, tasks: int, seed: int) -> np.ndarray:
    """By seed and task: the return of a trial, or of an episode by the best action known after all windows but one."""
    found = adaptax.evaluate(agent, num_tasks=tasks, seed=seed)
    return found.adapted_returns if agent.learns_from_windows else found.scores


def before(agent: TrainedAgent, tasks: int, seed: int) -> np.ndarray:
    """The same for an agent that learns from windows, before the first."""
    found = adaptax.evaluate(agent, num_tasks=tasks, seed=seed).evaluation_episodes
    assert found is not None
    return found[..., 0]


def measured(name: str, run: Path, tasks: int, seed: int) -> dict[str, Any]:
    """What is to be stated of an agent."""
    agent, update = read_agent(run)
    recipe, options = read_recipe(run)
    untrained = TrainedAgent.initial(agent.algorithm, agent.problem, seed=options["seed"])

    def stated(values: np.ndarray) -> dict[str, float]:
        return {"mean": float(np.mean(values)), "stderr": stderr(values)}

    result = {
        "agent": f"{recipe.algorithm} on {recipe.problem}",
        "measure": "return of an episode by the best action known, after three windows of experience"
        if agent.learns_from_windows
        else "return of a trial",
        "tasks": tasks,
        "held_out": tasks_are_held_out(agent.problem),
        "seed": seed,
        "trained": stated(scores(agent, tasks, seed)),
        "untrained": stated(scores(untrained, tasks, seed)),
    }
    if agent.learns_from_windows:
        result["before"] = stated(before(agent, tasks, seed))
    if name in BEST:
        opponent, words = BEST[name]
        best = TrainedAgent.initial(agent_for(opponent, recipe.problem, recipe.problem_settings), agent.problem)
        result["best"] = {"name": words, **stated(scores(best, tasks, seed))}
    else:
        told = oracle_return(agent.problem, encounters(agent.problem.test, tasks, seed).tasks)
        result["best"] = {"name": "whoever knows the task", "mean": float(told), "stderr": 0.0}
    changes = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in RECIPES[name][1].items())
    return {
        **result,
        "updates": update,
        "training": f"adaptax train {recipe.algorithm} {recipe.problem} {changes} --seed {options['seed']}",
        "command": f"python benchmarks/pretrained.py {name}",
        "adaptax": adaptax.__version__,
    }


def make(name: str, run: Path, out: Path, tasks: int, seed: int) -> dict[str, Any]:
    """Measure what a run has trained, and write it down."""
    agent, update = read_agent(run)
    result = measured(name, run, tasks, seed)
    write_parameters(agent, update, run, out / name)
    step = exported(agent)
    programs = {key: x for key, x in step.programs.items() if key != "explore" or step.window is not None}
    write_step(*numpy_files(step._replace(programs=programs), ARRAYS), out / name)
    write_json(out / name / pretrained.RESULT, result)
    size = sum(path.stat().st_size for path in (out / name).rglob("*") if path.is_file())
    if size > LARGEST:
        raise SystemExit(f"{out / name}: expected at most {LARGEST:,} bytes, found {size:,}")
    return {**result, "bytes": size}


def main() -> None:
    """Read what was typed, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--run", type=Path, help="a finished run, instead of training one")
    parser.add_argument("--out", type=Path, default=Path(pretrained.__file__).parent)
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    typed = parser.parse_args()
    algorithm, changes = RECIPES[typed.name]
    with tempfile.TemporaryDirectory() as place:
        run = typed.run
        if run is None:
            how = {"eval_tasks": 0, "seed": typed.seed, "directory": Path(place) / "run"}
            run = experiment.train(algorithm, typed.name, **changes, **how).directory
        print(json.dumps(make(typed.name, run, typed.out, typed.tasks, 7 + typed.seed), indent=2))


if __name__ == "__main__":
    main()
