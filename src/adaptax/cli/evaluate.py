"""`adaptax evaluate DIR`: evaluate a run's agent on held-out tasks."""

from collections.abc import Sequence
from pathlib import Path

from adaptax.cli.options import parse
from adaptax.experiment.options import EvaluateOptions, log
from adaptax.registry.presets import check_agent
from adaptax.runs.directory import read_recipe


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    typed = parse(
        {"evaluate": EvaluateOptions()},
        arguments,
        program="adaptax evaluate",
        names={"DIR": "the directory of a run"},
        description="Evaluate the agent that a run has trained on held-out tasks, the same for all agents.",
    )
    options: EvaluateOptions = typed["evaluate"]
    directory = Path(typed["names"][0])
    recipe, _ = read_recipe(directory)
    for name in options.against or ():
        check_agent(name, recipe.problem, recipe.problem_settings)
    from adaptax.experiment.jax_setup import start_jax

    start_jax()
    from adaptax.experiment.evaluation import assess, present
    from adaptax.runs.load import load_agent

    assessment = assess(
        recipe,
        load_agent(directory, log),
        num_tasks=options.tasks,
        seed=options.seed,
        against=options.against,
        explore=options.policy == "sample",
    )
    present(assessment, directory, recipe.title(), as_json=options.json, extra={"directory": str(directory)})
    return 0
