"""adaptax: agents that learn how to learn.

Names are imported when they are first used, so that `import adaptax` and the command line's checks do not wait for
JAX. (The function `rollout` is not among them: `adaptax.rollout` is the module that it is in.)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaptax.agent import Agent as Agent
    from adaptax.algorithm import Algorithm as Algorithm
    from adaptax.envs.base import Environment as Environment
    from adaptax.envs.base import Problem as Problem
    from adaptax.envs.base import Step as Step
    from adaptax.envs.base import TaskDistribution as TaskDistribution
    from adaptax.envs.base import make_problem as make_problem
    from adaptax.evaluation import Evaluation as Evaluation
    from adaptax.evaluation import evaluate as evaluate
    from adaptax.few_shot import adapt as adapt
    from adaptax.few_shot import maml_train as maml_train
    from adaptax.rollout import collect as collect
    from adaptax.rollout import lifetime as lifetime
    from adaptax.rollout import start as start
    from adaptax.training import init as init
    from adaptax.training import train as train
    from adaptax.types import AgentState as AgentState
    from adaptax.types import TimeStep as TimeStep
    from adaptax.types import TrainState as TrainState
    from adaptax.types import Transition as Transition
    from adaptax.types import Window as Window

_WHERE = {
    "adaptax.agent": ("Agent",),
    "adaptax.algorithm": ("Algorithm",),
    "adaptax.envs.base": ("Environment", "Problem", "Step", "TaskDistribution", "make_problem"),
    "adaptax.evaluation": ("Evaluation", "evaluate"),
    "adaptax.few_shot": ("adapt", "maml_train"),
    "adaptax.rollout": ("collect", "lifetime", "start"),
    "adaptax.training": ("init", "train"),
    "adaptax.types": ("AgentState", "TimeStep", "TrainState", "Transition", "Window"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'adaptax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value
