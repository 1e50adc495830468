"""adaptax: agents that learn how to learn.

Algorithms are here (`adaptax.RL2`), and what one needs to write another, or a problem; the problems that there are, in
`adaptax.problems`. Names are imported when they are first used, so that `import adaptax` and the command line's checks
do not wait for JAX.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from adaptax.core.version import __version__ as __version__

if TYPE_CHECKING:
    from adaptax.core.algorithm import Algorithm as Algorithm
    from adaptax.core.algorithm import init as init
    from adaptax.core.problem import Environment as Environment
    from adaptax.core.problem import Problem as Problem
    from adaptax.core.problem import Step as Step
    from adaptax.core.problem import TaskDistribution as TaskDistribution
    from adaptax.core.problem import make_problem as make_problem
    from adaptax.core.trained_agent import TrainedAgent as TrainedAgent
    from adaptax.core.types import AgentState as AgentState
    from adaptax.core.types import TimeStep as TimeStep
    from adaptax.core.types import TrainState as TrainState
    from adaptax.core.types import Transition as Transition
    from adaptax.core.types import Window as Window
    from adaptax.deployment.agent import Agent as Agent
    from adaptax.evaluation.evaluator import Evaluation as Evaluation
    from adaptax.evaluation.evaluator import evaluate as evaluate
    from adaptax.registry.encoders import register_encoder as register_encoder
    from adaptax.registry.resolve import register_algorithm as register_algorithm
    from adaptax.registry.resolve import register_problem as register_problem
    from adaptax.training.loop import train as train

_WHERE = {
    "adaptax.core.algorithm": ("Algorithm", "init"),
    "adaptax.core.problem": ("Environment", "Problem", "Step", "TaskDistribution", "make_problem"),
    "adaptax.core.trained_agent": ("TrainedAgent",),
    "adaptax.core.types": ("AgentState", "TimeStep", "TrainState", "Transition", "Window"),
    "adaptax.deployment.agent": ("Agent",),
    "adaptax.evaluation.evaluator": ("Evaluation", "evaluate"),
    "adaptax.registry.encoders": ("register_encoder",),
    "adaptax.registry.resolve": ("register_algorithm", "register_problem"),
    "adaptax.training.loop": ("train",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

_MOVED = {
    "adapt": "adaptax.few_shot:adapt",
    "collect": "adaptax.core.rollout:collect",
    "lifetime": "adaptax.core.rollout:evaluate_trial",
    "maml_train": "adaptax.few_shot:maml_train",
    "start": "adaptax.core.rollout:start",
}
"""What was here in 0.1, and where it is now; found here until 0.3."""


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    elif name in _MOVED:
        module, _, new = _MOVED[name].partition(":")
        warnings.warn(f"adaptax.{name} is now {module}.{new}; the old name goes in 0.3", DeprecationWarning, 2)
        value = getattr(importlib.import_module(module), new)
    elif name == "__all__":
        value = sorted({*_MODULE_OF, *_algorithms()})
    elif not name.startswith("_") and name in _algorithms():
        value = getattr(importlib.import_module("adaptax.algorithms"), name)
    else:
        raise AttributeError(f"module 'adaptax' has no attribute {name!r}")
    globals()[name] = value
    return value


def _algorithms() -> list[str]:
    return importlib.import_module("adaptax.algorithms").__all__


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_algorithms()})
