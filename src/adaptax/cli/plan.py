"""`adaptax plan ALGORITHM PROBLEM`: what a training would need, before it is started."""

import json
from collections.abc import Sequence
from typing import Any

from adaptax.cli.options import note
from adaptax.cli.train import understood
from adaptax.errors import ConfigError, ResourceError
from adaptax.registry import FROM_SCRATCH
from adaptax.run_options import TrainOptions
from adaptax.runs import Recipe

USAGE = """\
usage: adaptax plan ALGORITHM PROBLEM [--preset NAME] [options]

What `adaptax train` with the same words would need: memory, the largest arrays, environment steps, and the disk for its
checkpoints. Memory is told within a quarter, from the program's arrays; only where that is too near to what is free,
the program is compiled too. Nothing is run or written. Exit code 7 if it does not fit into memory.
"""


UNSURE = 1.5
"""What is expected may be wrong by so much: nearer to what is free, the compiler is asked."""


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
    """What it would need, as plain data; unknown is None. `compiled`: whether that is the compiler's word on memory."""
    import jax

    from adaptax.cli import memory
    from adaptax.cli.session import devices_for
    from adaptax.planning import bytes_of, largest
    from adaptax.training import num_parameters

    algorithm, problem = recipe.build()
    devices = devices_for(run.devices, algorithm.num_tasks // algorithm.num_minibatches)
    function, state = memory.program_of(algorithm, problem, devices, run.seeds)
    arrays = memory.arrays_of(algorithm, problem, devices, run.seeds)
    needed, free = memory.expected_bytes(arrays, devices), memory.free_bytes()
    near = free is not None and free / UNSURE < needed < UNSURE * free
    if near:
        note("this is near to what is free; compiling to know …")
        program = jax.jit(function, donate_argnums=0).lower(state).compile()
        needed = memory.needed_bytes(program, devices) or needed
    kept = sum(map(bytes_of, jax.tree.leaves(state)))
    fits = free is None or needed <= free
    steps = algorithm.update_steps(problem) * run.seeds
    return {
        "needed_bytes": needed,
        "compiled": near,
        "free_bytes": free,
        "fits": fits,
        "advice": "" if fits else memory.advice(algorithm, (free or 0) / needed),
        "largest": largest(arrays),
        "devices": devices,
        "parameters": num_parameters(state.meta) // run.seeds,
        "updates": algorithm.num_updates,
        "steps_per_update": steps,
        "checkpoint_bytes": kept,
    }


def _lines(recipe: Recipe, found: dict[str, Any]) -> list[str]:
    def size(count: int | None) -> str:
        return "unknown" if count is None else f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"

    needed = ("" if found["compiled"] else "about ") + size(found["needed_bytes"])
    devices, steps = found["devices"], found["updates"] * found["steps_per_update"]
    return [
        recipe.title(),
        f"memory      {needed} of {size(found['free_bytes'])} free, beside the program itself"
        + (f"; {devices} devices of the processor" if devices > 1 else ""),
        *(f"{'largest' if i == 0 else '':<11} {text}" for i, text in enumerate(found["largest"])),
        f"work        {found['updates']:,} updates × {found['steps_per_update']:,} = {steps:,} environment steps",
        f"parameters  {found['parameters']:,}",
        f"disk        {size(found['checkpoint_bytes'])} for each checkpoint, of which 3 are kept",
    ]
