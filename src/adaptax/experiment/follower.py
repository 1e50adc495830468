"""One process of a group that trains with the writer: it computes, and writes nothing."""

import dataclasses
from typing import Any

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.precision import in_single_precision
from adaptax.core.settings import Settings
from adaptax.experiment import memory
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.run import Run
from adaptax.experiment.session import OWN, shapes
from adaptax.experiment.surroundings import Surroundings
from adaptax.experiment.watchdog import Watchdog
from adaptax.runs import numerics
from adaptax.runs.recipe import Recipe, recipe_of
from adaptax.training import loop


@in_single_precision
def follow(surroundings: Surroundings, recipe: Recipe | None = None, options: TrainOptions | None = None) -> Run | None:
    """Train with the writer of a group; return how it went, None if there was nothing to train.

    Args:
        surroundings: Whom to tell, whom to ask, and the group.
        recipe: What this process was asked to train; None: whatever the writer does.
        options: How.

    Raises:
        ConfigError: if the writer was asked for something else.
        DivergenceError: if numbers became NaN or infinite.
    """
    group, stop = surroundings.group, surroundings.stop
    content = group.broadcast()
    if content is None:
        group.leave()
        return None
    found, seeds, devices = recipe_of(content["recipe"]), content["options"]["seeds"], content["devices"]
    if recipe is not None and options is not None:
        theirs = {**_plain(found), **_plain(TrainOptions()), **content["options"]}
        _compare(group.index, {**_plain(recipe), **_plain(options)}, theirs)
    _compare_random(group.index, content["random"])
    algorithm, problem = found.build()
    state = group.broadcast_arrays(shapes(algorithm, problem, seeds))
    surroundings.on_message(f"process {group.index}: trains with process 0, which writes and evaluates")
    run = Run(found, options or TrainOptions(seeds=seeds), None, algorithm, problem, None, content["done"])

    def on_chunk(progress: loop.Progress) -> bool:
        watchdog.rest()
        run.done, run.seconds = progress.done, progress.seconds
        last = run.done >= algorithm.num_updates or group.any(stop.asked)
        if not last:
            watchdog.begin(run.done, loop.next_look(run.done, algorithm.num_updates))
        return last

    def on_compiled(program: Any) -> None:
        memory.check(algorithm, devices)(program)
        watchdog.begin(run.done, loop.next_look(run.done, algorithm.num_updates, first=True))

    watchdog = Watchdog(surroundings.chunk_timeout, stop, None)
    at_once = "stopped at once; what process 0 has saved can be resumed"
    with group.training(), watchdog.open(), stop.saving(at_once):
        run.state = loop.train(
            algorithm,
            problem,
            state,
            num_updates=algorithm.num_updates,
            num_seeds=seeds,
            devices=devices,
            done=run.done,
            on_compiled=on_compiled,
            on_chunk=on_chunk,
        )
    run.stopped = run.done < algorithm.num_updates
    return run


def _compare(index: int, mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    for name, value in mine.items():
        if name not in OWN and theirs.get(name) != value:
            raise ConfigError(
                f"--{name.replace('_', '-')}: expected the same as in process 0, {short_repr(theirs.get(name))}; found "
                f"{short_repr(value)} in process {index}. Start all with the same words"
            )


def _compare_random(index: int, theirs: dict[str, Any]) -> None:
    """Refuse to draw other random numbers than the writer: its share of tasks would be another run's."""
    for name, value in numerics.configured(numerics.RANDOM).items():
        if theirs.get(name) != value:
            there, here = (numerics.variable(name, x) for x in (theirs.get(name), value))
            raise ConfigError(
                f"{there.partition('=')[0]}: expected the same random numbers as in process 0, {there}; found {here} "
                f"in process {index}. Start all in the same environment"
            )


def _plain(settings: Recipe | Settings) -> dict[str, Any]:
    """Names and values, those of parts included."""
    plain = dataclasses.asdict(settings)
    for name in ("algorithm_settings", "problem_settings"):
        plain.update(plain.pop(name, {}))
    return plain
