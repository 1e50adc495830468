"""`adaptax reference PROBLEM`: train what agents are measured by where no optimum is known."""

import functools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import parse, scan, start_for, wants_help
from adaptax.core.errors import ConfigError, short_repr
from adaptax.experiment import jax_setup
from adaptax.experiment.options import ReferenceOptions, SimulatorOptions
from adaptax.experiment.reference_recipes import expect_no_learning
from adaptax.experiment.signals import STOPPED, StopSignal
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.presets import DEFAULT, settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS
from adaptax.registry.simulation import accept_simulation
from adaptax.runs.recipe import Recipe
from adaptax.runs.references import INFORMED, POLICIES

if TYPE_CHECKING:
    from adaptax.experiment.reference_training import ReferenceTraining

USAGE = """\
usage: adaptax reference PROBLEM [options]

Where no optimum of a problem is known, train what agents are measured by: a policy that is told the task, and one for
all tasks that is not and remembers nothing. They are kept with the problem and its settings, below runs/references, and
whoever trains, evaluates or compares agents there is told how far from random (0 %) to informed (100 %) they have come,
and how far one comes without adapting. A training that was stopped goes on with the same command.
Options depend on the problem: adaptax reference PROBLEM --help
"""


def command(arguments: Sequence[str], stop: StopSignal | None = None) -> int:
    """Check what was typed, then do it, until `stop` asks to stop."""
    chosen, _ = scan(_kinds(), arguments, 1, program="adaptax reference")
    if not chosen:
        if wants_help(arguments) or not arguments:
            print(f"{USAGE}\nPROBLEM:   {', '.join(PROBLEMS)}")
            return 0 if wants_help(arguments) else 2
        found = short_repr(" ".join(arguments))
        raise ConfigError(f"reference: expected PROBLEM; found {found}. PROBLEM is one of {', '.join(PROBLEMS)}")
    recipes, options = understood(chosen[0], arguments)
    jax_setup.start_jax()
    from adaptax.cli.console import Bars, say, showing_all_the_same
    from adaptax.experiment.reference_training import train_references
    from adaptax.experiment.surroundings import Surroundings

    def shown(found: "ReferenceTraining") -> None:
        show(found, as_json=options.json)

    with showing_all_the_same(shown), Bars() as bars:
        trained = train_references(recipes, options, Surroundings(bars, say, stop or StopSignal()))
    if trained.stopped:
        say("stopped; all is saved. To go on, type the same command again")
        return STOPPED
    shown(trained)
    return 0


def _kinds() -> list[Any]:
    learner = LEARNERS[POLICIES[INFORMED]].settings
    return [
        *(entry.settings for entry in PROBLEMS.values() if entry.settings),
        learner,
        ReferenceOptions,
        SimulatorOptions,
    ]


def understood(problem: str, arguments: Sequence[str]) -> tuple[dict[str, Recipe], ReferenceOptions]:
    """What was typed after `reference`.

    Raises:
        ConfigError: naming what is wrong.
    """
    start_for(problem)
    informed = POLICIES[INFORMED]
    settings, of_problem = settings_for(informed, problem)
    read = functools.partial(
        parse,
        arguments=arguments,
        program="adaptax reference",
        names={"PROBLEM": "PROBLEM"},
        chosen=[problem],
        description=f"Train the reference policies of a problem, both alike: {' and '.join(POLICIES.values())}.\n"
        f"{problem}: {PROBLEMS[problem].summary}",
    )
    parts = {"problem": of_problem, "policies": settings, "run": ReferenceOptions(), "simulators": SimulatorOptions()}
    typed = read(parts)
    if typed["problem"] != of_problem:  # defaults follow from what the problem is
        typed = read({**parts, "policies": settings_for(informed, problem, DEFAULT, typed["problem"])[0]})
    options: ReferenceOptions = typed["run"]
    accept_encoder(typed["policies"])
    accept_simulation(typed["simulators"], problem)
    recipes = {
        part: Recipe(algorithm, problem, typed["policies"], typed["problem"]) for part, algorithm in POLICIES.items()
    }
    for recipe in recipes.values():
        expect_no_learning(recipe, options.training())
    return recipes, options


def show(found: "ReferenceTraining", *, as_json: bool) -> None:
    """Print what both earn, and where they are; or JSON."""
    if as_json:
        print(json.dumps(found.to_json()))
        return
    from adaptax.cli.console import table_console, tell
    from adaptax.reports.reference_tables import policies_table

    assert found.content is not None
    table_console().print(policies_table(found.content, title=f"reference policies of {found.problem}"))
    tell(f"reference {found.directory}")
