"""`adaptax export DIR`: the agent that a run has trained, written down for places without JAX."""

import json
from collections.abc import Sequence
from pathlib import Path

from adaptax.cli.options import parse, start_for
from adaptax.experiment import jax_setup
from adaptax.experiment.options import ExportOptions, check_training_seed
from adaptax.registry.encoders import accept_encoder
from adaptax.runs.directory import read_recipe


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"export": ExportOptions()},
        arguments,
        program="adaptax export",
        names={"DIR": "the directory of a run"},
        description="Write the agent that a run has trained down for places without JAX; checked before it is kept.",
    )
    options: ExportOptions = typed["export"]
    directory = Path(typed["names"][0])
    start_for(options.problem, options.algorithm)
    accept_encoder(options)
    _, trained_with = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    check_training_seed(options, directory, int(trained_with["seeds"]))
    jax_setup.start_jax()
    from adaptax.cli.console import say, tell
    from adaptax.experiment.exporting import export

    found = export(directory, options, on_message=say)
    if options.json:
        print(json.dumps(found.to_json()))
        return 0
    programs = ", ".join(found.programs)
    tell(f"checked {programs}: {found.steps:,} steps with resets, largest difference {found.difference:.1g}")
    for name in found.files:
        tell(f"written {found.directory / name}")
    return 0
