"""What a training would need, before it is started: its program is compiled, and the compiler asked. Nothing runs."""

import dataclasses
from typing import Any

import jax

from adaptax.core import host_program
from adaptax.core.algorithm import num_parameters
from adaptax.core.errors import ConfigError
from adaptax.core.meta_learner import may_take_fewer_steps
from adaptax.core.notebook import html_table
from adaptax.core.precision import in_single_precision
from adaptax.experiment import memory
from adaptax.experiment.jax_setup import devices_for
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.program_text import largest
from adaptax.experiment.progress import OnMessage, log
from adaptax.experiment.recipes import recipe_for
from adaptax.registry.presets import DEFAULT
from adaptax.registry.registry import FROM_SCRATCH
from adaptax.runs.checkpoints import KEEP
from adaptax.runs.recipe import Recipe


@dataclasses.dataclass(frozen=True, repr=False)
class TrainingPlan:
    """What a training would need.

    Attributes:
        title: What would be trained, in a line.
        needed_bytes: Memory that its program needs, beside the program itself; None if the compiler does not tell.
        free_bytes: Memory that is free; None if unknown.
        fits: Whether the one is in the other, as far as is known.
        advice: What to lower if not.
        largest: The largest arrays of the program, in words.
        devices: Devices that share the tasks of an update.
        parameters: Numbers in θ, of one training.
        updates: Updates.
        steps_per_update: Environment steps in each, at most.
        ends_early: Whether episodes may end early, and so there may be fewer.
        checkpoint_bytes: Size of a checkpoint.
    """

    title: str
    needed_bytes: int | None
    free_bytes: int | None
    fits: bool
    advice: str
    largest: list[str]
    devices: int
    parameters: int
    updates: int
    steps_per_update: int
    ends_early: bool
    checkpoint_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As `adaptax plan --json` prints it."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "title"}

    def rows(self) -> list[tuple[str, str]]:
        """What is needed, in words."""
        shared = f"; {self.devices} devices of the processor" if self.devices > 1 else ""
        steps = self.updates * self.steps_per_update
        fewer = " at most: episodes may end early" if self.ends_early else ""
        return [
            (
                "memory",
                f"{_size(self.needed_bytes)} of {_size(self.free_bytes)} free, beside the program itself{shared}",
            ),
            *(("largest" if number == 0 else "", text) for number, text in enumerate(self.largest)),
            ("work", f"{self.updates:,} updates × {self.steps_per_update:,} = {steps:,} environment steps{fewer}"),
            ("parameters", f"{self.parameters:,}"),
            ("disk", f"{_size(self.checkpoint_bytes)} for each checkpoint, of which {KEEP} are kept"),
        ]

    def __repr__(self) -> str:
        return "\n".join([self.title, *(f"{name:<11} {text}" for name, text in self.rows())])

    def _repr_html_(self) -> str:
        return html_table(self.title, ("", ""), self.rows())


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def plan(
    algorithm: Any,
    problem: Any,
    *,
    preset: str = DEFAULT,
    options: TrainOptions | None = None,
    on_message: OnMessage = log,
    **changes: Any,
) -> TrainingPlan:
    """Find out what `train` with the same arguments would need; its program is compiled, but nothing runs.

    Args:
        algorithm: As for `train`.
        problem: As for `train`.
        preset: Name of settings for this algorithm on this problem.
        options: How it would be run.
        on_message: Called with lines for a person; by default they go to the logger "adaptax".
        changes: Single settings and options by name.

    Raises:
        ConfigError: if a name or a setting is not what it must be, or there is nothing to train.
    """
    recipe, options = recipe_for(algorithm, problem, options or TrainOptions(), preset, changes)
    return plan_for(recipe, options, on_message)


def check_trains(recipe: Recipe) -> None:
    """Refuse what learns from scratch.

    Raises:
        ConfigError: if there is nothing to train.
    """
    if recipe.algorithm in FROM_SCRATCH:
        raise ConfigError(f"plan: {recipe.algorithm} learns every task from nothing, so there is nothing to train")


@in_single_precision
def plan_for(recipe: Recipe, options: TrainOptions, on_message: OnMessage = log) -> TrainingPlan:
    """The plan of a recipe that was resolved before."""
    check_trains(recipe)
    algorithm, problem = recipe.build()
    devices = devices_for(options.devices, algorithm.tasks_per_minibatch, on_host=problem.env.on_host)
    function, state = memory.program_of(algorithm, problem, devices, options.seeds)
    on_message(f"{recipe.algorithm} on {recipe.problem}: compiling to know, as a training does first …")
    taken_apart = host_program.program(function, on_host=problem.env.on_host, donate_argnums=0)
    program = taken_apart.lower(state, jax.ShapeDtypeStruct((), "int32")).compile()
    needed, free = memory.needed_bytes(program, devices), memory.free_bytes()
    fits = needed is None or free is None or needed <= free
    return TrainingPlan(
        title=recipe.title(),
        needed_bytes=needed,
        free_bytes=free,
        fits=fits,
        advice="" if fits else memory.advice(algorithm, (free or 0) / (needed or 1)),
        largest=largest(program),
        devices=devices,
        parameters=num_parameters(state.meta) // options.seeds,
        updates=algorithm.num_updates,
        steps_per_update=algorithm.update_steps(problem) * options.seeds,
        ends_early=may_take_fewer_steps(algorithm, problem),
        checkpoint_bytes=sum(map(memory.bytes_of, jax.tree.leaves(state))),
    )
