"""`adaptax train ALGORITHM PROBLEM`: meta-train, then evaluate on held-out tasks; `--resume DIR`: go on with that."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adaptax.cli.options import parse, scan, wants_help
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings
from adaptax.experiment.distributed import Group, together
from adaptax.experiment.options import HostOptions, ResumeOptions, TrainOptions, log
from adaptax.experiment.signals import STOPPED
from adaptax.experiment.tracebacks import crashes_into
from adaptax.registry.presets import DEFAULT, presets_for, settings_for
from adaptax.registry.registry import FROM_SCRATCH, LEARNERS, PROBLEMS
from adaptax.runs.directory import claim, create_directory, read_recipe
from adaptax.runs.recipe import Recipe

USAGE = """\
usage: adaptax train ALGORITHM PROBLEM [--preset NAME] [options]
       adaptax train --resume DIR

Meta-train ALGORITHM on the training tasks of PROBLEM, then evaluate it on held-out tasks beside classical agents.
A learner from scratch (q-learning, ppo, …) has nothing to meta-train, and is evaluated at once.
A run that was stopped or killed goes on with --resume, to bitwise the same result on the same machine.
With --distributed, several processes train together, on one host or many: start each with the same words.
Options depend on both: adaptax train ALGORITHM PROBLEM --help
"""


@dataclasses.dataclass(frozen=True)
class PresetOptions(Settings):
    """Settings that are known to work; the other options change them.

    Attributes:
        preset: Which of them; it decides the defaults below.
    """

    preset: str = DEFAULT


class Typed(NamedTuple):
    """What was typed: what to train, how, by which preset, and with whom."""

    recipe: Recipe
    run: TrainOptions
    preset: str
    hosts: HostOptions


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    if any(word.partition("=")[0] == "--resume" for word in arguments):
        return resume(arguments)
    typed = understood(arguments, "train", USAGE)
    if isinstance(typed, int):
        return typed
    recipe, run = typed.recipe, typed.run
    with together(typed.hosts) as group:
        if not group.first:
            return group.follow(recipe, run)
        directory = create_directory(run.out, f"{recipe.algorithm}-{recipe.problem}", fresh=False)  # `claim` says who
        with claim(directory, fresh=True), crashes_into(directory):
            return execute(recipe, run, directory, typed.preset, group=group)


def understood(arguments: Sequence[str], command: str, usage: str) -> Typed | int:
    """What was typed after `command`, or the exit code after help.

    Raises:
        ConfigError: naming what is wrong.
    """
    program = f"adaptax {command}"
    entries = [*LEARNERS.values(), *PROBLEMS.values()]
    kinds = [*(entry.settings for entry in entries), PresetOptions, TrainOptions, HostOptions, ResumeOptions]
    chosen, given = scan(kinds, arguments, 2, program=program)
    if len(chosen) < 2:
        listing = f"\nALGORITHM: {', '.join(LEARNERS)}\nPROBLEM:   {', '.join(PROBLEMS)}"
        if wants_help(arguments) or not arguments:
            print(usage + listing)
            return 0 if wants_help(arguments) else 2
        raise ConfigError(f"{command}: expected ALGORITHM and PROBLEM; found {' '.join(arguments)!r}{listing}")
    algorithm, problem, *_ = chosen
    preset = given.get("preset", DEFAULT) or ""
    algorithm_settings, problem_settings = settings_for(algorithm, problem, preset)
    options = parse(
        {
            "preset": PresetOptions(preset),
            "algorithm": algorithm_settings,
            "problem": problem_settings,
            "run": TrainOptions(),
            **({"hosts": HostOptions()} if command == "train" else {}),
        },
        arguments,
        program=program,
        names={"ALGORITHM": "ALGORITHM", "PROBLEM": "PROBLEM"},
        also=("--resume",),
        description=f"{algorithm}: {LEARNERS[algorithm].summary}\n{problem}: {PROBLEMS[problem].summary}\n\nPresets:\n"
        + "\n".join(f"  {name}: {p.summary}" for name, p in presets_for(algorithm, problem).items()),
    )
    options["algorithm"].check_problem(options["problem"])
    recipe = Recipe(algorithm, problem, options["algorithm"], options["problem"])
    run: TrainOptions = options["run"]
    if algorithm in FROM_SCRATCH and run.seeds > 1:
        raise ConfigError(
            f"--seeds: {algorithm} learns every task from nothing, so there are no trainings to repeat; found "
            f"{run.seeds}. More --eval-tasks are more independent lives"
        )
    hosts = options.get("hosts", HostOptions())
    if algorithm in FROM_SCRATCH and hosts.distributed:
        raise ConfigError(f"--distributed: {algorithm} learns every task from nothing, so there is nothing to train")
    return Typed(recipe, run, preset, hosts)


def resume(arguments: Sequence[str]) -> int:
    """Go on with a run."""
    chosen, _ = scan([ResumeOptions, HostOptions], arguments, 0, program="adaptax train")
    if chosen:
        raise ConfigError(
            f"--resume: a run knows its algorithm, problem and settings; found {chosen[0]!r} too. "
            "Type only: adaptax train --resume DIR"
        )
    parsed = parse(
        {"resume": ResumeOptions(), "hosts": HostOptions()},
        arguments,
        program="adaptax train",
        description="Go on with a run that was stopped or killed, from its newest good checkpoint.",
    )
    options: ResumeOptions = parsed["resume"]
    with together(parsed["hosts"]) as group:
        if not group.first:
            return group.follow()
        directory = options.resume
        recipe, started_with = read_recipe(directory)
        run = dataclasses.replace(run_options(started_with), json=options.json)
        with claim(directory, fresh=False), crashes_into(directory):
            return execute(recipe, run, directory, started_with=started_with, group=group)


def run_options(started_with: dict[str, Any]) -> TrainOptions:
    """The options with which a run was started, as they were typed, of those that `read_recipe` returns."""
    return TrainOptions(**{field.name: started_with[field.name] for field in dataclasses.fields(TrainOptions)})


def execute(
    recipe: Recipe,
    run: TrainOptions,
    directory: Path,
    preset: str = "default",
    started_with: dict[str, Any] | None = None,
    group: Group | None = None,
) -> int:
    """Train, save, evaluate. With `started_with`, the options of a run that was begun before, go on with it."""
    from adaptax.experiment.jax_setup import start_jax

    start_jax()
    from adaptax.core.trained_agent import TrainedAgent
    from adaptax.experiment.evaluation import assess, present
    from adaptax.experiment.training import meta_train

    trained = meta_train(recipe, run, directory, preset, started_with, group)
    if trained.stopped:
        log(f"stopped after {trained.done} updates; all is saved. To go on: adaptax train --resume {directory}")
        return STOPPED
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
        TrainedAgent(trained.algorithm, trained.problem, trained.state.meta, run.seeds, name=recipe.algorithm),
        num_tasks=run.eval_tasks,
        seed=run.seed,
        against=None,
    )
    present(assessment, directory, recipe.title(), as_json=run.json, extra=extra)
    return 0
