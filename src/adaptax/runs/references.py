"""Where a problem's reference policies are kept: two ordinary runs, found by the problem's name and settings.

REFERENCES/PROBLEM-DIGEST/informed        the policy that is told the task: `oracle-ppo`
REFERENCES/PROBLEM-DIGEST/memoryless      one policy for all tasks, without memory: `multitask-ppo`
REFERENCES/PROBLEM-DIGEST/reference.json  of which problem they are, how its tasks look, and what both earn

How many episodes a trial has is no part of the problem here: neither policy knows of trials. No JAX here.
"""

import dataclasses
import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptax.core import atomic_files
from adaptax.core.errors import CheckpointError, short_repr
from adaptax.core.settings import Settings, episodes_of
from adaptax.runs.directory import read_recipe
from adaptax.runs.recipe import Recipe

INFORMED, MEMORYLESS = "informed", "memoryless"
POLICIES: Mapping[str, str] = {INFORMED: "oracle-ppo", MEMORYLESS: "multitask-ppo"}
"""The algorithm of each."""
RECORD = "reference.json"
FORMAT = 1
VARIABLE = "ADAPTAX_REFERENCES"
"""The environment's variable that says where they are kept."""
_LARGEST = 10_000_000
"""Bytes of the record, at most."""


def root(given: str | Path | None = None) -> Path:
    """The directory of all references: the one that is given, the environment's, or runs/references."""
    return Path(given or os.environ.get(VARIABLE) or Path("runs") / "references")


def changed(settings: Settings) -> dict[str, Any]:
    """What a problem has other than by default, the number of a trial's episodes apart."""
    episodes = episodes_of(settings)[0]
    return {
        field.name: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
        if field.name != episodes and getattr(settings, field.name) != field.default
    }


def place(references: Path, problem: str, settings: Settings) -> Path:
    """Where the references of a problem are, or would be.

    Only what is not the default counts, so that a setting that a later version adds leaves them where they are.
    """
    content = json.dumps([problem, changed(settings)], sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return references / f"{problem.replace(':', '.')}-{digest}"


def command(problem: str, settings: Settings, references: Path) -> str:
    """What to type to train them."""
    words = ["adaptax", "reference", problem]
    for name, value in changed(settings).items():
        option = name.rstrip("_").replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join([*words, *(["--references", str(references)] if references != root() else [])])


def same_problem(one: Settings, other: Settings) -> str:
    """Why two settings are not of the same problem; "" if they are."""
    if type(one) is not type(other):
        return f"found {type(other).__name__} instead of {type(one).__name__}"
    for field in dataclasses.fields(one):
        values = getattr(one, field.name), getattr(other, field.name)
        if field.name != episodes_of(one)[0] and values[0] != values[1]:
            return f"{field.name}: expected {short_repr(values[0])}; found {short_repr(values[1])}"
    return ""


def read_policy(directory: Path, part: str, problem: str, settings: Settings) -> tuple[Recipe, dict[str, Any]]:
    """The recipe and the options of one of the two, which must be of this problem.

    Raises:
        CheckpointError: if it is not, or there is none.
    """
    recipe, options = read_recipe(directory / part)
    if recipe.algorithm != POLICIES[part] or recipe.problem != problem:
        raise CheckpointError(
            f"{directory / part}: expected {POLICIES[part]} on {problem}; found {recipe.algorithm} on {recipe.problem}"
        )
    if difference := same_problem(settings, recipe.problem_settings):
        raise CheckpointError(f"{directory / part}: is of another {problem}: {difference}")
    return recipe, options


def read_record(directory: Path) -> dict[str, Any] | None:
    """What is written down of both; None if nothing is.

    Raises:
        CheckpointError: if it is unreadable.
    """
    path = directory / RECORD
    try:
        content = json.loads(atomic_files.read(path, _LARGEST).decode())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: unreadable ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("tasks"), dict):
        raise CheckpointError(f"{path}: expected format {FORMAT}; found another, or something else")
    return content
