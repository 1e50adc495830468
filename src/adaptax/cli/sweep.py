"""`adaptax sweep ALGORITHM PROBLEM --SETTING V1 V2 …`: train choices of settings, rank them by validation tasks."""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import parse, scan, start_for, wants_help
from adaptax.cli.parser import Option, spellings, typeable, values_of
from adaptax.cli.train import understood
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import kind_of, suggestion
from adaptax.experiment import jax_setup
from adaptax.experiment.options import SimulatorOptions
from adaptax.experiment.signals import STOPPED, StopSignal
from adaptax.experiment.sweep_options import SweepOptions, SweepResumeOptions, expect_optuna, share_of
from adaptax.experiment.sweep_plan import Range, SweepPlan, Values, read_plan
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.presets import settings_for
from adaptax.registry.simulation import accept_simulation
from adaptax.runs.directory import create_directory

if TYPE_CHECKING:
    from adaptax.experiment.sweeping import Sweep

USAGE = """\
usage: adaptax sweep ALGORITHM PROBLEM --SETTING V1 V2 … [--OTHER W1 W2 …] [--seeds K] [options]
       adaptax sweep ALGORITHM PROBLEM --optuna N --SETTING LOW:HIGH[:log] … [options]
       adaptax sweep --resume DIR

Train ALGORITHM on PROBLEM with every combination of the values that settings of the algorithm are given, and rank them
by validation tasks; test tasks are not touched. Settings that are numbers inside the program are swept in one program,
the others in one after the other, or on several processes (--processes, --part). Each choice is a run like any other.
A sweep that was stopped or killed goes on with --resume; what is finished is kept.
Options depend on both names: adaptax sweep ALGORITHM PROBLEM --help
"""


def command(arguments: Sequence[str], stop: StopSignal | None = None) -> int:
    """Check what was typed, then do it, until `stop` asks to stop."""
    stop = stop or StopSignal()
    if any(word.partition("=")[0] == "--resume" for word in arguments):
        return resume(arguments, stop)
    plan = planned(arguments)
    if isinstance(plan, int):
        return plan
    options, recipe = plan.options, plan.recipe
    if options.optuna:
        expect_optuna()
    root = create_directory(options.out, f"sweep-{recipe.algorithm}-{recipe.problem}")
    return _run(plan, root, stop, as_json=options.json, share=share_of(options.part), processes=options.processes)


def planned(arguments: Sequence[str]) -> SweepPlan | int:
    """What was typed, as a plan, or the exit code after help.

    Raises:
        ConfigError: naming what is wrong.
    """
    names = list(arguments[:2])
    if len(names) < 2 or any(word.startswith("-") for word in names) or wants_help(arguments):
        typed = understood(arguments, "sweep", USAGE, SweepOptions())
        if isinstance(typed, int):
            return typed
        raise ConfigError(
            "sweep: expected ALGORITHM and PROBLEM before all options, since a setting may have many values; found "
            f"{short_repr(arguments[0])} first"
        )
    start_for(*names)
    settings = settings_for(names[0], names[1])[0]
    swept, rest = taken(list(arguments), settings, names)
    typed = understood(rest, "sweep", USAGE, SweepOptions())
    if isinstance(typed, int):
        return typed
    assert isinstance(typed.run, SweepOptions)
    if not swept:
        raise ConfigError(
            "sweep: expected at least one setting of the algorithm with several values, as --learning-rate 1e-3 1e-2; "
            f"found none. One training: adaptax train {' '.join(names)}"
        )
    plan = SweepPlan(typed.recipe, swept, typed.run, typed.preset)
    plan.check()
    return plan


def taken(words: list[str], settings: Any, names: Sequence[str]) -> tuple[dict[str, Values], list[str]]:
    """Settings with several values or ranges among words, and the words with the first value of each in their place.

    Raises:
        ConfigError: naming a value that is not what it must be, or a setting that cannot be swept.
    """
    mine = {name: field for field in typeable(settings) for name in spellings(field)}
    of_problem = {name: field for field in typeable(_problem_of(names)) for name in spellings(field)}
    of_run = {name: field for field in typeable(SweepOptions()) for name in spellings(field)}
    swept: dict[str, Values] = {}
    rest = words[:2]
    for option, values in _groups(words[2:]):
        field = mine.get(option)
        if field is None:
            _refuse_several(option, values, {**of_problem, **of_run}, of_problem, mine)
            rest += [option, *values]
            continue
        if values_of(field) is not None or (len(values) < 2 and not _is_range(values, field)):
            rest += [option, *values]
            continue
        if field.name in swept:
            raise ConfigError(f"{option}: expected once; found it twice. Name all of its values after it")
        found = _values(option, values, field)
        swept[field.name] = found
        rest += [option, str(found.low if isinstance(found, Range) else values[0])]
    return swept, rest


def _problem_of(names: Sequence[str]) -> Any:
    return settings_for(names[0], names[1])[1]


def _groups(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each option, with dashes, and the words after it; what is joined by "=" is the first of them."""
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            groups.append((name.replace("_", "-"), [value] if equals else []))
        elif groups:
            groups[-1][1].append(word)
        else:
            groups.append((word, []))
    return groups


def _refuse_several(
    option: str, values: Sequence[str], known: dict[str, Any], of_problem: dict[str, Any], mine: dict[str, Any]
) -> None:
    """Refuse several values of what is no setting of the algorithm; what else is wrong with it, the parser says."""
    if len(values) < 2:
        return
    if option in of_problem:
        raise ConfigError(
            f"{option}: expected one value: it is a setting of the problem, and returns in other problems cannot be "
            f"compared; found {' '.join(values)}"
        )
    if option not in known:
        raise ConfigError(
            f"{option}: no such option{suggestion(option, [*mine, *known])} (adaptax sweep ALGORITHM PROBLEM --help "
            "lists them)"
        )
    if values_of(known[option]) is None:
        raise ConfigError(f"{option}: expected one value, since it is no setting of the algorithm; found {len(values)}")


def _is_range(values: Sequence[str], field: dataclasses.Field[Any]) -> bool:
    return kind_of(field) in (int, float) and len(values) == 1 and ":" in values[0]


def _values(option: str, words: Sequence[str], field: dataclasses.Field[Any]) -> Values:
    """Values of a setting from what was typed.

    Raises:
        ConfigError: if one is not what it must be, or is there twice.
    """
    reader = Option([option], field.name, field=field, value=None, text="")
    if _is_range(words, field):
        return _range(option, words[0], reader)
    found = [reader._value(word) for word in words]
    for index, value in enumerate(found):
        if value in found[:index]:
            raise ConfigError(f"{option}: expected values that differ; found {words[index]} twice")
    return tuple(found)


def _range(option: str, word: str, reader: Option) -> Range:
    ends = word.split(":")
    if len(ends) not in (2, 3) or (len(ends) == 3 and ends[2] != "log"):
        raise ConfigError(f"{option}: expected a range LOW:HIGH or LOW:HIGH:log; found {short_repr(word)}")
    low, high = reader._value(ends[0]), reader._value(ends[1])
    if low is None or high is None or not low < high or (len(ends) == 3 and low <= 0):
        positive = " above 0" if len(ends) == 3 else ""
        raise ConfigError(
            f"{option}: expected a range from a number{positive} to a larger one; found {short_repr(word)}"
        )
    return Range(low, high, len(ends) == 3)


def resume(arguments: Sequence[str], stop: StopSignal) -> int:
    """Go on with a sweep."""
    chosen, _ = scan([SweepResumeOptions, SimulatorOptions], arguments, 0, program="adaptax sweep")
    if chosen:
        raise ConfigError(
            f"--resume: a sweep knows its algorithm, problem and settings; found {short_repr(chosen[0])} too. Type "
            "only: adaptax sweep --resume DIR"
        )
    parsed = parse(
        {"resume": SweepResumeOptions(), "simulators": SimulatorOptions()},
        arguments,
        program="adaptax sweep",
        description="Go on with a sweep that was stopped or killed; what is finished is kept.",
    )
    options: SweepResumeOptions = parsed["resume"]
    start_for(options.problem, options.algorithm)
    accept_encoder(options)
    accept_simulation(parsed["simulators"])
    plan = read_plan(options.resume, problem=options.problem, algorithm=options.algorithm)
    share = share_of(options.part)
    return _run(plan, options.resume, stop, as_json=options.json, share=share, processes=options.processes)


def _run(plan: SweepPlan, root: Any, stop: StopSignal, *, as_json: bool, share: tuple[int, int], processes: int) -> int:
    """Do it; return the exit code."""
    jax_setup.start_jax()
    from adaptax.cli.console import Bars, say, showing_all_the_same
    from adaptax.core.precision import in_single_precision
    from adaptax.experiment.surroundings import Surroundings
    from adaptax.experiment.sweeping import run_plan

    with showing_all_the_same(lambda found: show(found, as_json=as_json)), Bars() as bars:
        run = in_single_precision(run_plan)
        found = run(plan, root, Surroundings(bars, say, stop), share=share, processes=processes)
    if found.stopped:
        say(f"stopped; all is saved. To go on: adaptax sweep --resume {root}")
        return STOPPED
    show(found, as_json=as_json)
    return 0


def show(found: "Sweep", *, as_json: bool) -> None:
    """Print the table and what to do with it, or JSON."""
    from adaptax.cli.console import say, table_console, tell
    from adaptax.reports.sweep_tables import sweep_table

    if as_json:
        tell(json.dumps(found.to_json()))
        return
    if found.standings:
        table_console().print(sweep_table(found))
    if found.waiting:
        say(
            f"{len(found.waiting)} choices are not finished; other parts have them, or: adaptax sweep --resume "
            f"{found.directory}"
        )
    elif found.best is None:
        say("all choices diverged: lower the learning rates")
    for words, command_ in zip(
        ("evaluate the best on test tasks", "train the best alone"), found.commands(), strict=False
    ):
        tell(f"{words}: {command_}")
