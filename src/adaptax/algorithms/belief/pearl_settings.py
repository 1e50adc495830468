"""Hyper-parameters of PEARL, and where it starts on each problem; no JAX."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

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


@dataclasses.dataclass(frozen=True)
class PEARLSettings(Settings):
    """PEARL: a posterior over which task it may be, and a policy for each, learned from replay (Rakelly et al. 2019).

    Attributes:
        num_train_tasks: Training tasks, drawn once: each has a buffer of its own. Paper: 100 or 150 (2 for directions).
        num_tasks: Tasks that an update collects a trial in, in turn; each has its turn once before any has it again.
            Paper: 5.
        num_updates: Updates in the whole run; the learning rate falls to 0 over them.
        gradient_steps: Gradient steps in each update. Paper: 2,000 to 4,000.
        batch_tasks: Tasks that a gradient step learns from. Paper: 16.
        batch_size: Steps of each of them that critics and policy learn from. Paper: 256.
        context_size: Steps N of a context, at most: the first of a trial, at least an episode of them if N is not less;
            how many is drawn. Paper: 64 to 256.
        recent_trials: Contexts are from so many of a task's newest trials.
        buffer_size: Steps of each task that are kept.
        latent_size: Entries of z. Paper: 5 to 10.
        hidden_size: Units of each hidden layer. Paper: 200 and 300.
        num_layers: Hidden layers of each network. Paper: 3.
        encoder_objective: What teaches the encoder: the critics' loss, as in the paper, or the likelihood of the
            context's rewards, by which the posterior is calibrated.
        kl_cost: β, weight of KL(q(z | c) ‖ N(0, I)), divided by the size of a context. 1 with reward is the evidence
            lower bound. Paper: 0.1, with rewards times 5 and values that are not divided.
        discount: γ per environment step, within an episode. Paper: 0.99.
        target_rate: τ, share of the new critics in their averages at each gradient step. Paper: 0.005.
        entropy_share: The policy's entropy that is wanted, as a share of log A; discrete actions only. Continuous ones
            are wanted to have −1 for each number that they are made of.
        initial_temperature: α at the start. Values are of order 1.
        learning_rate: Adam's peak learning rate. Paper: 3e-4.
        max_gradient_norm: Gradients are scaled down to this norm.
        normalize_observations: Read observations that are no integers in deviations from their running mean, entry by
            entry.
        encoder: What reads observations first: convolutions where they have images ("auto"), nothing ("none"), or a
            network of your own (MODULE:NAME; a function of space and key that returns an Equinox module).
    """

    num_train_tasks: int = setting(100, low=1, high=10_000)
    num_tasks: int = setting(10, low=1, high=10_000)
    num_updates: int = setting(100, low=1, high=LARGEST_COUNT)
    gradient_steps: int = setting(200, low=1, high=LARGEST_COUNT)
    batch_tasks: int = setting(16, low=1, high=10_000)
    batch_size: int = setting(64, low=1, high=LARGEST_COUNT)
    context_size: int = setting(64, low=1, high=LARGEST_COUNT)
    recent_trials: int = setting(2, low=1, high=100)
    buffer_size: int = setting(3000, low=1, high=LARGEST_COUNT)
    latent_size: int = setting(5, low=1, high=1000)
    hidden_size: int = setting(64, low=1, high=4096)
    num_layers: int = setting(2, low=1, high=20)
    encoder_objective: Literal["critic", "reward"] = "critic"
    kl_cost: float = setting(1.0, low=0, high=1e6)
    discount: float = setting(0.99, low=0, high=1)
    target_rate: float = setting(0.005, above=0, high=1)
    entropy_share: float = setting(0.2, low=0, high=1)
    initial_temperature: float = setting(0.1, above=0, high=1e6)
    learning_rate: float = setting(1e-3, above=0, high=1)
    max_gradient_norm: float = setting(10.0, above=0)
    normalize_observations: bool = False
    encoder: str = "auto"

    def __post_init__(self):
        """Check every field, and that an update enters no task twice."""
        super().__post_init__()
        if self.num_tasks > self.num_train_tasks:
            raise ConfigError(
                f"PEARLSettings.num_tasks: expected at most num_train_tasks={self.num_train_tasks}, since an update "
                f"enters no task twice; found {self.num_tasks}. Lower num_tasks, or raise num_train_tasks"
            )

    @property
    def tasks_per_minibatch(self) -> int:
        """Tasks that devices share at once: those that are entered, and those that a gradient step learns from."""
        return math.gcd(self.num_tasks, self.batch_tasks)

    def check_problem(self, problem: Settings) -> None:
        """Check that there is something to adapt to, and that a trial has room in the buffers.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        name, episodes = episodes_of(problem)
        check_steps(self, problem, {"num_tasks": self.num_tasks, **({name: episodes} if name else {})})
        if name is None and episodes == 1:
            raise ConfigError(
                f"{type(problem).__name__}: a trial is one episode, but 2 episodes or more are expected, as PEARL "
                "holds its belief for an episode. Try an agent with a memory, such as rl2"
            )
        steps = episodes * horizon_of(problem)
        if steps > self.buffer_size:
            raise ConfigError(
                f"PEARLSettings.buffer_size: expected at least {steps} steps, those of a trial of "
                f"{type(problem).__name__}; found {self.buffer_size}. Raise it, or shorten trials"
            )
        if problem.continuous_actions and not hasattr(self.entropy_share, "aval"):
            default = type(self).entropy_share
            if self.entropy_share != default:
                raise ConfigError(
                    f"PEARLSettings.entropy_share: has an effect on discrete actions only; found "
                    f"{self.entropy_share!r} for {type(problem).__name__}, whose actions are continuous. Leave it out"
                )


MOST_STEPS, MOST_KEPT = 2**14, 10
"""Environment steps in an update, at most, and trials of each task in its buffer, where they are derived."""
LONGEST_CONTEXT = 256


def _of_trial(problem: Settings) -> Changes:
    """What the length of a trial says: how many fit into an update, what is kept of it, and how long a context may be.

    Before a trial's last episode, what was experienced are the others. Observations that are numbers may be of any
    scale.
    """
    episodes, horizon = episodes_of(problem)[1], horizon_of(problem)
    steps = episodes * horizon
    changes: dict[str, Any] = {
        "num_tasks": as_many_as_fit(10, 2, MOST_STEPS, steps, multiple_of=2),
        "buffer_size": max(steps, min(MOST_KEPT * steps, 5000)),
        "context_size": max(1, min((episodes - 1) * horizon, LONGEST_CONTEXT)),
        "normalize_observations": not problem.discrete_states,
    }
    return {PEARLSettings: changes}


_BANDIT = {
    "encoder_objective": "reward",
    "latent_size": 1,
    "num_train_tasks": 1000,
    "num_tasks": 50,
    "num_updates": 60,
    "batch_tasks": 64,
    "batch_size": 8,
    "recent_trials": 10,
    "learning_rate": 3e-3,
}
"""Many tasks, each seldom: what is to be learned of them is a distribution."""

_PLANE = {"encoder_objective": "reward", "batch_tasks": 10}
"""Rewards say where the goal is from the first step on; critics' errors do only once there are values to err in."""

_DEFAULTS = Defaults(
    "tasks, buffers and contexts by the length of a trial",
    {
        "linear-bandit": {PEARLSettings: _BANDIT},
        **{key: {PEARLSettings: _PLANE} for key in ("point-robot", "point-robot-sparse")},
    },
    {f"metaworld-{name}": {"num_episodes": 2} for name in ("ml1", "ml10", "ml25", "ml45")},
    derive=_of_trial,
)

TRAINABLE: Mapping[str, Entry] = {
    "pearl": Entry(
        "adaptax.algorithms.belief.pearl:PEARL",
        "PEARL: a posterior over tasks from replay, a policy for each, posterior sampling (Rakelly et al. 2019)",
        PEARLSettings,
        defaults=_DEFAULTS,
    ),
}
