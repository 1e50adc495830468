"""`adaptax reproduce NAME`: train for the cells of a published table and print it beside the paper's figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import parse
from adaptax.experiment import jax_setup
from adaptax.experiment.options import ReproduceOptions
from adaptax.experiment.signals import STOPPED, StopSignal
from adaptax.experiment.tables import cells_of, table_called
from adaptax.registry.paper_tables import TABLES
from adaptax.runs.directory import create_directory

if TYPE_CHECKING:
    from adaptax.experiment.reproduction import Reproduction


def command(arguments: Sequence[str], stop: StopSignal | None = None) -> int:
    """Check what was typed, then do it, until `stop` asks to stop."""
    listing = "\n".join(f"{name}: {table.summary}; cells {', '.join(table.cells)}" for name, table in TABLES.items())
    typed = parse(
        {"reproduce": ReproduceOptions()},
        arguments,
        program="adaptax reproduce",
        names={"NAME": f"NAME, one of {', '.join(TABLES)}"},
        description="Train for the cells of a published table; finished cells are kept and not trained again.\n"
        + listing,
    )
    options: ReproduceOptions = typed["reproduce"]
    (name,) = typed["names"]
    cells_of(table_called(name), options.cells)
    create_directory(options.out or Path("runs") / f"{name}-seed{options.seed}", name)
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
    from adaptax.reports.tables import reproduction_table

    table_console().print(reproduction_table(results, title=title))
