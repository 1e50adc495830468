"""Algorithms: meta-learners, and the classical agents that they are compared with; imported when first used.

The names are those in the families' tables, which need no JAX.
"""

import importlib
from typing import Any

from adaptax.algorithms.classical.entries import CLASSICAL
from adaptax.algorithms.gradient import settings as _gradient
from adaptax.algorithms.memory import settings as _memory
from adaptax.algorithms.standard_rl import settings as _standard_rl
from adaptax.core.entry import modules_of

TRAINABLE = {**_memory.TRAINABLE, **_gradient.TRAINABLE, **_memory.EXPLORERS, **_standard_rl.TRAINABLE}
"""What meta-learns, by name."""
FROM_SCRATCH = {**_standard_rl.FROM_SCRATCH}
"""What learns every task from nothing: there is nothing to meta-train."""

_MODULE_OF = modules_of(TRAINABLE, FROM_SCRATCH, CLASSICAL)

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
