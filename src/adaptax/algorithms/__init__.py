"""Algorithms: meta-learners, and the classical agents that they are compared with; imported when first used."""

import importlib
from typing import Any

_WHERE = {
    "classical.bandit_agents": (
        "UCB1",
        "EpsilonGreedy",
        "Greedy",
        "MostLikelySampling",
        "OptimisticThompsonSampling",
        "ThompsonSampling",
    ),
    "classical.bayes_optimal": (
        "BayesOptimalBandit",
        "BayesOptimalGrid",
    ),
    "classical.gittins": ("Gittins",),
    "classical.random": ("Random",),
    "classical.tabular_agents": (
        "BEB",
        "PSRL",
        "UCRL2",
        "OptimisticPSRL",
        "TabularEpsilonGreedy",
        "TabularGreedy",
    ),
    "gradient.anil": ("ANIL",),
    "gradient.cavia": ("CAVIA",),
    "gradient.e_maml": ("EMAML",),
    "gradient.es_maml": ("ESMAML",),
    "gradient.maml": (
        "FOMAML",
        "MAML",
    ),
    "gradient.meta_lstm": ("MetaLSTM",),
    "gradient.meta_sgd": ("MetaSGD",),
    "gradient.promp": ("ProMP",),
    "gradient.reptile": ("Reptile",),
    "memory.meta_policy_gradient": ("MetaPolicyGradient",),
    "memory.rl2": ("RL2",),
    "standard_rl.a2c": ("A2C",),
    "standard_rl.dqn": ("DQN",),
    "standard_rl.meta_gradient_rl": ("MetaGradientRL",),
    "standard_rl.multitask_ppo": ("MultiTaskPPO",),
    "standard_rl.ppo": ("PPO",),
    "standard_rl.reinforce": ("Reinforce",),
    "standard_rl.temporal_difference": (
        "SARSA",
        "QLearning",
    ),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "A2C",
    "ANIL",
    "BEB",
    "CAVIA",
    "DQN",
    "EMAML",
    "ESMAML",
    "FOMAML",
    "MAML",
    "PPO",
    "PSRL",
    "RL2",
    "SARSA",
    "UCB1",
    "UCRL2",
    "BayesOptimalBandit",
    "BayesOptimalGrid",
    "EpsilonGreedy",
    "Gittins",
    "Greedy",
    "MetaGradientRL",
    "MetaLSTM",
    "MetaPolicyGradient",
    "MetaSGD",
    "MostLikelySampling",
    "MultiTaskPPO",
    "OptimisticPSRL",
    "OptimisticThompsonSampling",
    "ProMP",
    "QLearning",
    "Random",
    "Reinforce",
    "Reptile",
    "TabularEpsilonGreedy",
    "TabularGreedy",
    "ThompsonSampling",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
