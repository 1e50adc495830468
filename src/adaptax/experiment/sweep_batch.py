"""Cells of a sweep that differ in numbers alone, trained in one program; each is a run like any other on the disk.

All cells are written after the same updates, so that a batch that was stopped or killed goes on from the newest update
of which each has a good checkpoint, bitwise as if it had not been. A cell that becomes NaN keeps its last good
checkpoint, as any run does, and the others go on.
"""

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from adaptax.core.algorithm import first_program, leaf_that_is_not_finite, num_parameters
from adaptax.core.errors import DivergenceError, ResourceError
from adaptax.experiment import memory
from adaptax.experiment.progress import Progress, patience
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.sweep_member import Member
from adaptax.experiment.sweep_plan import Cell, SweepPlan
from adaptax.problems.checks.check import require
from adaptax.registry.registry import OWN_PROBLEMS
from adaptax.training import loop, swept


class TooLargeError(Exception):
    """The program of so many cells does not fit into memory; nothing was written."""


class Batch:
    """Trains several cells in one program, in directories that this process has claimed."""

    def __init__(
        self, plan: SweepPlan, cells: Sequence[Cell], inside: Sequence[str], root: Path, surroundings: Surroundings
    ):
        """Find out how far each is.

        Args:
            plan: The sweep's.
            cells: Which; they differ in `inside` alone.
            inside: The settings that are numbers inside the program.
            root: The sweep's directory, with a folder for each cell.
            surroundings: Whom to tell, and whom to ask.

        Raises:
            CheckpointError: if a run was begun that cannot be gone on with.
        """
        self._around, self._root, self._seeds = surroundings, root, plan.options.seeds
        self._key = jax.random.key(plan.options.seed)
        algorithm, self._problem = plan.recipe_of(cells[0]).build()
        self._swept, self._title = swept.Swept(algorithm), f"{plan.recipe.algorithm} on {plan.recipe.problem}"
        if plan.recipe.problem not in OWN_PROBLEMS:  # those keep the contract by tests
            require(self._problem, seed=plan.options.seed)
        self._values = {name: jnp.asarray([cell.changes[name] for cell in cells], jnp.float32) for name in inside}
        self.members = [
            Member(plan, cell, root / cell.name, algorithm_of, self._problem, surroundings.on_message)
            for cell, algorithm_of in ((cell, self._swept.at(cell.changes)) for cell in cells)
        ]
        available = len(jax.local_devices())
        self._devices = min(plan.options.devices or available, available, len(cells) * self._seeds)
        going = [member for member in self.members if member.record.diverged is None]
        self._done = min((0 if one.found is None else one.found.update for one in going), default=0)

    @property
    def going(self) -> list[tuple[int, Member]]:
        """The cells whose numbers are finite so far, and their places."""
        return [(index, one) for index, one in enumerate(self.members) if one.record.diverged is None]

    def run(self) -> bool:
        """Train all cells to the end, or until it is asked to stop; return whether there is more to do.

        Raises:
            TooLargeError: if the program does not fit into memory.
            DivergenceError: if the first state is NaN or infinite.
            OutputError: if a directory cannot be written to.
            ResourceError: if the disk is full, or memory turns out to be too small.
        """
        try:
            return self._run()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise ResourceError(
                f"out of memory: {str(error).splitlines()[0]}. Train fewer choices in one program: --at-once "
                f"{max(1, len(self.members) // 2)}"
            ) from error

    def _run(self) -> bool:
        total, stop = self._swept.num_updates, self._around.stop
        if not self.going or self._done >= total:
            return False
        states, program = self._prepared()
        together = tuple(member.cell.name for member in self.members)
        for member in self.members:
            member.write_down(together)
        stop.at_once = f"stopped; to go on: adaptax sweep --resume {self._root}"
        whole = swept.on_host(states)
        with stop.saving("stopped at once; the last checkpoints can be resumed"), contextlib.ExitStack() as opened:
            for index, member in self.going:
                opened.enter_context(member.opened(self._done, swept.cell_of(whole, index, self._seeds)))
            self._around.on_progress(Progress("train", self._done, total))
            loop.train(
                self._swept,
                self._problem,
                swept.padded(states, self._devices),
                num_updates=total,
                done=self._done,
                program=lambda: program,
                on_chunk=self._on_chunk,
            )
        return bool(self.going) and self._done < total

    def _on_chunk(self, progress: loop.Progress) -> bool:
        """Hand each cell its part; return whether training ends."""
        total, length = self._swept.num_updates, len(progress.metrics["return"])
        parts = {index: swept.metrics_of(progress.metrics, index, self._seeds) for index, _ in self.going}
        means = [float(metrics["return"][-1].mean()) for metrics, taken in parts.values() if taken == length]
        text = f"return {min(means):.4g} to {max(means):.4g} by choice" if means else "all choices diverged"
        self._around.on_progress(Progress("train", progress.done, total, text))
        stop, whole = self._around.stop.asked, swept.on_host(progress.state)  # the same for all: they stay together
        for index, member in self.going:
            metrics, taken = parts[index]
            if taken < length:
                member.out(progress.done - length + taken + 1)
                continue
            member.take(progress._replace(metrics=metrics, state=swept.cell_of(whole, index, self._seeds)), stop=stop)
        self._done = progress.done
        return stop or not self.going or progress.done >= total

    def _prepared(self) -> tuple[Any, Any]:
        """The states to go on from, and the compiled program, which fits; both are compiled side by side."""
        swept_, problem, seeds, say = self._swept, self._problem, self._seeds, self._around.on_message
        first = jax.jit(lambda key, values: swept.first_states(swept_, problem, key, values, seeds))
        _, options = first_program(swept_, problem)
        like, rows = jax.eval_shape(first, self._key, self._values), len(self.members) * seeds
        say(
            f"{self._title}: {len(self.members)} choices × {seeds} seed{'s'[: seeds > 1]} in one program, "
            f"{swept_.num_updates} updates × {rows * swept_.update_steps(problem):,} environment steps, "
            f"{num_parameters(like.meta.meta) // rows:,} parameters each, {self._devices} "
            f"device{'s'[: self._devices > 1]}; compiling …"
        )
        pool = ThreadPoolExecutor(2, thread_name_prefix="compiling")
        with patience("compiling", say):
            shapes = jax.eval_shape(lambda states: swept.padded(states, self._devices), like)
            training = pool.submit(swept.lower(swept_, problem, shapes, self._devices).compile)
            start = None if self._done else pool.submit(first.lower(self._key, self._values).compile, options)
            pool.shutdown(wait=False)
            states = self._states() if start is None else start.result()(self._key, self._values)
            if bad := leaf_that_is_not_finite(states):
                raise DivergenceError(f"before the first update: leaf {bad} is NaN or infinite; nothing was trained")
            program = training.result()
        needed, free = memory.needed_bytes(program, self._devices), memory.free_bytes()
        if needed is not None and free is not None and needed > free:
            raise TooLargeError
        return states, program

    def _states(self) -> Any:
        """States of all cells at the common update; of those that have diverged, their last good ones."""
        for _, member in self.going:
            assert member.found is not None
            if member.found.update != self._done:
                member.found = member.checkpoint(only=self._done)
        found = [member.found.state for member in self.members if member.found is not None]
        self._around.on_message(f"{self._root}: {len(found)} choices resumed at update {self._done}")
        return swept.joined(found, self._values, self._seeds)
