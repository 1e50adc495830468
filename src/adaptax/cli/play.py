"""`adaptax play [NAME|DIR]`: a page in which an agent plays beside whoever opens it."""

import json
import webbrowser
from collections.abc import Sequence

from adaptax.cli.options import parse, scan, start_for
from adaptax.experiment import jax_setup
from adaptax.experiment.options import PlayOptions, check_training_seed
from adaptax.registry.encoders import accept_encoder
from adaptax.runs.directory import read_recipe

DEFAULT = "bandit"


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it."""
    given, _ = scan([PlayOptions], arguments, 0, program="adaptax play")
    typed = parse(
        {"play": PlayOptions()},
        [*arguments, *([] if given else [DEFAULT])],
        program="adaptax play",
        names={"NAME|DIR": "a pretrained agent, or the directory of a run"},
        description="Write a page in which an agent plays in tasks that it has never seen, beside somebody who knows "
        "better, and against you. NAME: bandit (by default), grid-navigation or point-robot.",
    )
    options: PlayOptions = typed["play"]
    start_for(options.problem, options.algorithm)
    accept_encoder(options)
    jax_setup.start_jax()
    from adaptax.cli.console import say, tell
    from adaptax.experiment.playing import check_playable, place_of, play

    name = typed["names"][0]
    directory = place_of(name)
    recipe, trained_with = read_recipe(directory, problem=options.problem, algorithm=options.algorithm)
    check_training_seed(options, directory, int(trained_with["seeds"]))
    check_playable(directory, recipe)
    found = play(name, options, on_message=say)
    if options.json:
        print(json.dumps(found.to_json()))
        return 0
    if found.difference is not None:
        tell(f"checked: 1,000 steps beside the agent itself, largest difference {found.difference:.1g}")
    tell(f"written {found.path} ({found.size / 1000:.0f} kB, needs no network)")
    if options.open and not webbrowser.open(found.path.resolve().as_uri()):
        tell("open it in a browser")
    return 0
