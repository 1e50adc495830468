"""`adaptax evaluate DIR`: evaluate a run's agent on held-out tasks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptax.cli.options import parse, start_for
from adaptax.experiment import jax_setup
from adaptax.experiment.options import EvaluateOptions, SimulatorOptions
from adaptax.experiment.results import expect_room
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.presets import check_agent
from adaptax.registry.simulation import accept_simulation
from adaptax.runs.directory import read_recipe

if TYPE_CHECKING:
    from adaptax.experiment.assessment import Assessment


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"evaluate": EvaluateOptions(), "simulators": SimulatorOptions()},
        arguments,
        program="adaptax evaluate",
        names={"DIR": "the directory of a run"},
        description="Evaluate the agent that a run has trained on held-out tasks, the same for all agents.",
    )
    options: EvaluateOptions = typed["evaluate"]
    directory = Path(typed["names"][0])
    start_for(options.problem, options.algorithm, *(options.against or ()))
    accept_encoder(options)
    accept_simulation(typed["simulators"])
    recipe, _ = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    for name in options.against or ():
        check_agent(name, recipe.problem, recipe.problem_settings)
    expect_room(directory, options.out)
    jax_setup.start_jax()
    from adaptax.cli.console import Bars, say, showing_all_the_same
    from adaptax.experiment.evaluation import evaluate

    def shown(found: "Assessment") -> None:
        show(found, as_json=options.json, extra={"directory": str(directory)})

    with showing_all_the_same(shown), Bars() as bars:
        assessment = evaluate(directory, options, on_progress=bars, on_message=say)
    shown(assessment)
    return 0


def show(assessment: "Assessment", *, as_json: bool, extra: Mapping[str, Any]) -> None:
    """Print the tables of an evaluation, or its JSON; `extra` says where the run is."""
    if as_json:
        print(json.dumps({**extra, **assessment.to_json()}))
        return
    import numpy as np

    from adaptax.cli.console import table_console, tell
    from adaptax.reports.reference_tables import reference_table
    from adaptax.reports.tables import evaluation_table, results_table, success_table

    best_known = list(assessment.results)[-1] if len(assessment.results) > 2 else None
    table = results_table(
        assessment.results,
        title=assessment.title,
        oracle=assessment.oracle,
        optimum=None if assessment.optimum is None else np.asarray(assessment.optimum),
        reference=best_known,
        unit=assessment.unit,
    )
    table_console().print(table)
    name, trained = next(iter(assessment.results.items()))
    if assessment.reference is not None:
        content = assessment.reference.to_json({name: trained}, assessment.oracle)
        table_console().print(reference_table(content, name, unit=assessment.unit))
    if trained.evaluation_episodes is not None:
        apart = assessment.protocol["episodes_between"]
        table = evaluation_table(
            trained.window_returns, trained.evaluation_episodes, unit=assessment.unit, episodes_between=apart
        )
        table_console().print(table)
    if trained.success_rates:
        rates = {name: result.success_rates for name, result in assessment.results.items()}
        table_console().print(success_table(rates, judged_by=assessment.judged_by))
    for name, path in assessment.pictures.items():
        tell(f"{name:7} {path}")
    tell(f"run     {extra['directory']}")
