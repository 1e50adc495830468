"""The old name of `adaptax.problems`, until 0.3: its names, and its modules (`adaptax.envs.base`), are found there."""

import importlib
import sys
import warnings
from typing import Any

warnings.warn(
    "adaptax.envs is now adaptax.problems, and adaptax.envs.base is adaptax.core.problem; the old names go in 0.3",
    DeprecationWarning,
    stacklevel=2,
)

_MODULES = {
    "bandit": "problems.bandit",
    "base": "core.problem",
    "cart_pole": "problems.cart_poles",
    "chain": "problems.chains",
    "correlated_bandit": "problems.correlated_bandits",
    "cue": "problems.cues",
    "gaussian_bandit": "problems.gaussian_bandits",
    "grid_navigation": "problems.grid_worlds",
    "informed": "problems.task_informed",
    "point_robot": "problems.point_robots",
    "tabular": "problems.tabular",
    "two_step": "problems.two_step_tasks",
}
for _old, _new in _MODULES.items():  # so that `from adaptax.envs.base import Problem` finds the module
    sys.modules[f"{__name__}.{_old}"] = importlib.import_module(f"adaptax.{_new}")

_problems = importlib.import_module("adaptax.problems")
__all__ = list(_problems.__all__)


def __getattr__(name: str) -> Any:
    """A factory or a class; where a module had the name of its factory, the factory. Otherwise a module."""
    try:
        return getattr(_problems, name)
    except AttributeError:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        return sys.modules[f"{__name__}.{name}"]
