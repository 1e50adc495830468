"""`adaptax plan ALGORITHM PROBLEM`: what a training would need, before it is started."""

import json
from collections.abc import Sequence

from adaptax.cli.train import understood
from adaptax.core.errors import ConfigError, ResourceError
from adaptax.experiment import jax_setup
from adaptax.registry.registry import FROM_SCRATCH

USAGE = """\
usage: adaptax plan ALGORITHM PROBLEM [--preset NAME] [options]

What `adaptax train` with the same words would need: memory, the largest arrays, environment steps, and the disk for its
checkpoints. The program is compiled, which takes as long as it does at the start of a training, and the compiler says
what it needs. Nothing is run or written. Exit code 7 if it does not fit into memory.
"""


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it; 0 if it fits, else 7."""
    typed = understood(arguments, "plan", USAGE)
    if isinstance(typed, int):
        return typed
    recipe, run = typed.recipe, typed.run
    if recipe.algorithm in FROM_SCRATCH:
        raise ConfigError(f"plan: {recipe.algorithm} learns every task from nothing, so there is nothing to train")
    jax_setup.start_jax()
    from adaptax.cli.console import say
    from adaptax.experiment.planning import plan_for

    found = plan_for(recipe, run, say)
    print(json.dumps(found.to_json()) if run.json else repr(found))
    if not found.fits:
        needed, free = (found.needed_bytes or 0) / 1e9, (found.free_bytes or 0) / 1e9
        raise ResourceError(f"out of memory: {needed:.1f} GB are needed, {free:.1f} GB are free. {found.advice}")
    return 0
