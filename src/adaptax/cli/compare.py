"""`adaptax compare RUN AGENT ...`: what meta-learning is worth, in figures, with a report to read and to print."""

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from adaptax.cli.options import parse, start_for
from adaptax.core.errors import ConfigError
from adaptax.experiment import jax_setup
from adaptax.experiment.agent_specs import resolve
from adaptax.experiment.options import CompareOptions, SimulatorOptions
from adaptax.experiment.reports import FIGURES, reserve
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.simulation import accept_simulation
from adaptax.registry.user_code import is_reference

if TYPE_CHECKING:
    from adaptax.experiment.comparison import Comparison


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"compare": CompareOptions(), "simulators": SimulatorOptions()},
        arguments,
        program="adaptax compare",
        names={"RUN|AGENT ...": "directories of runs, and names of agents that need no training"},
        description="Compare agents in the same new tasks: how soon they are good (sample efficiency), what carries "
        "over to other tasks (generalisation), what finding out costs (exploration). RUN: a run's directory; AGENT: "
        "a name, of an agent that needs no training.",
    )
    options: CompareOptions = typed["compare"]
    words, algorithms = typed["names"], options.algorithm or ()
    named = [word for word in words if is_reference(word) and not os.path.exists(word)]
    start_for(options.problem, *algorithms, *named)
    accept_encoder(options)
    accept_simulation(typed["simulators"])
    problem, specs = resolve(words, options.problem, options.episodes, algorithms)
    if len(specs) < 2:
        raise ConfigError("compare: expected at least one agent besides random; found none")
    with reserve(options.out) as directory:
        jax_setup.start_jax()
        from adaptax.cli.console import Bars, say, showing_all_the_same
        from adaptax.experiment.comparison import compare_in

        def shown(found: "Comparison") -> None:
            show(found, as_json=options.json)

        with showing_all_the_same(shown), Bars() as bars:
            found = compare_in(directory, words, problem, specs, options, bars, say)
    shown(found)
    return 0


def show(found: "Comparison", *, as_json: bool) -> None:
    """Print the tables, and where files are; or JSON."""
    if as_json:
        print(json.dumps({"directory": str(found.directory), **found.content}))
        return
    from adaptax.cli.console import table_console, tell
    from adaptax.reports.comparison_tables import tables

    for table in tables(found.content):
        table_console().print(table)
    for name, path in {"report ": found.report, "figures": found.directory / FIGURES}.items():
        if path.exists():
            tell(f"{name} {path}")
