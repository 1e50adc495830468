"""Hyper-parameters of the gradient-based meta-learners; no JAX."""

import dataclasses
from typing import ClassVar, Literal

from adaptax.core.errors import ConfigError
from adaptax.core.settings import (
    LARGEST_COUNT,
    Settings,
    check_distribution,
    check_episodes,
    check_steps,
    setting,
)

_WITH_ADAM = {"outer": ("ppo", "gradient")}
_WITH_PPO = {"outer": ("ppo",)}
_WITH_TRPO = {"outer": ("trpo",)}


@dataclasses.dataclass(frozen=True)
class InnerSettings(Settings):
    """What all gradient-based methods share: a policy without memory, and how it adapts.

    Attributes:
        hidden_size: Units of each hidden layer. Paper: 100 (Finn et al. 2017, appendix A.2).
        num_layers: Number of hidden layers. Paper: 2.
        activation: Of the hidden layers. Paper: ReLU.
        initial_std: Standard deviation of continuous actions at the start, in units of half their range.
        exploration_std: Least standard deviation of continuous actions before the first inner step, in the same units.
            The initial policy shares its deviation with the adapted ones, and the meta-gradient (but E-MAML's) does not
            pay it for exploring: left alone, it shrinks to what suits them. Paper: 0.
        exploration_decay: Factor on it from each inner step to the next.
        normalize_observations: Read observations that are no integers in deviations from their running mean, entry by
            entry, so that their units do not matter. Papers: no.
        encoder: What reads observations first: convolutions where they have images ("auto"), nothing ("none"), or a
            network of your own (MODULE:NAME; a function of space and key that returns an Equinox module).
        num_tasks: Tasks in each update (the meta-batch). Paper: 20.
        num_updates: Updates (meta-iterations) in the whole run.
        trajectories: K, episodes in each window that an inner step learns from. Paper: 20.
        inner_steps: Inner gradient steps in training; evaluation may take more.
        inner_learning_rate: α. Paper: 0.1. The inner loss is a mean over the steps of all episodes.
        inner_decay: Factor on α from each inner step to the next: a first step says where to go, later ones how far.
            Paper: 1 in training; at test, 0.5 once, after the first step (appendix A.2). Here the same in both.
        baseline: What is subtracted from returns: a linear function of observation and time fitted on the other
            episodes of the window, a network that is trained across tasks, or nothing.
        normalize_advantages: Give the inner loop's advantages mean 0 and deviation 1 in each window.
        discount: γ per step, within an episode.
        gae_lambda: λ of generalised advantage estimation. Paper: 1.
        critic_learning_rate: Adam's learning rate for the network that is the baseline.
    """

    hidden_size: int = setting(64, low=1, high=4096)
    num_layers: int = setting(2, low=0, high=16)
    activation: Literal["tanh", "relu"] = "tanh"
    initial_std: float = setting(1.0, above=0, high=1e6)
    exploration_std: float = setting(0.0, low=0, high=1e6)
    exploration_decay: float = setting(0.0, low=0, high=1)
    normalize_observations: bool = False
    encoder: str = "auto"
    num_tasks: int = setting(20, low=1, high=LARGEST_COUNT)
    num_updates: int = setting(200, low=1, high=LARGEST_COUNT)
    trajectories: int = setting(20, low=1, high=LARGEST_COUNT)
    inner_steps: int = setting(1, low=1, high=100)
    inner_learning_rate: float = setting(0.1, low=0, high=1e6)
    inner_decay: float = setting(1.0, low=0, high=10)
    baseline: Literal["linear", "value", "none"] = "linear"
    normalize_advantages: bool = True
    discount: float = setting(0.99, low=0, high=1)
    gae_lambda: float = setting(1.0, low=0, high=1)
    critic_learning_rate: float = setting(1e-3, above=0, high=1, only={"baseline": ("value",)})

    def __post_init__(self):
        """Check every field, and that there is something to decay."""
        super().__post_init__()
        if any(hasattr(value, "aval") for value in (self.exploration_std, self.exploration_decay)):
            return  # maybe traced
        if self.exploration_decay and not self.exploration_std:
            raise ConfigError(
                f"{type(self).__name__}.exploration_decay: has an effect only if exploration_std is positive; found "
                f"exploration_std=0 and exploration_decay={self.exploration_decay!r}. Set both to 0, or neither"
            )

    def check_problem(self, problem: Settings) -> None:
        """Check that a trial divides into windows, and that what widens normal distributions finds some.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        for field in ("exploration_std", "initial_std"):
            check_distribution(self, problem, field)
        windows = {"inner_steps + 1": self.inner_steps + 1}
        check_steps(self, problem, {"num_tasks": self.num_tasks, "trajectories": self.trajectories, **windows})
        what = "of a window that one inner step learns from (k steps take k + 1 windows to show)"
        check_episodes(problem, self.trajectories, "trajectories", what)


@dataclasses.dataclass(frozen=True)
class PPOSettings(Settings):
    """How θ is judged, and outer steps by PPO.

    Attributes:
        learning_rate: Adam's peak learning rate β, falling to 0 over the run.
        max_gradient_norm: Gradients are scaled down to this norm.
        num_epochs: Passes over the tasks of an update.
        num_minibatches: Minibatches of whole tasks in each pass.
        clip: PPO's ε.
        objective: What θ is judged by: the return after the last inner step (as in the papers), or the mean of those
            after every one of them, so that each step is worth taking (Antoniou et al. 2019, arXiv 1810.09502).
        checkpoint: Recompute inner steps in the backward pass, so that memory hardly grows with their number.
    """

    learning_rate: float = setting(1e-3, above=0, high=1, only=_WITH_ADAM)
    max_gradient_norm: float = setting(1.0, above=0, only=_WITH_ADAM)
    num_epochs: int = setting(5, low=1, high=100, only=_WITH_PPO)
    num_minibatches: int = setting(1, low=1, high=LARGEST_COUNT, only=_WITH_PPO)
    clip: float = setting(0.2, above=0, high=1e6, only=_WITH_PPO)
    objective: Literal["last", "every-step"] = "last"
    checkpoint: bool = False

    def __post_init__(self):
        """Check every field, and that tasks divide into minibatches."""
        super().__post_init__()
        num_tasks = getattr(self, "num_tasks", self.num_minibatches)
        if num_tasks % self.num_minibatches:
            raise ConfigError(
                f"{type(self).__name__}.num_tasks: expected a multiple of num_minibatches={self.num_minibatches}; "
                f"found {num_tasks}"
            )


@dataclasses.dataclass(frozen=True)
class OuterSettings(PPOSettings):
    """Outer steps by TRPO, PPO or a plain policy gradient.

    Attributes:
        outer: Outer optimiser. Paper: TRPO.
        max_kl: TRPO's δ, nats per step on the adapted policies. Paper: 0.01.
        cg_steps: TRPO's iterations of conjugate gradients. Paper: 10.
    """

    outer: Literal["trpo", "ppo", "gradient"] = "trpo"
    max_kl: float = setting(0.01, above=0, high=1e6, only=_WITH_TRPO)
    cg_steps: int = setting(10, low=1, high=1000, only=_WITH_TRPO)


Estimator = Literal["lvc", "policy-gradient", "dice", "loaded-dice"]


@dataclasses.dataclass(frozen=True)
class FOMAMLSettings(OuterSettings, InnerSettings):
    """First-order MAML: the inner gradient counts as a constant (Finn et al. 2017, section 5.2)."""


@dataclasses.dataclass(frozen=True)
class MAMLSettings(OuterSettings, InnerSettings):
    """MAML: an initialisation from which a few policy-gradient steps suffice (Finn et al. 2017).

    Attributes:
        estimator: Surrogate of the inner step; decides how the *sampling's* dependence on θ enters the meta-gradient.
    """

    estimator: Estimator = "lvc"


@dataclasses.dataclass(frozen=True)
class MetaSGDSettings(MAMLSettings):
    """Meta-SGD: MAML that learns an inner learning rate for every weight too (Li et al. 2017)."""


@dataclasses.dataclass(frozen=True)
class MetaLSTMSettings(OuterSettings, InnerSettings):
    """The LSTM meta-learner: a learned rule updates the policy, gates instead of a rate (Ravi & Larochelle 2017).

    Attributes:
        rule_size: Units of the LSTM that reads each weight's gradient. Paper: 20.
        rule_speed: Factor on the gates' weights: how fast they learn beside the policy.
        gate_range: How many times α an input gate may become. One that stands at its limit no longer reads anything.
        first_order: Take gradients for constants in the outer derivative. Paper: yes; all presets: no, since TRPO's
            line search soon refuses such steps.
        estimator: Surrogate of the inner step, if gradients are not taken for constants.
    """

    rule_size: int = setting(20, low=1, high=4096)
    rule_speed: float = setting(0.3, above=0, high=1e6)
    gate_range: float = setting(10.0, above=1, high=1e6)
    first_order: bool = True
    estimator: Estimator = setting("lvc", only={"first_order": (False,)})  # noqa: RUF009 (a field)


@dataclasses.dataclass(frozen=True)
class ANILSettings(MAMLSettings):
    """ANIL: only the policy's last layer is adapted (Raghu et al. 2020)."""


@dataclasses.dataclass(frozen=True)
class CAVIASettings(MAMLSettings):
    """CAVIA: only a context vector is adapted, an input to the policy (Zintgraf et al. 2019).

    Attributes:
        context_size: Length of the context vector. Paper: 5 for 2D navigation.
    """

    context_size: int = setting(5, low=1, high=4096)


@dataclasses.dataclass(frozen=True)
class EMAMLSettings(OuterSettings, InnerSettings):
    """E-MAML: the policy that explores is paid for what the adapted one earns (Stadie et al. 2018).

    Attributes:
        score_weight: Weight of the explorers' score. 1 is the exact gradient; its noise grows with the number of steps
            in the windows, so long windows need less.
    """

    score_weight: float = setting(1.0, low=0, high=1e6)


@dataclasses.dataclass(frozen=True)
class ProMPSettings(PPOSettings, InnerSettings):
    """ProMP: proximal meta-policy search (Rothfuss et al. 2019).

    Attributes:
        kl_cost: η, weight of the KL from the policies that collected the data before adaptation. Paper: 0.0005.
    """

    outer: ClassVar[str] = "ppo"
    """Not to be chosen, but other fields ask for it."""
    kl_cost: float = setting(5e-4, low=0, high=1e6)


@dataclasses.dataclass(frozen=True)
class ReptileSettings(InnerSettings):
    """Reptile: move the initialisation towards where adaptation leads (Nichol et al. 2018).

    Attributes:
        outer_step: ε, the share of the way, falling to 0 over the run.
    """

    outer_step: float = setting(0.5, above=0, high=1)


@dataclasses.dataclass(frozen=True)
class ESMAMLSettings(InnerSettings):
    """ES-MAML: evolution strategies on the adapted return; no second derivatives (Song et al. 2020).

    Attributes:
        sigma: σ, deviation of the perturbations of θ.
        learning_rate: Adam's peak learning rate, falling to 0 over the run.
    """

    sigma: float = setting(0.1, above=0, high=1e6)
    learning_rate: float = setting(1e-2, above=0, high=1)

    def __post_init__(self):
        """Check every field, and that the baseline is one that is there without training."""
        super().__post_init__()
        if self.baseline == "value":
            raise ConfigError(
                "ESMAMLSettings.baseline: expected 'linear' or 'none', as evolution trains no critic; found 'value'"
            )
