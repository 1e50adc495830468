"""What there is, by name: problems and algorithms, with where to import them from once JAX may be imported."""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any

from adaptax.algorithms.gradient import settings as gradients
from adaptax.algorithms.memory import settings as memory
from adaptax.algorithms.standard_rl import settings as scratch
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, suggestion
from adaptax.problems import settings as problems


@dataclasses.dataclass(frozen=True)
class Entry:
    """One problem or algorithm.

    Attributes:
        target: "module:name" of the factory or class; it takes the settings' fields as keyword arguments.
        summary: One line.
        settings: Class of its settings; None if it has none to choose on the command line.
        baselines: Problems only: classical agents to compare with, in order, best known last.
        suits: Agents only: names of the problems that it is for; None: any.
        view: Agents only: "module:name" of a function from a problem to the view of it that the agent has.
        parts: Agents only: arguments that are objects, as "module:name" of their classes. They are built with those of
            the problem's parameters that they have fields for (the noise of a Gaussian bandit, say).
    """

    target: str
    summary: str
    settings: type[Settings] | None = None
    baselines: tuple[str, ...] = ()
    suits: tuple[str, ...] | None = None
    view: str | None = None
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def load(self) -> Any:
        """Import the factory or class."""
        return _load(self.target)


def _load(target: str) -> Any:
    module, name = target.split(":")
    return getattr(importlib.import_module(module), name)


_NORMAL = {"prior": "adaptax.algorithms.classical.bandit_agents:NormalPrior"}


_BANDIT = ("random", "epsilon-greedy", "greedy", "ucb1", "thompson", "optimistic-thompson")
_TABULAR = ("random", "tabular-greedy", "tabular-epsilon-greedy", "psrl", "optimistic-psrl", "ucrl2", "beb")

PROBLEMS: Mapping[str, Entry] = {
    "bandit": Entry(
        "adaptax.problems:bernoulli_bandit",
        "Bernoulli bandits, p ~ U[0,1] (Duan et al. 2016)",
        problems.BanditSettings,
        (*_BANDIT, "gittins"),
    ),
    "gaussian-bandit": Entry(
        "adaptax.problems:gaussian_bandit",
        "Gaussian bandits, means ~ N(0,1)",
        problems.GaussianBanditSettings,
        ("random", "gaussian-greedy", "gaussian-epsilon-greedy", "gaussian-ucb1", "gaussian-thompson"),
    ),
    "correlated-bandit": Entry(
        "adaptax.problems:correlated_bandit",
        "two arms, p₂ = 1 − p₁ (Wang et al. 2016)",
        problems.CorrelatedBanditSettings,
        (*_BANDIT, "gittins"),
    ),
    "two-step": Entry(
        "adaptax.problems:two_step", "the two-step task (Wang et al. 2016)", problems.TwoStepSettings, ("random",)
    ),
    "tabular-mdp": Entry(
        "adaptax.problems:tabular_mdp",
        "random tabular MDPs (Duan et al. 2016)",
        problems.TabularMDPSettings,
        _TABULAR,
    ),
    "grid-navigation": Entry(
        "adaptax.problems:grid_navigation",
        "5×5 grid with a hidden goal (Zintgraf et al. 2020)",
        problems.GridNavigationSettings,
        ("random", "bayes-optimal-grid"),
    ),
    "point-robot": Entry(
        "adaptax.problems:point_robot",
        "2D navigation (Finn et al. 2017)",
        problems.PointRobotSettings,
        ("random",),
    ),
    "point-robot-sparse": Entry(
        "adaptax.problems:point_robot_sparse",
        "2D navigation, sparse half-circle (Gupta et al. 2018)",
        problems.PointRobotSparseSettings,
        ("random",),
    ),
    "cart-pole": Entry(
        "adaptax.problems:cart_pole",
        "CartPole-v1, and a family around it (Barto et al. 1983)",
        problems.CartPoleSettings,
        ("random",),
    ),
    "chain": Entry(
        "adaptax.problems:chain",
        "a chain where undirected exploration fails",
        problems.ChainSettings,
        ("random",),
    ),
}

TRAINABLE: Mapping[str, Entry] = {
    "rl2": Entry(
        "adaptax.algorithms:RL2", "RL²: an LSTM, GRU, symmetric or no memory, PPO over whole trials", memory.RL2Settings
    ),
    "maml": Entry(
        "adaptax.algorithms:MAML", "MAML, gradients through learning (Finn et al. 2017)", gradients.MAMLSettings
    ),
    "fomaml": Entry("adaptax.algorithms:FOMAML", "first-order MAML (Finn et al. 2017)", gradients.FOMAMLSettings),
    "reptile": Entry("adaptax.algorithms:Reptile", "Reptile (Nichol et al. 2018)", gradients.ReptileSettings),
    "meta-sgd": Entry(
        "adaptax.algorithms:MetaSGD", "MAML with a learned rate per weight (Li et al. 2017)", gradients.MetaSGDSettings
    ),
    "meta-lstm": Entry(
        "adaptax.algorithms:MetaLSTM",
        "a learned update rule (Ravi & Larochelle 2017)",
        gradients.MetaLSTMSettings,
    ),
    "cavia": Entry(
        "adaptax.algorithms:CAVIA", "adapts a context vector (Zintgraf et al. 2019)", gradients.CAVIASettings
    ),
    "anil": Entry("adaptax.algorithms:ANIL", "adapts the last layer (Raghu et al. 2020)", gradients.ANILSettings),
    "e-maml": Entry(
        "adaptax.algorithms:EMAML", "MAML that pays explorers (Stadie et al. 2018)", gradients.EMAMLSettings
    ),
    "promp": Entry(
        "adaptax.algorithms:ProMP", "proximal meta-policy search (Rothfuss et al. 2019)", gradients.ProMPSettings
    ),
    "es-maml": Entry(
        "adaptax.algorithms:ESMAML",
        "evolution strategies on the adapted return (Song et al. 2020)",
        gradients.ESMAMLSettings,
    ),
    "meta-policy-gradient": Entry(
        "adaptax.algorithms:MetaPolicyGradient",
        "a policy that explores so that another learner learns (Xu et al. 2018b)",
        memory.MetaPolicyGradientSettings,
    ),
    "multitask-ppo": Entry(
        "adaptax.algorithms:MultiTaskPPO",
        "PPO for all tasks at once, without memory: the best policy on average",
        scratch.MultiTaskPPOSettings,
    ),
    "finetuned-ppo": Entry(
        "adaptax.algorithms:MultiTaskPPO",
        "the same, trained on in each new task",
        scratch.FineTunedPPOSettings,
    ),
    "oracle-ppo": Entry(
        "adaptax.algorithms:MultiTaskPPO",
        "the same, but told the task: an upper reference",
        scratch.MultiTaskPPOSettings,
        view="adaptax.problems:informed",
    ),
}
"""What `adaptax train` meta-trains."""

FROM_SCRATCH: Mapping[str, Entry] = {
    "q-learning": Entry(
        "adaptax.algorithms:QLearning", "Q-learning on a table (Watkins & Dayan 1992)", scratch.QLearningSettings
    ),
    "sarsa": Entry("adaptax.algorithms:SARSA", "SARSA on a table (Rummery & Niranjan 1994)", scratch.SARSASettings),
    "dqn": Entry("adaptax.algorithms:DQN", "deep Q-networks (Mnih et al. 2015)", scratch.DQNSettings),
    "reinforce": Entry(
        "adaptax.algorithms:Reinforce", "REINFORCE with a baseline (Williams 1992)", scratch.ReinforceSettings
    ),
    "a2c": Entry("adaptax.algorithms:A2C", "advantage actor-critic (Mnih et al. 2016)", scratch.A2CSettings),
    "meta-gradient-rl": Entry(
        "adaptax.algorithms:MetaGradientRL",
        "A2C that learns its own discount, λ and loss weights (Xu et al. 2018a)",
        scratch.MetaGradientSettings,
    ),
    "ppo": Entry("adaptax.algorithms:PPO", "PPO (Schulman et al. 2017)", scratch.PPOLearnerSettings),
}
"""What learns every task from nothing: there is nothing to meta-train."""

_BERNOULLI = ("bandit", "correlated-bandit")
_GAUSSIAN = ("gaussian-bandit",)
_COUNTABLE = ("tabular-mdp", "grid-navigation", "chain", "two-step")

CLASSICAL: Mapping[str, Entry] = {
    "random": Entry("adaptax.algorithms:Random", "uniform actions, on every problem"),
    "greedy": Entry("adaptax.algorithms:Greedy", "bandits: best posterior mean", suits=_BERNOULLI),
    "epsilon-greedy": Entry(
        "adaptax.algorithms:EpsilonGreedy", "bandits: best posterior mean, or random", suits=_BERNOULLI
    ),
    "ucb1": Entry("adaptax.algorithms:UCB1", "bandits: upper confidence bounds (Auer et al. 2002)", suits=_BERNOULLI),
    "thompson": Entry(
        "adaptax.algorithms:ThompsonSampling", "bandits: posterior sampling (Thompson 1933)", suits=_BERNOULLI
    ),
    "optimistic-thompson": Entry(
        "adaptax.algorithms:OptimisticThompsonSampling",
        "bandits: samples not below the mean (May et al. 2012)",
        suits=_BERNOULLI,
    ),
    "most-likely-sampling": Entry(
        "adaptax.algorithms:MostLikelySampling",
        "bandits: the likeliest of several posterior samples (Duan et al. 2016)",
        suits=_BERNOULLI,
    ),
    "gaussian-greedy": Entry(
        "adaptax.algorithms:Greedy", "Gaussian bandits: best posterior mean", parts=_NORMAL, suits=_GAUSSIAN
    ),
    "gaussian-epsilon-greedy": Entry(
        "adaptax.algorithms:EpsilonGreedy",
        "Gaussian bandits: best posterior mean, or random",
        parts=_NORMAL,
        suits=_GAUSSIAN,
    ),
    "gaussian-ucb1": Entry(
        "adaptax.algorithms:UCB1", "Gaussian bandits: upper confidence bounds", parts=_NORMAL, suits=_GAUSSIAN
    ),
    "gaussian-thompson": Entry(
        "adaptax.algorithms:ThompsonSampling", "Gaussian bandits: posterior sampling", parts=_NORMAL, suits=_GAUSSIAN
    ),
    "gittins": Entry("adaptax.algorithms:Gittins", "Bernoulli bandits: finite-horizon Gittins index", suits=_BERNOULLI),
    "bayes-optimal-bandit": Entry(
        "adaptax.algorithms:BayesOptimalBandit",
        "2-armed bandits: exact, by dynamic programming over beliefs",
        suits=_BERNOULLI,
    ),
    "bayes-optimal-grid": Entry(
        "adaptax.algorithms:BayesOptimalGrid",
        "grid-navigation: exact, by dynamic programming over beliefs",
        suits=("grid-navigation",),
    ),
    "psrl": Entry("adaptax.algorithms:PSRL", "tabular MDPs: posterior sampling (Strens 2000)", suits=_COUNTABLE),
    "optimistic-psrl": Entry(
        "adaptax.algorithms:OptimisticPSRL", "tabular MDPs: best of several samples", suits=_COUNTABLE
    ),
    "ucrl2": Entry("adaptax.algorithms:UCRL2", "tabular MDPs: optimism (Jaksch et al. 2010)", suits=_COUNTABLE),
    "beb": Entry(
        "adaptax.algorithms:BEB", "tabular MDPs: Bayesian exploration bonus (Kolter & Ng 2009)", suits=_COUNTABLE
    ),
    "tabular-epsilon-greedy": Entry(
        "adaptax.algorithms:TabularEpsilonGreedy", "tabular MDPs: plan for the mean, or random", suits=_COUNTABLE
    ),
    "tabular-greedy": Entry("adaptax.algorithms:TabularGreedy", "tabular MDPs: plan for the mean", suits=_COUNTABLE),
}

LEARNERS: Mapping[str, Entry] = {**TRAINABLE, **FROM_SCRATCH}
"""What has settings, and so can be a run."""

ALGORITHMS: Mapping[str, Entry] = {**LEARNERS, **CLASSICAL}


def lookup(kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
    """Return the entry called `name`.

    Raises:
        ConfigError: if there is none; says which there are and which is nearest.
    """
    if name not in entries:
        hint = suggestion(name, entries)
        raise ConfigError(f"{kind}: expected one of {', '.join(entries)}; found '{name}'{hint}")
    return entries[name]


def build(entry: Entry, settings: Settings | None = None) -> Any:
    """Import a problem or a trainable algorithm and build it from its settings (JAX is imported here)."""
    return entry.load()(**({} if settings is None else dataclasses.asdict(settings)))


def view(entry: Entry, problem: Any) -> Any:
    """The problem as an agent sees it."""
    return problem if entry.view is None else _load(entry.view)(problem)


def build_agent(name: str, problem_settings: Settings) -> Any:
    """Import a classical agent and build it for a problem (JAX is imported here)."""
    entry = lookup("agent", CLASSICAL, name)
    known = dataclasses.asdict(problem_settings)
    parts = {}
    for argument, target in entry.parts.items():
        part = _load(target)
        parts[argument] = part(**{f.name: known[f.name] for f in dataclasses.fields(part) if f.name in known})
    return entry.load()(**parts)
