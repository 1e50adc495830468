"""`adaptax report DIR [DIR ...]`: what a run learned and what its agent does, or several runs, as one page."""

import json
from collections.abc import Sequence
from pathlib import Path

from adaptax.cli.options import parse, start_for
from adaptax.experiment import jax_setup
from adaptax.experiment.options import ReportOptions, SimulatorOptions
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.simulation import accept_simulation


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"report": ReportOptions(), "simulators": SimulatorOptions()},
        arguments,
        program="adaptax report",
        names={"DIR ...": "directories of runs"},
        description="Write a page of a run: what was trained, how it learned, how it adapts in new tasks, and films of "
        "that. Of several runs: side by side. The page needs no network and no other file.",
    )
    options: ReportOptions = typed["report"]
    start_for(options.problem, options.algorithm)
    accept_encoder(options)
    accept_simulation(typed["simulators"])
    jax_setup.start_jax()
    from adaptax.cli.console import Bars, say, tell
    from adaptax.experiment.reporting import report

    with Bars() as bars:
        found = report(list(map(Path, typed["names"])), options, on_progress=bars, on_message=say)
    if options.json:
        print(json.dumps({"report": str(found.path), "missing": list(found.missing)}))
        return 0
    for line in found.missing:
        say(f"note: not in the report: {line}")
    tell(f"report  {found.path}")
    return 0
