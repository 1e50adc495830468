"""Hyper-parameters of standard learners; no JAX. Their names and where they start on each problem are in `entries`."""

import dataclasses
from typing import ClassVar, Literal

from adaptax.core.errors import ConfigError
from adaptax.core.settings import (
    LARGEST_COUNT,
    Settings,
    check_distribution,
    check_steps,
    check_windows,
    horizon_of,
    setting,
)

MOST_VALUES = 10_000_000
"""Entries of a table of values, one table in every task."""


@dataclasses.dataclass(frozen=True)
class TemporalDifferenceSettings(Settings):
    """What tabular learners of action values share.

    Attributes:
        learning_rate: α of the first visit of a state and action.
        rate_decay: ω, the n-th visit has rate α / n^ω. Convergence asks for ½ < ω ≤ 1 (Even-Dar & Mansour 2003).
        discount: γ per step, within an episode.
        initial_value: Q before the first visit. Optimistic if above every return (Sutton & Barto 2018, section 2.6).
        epsilon: Share of random actions in the first episode.
        final_epsilon: Share of random actions from `epsilon_episodes` on.
        epsilon_episodes: Episodes over which ε falls from the one to the other, linearly.
        knows_time: Keep values for every step of an episode, so that the time limit is the end of what is to be
            maximised. Otherwise values are stationary, and go on after a time limit.
    """

    learning_rate: float = setting(1.0, above=0, high=1)
    rate_decay: float = setting(0.6, low=0, high=1)
    discount: float = setting(0.9, low=0, high=1)
    initial_value: float = setting(0.0, low=-1e6, high=1e6)
    epsilon: float = setting(1.0, low=0, high=1)
    final_epsilon: float = setting(0.05, low=0, high=1)
    epsilon_episodes: int = setting(200, low=1, high=LARGEST_COUNT)
    knows_time: bool = False

    def check_problem(self, problem: Settings) -> None:
        """Check that states and actions can be counted.

        Raises:
            ConfigError: if they cannot.
        """
        if problem.continuous_actions or not problem.discrete_states:
            raise ConfigError(
                f"{type(self).__name__}: expects a problem with discrete states and actions, as it keeps a table of "
                f"them; found {type(problem).__name__}. Try dqn (discrete actions) or ppo"
            )
        pairs = getattr(problem, "num_states", 1) * getattr(problem, "num_actions", 1)
        values = horizon_of(problem) * pairs
        if self.knows_time and values > MOST_VALUES:
            raise ConfigError(
                f"{type(self).__name__}.knows_time: expected at most {MOST_VALUES} values, one for each state, action "
                f"and step of an episode; found {values} with horizon={horizon_of(problem)}. Leave it out, or lower "
                "horizon"
            )


@dataclasses.dataclass(frozen=True)
class QLearningSettings(TemporalDifferenceSettings):
    """Q-learning on a table (Watkins & Dayan 1992)."""


@dataclasses.dataclass(frozen=True)
class SARSASettings(TemporalDifferenceSettings):
    """SARSA on a table (Rummery & Niranjan 1994)."""


@dataclasses.dataclass(frozen=True)
class DQNSettings(Settings):
    """Deep Q-networks: replay and a target network (Mnih et al. 2015).

    Attributes:
        hidden_size: Units of each of the two hidden layers.
        normalize_observations: Read observations that are no integers in deviations from their running mean, entry by
            entry, so that their units do not matter. Papers: no.
        normalize_rewards: Learn from rewards in units of their running size; where all episodes have one length, as
            differences from their mean before the first gradient. Papers: they are clipped at ±1.
        encoder: What reads observations first: convolutions where they have images ("auto"), nothing ("none"), or a
            network of your own (MODULE:NAME; a function of space and key that returns an Equinox module).
        learning_rate: Adam's.
        max_gradient_norm: Gradients are scaled down to this norm.
        discount: γ per step, within an episode.
        buffer_size: Steps that the replay memory holds.
        batch_size: Steps in a minibatch.
        learning_starts: Steps of experience before the first gradient.
        train_every: Environment steps between gradient steps.
        target_every: Gradient steps between copies into the target network.
        epsilon: Share of random actions in the first episode.
        final_epsilon: Share of random actions from `epsilon_episodes` on.
        epsilon_episodes: Episodes over which ε falls from the one to the other, linearly.
        double: Choose the next action by the network, and judge it by the target (van Hasselt et al. 2016).
    """

    hidden_size: int = setting(64, low=1, high=4096)
    normalize_observations: bool = False
    normalize_rewards: bool = False
    encoder: str = "auto"
    learning_rate: float = setting(1e-3, above=0, high=1)
    max_gradient_norm: float = setting(10.0, above=0)
    discount: float = setting(0.99, low=0, high=1)
    buffer_size: int = setting(10_000, low=1, high=LARGEST_COUNT)
    batch_size: int = setting(64, low=1, high=LARGEST_COUNT)
    learning_starts: int = setting(500, low=1, high=LARGEST_COUNT)
    train_every: int = setting(4, low=1, high=LARGEST_COUNT)
    target_every: int = setting(100, low=1, high=LARGEST_COUNT)
    epsilon: float = setting(1.0, low=0, high=1)
    final_epsilon: float = setting(0.05, low=0, high=1)
    epsilon_episodes: int = setting(100, low=1, high=LARGEST_COUNT)
    double: bool = True

    def __post_init__(self):
        """Check every field, and that the memory holds a window and what is needed before learning starts."""
        super().__post_init__()
        for name in ("learning_starts", "train_every"):
            least = getattr(self, name)
            if self.buffer_size < least:
                raise ConfigError(
                    f"{type(self).__name__}.buffer_size: expected at least {name}={least}, or steps would be "
                    f"overwritten before they are learned from; found {self.buffer_size}"
                )

    def check_problem(self, problem: Settings) -> None:
        """Check that actions are discrete, and that a trial divides into windows.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        if problem.continuous_actions:
            raise ConfigError(
                f"{type(self).__name__}: expects discrete actions, as it has a value for each; found "
                f"{type(problem).__name__}. Try ppo or a2c"
            )
        check_windows(self, problem, "train_every", 1, self.train_every)


@dataclasses.dataclass(frozen=True)
class ActorCriticSettings(Settings):
    """What learners with a policy and a value network share.

    Attributes:
        hidden_size: Units of each hidden layer, of policy and value network.
        num_layers: Number of hidden layers.
        activation: Of the hidden layers.
        normalize_observations: Read observations that are no integers in deviations from their running mean, entry by
            entry, so that their units do not matter. Papers: no.
        encoder: What reads observations first: convolutions where they have images ("auto"), nothing ("none"), or a
            network of your own (MODULE:NAME; a function of space and key that returns an Equinox module).
        initial_std: Standard deviation of continuous actions at the start, in units of half their range.
        streams: Environments that one learner runs in parallel on its task.
        discount: γ per step, within an episode.
        learning_rate: Adam's.
        entropy_cost: Weight of the entropy bonus.
        max_gradient_norm: Gradients of policy and of value network are scaled down to this norm.
        time_limits: What comes after a time limit: the value of where it stopped ("bootstrap"), or nothing.
    """

    hidden_size: int = setting(64, low=1, high=4096)
    num_layers: int = setting(2, low=0, high=16)
    activation: Literal["tanh", "relu"] = "tanh"
    normalize_observations: bool = False
    encoder: str = "auto"
    initial_std: float = setting(1.0, above=0, high=1e6)
    streams: int = setting(10, low=1, high=LARGEST_COUNT)
    discount: float = setting(0.99, low=0, high=1)
    learning_rate: float = setting(3e-3, above=0, high=1)
    entropy_cost: float = setting(0.01, low=0, high=1e6)
    max_gradient_norm: float = setting(0.5, above=0)
    time_limits: Literal["bootstrap", "end"] = "bootstrap"

    whole_episodes: ClassVar[bool] = True
    """Whether windows are whole episodes; otherwise they have `num_steps` steps."""

    def check_problem(self, problem: Settings) -> None:
        """Check that a trial divides into windows, and that normal distributions find some actions.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        check_distribution(self, problem, "initial_std")
        steps = None if self.whole_episodes else getattr(self, "num_steps", None)
        check_windows(self, problem, "num_steps", self.streams, steps)


@dataclasses.dataclass(frozen=True)
class ReinforceSettings(ActorCriticSettings):
    """REINFORCE (Williams 1992; Sutton & Barto 2018, section 13.4), corrected for another policy's data.

    Attributes:
        baseline: What is subtracted from returns: a value network, or nothing.
        max_ratio: Importance weights π/μ of single actions are cut off here; they are 1 on-policy.
    """

    baseline: Literal["value", "none"] = "value"
    max_ratio: float = setting(1.0, above=0, high=1e6)


@dataclasses.dataclass(frozen=True)
class A2CSettings(ActorCriticSettings):
    """Advantage actor-critic (Mnih et al. 2016), corrected for data that another policy has collected.

    Attributes:
        num_steps: Steps in each environment between two gradient steps.
        gae_lambda: λ of generalised advantage estimation. Paper: 1.
        max_ratio: Importance weights π/μ are cut off here (c̄ = ρ̄ of Espeholt et al. 2018); 1 on-policy.
    """

    num_steps: int = setting(5, low=1, high=LARGEST_COUNT)
    gae_lambda: float = setting(1.0, low=0, high=1)
    max_ratio: float = setting(1.0, above=0, high=1e6)

    whole_episodes: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class MetaGradientSettings(A2CSettings):
    """Meta-gradient RL: an actor-critic that learns its own γ, λ and loss weights (Xu et al. 2018a).

    `discount`, `gae_lambda` and `entropy_cost` are where they start.

    Attributes:
        gae_lambda: λ at the start.
        meta_learning_rate: Adam's learning rate β for η, in the units of logits and logarithms.
        outer_discount: γ' of the objective that η is judged by. Paper: 0.995.
        outer_gae_lambda: λ' of that objective. Paper: 1.
        per_state: Let γ and λ depend on what is observed, through a small network.
        learns: Which of its settings it learns.
    """

    gae_lambda: float = setting(0.95, low=0, high=1)
    meta_learning_rate: float = setting(1e-2, low=0, high=1)
    outer_discount: float = setting(0.995, low=0, high=1)
    outer_gae_lambda: float = setting(1.0, low=0, high=1)
    per_state: bool = setting(False, only={"learns": ("returns", "all")})
    learns: Literal["returns", "weights", "all"] = "all"


@dataclasses.dataclass(frozen=True)
class PPOLearnerSettings(ActorCriticSettings):
    """Proximal policy optimisation (Schulman et al. 2017) on one task.

    Attributes:
        gae_lambda: λ of generalised advantage estimation.
        clip: ε.
        num_epochs: Passes over the steps of a window.
        num_minibatches: Minibatches of steps in each pass.
    """

    gae_lambda: float = setting(0.95, low=0, high=1)
    clip: float = setting(0.2, above=0, high=1e6)
    num_epochs: int = setting(4, low=1, high=100)
    num_minibatches: int = setting(5, low=1, high=LARGEST_COUNT)

    def check_problem(self, problem: Settings) -> None:
        """Check that a trial divides into windows, and a window into minibatches.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        super().check_problem(problem)
        steps = self.streams * horizon_of(problem)
        if steps % self.num_minibatches:
            raise ConfigError(
                f"{type(self).__name__}.num_minibatches: expected a divisor of the {steps} steps of a window "
                f"(streams={self.streams} × horizon={horizon_of(problem)}); found {self.num_minibatches}"
            )


@dataclasses.dataclass(frozen=True)
class MultiTaskPPOSettings(PPOLearnerSettings):
    """PPO trained once for all tasks, without memory.

    Attributes:
        num_tasks: Tasks in each update.
        num_updates: Updates in the whole run; the learning rate falls to 0 over them.
        normalize_rewards: Where all episodes have one length, learn from rewards as differences from what the untrained
            policy earns: until the values of a constant are learned, they drown all else. (Their scale never matters.)
        fine_tuning_rate: Adam's learning rate on a new task, from windows of `streams` episodes; 0: stay as trained.
    """

    num_tasks: int = setting(160, low=1, high=LARGEST_COUNT)
    num_updates: int = setting(200, low=1, high=LARGEST_COUNT)
    normalize_rewards: bool = False
    fine_tuning_rate: float = setting(0.0, low=0, high=1)

    def __post_init__(self):
        """Check every field, and that tasks divide into minibatches."""
        super().__post_init__()
        if self.num_tasks % self.num_minibatches:
            raise ConfigError(
                f"{type(self).__name__}.num_tasks: expected a multiple of num_minibatches={self.num_minibatches}; "
                f"found {self.num_tasks}"
            )

    def check_problem(self, problem: Settings) -> None:
        """Check an update's size, and what fine-tuning needs; without it there are no windows.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        check_distribution(self, problem, "initial_std")
        check_steps(self, problem, {"num_tasks": self.num_tasks, "streams": self.streams})
        if self.fine_tuning_rate > 0:
            super().check_problem(problem)


@dataclasses.dataclass(frozen=True)
class FineTunedPPOSettings(MultiTaskPPOSettings):
    """PPO trained once for all tasks, then trained on in each."""

    fine_tuning_rate: float = setting(1e-3, above=0, high=1)
