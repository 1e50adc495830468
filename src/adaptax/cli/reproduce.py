"""`adaptax reproduce NAME`: train for the cells of a table, and print it beside what is published or untrained."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import parse
from adaptax.experiment import jax_setup
from adaptax.experiment.options import ReproduceOptions
from adaptax.experiment.signals import STOPPED, StopSignal
from adaptax.experiment.tables import asked_for, tables
from adaptax.runs.directory import create_directory

if TYPE_CHECKING:
    from adaptax.experiment.reproduction import Reproduction


def command(arguments: Sequence[str], stop: StopSignal | None = None) -> int:
    """Check what was typed, then do it, until `stop` asks to stop."""
    known = tables()
    listing = "\n".join(f"{name}: {table.summary}; cells {', '.join(table.cells)}" for name, table in known.items())
    typed = parse(
        {"reproduce": ReproduceOptions()},
        arguments,
        program="adaptax reproduce",
        names={"NAME": f"NAME, one of {', '.join(known)}, or a cell of {[*known][-1]}"},
        description="Train for the cells of a table; finished cells are kept and not trained again.\n" + listing,
    )
    options: ReproduceOptions = typed["reproduce"]
    (name,) = typed["names"]
    create_directory(asked_for(name, options).directory, name)
    jax_setup.start_jax()
    from adaptax.cli.console import Bars, say, showing_all_the_same
    from adaptax.experiment.reproduction import reproduce

    def shown(found: "Reproduction") -> None:
        report(name, found.title, found.cells, as_json=options.json)

    with showing_all_the_same(shown), Bars() as bars:
        found = reproduce(name, options, on_progress=bars, on_message=say, stop=stop)
    if found.stopped:
        say("stopped; all is saved. To go on, type the same command again")
        return STOPPED
    shown(found)
    return 0


def report(name: str, title: str, results: Mapping[str, dict[str, Any]], *, as_json: bool) -> None:
    """Print the table, or JSON."""
    if as_json:
        print(json.dumps({"name": name, "cells": results}))
        return
    from adaptax.cli.console import table_console
    from adaptax.reports.tables import learning_table, reproduction_table

    learned = all("untrained" in cell for cell in results.values())
    table_console().print((learning_table if learned else reproduction_table)(results, title=title))
