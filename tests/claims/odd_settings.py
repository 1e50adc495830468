"""Settings that are valid and odd: one task, one step, one unit, bounds. Each trains for one update, or says why not.

A learner from scratch, which has no update, goes through a trial instead.
"""

import dataclasses
import math
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import jax

from adaptax.core.algorithm import init
from adaptax.core.errors import AdaptaxError, ConfigError, DivergenceError
from adaptax.core.settings import Settings, check_distribution
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems.settings import episodes_of
from adaptax.registry.registry import FROM_SCRATCH, LEARNERS, NATIVE_PROBLEMS
from adaptax.runs.recipe import Recipe
from adaptax.training.loop import train
from tests.claims.checks import Check, at_most, measured

SMALL = {
    "num_updates": (1,), "num_tasks": (1, 2, 3, 5), "num_epochs": (1, 2), "num_layers": (0, 1), "inner_steps": (1, 2),
    "cg_steps": (1, 3), "learning_starts": (1, 2), "buffer_size": (2, 7), "replicas": (2, 3), "size": (3, 4),
    "base_steps": (1, 2), "num_states": (1, 2, 3), "num_actions": (1, 2, 3), "length": (2, 3, 5), "policy_size": (0, 1),
}  # fmt: skip
"""Integers whose bounds are too far apart to be tried."""
FEW = (1, 1, 2, 3)
"""All other integers, down to their bounds."""
ODD = 0.3
"""Share of the other fields that are changed."""
TRIES = 1000
NUM_LIVES = 2
"""Tasks that a learner from scratch is run in."""


def odd_value(field: dataclasses.Field[Any], rng: random.Random) -> Any:
    """An unusual value that is in the field's range."""
    if field.type is bool:
        return rng.random() < 0.5
    if get_origin(field.type) is Literal:
        return rng.choice([choice for choice in get_args(field.type) if ":" not in str(choice)])  # of other packages
    if field.type is str:
        return rng.choice(("auto", "none"))  # an encoder: nothing else of ours has such a name
    low, high, above = (field.metadata[name] for name in ("low", "high", "above"))
    if field.type is int:
        return rng.choice([value for value in SMALL.get(field.name, FEW) if low is None or value >= low] or [low])
    bounds = [bound for bound in (low, high) if bound is not None]
    default: Any = field.default
    larger = [] if high is not None and 10 * default > high else [10 * default]
    # A bound may be written as an integer, but what is typed for such a field is read as a float.
    return float(rng.choice([*bounds, *larger, default * 1e-3, *([1e-6] if above == 0 else [])]))


def odd_settings(kind: type[Settings], rng: random.Random) -> Settings:
    """Draw settings: integers are small, some of the others are odd.

    Raises:
        ConfigError: if they do not go together.
    """
    values: dict[str, Any] = {}
    fields = sorted(dataclasses.fields(kind), key=lambda field: bool(field.metadata.get("only")))
    for field in fields:
        only = field.metadata.get("only", {})
        effective = all(values.get(name, getattr(kind, name, None)) in allowed for name, allowed in only.items())
        if effective and (field.type is int or rng.random() < ODD):
            values[field.name] = odd_value(field, rng)
    if "num_minibatches" in values and "num_tasks" in values:
        values["num_minibatches"] = rng.choice((1, values["num_tasks"]))
    return kind(**values)


def fitting(algorithm: Settings, problem: Settings) -> Settings:
    """The algorithm's settings with those that discrete actions make idle left alone."""
    changes = {}
    for field in dataclasses.fields(algorithm):
        if field.name.endswith("_std"):
            try:
                check_distribution(algorithm, problem, field.name)
            except ConfigError:
                changes[field.name] = field.default
    if "exploration_std" in changes:
        changes["exploration_decay"] = 0.0
    return dataclasses.replace(algorithm, **changes)


def draw(rng: random.Random, pair: tuple[str, str]) -> tuple[Recipe | None, list[str]]:
    """A recipe for an algorithm and a problem; None if none was found. Also what refusals have said."""
    refusals: list[str] = []
    kinds = LEARNERS[pair[0]].settings, NATIVE_PROBLEMS[pair[1]].settings
    assert kinds[0] is not None
    assert kinds[1] is not None
    for _ in range(TRIES):
        try:
            problem = odd_settings(kinds[1], rng)
            name, episodes = episodes_of(problem)
            if name is not None:  # so that most divide into windows
                problem = dataclasses.replace(problem, **{name: math.lcm(episodes, rng.choice((1, 2, 3, 6)))})
            algorithm = fitting(odd_settings(kinds[0], rng), problem)
            algorithm.check_problem(problem)
        except ConfigError as error:
            refusals.append(str(error))
        else:
            return Recipe(*pair, algorithm, problem), refusals
    return None, refusals


def outcome(recipe: Recipe, seed: int) -> str:
    """Train for an update, or run a trial: "ran", "diverged", "refused: …" or "crashed: …"."""
    try:
        algorithm, problem = recipe.build()
        state = init(algorithm, problem, seed=seed)
        if recipe.algorithm in FROM_SCRATCH:
            evaluate(TrainedAgent(algorithm, problem, state.meta), num_tasks=NUM_LIVES, seed=seed)
        else:
            train(algorithm, problem, state, num_updates=1)
    except DivergenceError:
        return "diverged"
    except AdaptaxError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"crashed: {type(error).__name__}: {str(error)[:300]}"
    return "ran"


def run(seed: int, n: int) -> Iterator[Check]:
    """All checks.

    Args:
        seed: Decides the settings.
        n: How many of them are tried.
    """
    rng = random.Random(seed)
    pairs = [(algorithm, problem) for algorithm in LEARNERS for problem in NATIVE_PROBLEMS]
    rng.shuffle(pairs)
    counts: Counter[str] = Counter()
    refusals: list[str] = []
    crashes: list[str] = []
    tiny = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)  # tiny programs take longer to compile than to run
    try:
        for number in range(n):
            recipe, said = draw(rng, pairs[number % len(pairs)])
            refusals += said
            ended = "unsuited" if recipe is None else outcome(recipe, seed)
            counts[ended.partition(":")[0]] += 1
            if ended.startswith(("crashed", "refused")):
                crashes.append(f"{ended} with {recipe}")
    finally:
        jax.config.update("jax_disable_most_optimizations", tiny)
    unnamed = [said for said in refusals if "Settings" not in said.partition(":")[0]]
    yield measured("odd settings: trained for an update, or run", counts["ran"], f"of {n}")
    yield measured("numbers that diverged, said so", counts["diverged"], f"of {n}")
    yield measured("pairs that do not suit each other, said so", counts["unsuited"], f"of {n}")
    note = f"of {n}{''.join(f'; {crash}' for crash in crashes[:1])}"
    yield at_most("crashed, or refused only after they were built", len(crashes), 0, note)
    yield at_most("refusals that name no field", len(unnamed), 0, f"of {len(refusals)}; {''.join(unnamed[:1])}")
