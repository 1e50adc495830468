"""adaptax: agents that learn how to learn.

Names are imported when they are first used, so that `import adaptax` and the command line's checks do not wait for
JAX. (The function `rollout` is not among them: `adaptax.core.rollout` is the module that it is in.)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaptax.core.algorithm import Algorithm as Algorithm
    from adaptax.core.algorithm import init as init
    from adaptax.core.problem import Environment as Environment
    from adaptax.core.problem import Problem as Problem
    from adaptax.core.problem import Step as Step
    from adaptax.core.problem import TaskDistribution as TaskDistribution
    from adaptax.core.problem import make_problem as make_problem
    from adaptax.core.rollout import collect as collect
    from adaptax.core.rollout import lifetime as lifetime
    from adaptax.core.rollout import start as start
    from adaptax.core.trained_agent import TrainedAgent as TrainedAgent
    from adaptax.core.types import AgentState as AgentState
    from adaptax.core.types import TimeStep as TimeStep
    from adaptax.core.types import TrainState as TrainState
    from adaptax.core.types import Transition as Transition
    from adaptax.core.types import Window as Window
    from adaptax.deployment.agent import Agent as Agent
    from adaptax.evaluation.evaluator import Evaluation as Evaluation
    from adaptax.evaluation.evaluator import evaluate as evaluate
    from adaptax.few_shot.maml import adapt as adapt
    from adaptax.few_shot.maml import maml_train as maml_train
    from adaptax.training.loop import train as train

_WHERE = {
    "adaptax.deployment.agent": ("Agent",),
    "adaptax.core.algorithm": ("Algorithm", "init"),
    "adaptax.core.problem": ("Environment", "Problem", "Step", "TaskDistribution", "make_problem"),
    "adaptax.evaluation.evaluator": ("Evaluation", "evaluate"),
    "adaptax.few_shot.maml": ("adapt", "maml_train"),
    "adaptax.core.rollout": ("collect", "lifetime", "start"),
    "adaptax.training.loop": ("train",),
    "adaptax.core.trained_agent": ("TrainedAgent",),
    "adaptax.core.types": ("AgentState", "TimeStep", "TrainState", "Transition", "Window"),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'adaptax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value
