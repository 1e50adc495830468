"""Learners of one task and of all at once by name, and where they start on each problem; no JAX."""

from collections.abc import Mapping
from typing import Any

from adaptax.algorithms.standard_rl.settings import (
    A2CSettings,
    ActorCriticSettings,
    DQNSettings,
    FineTunedPPOSettings,
    MetaGradientSettings,
    MultiTaskPPOSettings,
    PPOLearnerSettings,
    QLearningSettings,
    ReinforceSettings,
    SARSASettings,
    TemporalDifferenceSettings,
)
from adaptax.core.entry import Changes, Defaults, Entry
from adaptax.core.settings import Settings, as_many_as_fit, horizon_of


def _discounted(discount: float) -> Changes:
    return {kind: {"discount": discount} for kind in (TemporalDifferenceSettings, DQNSettings, ActorCriticSettings)}


_BANDIT_NAMES = ("bandit", "gaussian-bandit", "correlated-bandit")
_BANDITS: Changes = {
    TemporalDifferenceSettings: {"epsilon_episodes": 50, "rate_decay": 1.0},
    # A trial is over before the default has experience enough to begin: it learned nothing.
    DQNSettings: {
        "epsilon_episodes": 50,
        "learning_starts": 10,
        "train_every": 1,
        "target_every": 10,
        "batch_size": 32,
        "learning_rate": 0.01,
    },
}
_OF_ONE_EPISODE = {"discount": 0.5, "epsilon": 0.15, "final_epsilon": 0.15}
"""A share of random actions that falls from episode to episode would stay where it is: all actions were random."""
_TWO_STEP: Changes = {
    TemporalDifferenceSettings: {**_OF_ONE_EPISODE, "learning_rate": 0.5, "rate_decay": 0.0},
    DQNSettings: {**_BANDITS[DQNSettings], **_OF_ONE_EPISODE},
}
_CART_POLE: Changes = {
    TemporalDifferenceSettings: {"discount": 0.97, "epsilon_episodes": 50},
    DQNSettings: {
        "discount": 0.97,
        "train_every": 4,
        "target_every": 20,
        "epsilon_episodes": 50,
        "buffer_size": 50_000,
    },
    ActorCriticSettings: {"discount": 0.97},
    A2CSettings: {"num_steps": 40},
}
MOST_STEPS = 200_000
"""Environment steps in an update of all tasks, at most, where the number of tasks is derived."""


def _derived(problem: Settings) -> Changes:
    """As many tasks as fit into an update; observations that are numbers may be of any scale, and rewards there too."""
    settings = MultiTaskPPOSettings()
    tasks = as_many_as_fit(
        settings.num_tasks,
        4 * settings.num_minibatches,
        MOST_STEPS,
        settings.streams * horizon_of(problem),
        multiple_of=settings.num_minibatches,
    )
    if problem.discrete_states:
        return {MultiTaskPPOSettings: {"num_tasks": tasks}}
    both = {"normalize_observations": True, "normalize_rewards": True}
    return {
        ActorCriticSettings: {"normalize_observations": True},
        DQNSettings: both,
        MultiTaskPPOSettings: {"num_tasks": tasks, **both},
    }


_ALL_TASKS = Defaults("as many tasks as fit into an update", {}, derive=_derived)

_LONG_TRIALS = Defaults(
    "a long trial in each task",
    {
        **dict.fromkeys(_BANDIT_NAMES, _BANDITS),
        "two-step": _TWO_STEP,
        "tabular-mdp": _discounted(0.9),
        "grid-navigation": _discounted(0.95),
        "cart-pole": _CART_POLE,
        "chain": _discounted(0.95),
    },
    {"cart-pole": {"num_episodes": 600, "horizon": 200}, "linear-bandit": {"num_pulls": 100}},
    num_episodes=1000,
    derive=_derived,
)
"""For who learns in a task from nothing, or nearly so."""

_COUNTABLE = (*_BANDIT_NAMES, "tabular-mdp", "grid-navigation", "cue")
"""Problems on which learners from scratch were measured."""
_HERE = "adaptax.algorithms.standard_rl"

TRAINABLE: Mapping[str, Entry] = {
    "multitask-ppo": Entry(
        f"{_HERE}.multitask_ppo:MultiTaskPPO",
        "PPO for all tasks at once, without memory: the best policy on average",
        MultiTaskPPOSettings,
        defaults=_ALL_TASKS,
        measured=("grid-navigation", "cue"),
    ),
    "finetuned-ppo": Entry(
        f"{_HERE}.multitask_ppo:MultiTaskPPO",
        "the same, trained on in each new task",
        FineTunedPPOSettings,
        defaults=_LONG_TRIALS,
    ),
    "oracle-ppo": Entry(
        f"{_HERE}.multitask_ppo:MultiTaskPPO",
        "the same, but told the task: an upper reference",
        MultiTaskPPOSettings,
        defaults=_ALL_TASKS,
        measured=("grid-navigation", "cue"),
        view="adaptax.problems.task_informed:informed",
    ),
}


def _from_scratch(target: str, summary: str, settings: type[Settings], **more: Any) -> Entry:
    return Entry(f"{_HERE}.{target}", summary, settings, defaults=_LONG_TRIALS, **more)


FROM_SCRATCH: Mapping[str, Entry] = {
    "q-learning": _from_scratch(
        "temporal_difference:QLearning",
        "Q-learning on a table (Watkins & Dayan 1992)",
        QLearningSettings,
        measured=(*_COUNTABLE, "two-step"),
    ),
    "sarsa": _from_scratch(
        "temporal_difference:SARSA",
        "SARSA on a table (Rummery & Niranjan 1994)",
        SARSASettings,
        measured=(*_COUNTABLE, "two-step"),
    ),
    "dqn": _from_scratch(
        "dqn:DQN",
        "deep Q-networks (Mnih et al. 2015)",
        DQNSettings,
        besides={"learning_rate": 5e-4},
        measured=(*_COUNTABLE, "two-step", "cart-pole"),
    ),
    "reinforce": _from_scratch(
        "reinforce:Reinforce", "REINFORCE with a baseline (Williams 1992)", ReinforceSettings, measured=_COUNTABLE
    ),
    "a2c": _from_scratch("a2c:A2C", "advantage actor-critic (Mnih et al. 2016)", A2CSettings, measured=_COUNTABLE),
    "meta-gradient-rl": _from_scratch(
        "meta_gradient_rl:MetaGradientRL",
        "A2C that learns its own discount, λ and loss weights (Xu et al. 2018a)",
        MetaGradientSettings,
        measured=_COUNTABLE,
    ),
    "ppo": _from_scratch("ppo:PPO", "PPO (Schulman et al. 2017)", PPOLearnerSettings, measured=_COUNTABLE),
}
"""What learns every task from nothing: there is nothing to meta-train."""
