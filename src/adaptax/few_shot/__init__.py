"""MAML for anything with a differentiable loss; `maml_train` and what belongs to it are imported when first used."""

import importlib
from typing import Any

__all__ = ["History", "MetaTrained", "adapt", "maml_train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.maml"), name)
    globals()[name] = value
    return value
