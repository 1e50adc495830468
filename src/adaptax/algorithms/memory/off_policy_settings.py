"""Hyper-parameters of off-policy RL² and where they start on each problem; no JAX."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from adaptax.algorithms.memory.settings import ATTENTIVE, HEADED, LAYERED, MemoryKind
from adaptax.core.entry import Changes, Defaults, Entry
from adaptax.core.errors import ConfigError
from adaptax.core.settings import (
    LARGEST_COUNT,
    Settings,
    as_many_as_fit,
    check_steps,
    episodes_of,
    horizon_of,
    setting,
)

_CATEGORICAL = {"critic_loss": ("two-hot",)}
_SOFT, _GREEDY = {"learner": ("soft-actor-critic",)}, {"learner": ("q-learning",)}


@dataclasses.dataclass(frozen=True)
class OffPolicyRL2Settings(Settings):
    """RL² by recurrent soft actor-critic, or recurrent Q-learning, on replayed trials (Ni et al. 2022).

    Attributes:
        memory: Kind of the policy's memory; "symmetric" and "counting" have one for each action (and state), and "none"
            sees the present observation alone, and so cannot adapt.
        critic_memory: Kind of the critics' memory, which is another one.
        learner: What learns: a policy and critics ("soft-actor-critic"), or one network that says what discrete actions
            are worth and acts by it ("q-learning": double, n-step; Hausknecht & Stone 2015).
        memory_size: Units of each of both memories; of each cell, if there are many.
        memory_layers: Layers of the policy's memory, and of the critics' where it has some, too.
        memory_heads: What attention looks for at a time, in both.
        memory_window: Steps back that attention sees, the present one among them; 0 for the trial's length, 1024 at
            most (memax: 32).
        policy_size: Units of a layer that reads memory and observation together, for the policy; 0 for none.
        critic_size: Units of each of a critic's two hidden layers.
        informed_critic: Tell the critics the task in training. The policy never sees it.
        normalize_observations: Read observations that are no integers in deviations from their running mean, entry by
            entry.
        encoder: What reads observations first: convolutions where they have images ("auto"), nothing ("none"), or a
            network of your own (MODULE:NAME; a function of space and key that returns an Equinox module).
        num_tasks: Tasks, that is trials, in each update.
        num_updates: Updates in the whole run; learning rates fall to 0 over them.
        replay_ratio: How often each step is learned from, on average: an update has as many gradient steps.
        batch_size: Trials of a gradient step.
        buffer_size: Trials that are kept to learn from; the newest.
        learning_rate: Adam's peak learning rate, of policy, critics and temperature.
        discount: γ per environment step, across the episodes of a trial.
        num_steps: n, rewards in a critic's target before it is estimated what comes. Paper: 1.
        polyak: τ, by which older copies of the critics follow them at each gradient step. Paper: 0.005.
        critic_loss: What critics learn by: squared errors, or classification of values (two-hot, on a logarithmic
            scale).
        num_categories: Bins of a classifying critic; odd.
        target_entropy: H̄, the entropy that is wanted of policies over discrete actions at the start, as a share of the
            greatest; it falls to 0 over the updates. Of continuous ones it is −1 for each entry.
        initial_temperature: α at the start, in deviations of rewards.
        exploration: ε at the start, how often Q-learning acts by chance; it falls to 0 over the updates, as the cube of
            the share of them that is left.
        max_gradient_norm: Gradients of policy, and of critics, are scaled down to this norm.
    """

    memory: MemoryKind = "gru"
    critic_memory: MemoryKind = setting("gru", only=_SOFT)  # noqa: RUF009 (settings are immutable)
    learner: Literal["soft-actor-critic", "q-learning"] = "soft-actor-critic"
    memory_size: int = setting(64, low=1, high=4096)
    memory_layers: int = setting(1, low=1, high=64, only=LAYERED)
    memory_heads: int = setting(4, low=1, high=256, only=HEADED)
    memory_window: int = setting(0, low=0, high=65536, only=ATTENTIVE)
    policy_size: int = setting(64, low=0, high=4096)
    critic_size: int = setting(128, low=1, high=4096, only=_SOFT)
    informed_critic: bool = setting(True, only=_SOFT)
    normalize_observations: bool = False
    encoder: str = "auto"
    num_tasks: int = setting(8, low=1, high=LARGEST_COUNT)
    num_updates: int = setting(300, low=1, high=LARGEST_COUNT)
    replay_ratio: int = setting(32, low=1, high=100)
    batch_size: int = setting(16, low=1, high=LARGEST_COUNT)
    buffer_size: int = setting(4096, low=1, high=LARGEST_COUNT)
    learning_rate: float = setting(1e-3, above=0, high=1)
    discount: float = setting(0.98, low=0, high=1)
    num_steps: int = setting(3, low=1, high=1000)
    polyak: float = setting(0.01, above=0, high=1)
    critic_loss: Literal["squared", "two-hot"] = "squared"
    num_categories: int = setting(101, low=3, high=1001, only=_CATEGORICAL)
    target_entropy: float = setting(0.5, low=0, high=1, only=_SOFT)
    initial_temperature: float = setting(0.1, above=0, high=1e6, only=_SOFT)
    exploration: float = setting(1.0, low=0, high=1, only=_GREEDY)
    max_gradient_norm: float = setting(10.0, above=0)

    def __post_init__(self):
        """Check every field, and that values have a category in the middle, for 0."""
        super().__post_init__()
        if self.num_categories % 2 == 0:
            raise ConfigError(
                f"OffPolicyRL2Settings.num_categories: expected an odd number, so that one is 0; found "
                f"{self.num_categories}. Try {self.num_categories + 1}"
            )

    def check_problem(self, problem: Settings) -> None:
        """Check that the memories can serve the problem's actions, and that its trials can be kept.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        where = type(problem).__name__
        if self.learner == "q-learning" and problem.continuous_actions:
            raise ConfigError(
                "OffPolicyRL2Settings.learner: 'q-learning' has a value for each action, so it expects discrete ones; "
                f"found {where}, whose actions are continuous. Leave it out"
            )
        if self.learner == "q-learning" and self.memory in ("symmetric", "counting") and self.critic_loss == "two-hot":
            raise ConfigError(
                f"OffPolicyRL2Settings.critic_loss: what memory={self.memory!r} puts out for each action is its "
                "value for 'q-learning', so it expects 'squared'; found 'two-hot'. Try --memory gru"
            )
        for field in ("memory", "critic_memory"):
            kind = getattr(self, field)
            if kind in ("symmetric", "counting") and problem.continuous_actions:
                raise ConfigError(
                    f"OffPolicyRL2Settings.{field}: '{kind}' has a memory for each action, so it expects discrete "
                    f"ones; found {where}, whose actions are continuous. Try --{field.replace('_', '-')} lstm or gru"
                )
        default = type(self).target_entropy
        if problem.continuous_actions and not hasattr(self.target_entropy, "aval") and self.target_entropy != default:
            raise ConfigError(
                f"OffPolicyRL2Settings.target_entropy: has an effect on discrete actions only; found "
                f"{self.target_entropy!r} for {where}, whose actions are continuous. Leave it out"
            )
        name, episodes = episodes_of(problem)
        for field in ("buffer_size", "num_tasks", "batch_size"):
            check_steps(self, problem, {field: getattr(self, field), **({name: episodes} if name else {})})


KEPT_STEPS = 2**19
"""Environment steps that a buffer has room for, at most, where its size is derived."""
UPDATE_STEPS, BATCH_STEPS = 2**9, 2**10
"""Environment steps of an update, and of a gradient step, at most, where they are derived: it learns often."""


def _of_trial(problem: Settings) -> Changes:
    """What the length of a trial says: how many an update, a gradient step and the buffer have, and how far to look.

    Observations that are numbers may be of any scale.
    """
    steps = episodes_of(problem)[1] * horizon_of(problem)
    sizes = {
        "num_tasks": as_many_as_fit(32, 8, UPDATE_STEPS, steps, multiple_of=8),
        "batch_size": as_many_as_fit(64, 16, BATCH_STEPS, steps, multiple_of=8),
        "buffer_size": as_many_as_fit(16_384, 512, KEPT_STEPS, steps),
    }
    foresight = round(min(max(1 - 2 / steps, 0.9), 0.99), 3)
    scales = {} if problem.discrete_states else {"normalize_observations": True}
    return {OffPolicyRL2Settings: {**sizes, "discount": foresight, **scales}}


_ON_TRIALS = Defaults("tasks, batches, buffer and γ by the length of a trial", {}, derive=_of_trial)

TRAINABLE: Mapping[str, Entry] = {
    "off-policy-rl2": Entry(
        "adaptax.algorithms.memory.off_policy_rl2:OffPolicyRL2",
        "RL² from replayed trials: recurrent soft actor-critic or Q-learning, fewer environment steps",
        OffPolicyRL2Settings,
        defaults=_ON_TRIALS,
    ),
}
