"""`adaptax plan ALGORITHM PROBLEM`: what a training would need, before it is started."""

import json
from collections.abc import Sequence
from typing import Any

from adaptax.cli.options import TrainOptions, note
from adaptax.cli.train import understood
from adaptax.errors import ConfigError, ResourceError
from adaptax.registry import FROM_SCRATCH
from adaptax.runs import Recipe

USAGE = """\
usage: adaptax plan ALGORITHM PROBLEM [--preset NAME] [options]

What `adaptax train` with the same words would need: memory, the largest arrays, environment steps, and the disk for its
checkpoints. The program is compiled, not run, and nothing is written. Exit code 7 if it does not fit into memory.
"""


def command(arguments: Sequence[str]) -> int:
    """Check what was typed, then do it; 0 if it fits, else 7."""
    typed = understood(arguments, "plan", USAGE)
    if isinstance(typed, int):
        return typed
    recipe, run = typed.recipe, typed.run
    if recipe.algorithm in FROM_SCRATCH:
        raise ConfigError(f"plan: {recipe.algorithm} learns every task from nothing, so there is nothing to train")
    from adaptax.cli.session import start_jax

    start_jax()
    found = planned(recipe, run)
    if run.json:
        print(json.dumps(found))
    else:
        print("\n".join(_lines(recipe, found)))
    if not found["fits"]:
        needed, free = (found[name] / 1e9 for name in ("needed_bytes", "free_bytes"))
        raise ResourceError(f"out of memory: {needed:.1f} GB are needed, {free:.1f} GB are free. {found['advice']}")
    return 0


def planned(recipe: Recipe, run: TrainOptions) -> dict[str, Any]:
    """What it would need, as plain data; unknown is None."""
    import jax

    from adaptax.cli import memory
    from adaptax.cli.session import devices_for
    from adaptax.planning import bytes_of, largest
    from adaptax.training import num_parameters

    algorithm, problem = recipe.build()
    devices = devices_for(run.devices, algorithm.num_tasks // algorithm.num_minibatches)
    function, state = memory.program_of(algorithm, problem, devices, run.seeds)
    note("compiling …")
    program = jax.jit(function, donate_argnums=0).lower(state).compile()
    needed, free = memory.needed_bytes(program, devices), memory.free_bytes()
    kept = sum(map(bytes_of, jax.tree.leaves(state)))
    fits = needed is None or free is None or needed <= free
    steps = algorithm.update_steps(problem) * run.seeds
    return {
        "needed_bytes": needed,
        "free_bytes": free,
        "fits": fits,
        "advice": "" if fits else memory.advice(algorithm, (free or 0) / (needed or 1)),
        "largest": largest(memory.arrays_of(algorithm, problem, devices, run.seeds)),
        "devices": devices,
        "parameters": num_parameters(state.meta) // run.seeds,
        "updates": algorithm.num_updates,
        "steps_per_update": steps,
        "checkpoint_bytes": kept,
    }


def _lines(recipe: Recipe, found: dict[str, Any]) -> list[str]:
    def size(count: int | None) -> str:
        return "unknown" if count is None else f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"

    devices, steps = found["devices"], found["updates"] * found["steps_per_update"]
    return [
        recipe.title(),
        f"memory      {size(found['needed_bytes'])} of {size(found['free_bytes'])} free, beside the program itself"
        + (f"; {devices} devices of the processor" if devices > 1 else ""),
        *(f"{'largest' if i == 0 else '':<11} {text}" for i, text in enumerate(found["largest"])),
        f"work        {found['updates']:,} updates × {found['steps_per_update']:,} = {steps:,} environment steps",
        f"parameters  {found['parameters']:,}",
        f"disk        {size(found['checkpoint_bytes'])} for each checkpoint, of which 3 are kept",
    ]
