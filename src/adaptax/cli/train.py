"""`adaptax train ALGORITHM PROBLEM`: meta-train, then evaluate on held-out tasks."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import TrainOptions, names, note, parse, take_preset, wants_help
from adaptax.errors import ConfigError
from adaptax.presets import presets_for, settings_for
from adaptax.registry import FROM_SCRATCH, LEARNERS, PROBLEMS
from adaptax.runs import Recipe, create_directory

if TYPE_CHECKING:
    from adaptax.training import Progress

USAGE = """\
usage: adaptax train ALGORITHM PROBLEM [--preset NAME] [options]

Meta-train ALGORITHM on the training tasks of PROBLEM, then evaluate it on held-out tasks beside classical agents.
A learner from scratch (q-learning, ppo, …) has nothing to meta-train, and is evaluated at once.
Options depend on both: adaptax train ALGORITHM PROBLEM --help
"""


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    chosen, rest = names(arguments, 2)
    if len(chosen) < 2:
        listing = f"\nALGORITHM: {', '.join(LEARNERS)}\nPROBLEM:   {', '.join(PROBLEMS)}"
        if wants_help(rest) or not arguments:
            print(USAGE + listing)
            return 0 if wants_help(rest) else 2
        raise ConfigError(f"train: expected ALGORITHM and PROBLEM; found {' '.join(arguments)!r}{listing}")
    algorithm, problem = chosen
    preset, rest = take_preset(rest)
    algorithm_settings, problem_settings = settings_for(algorithm, problem, preset)
    options = parse(
        {"algorithm": algorithm_settings, "problem": problem_settings, "run": TrainOptions()},
        rest,
        program=f"adaptax train {algorithm} {problem}",
        description=f"{LEARNERS[algorithm].summary}\n{PROBLEMS[problem].summary}\n\nPresets (--preset NAME): "
        + "; ".join(f"{name}: {p.summary}" for name, p in presets_for(algorithm, problem).items()),
    )
    options["algorithm"].check_problem(options["problem"])
    recipe = Recipe(algorithm, problem, options["algorithm"], options["problem"])
    run: TrainOptions = options["run"]
    if algorithm in FROM_SCRATCH and run.seeds > 1:
        raise ConfigError(
            f"--seeds: {algorithm} learns every task from nothing, so there are no trainings to repeat; found "
            f"{run.seeds}. More --eval-tasks are more independent lives"
        )
    directory = create_directory(run.out, f"{algorithm}-{problem}")
    return execute(recipe, run, directory, preset)


def execute(recipe: Recipe, run: TrainOptions, directory: Path, preset: str) -> int:
    """Train, save, evaluate."""
    from adaptax.cli.session import start_jax

    start_jax()
    from adaptax.cli.assess import assess, present

    trained = meta_train(recipe, run, directory, preset)
    if trained.stopped:
        note(f"stopped after {trained.done} updates; what was learned is saved: adaptax evaluate {directory}")
        return 75
    extra = {
        "directory": str(directory),
        "seconds": trained.seconds,
        "steps_per_second": trained.steps_per_second,
    }
    if run.eval_tasks == 0:
        print(json.dumps(extra) if run.json else f"run     {directory}")
        return 0
    assessment = assess(
        recipe,
        trained.algorithm,
        trained.problem,
        trained.state.meta,
        num_seeds=run.seeds,
        num_tasks=run.eval_tasks,
        seed=run.seed,
        against=None,
    )
    present(assessment, directory, recipe.title(), as_json=run.json, extra=extra)
    return 0


@dataclasses.dataclass
class Trained:
    """What `meta_train` returns.

    Attributes:
        algorithm: The algorithm.
        problem: The problem.
        state: The state after the last update done.
        done: Updates done.
        seconds: Seconds of training, compilation apart.
        steps_per_second: Environment steps per second in training.
        stopped: Whether it was stopped early.
    """

    algorithm: Any
    problem: Any
    state: Any
    done: int = 0
    seconds: float = 0.0
    steps_per_second: float = 0.0
    stopped: bool = False


def meta_train(recipe: Recipe, run: TrainOptions, directory: Path, preset: str = "default") -> Trained:
    """Train as the recipe says, with a progress bar; writes configuration, metrics, state and training curve."""
    from adaptax.cli.progress import Bar, Stop
    from adaptax.cli.session import devices_for
    from adaptax.reporting import plot_training
    from adaptax.rollout import num_windows
    from adaptax.runlog import RunLog
    from adaptax.runs import save_config, save_state
    from adaptax.training import init, num_parameters, train

    algorithm, problem = recipe.build()
    trains = recipe.algorithm not in FROM_SCRATCH
    devices = devices_for(run.devices, algorithm.num_tasks // algorithm.num_minibatches) if trains else 1
    # `out` is a path of the machine that trained and says nothing about the run.
    save_config(directory, recipe, {**dataclasses.asdict(run), "out": None, "preset": preset, "used_devices": devices})
    state = init(algorithm, problem, seed=run.seed, num_seeds=run.seeds)
    if not trains:
        save_state(directory, state)
        note(f"{recipe.algorithm} on {recipe.problem}: learns every task from nothing, so there is nothing to train")
        return Trained(algorithm, problem, state)
    steps = algorithm.update_steps(problem) * run.seeds
    note(
        f"{recipe.algorithm} on {recipe.problem}: {algorithm.num_updates} updates × {steps:,} environment steps, "
        f"{num_parameters(state.meta) // run.seeds:,} parameters, {devices} device{'s'[: devices > 1]}; compiling …"
    )
    trained = Trained(algorithm, problem, state)
    with RunLog(directory, steps) as log, Bar("train", algorithm.num_updates) as bar, Stop() as stop:

        def on_chunk(progress: "Progress") -> bool:
            log.write(progress)
            trained.done, trained.seconds = progress.done, progress.seconds
            trained.steps_per_second = progress.done * steps / progress.seconds
            text = f"return {progress.metrics['return'].mean():.4g} · {trained.steps_per_second:,.0f} steps/s"
            bar.update(progress.done, text)
            return stop.asked

        trained.state = train(
            algorithm,
            problem,
            state,
            num_updates=algorithm.num_updates,
            num_seeds=run.seeds,
            devices=devices,
            on_chunk=on_chunk,
        )
    trained.stopped = trained.done < algorithm.num_updates
    save_state(directory, trained.state)
    what = "a training trial" if num_windows(algorithm, problem) == 1 else "an adapted episode in training"
    plot_training(directory / "training.png", log.rows, title=recipe.title(), what=what)
    print(f"trained {trained.done} updates in {trained.seconds:.1f} s", file=sys.stderr)
    return trained
