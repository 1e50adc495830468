"""What a sweep tries: settings and their values, all combinations of them, or ranges. No JAX here.

DIR/sweep.json    the plan
    CELL/         a run for each choice, as `adaptax train` leaves one behind; cell.json says what came of it
    results.json  figures of all, by validation tasks, and which is the best
    sweep.png     the picture
"""

import dataclasses
import itertools
import json
import math
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, ConfigError, OutputError, short_repr
from adaptax.core.settings import Settings
from adaptax.core.version import __version__
from adaptax.experiment.recipes import check
from adaptax.experiment.sweep_options import MOST_CELLS, SweepOptions
from adaptax.runs.differences import difference
from adaptax.runs.recipe import Recipe, check_known, recipe_of

PLAN = "sweep.json"
FORMAT = 1
_LARGEST = 4_000_000
"""Bytes of a plan, at most."""
_PLAIN = re.compile(r"[A-Za-z0-9._=,+-]{1,100}")
"""A name of a folder that needs no quotes."""
_ELSEWHERE = ("out", "part", "processes", "json")
"""Options of a sweep in which processes may differ."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers that Optuna may choose from.

    Attributes:
        low: The least.
        high: The largest.
        log: Whether their logarithms are alike probable.
    """

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low!r}:{self.high!r}{':log' * self.log}"


Values = tuple[Any, ...] | Range


@dataclasses.dataclass(frozen=True)
class Cell:
    """One choice.

    Attributes:
        name: Of its folder.
        changes: Values of what is swept, by the settings' names.
    """

    name: str
    changes: Mapping[str, Any]

    def __str__(self) -> str:
        return ", ".join(f"{name} {shown(value)}" for name, value in self.changes.items())


def shown(value: Any) -> str:
    """A value as one reads it: numbers with as few digits as they have."""
    return f"{value:.12g}" if type(value) is float else str(value)


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """What is tried.

    Attributes:
        recipe: What is trained, where a choice does not say otherwise.
        swept: Values of each swept setting, by its name, in the order in which they were typed.
        options: How.
        preset: Where the settings come from.
    """

    recipe: Recipe
    swept: Mapping[str, Values]
    options: SweepOptions
    preset: str = "default"

    @property
    def cells(self) -> list[Cell]:
        """All combinations, the last setting's values next to each other; of ranges there are none."""
        lists = [() if isinstance(values, Range) else values for values in self.swept.values()]
        choices = [dict(zip(self.swept, values, strict=True)) for values in itertools.product(*lists)]
        return [Cell(_name(index, changes), changes) for index, changes in enumerate(choices, 1)]

    def recipe_of(self, cell: Cell) -> Recipe:
        """What is trained for a choice.

        Raises:
            ConfigError: if the settings do not go together.
        """
        changed = dataclasses.replace(self.recipe.algorithm_settings, **cell.changes)
        return dataclasses.replace(self.recipe, algorithm_settings=changed)

    def check(self) -> None:
        """Refuse what no run could be started with.

        Raises:
            ConfigError: naming it.
        """
        if self.options.optuna:
            self._check_ranges()
        elif any(isinstance(values, Range) for values in self.swept.values()):
            name = next(name for name, values in self.swept.items() if isinstance(values, Range))
            raise ConfigError(f"{option_of(name)}: a range is for Optuna to choose from: add --optuna N")
        count = math.prod(len(values) for values in self.swept.values() if not isinstance(values, Range))
        if not self.options.optuna and count > MOST_CELLS:
            product = " × ".join(
                f"{len(values)} ({name})" for name, values in self.swept.items() if not isinstance(values, Range)
            )
            raise ConfigError(
                f"sweep: expected at most {MOST_CELLS:,} choices; found {product} = {count:,}, each with "
                f"{self.options.seeds} seed{'s' if self.options.seeds > 1 else ''} of "
                f"{getattr(self.recipe.algorithm_settings, 'num_updates', 0):,} updates. Name fewer values, or let "
                "Optuna choose: --optuna N. `adaptax plan` says what one training needs"
            )
        for cell in self.cells:
            try:
                check(self.recipe_of(cell), self.options)
            except ConfigError as error:
                raise ConfigError(f"{cell}: {error}") from None

    def _check_ranges(self) -> None:
        for name, values in self.swept.items():
            ends = (values.low, values.high) if isinstance(values, Range) else values
            for value in ends:
                dataclasses.replace(self.recipe.algorithm_settings, **{name: value})

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        swept = {
            name: {"low": values.low, "high": values.high, "log": values.log}
            if isinstance(values, Range)
            else list(values)
            for name, values in self.swept.items()
        }
        options = {name: value for name, value in dataclasses.asdict(self.options).items() if name not in _ELSEWHERE}
        return {
            "format": FORMAT,
            **self.recipe.to_json(),
            "swept": swept,
            "options": {**options, "parts": self.options.parts},
            "preset": self.preset,
            "adaptax": __version__,
        }

    def write(self, directory: Path) -> None:
        """Write it down where there is none yet; of several who do so at once, all have the first one's.

        Raises:
            OutputError: if there is another plan, or it cannot be written.
        """
        path = directory / PLAN
        temporary = directory / f".{PLAN}-{secrets.token_hex(8)}"
        with atomic_files.explained(f"the plan {path}"):
            if not os.path.lexists(path):
                atomic_files.write(temporary, (json.dumps(self.to_json(), indent=2) + "\n").encode())
                try:
                    os.link(temporary, path)
                except FileExistsError:
                    pass
                finally:
                    temporary.unlink()
        mine, found = json.loads(json.dumps(self.to_json())), _read(path)
        differing = difference({**mine, "adaptax": found.get("adaptax")}, found)
        if differing is not None:
            name, wanted, there = differing
            raise OutputError(
                f"{directory}: already holds another sweep ({name}: {there} there, {wanted} here); nothing was "
                f"changed. To go on with it: adaptax sweep --resume {directory}. Otherwise choose another --out"
            )


def read_plan(directory: Path, *, problem: str | None = None, algorithm: str | None = None) -> SweepPlan:
    """The plan of a sweep's directory.

    Args:
        directory: The sweep's.
        problem: The name of its problem, if it is the user's own.
        algorithm: The same for the algorithm.

    Raises:
        CheckpointError: if there is none, or it is not what was written.
        ConfigError: if a name that is given stands for nothing.
    """
    path = directory / PLAN
    content = _read(path)
    try:
        recipe = recipe_of(content, problem=problem, algorithm=algorithm)
        check_known(type(recipe.algorithm_settings), dict(content["swept"]), "swept")
        swept = {name: _values(values) for name, values in dict(content["swept"]).items()}
        options = dict(content["options"])
        parts = options.pop("parts")
        check_known(SweepOptions, options, "options")
        typed = {name: value for name, value in options.items() if _is_typed(name)}
        plan = SweepPlan(recipe, swept, SweepOptions(**typed, processes=parts), str(content["preset"]))
        plan.check()
    except (ConfigError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointError(f"{path}: {short_repr(str(error), 400)}. Nothing was changed") from error
    return plan


def example_of(plan: SweepPlan) -> dict[str, Any]:
    """One choice of what may be tried."""
    return {name: values.low if isinstance(values, Range) else values[0] for name, values in plan.swept.items()}


def _is_typed(name: str) -> bool:
    return next(field.init for field in dataclasses.fields(SweepOptions) if field.name == name)


def _values(found: Any) -> Values:
    if isinstance(found, dict):
        low, high, log = found["low"], found["high"], found["log"]
        if type(low) not in (int, float) or type(high) not in (int, float) or not isinstance(log, bool):
            raise ConfigError(f"swept: expected a range; found {short_repr(found)}")
        return Range(low, high, log)
    if not isinstance(found, list) or not found:
        raise ConfigError(f"swept: expected values; found {short_repr(found)}")
    return tuple(found)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(atomic_files.read(path, _LARGEST).decode())
    except FileNotFoundError:
        raise CheckpointError(
            f"{path.parent}: no sweep there ({PLAN} is missing). Give the directory that `adaptax sweep` printed"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: unreadable ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: expected format {FORMAT}, found {short_repr(found)}. Nothing was changed")
    return content


def _name(index: int, changes: Mapping[str, Any]) -> str:
    """The name of a cell's folder: what it is, where that can be typed without quotes."""
    name = ",".join(f"{option_of(name)[2:]}={shown(value)}" for name, value in changes.items())
    return name if _PLAIN.fullmatch(name) else f"cell-{index:04d}"


def option_of(name: str) -> str:
    """How a setting is typed."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def words_of(recipe: Recipe, preset: str) -> list[str]:
    """What is typed to train a recipe: names, and what is other than the preset's."""
    from adaptax.registry.presets import settings_for

    words = [recipe.algorithm, recipe.problem, *(["--preset", preset] if preset != "default" else [])]
    of_problem = settings_for(recipe.algorithm, recipe.problem, preset)[1]
    of_algorithm = settings_for(recipe.algorithm, recipe.problem, preset, recipe.problem_settings)[0]
    for typed, known in ((recipe.problem_settings, of_problem), (recipe.algorithm_settings, of_algorithm)):
        words += _typed(typed, known)
    return words


def _typed(settings: Settings, known: Settings) -> Sequence[str]:
    words: list[str] = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value == getattr(known, field.name):
            continue
        option = option_of(field.name)
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        else:
            words += [option, *map(shown, value if isinstance(value, tuple) else [value])]
    return words
