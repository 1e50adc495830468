"""`adaptax train … --distributed`: several processes train together; the first writes, the others only compute."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adaptax.cli.interrupts import STOPPED, watching
from adaptax.cli.options import HostOptions, note
from adaptax.errors import ConfigError, DivergenceError
from adaptax.run_options import TrainOptions
from adaptax.runs import Recipe, recipe_of
from adaptax.settings import Settings

_OWN = ("out", "json")
"""Options in which processes may differ."""


class Group:
    """The processes that train together, as the command line sees them; without `hosts`, this one alone.

    Attributes:
        directory: The run's directory, in the first process.
    """

    def __init__(self, hosts: Any = None):
        self._hosts = hosts
        self.directory: Path | None = None

    @property
    def first(self) -> bool:
        """Whether this process does what is done once."""
        return self._hosts is None or self._hosts.first

    def begin(self, recipe: Recipe, options: dict[str, Any], devices: int, done: int, state: Any) -> Any:
        """Tell the others what to train, and give them the state, which is returned."""
        if self._hosts is None:
            return state
        shared = {name: value for name, value in options.items() if name not in _OWN}
        self._hosts.told({"recipe": recipe.to_json(), "options": shared, "devices": devices, "done": done})
        return self._hosts.same(state)

    def dismiss(self) -> None:
        """Tell the others that there is nothing to train."""
        if self._hosts is not None:
            self._hosts.told(None)
            self._hosts.leave()

    def asked_to_stop(self) -> bool:
        """Whether any process was. All must ask, after every chunk."""
        asked = watching().asked
        return asked if self._hosts is None else self._hosts.any(asked)

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Train in it: afterwards, and if numbers diverged, which all notice in the same chunk, they part ways."""
        try:
            yield
        except DivergenceError:
            self._leave()
            raise
        self._leave()

    def follow(self, recipe: Recipe | None = None, run: TrainOptions | None = None) -> int:
        """Train with the first process; return the exit code.

        Args:
            recipe: What this process was asked to train; None: whatever the first does.
            run: How.

        Raises:
            ConfigError: if the first was asked for something else.
            DivergenceError: if numbers became NaN or infinite.
        """
        import jax

        from adaptax.cli import memory
        from adaptax.training import first_state, train

        told = self._hosts.told()
        if told is None:
            self._leave()
            return 0
        found, seeds = recipe_of(told["recipe"]), told["options"]["seeds"]
        if recipe is not None and run is not None:
            self._compare(recipe, found, run, told["options"])
        algorithm, problem = found.build()
        like = jax.eval_shape(lambda: first_state(algorithm, problem, jax.random.key(0), seeds))
        state = self._hosts.same(like)
        note(f"process {self._hosts.index}: trains with process 0, which writes and evaluates")
        done, interrupts = told["done"], watching()

        def on_chunk(progress: Any) -> bool:
            nonlocal done
            done = progress.done
            return done >= algorithm.num_updates or self.asked_to_stop()

        with self.training(), interrupts.saving("stopped at once; what process 0 has saved can be resumed"):
            train(
                algorithm,
                problem,
                state,
                num_updates=algorithm.num_updates,
                num_seeds=seeds,
                devices=told["devices"],
                done=done,
                on_compiled=memory.check(algorithm, problem, told["devices"], seeds),
                on_chunk=on_chunk,
            )
        return 0 if done >= algorithm.num_updates else STOPPED

    def _compare(self, recipe: Recipe, found: Recipe, run: TrainOptions, options: dict[str, Any]) -> None:
        mine = {**_plain(recipe), **_plain(run)}
        theirs = {**_plain(found), **options}
        for name, value in mine.items():
            if name not in _OWN and theirs.get(name) != value:
                raise ConfigError(
                    f"--{name.replace('_', '-')}: expected the same as in process 0, {theirs.get(name)!r}; found "
                    f"{value!r} in process {self._hosts.index}. Start all with the same words"
                )

    def _leave(self) -> None:
        if self._hosts is not None:
            self._hosts.leave()


def _plain(settings: Recipe | Settings) -> dict[str, Any]:
    """Names and values, those of parts included."""
    plain = dataclasses.asdict(settings)
    for name in ("algorithm_settings", "problem_settings"):
        plain.update(plain.pop(name, {}))
    return plain


@contextlib.contextmanager
def together(options: HostOptions) -> Iterator[Group]:
    """Meet the other processes, if there are to be any (JAX is imported and started only then).

    Raises:
        ConfigError: if nothing says who they are.
        LostError: if they do not come, or one is lost and the lifeline did not end this process.
    """
    if not options.distributed:
        yield Group()
        return
    from adaptax.cli.session import start_jax

    start_jax()
    import jax

    from adaptax.hosts import join

    def on_lost(peer: Any, how: str) -> None:
        where = f": adaptax train --resume {group.directory}" if group.directory else ""
        watching().end(f"error[{STOPPED}]: {peer} is lost ({how}). The last checkpoint can be resumed{where}")

    def on_absent(what: str) -> None:
        watching().end(f"error[{STOPPED}]: {what}; nothing was changed. Start all, each with its own --process-id")

    group = Group()
    with _standard_output_for_us():
        note("waiting for the other processes …")
        hosts = join(
            options.coordinator,
            options.num_processes,
            options.process_id,
            silence=options.heartbeat,
            on_absent=on_absent,
            on_lost=on_lost,
            say=note,
        )
        group = Group(hosts)
        try:
            yield group
        except jax.errors.JaxRuntimeError as error:
            if hosts.count == 1 or "RESOURCE_EXHAUSTED" in str(error):
                raise
            raise hosts.lost(error) from error
        finally:
            watching().abrupt = hosts.count > 1  # the others know nothing of it, or are gone
            hosts.part()


@contextlib.contextmanager
def _standard_output_for_us() -> Iterator[None]:
    """Send what libraries write to standard output, past Python, to standard error: it is for results."""
    ours, results = os.dup(1), sys.stdout
    os.dup2(2, 1)
    try:
        with os.fdopen(ours, "w", encoding=results.encoding, errors="replace") as stream:
            sys.stdout = stream
            yield
    finally:
        results.flush()
        sys.stdout = results
