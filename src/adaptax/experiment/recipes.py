"""From what a service is asked for to a recipe and options, checked before anything is built. No JAX here."""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings, suggestion
from adaptax.experiment.options import TrainOptions
from adaptax.registry.encoders import accept_encoder
from adaptax.registry.presets import DEFAULT, settings_for
from adaptax.registry.registry import FROM_SCRATCH, LEARNERS, PROBLEMS, Entry
from adaptax.runs.recipe import Recipe
from adaptax.runs.trackers.tracker import accept_trackers

Options = TypeVar("Options", bound=Settings)


def recipe_for(
    algorithm: Any,
    problem: Any,
    options: TrainOptions,
    preset: str = DEFAULT,
    changes: Mapping[str, Any] | None = None,
) -> tuple[Recipe, TrainOptions]:
    """What to train and how.

    Args:
        algorithm: Its name, MODULE:NAME, or class, with the preset's settings; or its settings.
        problem: The same; instead of a class, the function that makes it.
        options: How to run.
        preset: Name of settings for this algorithm on this problem, of those that are given by name.
        changes: What else is to be, by the names of fields of any of the three: those that can be typed.

    Raises:
        ConfigError: naming what is wrong.
    """
    names = _name_of(algorithm, "algorithm", LEARNERS), _name_of(problem, "problem", PROBLEMS)
    found = settings_for(*names, preset)
    parts: list[Settings] = [
        given if isinstance(given, Settings) else default
        for given, default in zip((algorithm, problem), found, strict=True)
    ]
    *settings, of_problem, options = with_changes([*parts, options], changes or {})
    if of_problem != found[1] and not isinstance(algorithm, Settings):  # defaults follow from what the problem is
        parts = [settings_for(*names, preset, of_problem)[0], parts[1]]
        *settings, options = with_changes([*parts, options], changes or {})
    else:
        settings = [*settings, of_problem]
    accept_encoder(settings[0])
    recipe = Recipe(*names, *settings)
    check(recipe, options)
    return recipe, options


def check(recipe: Recipe, options: TrainOptions) -> None:
    """Refuse what does not go together.

    Raises:
        ConfigError: naming it.
        MissingPackageError: if a tracker is asked for whose package is not installed.
    """
    recipe.algorithm_settings.check_problem(recipe.problem_settings)
    accept_trackers(options.log or ())
    if recipe.algorithm in FROM_SCRATCH and options.seeds > 1:
        raise ConfigError(
            f"--seeds: {recipe.algorithm} learns every task from nothing, so there are no trainings to repeat; found "
            f"{options.seeds}. More --eval-tasks are more independent trials"
        )
    for name, value in (("--eval-every", options.eval_every), ("--from", options.from_)):
        if recipe.algorithm in FROM_SCRATCH and value:
            raise ConfigError(
                f"{name}: {recipe.algorithm} learns every task from nothing, so there is nothing to train; leave it out"
            )


def with_changes(parts: list[Any], changes: Mapping[str, Any]) -> list[Any]:
    """Settings with other values for some fields, each in the first that has it.

    Raises:
        ConfigError: if none has it, or a value is not what it must be.
    """
    places = {field.name: part for part in reversed(parts) for field in dataclasses.fields(part)}
    mine: dict[int, dict[str, Any]] = {}
    for name, value in changes.items():
        if name not in places:
            known = ", ".join(type(part).__name__ for part in parts)
            raise ConfigError(f"{name}: no such field in {known}{suggestion(name, places)}")
        mine.setdefault(id(places[name]), {})[name] = value
    return [dataclasses.replace(part, **mine.get(id(part), {})) for part in parts]


def options_for(default: Options, changes: Mapping[str, Any]) -> Options:
    """Options with other values for some fields.

    Raises:
        ConfigError: if there is no such field, or a value is not what it must be.
    """
    (changed,) = with_changes([default], changes)
    found: Options = changed
    return found


def options_of(started_with: Mapping[str, Any]) -> TrainOptions:
    """The options with which a run was started, as they were typed, of those that `read_recipe` returns."""
    known = {field.name: started_with[field.name] for field in dataclasses.fields(TrainOptions)}
    return TrainOptions(**{**known, "from_": None})  # what it began from is in its checkpoints


def _name_of(what: Any, kind: str, entries: Mapping[str, Entry]) -> str:
    if isinstance(what, str):
        return what
    if not isinstance(what, Settings) or isinstance(what, type):
        name = getattr(what, "__qualname__", "")
        if getattr(sys.modules.get(getattr(what, "__module__", "")), name, None) is not what or name == "":
            raise ConfigError(
                f"{kind}: expected a name, settings, or what can be imported by its name; found {short_repr(what)}. "
                f"Give it a name with adaptax.register_{kind}"
            )
        return f"{what.__module__}:{name}"
    names = [name for name, entry in entries.items() if entry.settings is type(what)]
    if len(names) != 1:
        raise ConfigError(
            f"{kind}: expected the settings of exactly one; found {type(what).__name__}, of "
            f"{' and '.join(names) or 'none'}. Give its name, and the settings as further arguments"
        )
    return names[0]
