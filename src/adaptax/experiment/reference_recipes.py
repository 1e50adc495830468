"""What to train as the reference policies of a problem: two recipes that differ in what is seen. No JAX here."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adaptax.core.errors import ConfigError
from adaptax.experiment.options import ReferenceOptions, TrainOptions
from adaptax.experiment.recipes import check, options_for, recipe_for
from adaptax.runs.recipe import Recipe
from adaptax.runs.references import POLICIES


def reference_recipes(
    problem: Any, options: ReferenceOptions, changes: Mapping[str, Any] | None = None
) -> tuple[dict[str, Recipe], ReferenceOptions]:
    """The recipe of each policy, by what it is, and how to train both.

    Args:
        problem: Its name, its settings, MODULE:NAME, or the function that makes it.
        options: How.
        changes: What else is to be, by the names of fields: the problem's, both policies' and options.

    Raises:
        ConfigError: naming what is wrong.
    """
    known = {field.name for field in dataclasses.fields(ReferenceOptions)}
    mine = {name: value for name, value in (changes or {}).items() if name in known}
    rest = {name: value for name, value in (changes or {}).items() if name not in known}
    options = options_for(options, mine)
    recipes: dict[str, Recipe] = {}
    for part, algorithm in POLICIES.items():
        recipes[part], training = recipe_for(algorithm, problem, options.training(), changes=rest)
        if training != options.training():
            other = next(name for name in rest if hasattr(training, name))
            raise ConfigError(f"{other}: is an option of train, and none of reference; leave it out")
        expect_no_learning(recipes[part], training)
    return recipes, options


def expect_no_learning(recipe: Recipe, options: TrainOptions) -> None:
    """Refuse a policy that learns in a task: it would adapt, and so be no reference of what does not.

    Raises:
        ConfigError: if it does, or what is to be trained does not go together.
    """
    rate = getattr(recipe.algorithm_settings, "fine_tuning_rate", 0)
    if rate:
        raise ConfigError(
            f"--fine-tuning-rate: expected 0, as a reference policy learns nothing in a task; found {rate:g}"
        )
    check(recipe, options)
