"""Small agents that ship with the package: what they are, where they are, and what they earned.

Each is a folder beside this file: a run reduced to θ (`adaptax.runs.parameters`), which whatever takes a run takes, its
exported step (`steps.py`), and `result.json`, what it earned in held-out tasks. `python benchmarks/pretrained.py NAME`
makes one anew. No JAX here, so that a demonstration begins at once.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from adaptax.core.errors import UseError, short_repr
from adaptax.core.settings import suggestion

NAMES = ("bandit", "grid-navigation", "point-robot")
"""Those that there are, each called by its problem."""
RESULT = "result.json"
_LARGEST = 100_000
"""Bytes of that file, at most."""


def directory_of(name: str) -> Path:
    """Where a pretrained agent is.

    Raises:
        UseError: if there is none of that name.
    """
    if not isinstance(name, str) or name not in NAMES:
        near = suggestion(name, NAMES) if isinstance(name, str) else ""
        raise UseError(f"pretrained: expected one of {', '.join(NAMES)}; found {short_repr(name)}{near}")
    return Path(str(resources.files(__name__) / name))


def result_of(directory: Path) -> dict[str, Any] | None:
    """What a run's agent earned, as its maker wrote it down; None if nobody did."""
    path = directory / RESULT
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else None


def tasks_in_words(result: dict[str, Any]) -> str:
    """In which tasks that was measured."""
    number = f"{result['tasks']:,} tasks"
    return f"{number} that it had never seen" if result["held_out"] else f"{number} of a small family that it knows"
