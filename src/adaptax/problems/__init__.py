"""Problem families. Every name in `__all__` is a factory whose keyword arguments are the family's options.

`informed` makes a problem of any other: the same one, as seen by a policy that knows the task. All are imported when
they are first used.
"""

import importlib
from typing import Any

_WHERE = {
    "bandit": (
        "BernoulliBandit",
        "bernoulli_bandit",
    ),
    "cart_poles": (
        "CartPole",
        "cart_pole",
    ),
    "chains": (
        "Chain",
        "chain",
    ),
    "correlated_bandits": ("correlated_bandit",),
    "cues": (
        "Cue",
        "cue",
    ),
    "gaussian_bandits": (
        "GaussianBandit",
        "gaussian_bandit",
    ),
    "grid_worlds": (
        "GridNavigation",
        "grid_navigation",
    ),
    "point_robots": (
        "PointRobot",
        "point_robot",
        "point_robot_sparse",
    ),
    "tabular": (
        "TabularMDP",
        "tabular_mdp",
    ),
    "task_informed": (
        "Informed",
        "informed",
    ),
    "two_step_tasks": (
        "TwoStep",
        "two_step",
    ),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "bernoulli_bandit",
    "cart_pole",
    "chain",
    "correlated_bandit",
    "cue",
    "gaussian_bandit",
    "grid_navigation",
    "point_robot",
    "point_robot_sparse",
    "tabular_mdp",
    "two_step",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
