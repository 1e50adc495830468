"""`adaptax train ALGORITHM PROBLEM`: meta-train, then evaluate on held-out tasks; `--resume DIR`: go on with that."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from adaptax.cli.options import parse, scan, start_for, wants_help
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings
from adaptax.experiment import jax_setup
from adaptax.experiment.distributed import joined
from adaptax.experiment.options import (
    BesideOptions,
    HostOptions,
    ResumeOptions,
    SimulatorOptions,
    TrainOptions,
    WatchOptions,
)
from adaptax.experiment.recipes import check
from adaptax.experiment.signals import STOPPED, StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.tracebacks import tracebacks_into
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.presets import DEFAULT, presets_for, settings_for
from adaptax.registry.registry import FROM_SCRATCH, LEARNERS, PROBLEMS
from adaptax.registry.simulation import accept_simulation
from adaptax.runs.directory import claim, claim_run, create_directory
from adaptax.runs.recipe import Recipe, accept_names
from adaptax.runs.references import root

if TYPE_CHECKING:
    from adaptax.experiment.run import Run

USAGE = """\
usage: adaptax train ALGORITHM PROBLEM [--preset NAME] [options]
       adaptax train --resume DIR [--num-updates N]

Meta-train ALGORITHM on the training tasks of PROBLEM, then evaluate it on held-out tasks beside classical agents.
A learner from scratch (q-learning, ppo, …) has nothing to meta-train, and is evaluated at once.
A run that was stopped or killed goes on with --resume, to bitwise the same result on the same machine; with
--num-updates, also after the last update that was planned. With --from DIR, a run begins from another's parameters.
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
    """What was typed: what to train, how, by which preset, with whom, how patiently, and beside what."""

    recipe: Recipe
    run: TrainOptions
    preset: str
    hosts: HostOptions
    watch: WatchOptions
    beside: BesideOptions


def command(arguments: Sequence[str], stop: StopSignal | None = None) -> int:
    """Check what was typed, then do it, until `stop` asks to stop."""
    stop = stop or StopSignal()
    if any(word.partition("=")[0] == "--resume" for word in arguments):
        return resume(arguments, stop)
    typed = understood(arguments, "train", USAGE)
    if isinstance(typed, int):
        return typed
    recipe, options = typed.recipe, typed.run
    with _surroundings(typed.hosts, typed.watch, typed.beside, stop) as around:
        if not around.group.is_writer:
            return _followed(around, recipe, options)
        # Whether it is in use or holds a run, `claim` says: it knows who is at work there.
        directory = create_directory(options.out, f"{recipe.algorithm}-{recipe.problem}", fresh=False)
        with claim(directory, fresh=True), tracebacks_into(directory):
            jax_setup.start_jax()
            from adaptax.experiment.training import begin

            with _shown_all_the_same(as_json=options.json):
                run = begin(recipe, options, directory, around, preset=typed.preset)
            return show(run, as_json=options.json)


def understood(
    arguments: Sequence[str], command: str, usage: str, options_of_run: TrainOptions | None = None
) -> Typed | int:
    """What was typed after `command`, or the exit code after help.

    Args:
        arguments: The words.
        command: The command.
        usage: What its `--help` says without names.
        options_of_run: Options of a run where they are other than those of training, with their defaults.

    Raises:
        ConfigError: naming what is wrong.
    """
    program, options_of_run = f"adaptax {command}", options_of_run or TrainOptions()
    entries = [*LEARNERS.values(), *PROBLEMS.values()]
    kinds = [
        *(entry.settings for entry in entries if entry.settings),
        PresetOptions,
        type(options_of_run),
        HostOptions,
        ResumeOptions,
        WatchOptions,
        BesideOptions,
        SimulatorOptions,
    ]
    chosen, given = scan(kinds, arguments, 2, program=program)
    if len(chosen) < 2:
        listing = f"\nALGORITHM: {', '.join(LEARNERS)}\nPROBLEM:   {', '.join(PROBLEMS)}"
        if wants_help(arguments) or not arguments:
            print(usage + listing)
            return 0 if wants_help(arguments) else 2
        found = short_repr(" ".join(arguments))
        raise ConfigError(
            f"{command}: expected ALGORITHM and PROBLEM; found {found}. ALGORITHM is one of {', '.join(LEARNERS)}; "
            f"PROBLEM is one of {', '.join(PROBLEMS)}"
        )
    algorithm, problem, *_ = chosen
    preset = given.get("preset", DEFAULT) or ""
    start_for(algorithm, problem)
    algorithm_settings, problem_settings = settings_for(algorithm, problem, preset)
    read = functools.partial(
        parse,
        arguments=arguments,
        program=program,
        names={"ALGORITHM": "ALGORITHM", "PROBLEM": "PROBLEM"},
        also=("--resume",),
        chosen=chosen[:2],
        description=f"{algorithm}: {LEARNERS[algorithm].summary}\n{problem}: {PROBLEMS[problem].summary}\n\nPresets:\n"
        + "\n".join(f"  {name}: {p.summary}" for name, p in presets_for(algorithm, problem).items()),
    )
    parts = {
        "preset": PresetOptions(preset),
        "algorithm": algorithm_settings,
        "problem": problem_settings,
        "run": options_of_run,
        "simulators": SimulatorOptions(),
        **(_around() if command == "train" else {}),
    }
    options = read(parts)
    if options["problem"] != problem_settings:  # defaults follow from what the problem is
        options = read({**parts, "algorithm": settings_for(algorithm, problem, preset, options["problem"])[0]})
    recipe = Recipe(algorithm, problem, options["algorithm"], options["problem"])
    run: TrainOptions = options["run"]
    check(recipe, run)
    accept_simulation(options["simulators"], problem)
    hosts = options.get("hosts", HostOptions())
    if algorithm in FROM_SCRATCH and hosts.distributed:
        raise ConfigError(f"--distributed: {algorithm} learns every task from nothing, so there is nothing to train")
    watch, beside = options.get("watch", WatchOptions()), options.get("beside", BesideOptions())
    return Typed(recipe, run, preset, hosts, watch, beside)


def _around() -> dict[str, Settings]:
    """Options that say nothing of what is trained, by part."""
    return {"hosts": HostOptions(), "watch": WatchOptions(), "beside": BesideOptions()}


def resume(arguments: Sequence[str], stop: StopSignal) -> int:
    """Go on with a run."""
    kinds: list[Any] = [ResumeOptions, HostOptions, WatchOptions, BesideOptions, SimulatorOptions]
    chosen, _ = scan(kinds, arguments, 0, program="adaptax train")
    if chosen:
        raise ConfigError(
            f"--resume: a run knows its algorithm, problem and settings; found {short_repr(chosen[0])} too. "
            "Type only: adaptax train --resume DIR [--num-updates N]"
        )
    parsed = parse(
        {"resume": ResumeOptions(), **_around(), "simulators": SimulatorOptions()},
        arguments,
        program="adaptax train",
        description="Go on with a run that was stopped or killed, from its newest good checkpoint.",
    )
    options: ResumeOptions = parsed["resume"]
    with _surroundings(parsed["hosts"], parsed["watch"], parsed["beside"], stop) as around:
        start_for(options.problem, options.algorithm)
        accept_encoder(options)
        accept_simulation(parsed["simulators"])
        if not around.group.is_writer:
            accept_names(problem=options.problem, algorithm=options.algorithm)
            return _followed(around)
        with (
            claim_run(options.resume, problem=options.problem, algorithm=options.algorithm) as (recipe, started_with),
            tracebacks_into(options.resume),
        ):
            jax_setup.start_jax()
            from adaptax.experiment.training import go_on

            with _shown_all_the_same(as_json=options.json):
                run = go_on(recipe, started_with, options.resume, around, options.num_updates, options.log)
            return show(run, as_json=options.json)


def show(run: "Run", *, as_json: bool) -> int:
    """Print what a training has brought; return the exit code."""
    from adaptax.cli.console import say, tell
    from adaptax.cli.evaluate import show as show_evaluation

    if run.stopped:
        say(f"stopped after {run.done} updates; all is saved. To go on: adaptax train --resume {run.directory}")
        return STOPPED
    if run.evaluation is not None:
        show_evaluation(run.evaluation, as_json=as_json, extra=run.figures())
        if run.report is not None and not as_json:
            tell(f"report  {run.report}")
    else:
        tell(json.dumps(run.figures()) if as_json else f"run     {run.directory}")
    return 0


def _shown_all_the_same(*, as_json: bool) -> contextlib.AbstractContextManager[None]:
    from adaptax.cli.console import showing_all_the_same

    return showing_all_the_same(lambda run: show(run, as_json=as_json))


@contextlib.contextmanager
def _surroundings(
    hosts: HostOptions, watch: WatchOptions, beside: BesideOptions, stop: StopSignal
) -> Iterator[Surroundings]:
    """Show progress and messages, heed signals, and meet the other processes, if there are to be any."""
    from adaptax.cli.console import Bars, say, standard_output_for_us

    with contextlib.ExitStack() as opened:
        if hosts.distributed:
            jax_setup.start_jax(alone=False)
            opened.enter_context(standard_output_for_us())
        group = opened.enter_context(joined(hosts, stop, say))
        references = root(beside.references) if beside.reference else None
        yield Surroundings(
            opened.enter_context(Bars()), say, stop, group, watch.chunk_timeout, references, beside.report
        )


def _followed(around: Surroundings, recipe: Recipe | None = None, options: TrainOptions | None = None) -> int:
    """Train with the process that writes; return the exit code."""
    from adaptax.experiment.follower import follow

    run = follow(around, recipe, options)
    return STOPPED if run is not None and run.stopped else 0
