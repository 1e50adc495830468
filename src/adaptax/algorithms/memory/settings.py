"""Hyper-parameters of meta-learners with a memory, their names and where they start on each problem; no JAX."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from adaptax.algorithms.standard_rl.settings import QLearningSettings
from adaptax.core.entry import Changes, Defaults, Entry, Preset
from adaptax.core.errors import ConfigError
from adaptax.core.settings import (
    LARGEST_COUNT,
    Settings,
    as_many_as_fit,
    check_distribution,
    check_episodes,
    check_steps,
    episodes_of,
    horizon_of,
    setting,
)

DenseMemoryKind = Literal["lstm", "gru", "lru", "transformer", "none"]
"""Kinds of memory that serve any actions (`adaptax.networks.memory`)."""
MemaxKind = Literal[
    "memax:fart", "memax:fwp", "memax:deltanet", "memax:deltaproduct", "memax:gdn", "memax:ffm", "memax:s6",
    "memax:lru", "memax:linear", "memax:nmax", "memax:stack", "memax:attention", "memax:attention-rope",
    "memax:attention-alibi", "memax:gru", "memax:lstm", "memax:mgu", "memax:elman", "memax:elman-relu",
]  # fmt: skip
"""Cells of the package memax."""
MemoryKind = Literal[DenseMemoryKind, "symmetric", "counting", MemaxKind]
"""All kinds."""
MEMORIES: dict[str, str] = {
    "lstm": "adaptax.networks.memory.recurrent:lstm",
    "gru": "adaptax.networks.memory.recurrent:gru",
    "symmetric": "adaptax.networks.memory.symmetric:symmetric",
    "counting": "adaptax.networks.memory.counting:counting",
    "none": "adaptax.networks.memory.recurrent:none",
    "lru": "adaptax.networks.memory.state_space:state_space",
    "transformer": "adaptax.networks.memory.transformer:transformer",
    **{
        kind: f"adaptax.networks.memory.memax_cells:{kind.partition(':')[2].replace('-', '_')}"
        for kind in get_args(MemaxKind)
    },
}
"""Where each is built: "module:name" of a function from `MemorySizes` and a key to a `Memory`."""
LAYERED = {"memory": ("lru", "transformer", *get_args(MemaxKind))}
ATTENTIVE = {"memory": ("transformer", *(kind for kind in get_args(MemaxKind) if "attention" in kind))}
HEADED = {"memory": ("transformer",)}
"""Which memories have layers, a window, and heads."""

_HYPER = {"policy_network": ("hypernetwork",)}


@dataclasses.dataclass(frozen=True)
class RL2Settings(Settings):
    """RL²: a recurrent network that learns within a trial by remembering it (Duan et al. 2016; Wang et al. 2016).

    Attributes:
        memory: Kind of memory; "symmetric" has one for each action (and state), all with the same weights (Kirsch et
            al. 2022); "counting" also counts how often each was tried and what it brought; "lru" is linear, for trials
            of many steps (Orvieto et al. 2023); "transformer" attends to all that was seen within a window; "memax:…"
            are cells of the package memax; "none" sees the present observation alone, and so cannot adapt.
        memory_size: Units of the memory; of each, if there are many. Paper: GRU with 256 (Duan et al., appendix A);
            LSTM with 48 (Wang et al.).
        memory_layers: Layers of the memory, each added to what came before.
        memory_heads: What attention looks for at a time.
        memory_window: Steps back that attention sees, the present one among them; 0 for the trial's length, 1024 at
            most (memax: 32). Every environment keeps a key and a value for each.
        policy_size: Units of a layer that reads memory and observation together, for the policy; 0 for none. Worth
            having where there are states to tell apart.
        policy_network: What the policy is: "dense" reads the memory (and the observation, with `policy_size`);
            "hypernetwork" reads the observation by weights that are a linear map of the memory, with `policy_size`
            units in each of two hidden layers (Beck et al. 2023; paper: 32).
        hyper_init: How the hypernetwork begins: with one policy for all contexts ("bias", Bias-HyperInit), or by
            Kaiming's rule ("kaiming", the paper's control, which hardly learns).
        context_size: Length of the context that the policy's weights are a linear map of. Paper: 25.
        critic_size: Units of each of the critic's two hidden layers.
        informed_critic: Tell the critic the task in training. The policy never sees it.
        normalize_observations: Read observations that are no integers in deviations from their running mean, entry by
            entry.
        encoder: What reads observations first: convolutions where they have images ("auto"), nothing ("none"), or a
            network of your own (MODULE:NAME; a function of space and key that returns an Equinox module).
        num_tasks: Tasks, that is trials, in each update.
        num_updates: Updates in the whole run; the learning rate and the entropy cost fall to 0 over them.
        num_epochs: PPO's passes over the trials of an update.
        num_minibatches: Minibatches of whole trials in each pass.
        learning_rate: Adam's peak learning rate α.
        discount: γ per environment step, across the episodes of a trial. Paper: 0.99.
        gae_lambda: λ of generalised advantage estimation. Paper: 0.3.
        clip: PPO's ε.
        entropy_cost: Weight of the entropy bonus at the start.
        value_cost: Weight of the critic's loss.
        max_gradient_norm: Gradients are scaled down to this norm.
        adam_b2: Decay of Adam's second moments β₂.
        initial_std: Standard deviation of continuous actions at the start, in units of half their range.
    """

    memory: MemoryKind = "lstm"
    memory_size: int = setting(64, low=1, high=4096)
    memory_layers: int = setting(1, low=1, high=64, only=LAYERED)
    memory_heads: int = setting(4, low=1, high=256, only=HEADED)
    memory_window: int = setting(0, low=0, high=65536, only=ATTENTIVE)
    policy_size: int = setting(0, low=0, high=4096)
    policy_network: Literal["dense", "hypernetwork"] = "dense"
    hyper_init: Literal["bias", "kaiming"] = setting("bias", only=_HYPER)
    context_size: int = setting(25, low=1, high=4096, only=_HYPER)
    critic_size: int = setting(64, low=1, high=4096)
    informed_critic: bool = True
    normalize_observations: bool = False
    encoder: str = "auto"
    num_tasks: int = setting(512, low=1, high=LARGEST_COUNT)
    num_updates: int = setting(350, low=1, high=LARGEST_COUNT)
    num_epochs: int = setting(1, low=1, high=100)
    num_minibatches: int = setting(16, low=1, high=LARGEST_COUNT)
    learning_rate: float = setting(3e-3, above=0, high=1)
    discount: float = setting(1.0, low=0, high=1)
    gae_lambda: float = setting(0.9, low=0, high=1)
    clip: float = setting(0.2, above=0, high=1e6)
    entropy_cost: float = setting(0.05, low=0, high=1e6)
    value_cost: float = setting(0.5, low=0, high=1e6)
    max_gradient_norm: float = setting(1.0, above=0)
    adam_b2: float = setting(0.99, low=0, high=0.999999)
    initial_std: float = setting(0.5, above=0, high=1e6)

    def __post_init__(self):
        """Check every field, and that trials divide into minibatches."""
        super().__post_init__()
        if self.num_tasks % self.num_minibatches:
            raise ConfigError(
                f"{type(self).__name__}.num_tasks: expected a multiple of num_minibatches={self.num_minibatches}; "
                f"found {self.num_tasks}"
            )

    def check_problem(self, problem: Settings) -> None:
        """Check that the memory can serve the problem's actions, and that an update is not too long.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        if self.memory in ("symmetric", "counting") and problem.continuous_actions:
            raise ConfigError(
                f"{type(self).__name__}.memory: '{self.memory}' has a memory for each action, so it expects "
                f"discrete ones; found {type(problem).__name__}, whose actions are continuous. Try --memory lstm or gru"
            )
        if self.memory in ("symmetric", "counting") and self.policy_network == "hypernetwork":
            raise ConfigError(
                f"RL2Settings.policy_network: the scores that memory='{self.memory}' puts out are the policy, so it "
                "expects 'dense'; found 'hypernetwork'. Try --memory lstm or gru"
            )
        check_distribution(self, problem, "initial_std")
        name, episodes = episodes_of(problem)
        check_steps(self, problem, {"num_tasks": self.num_tasks, **({name: episodes} if name else {})})


_NETWORKS = {"base": ("reinforce", "a2c")}
_LEARNED = {"explorer": ("learned",)}


@dataclasses.dataclass(frozen=True)
class MetaPolicyGradientSettings(Settings):
    """Learning to explore via meta-policy gradient (Xu et al. 2018b).

    Attributes:
        explorer: Who collects the data that the base learner learns from: the meta-policy, or the base learner itself
            (the ablation: nothing is meta-trained).
        exploration_episodes: K, episodes of exploration before the base learner learns.
        memory: Memory of the meta-policy; "none" sees the present observation alone.
        memory_size: Units of the memory.
        memory_layers: Layers of the memory, each added to what came before.
        memory_heads: What attention looks for at a time.
        memory_window: Steps back that attention sees, the present one among them; 0 for the whole exploration, 1024
            steps at most.
        normalize_observations: Read observations that are no integers in deviations from their running mean, entry by
            entry, so that their units do not matter; the base learner reads them as the meta-policy does. Paper: no.
        initial_std: Standard deviation of continuous actions of the meta-policy at the start, in half ranges.
        num_tasks: Tasks in each update.
        replicas: Explorations of each task; each is compared with the others.
        num_updates: Updates in the whole run; the learning rate and the entropy cost fall to 0 over them.
        num_epochs: Passes over an update's explorations. 1 is REINFORCE, as in the paper; more are PPO.
        learning_rate: Adam's peak learning rate.
        clip: PPO's ε.
        entropy_cost: Weight of the entropy bonus at the start.
        max_gradient_norm: Gradients are scaled down to this norm.
        base: The base learner.
        base_steps: Times that it learns from the exploration.
        base_size: Units of each of its two hidden layers.
        base_learning_rate: Its learning rate: α of Q-learning, Adam's of an actor-critic.
        base_discount: γ of the base learner.
        base_std: Standard deviation of its continuous actions at the start, in half ranges.
        base_entropy_cost: Weight of its entropy bonus.
        base_baseline: What REINFORCE subtracts from returns.
        max_ratio: Where its importance weights are cut off.
    """

    explorer: Literal["learned", "base"] = "learned"
    exploration_episodes: int = setting(2, low=1, high=LARGEST_COUNT)
    memory: DenseMemoryKind = setting("gru", only=_LEARNED)  # noqa: RUF009 (settings are immutable)
    memory_size: int = setting(32, low=1, high=4096, only=_LEARNED)
    memory_layers: int = setting(1, low=1, high=64, only=_LEARNED | {"memory": ("lru", "transformer")})
    memory_heads: int = setting(4, low=1, high=256, only=_LEARNED | HEADED)
    memory_window: int = setting(0, low=0, high=65536, only=_LEARNED | HEADED)
    normalize_observations: bool = False
    initial_std: float = setting(1.0, above=0, high=1e6, only=_LEARNED)
    num_tasks: int = setting(32, low=1, high=LARGEST_COUNT)
    replicas: int = setting(4, low=2, high=LARGEST_COUNT)
    num_updates: int = setting(200, low=1, high=LARGEST_COUNT)
    num_epochs: int = setting(4, low=1, high=100)
    learning_rate: float = setting(3e-3, above=0, high=1)
    clip: float = setting(0.2, above=0, high=1e6, only=_LEARNED)
    entropy_cost: float = setting(0.01, low=0, high=1e6, only=_LEARNED)
    max_gradient_norm: float = setting(1.0, above=0, only=_LEARNED)
    base: Literal["q-learning", "reinforce", "a2c"] = "q-learning"
    base_steps: int = setting(20, low=1, high=LARGEST_COUNT)
    base_size: int = setting(32, low=1, high=4096, only=_NETWORKS)
    base_learning_rate: float = setting(1.0, above=0, high=1)
    base_discount: float = setting(0.95, low=0, high=1)
    base_std: float = setting(1.0, above=0, high=1e6, only=_NETWORKS)
    base_entropy_cost: float = setting(0.0, low=0, high=1e6, only=_NETWORKS)
    base_baseline: Literal["value", "none"] = setting("none", only={"base": ("reinforce",)})
    max_ratio: float = setting(1.0, above=0, high=1e6, only=_NETWORKS)

    num_minibatches: ClassVar[int] = 1
    """Explorations of an update are not divided."""

    def check_problem(self, problem: Settings) -> None:
        """Check that the base learner suits the problem, and that a trial has room to explore and to exploit.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        if self.base == "q-learning":
            QLearningSettings().check_problem(problem)
        for field in ("initial_std", "base_std"):
            check_distribution(self, problem, field)
        check_episodes(problem, self.exploration_episodes, "exploration_episodes", "of a window")
        windows = {"exploration_episodes + 2": self.exploration_episodes + 2}
        check_steps(self, problem, {"num_tasks": self.num_tasks, "replicas": self.replicas, **windows})


_SYMMETRIC = {"memory": "symmetric", "memory_size": 16}
_SHORT = {**_SYMMETRIC, "num_updates": 1000}
_MEDIUM = {**_SYMMETRIC, "num_updates": 150}
_LONG = {
    "memory": "counting",
    "memory_size": 16,
    "num_updates": 200,
    "num_tasks": 256,
    "gae_lambda": 0.95,
    "entropy_cost": 0.02,
}
"""Cells forget within hundreds of pulls; late in a trial, what is tried by chance costs more than it tells."""
_BANDITS: Mapping[int, Mapping[str, Any]] = {10: _SHORT, 100: _MEDIUM, 500: _LONG}  # by pulls
_MANY_ARMS: Mapping[tuple[int, int], Mapping[str, Any]] = {(500, 50): {"gae_lambda": 0.97}}
"""By pulls and arms: exploring many arms pays late, and what it brought is not left to the critic to tell."""

_STATES = {"memory": "symmetric", "memory_size": 24, "policy_size": 32}
_MDPS: Mapping[int, Mapping[str, Any]] = {  # by episodes
    10: {**_STATES, "num_updates": 100},
    25: {**_STATES, "num_updates": 80, "gae_lambda": 0.95},
    50: {**_STATES, "num_updates": 80, "gae_lambda": 0.97, "num_tasks": 256},
    75: {**_STATES, "num_updates": 80, "gae_lambda": 0.97, "num_tasks": 256},
    100: {**_STATES, "num_updates": 200, "gae_lambda": 0.99, "num_tasks": 256},
}

_DUAN = {
    "bandit": {
        f"{pulls}x{arms}": Preset(
            f"{pulls} pulls of {arms} arms (Duan et al. 2016, table 1)",
            {**algorithm, **_MANY_ARMS.get((pulls, arms), {})},
            {"num_arms": arms, "num_pulls": pulls},
            measured=True,
        )
        for pulls, algorithm in _BANDITS.items()
        for arms in (5, 10, 50)
    },
    "tabular-mdp": {
        str(episodes): Preset(
            f"{episodes} episodes (Duan et al. 2016, table 2)",
            algorithm,
            {"num_episodes": episodes},
            measured=True,
        )
        for episodes, algorithm in _MDPS.items()
    },
}

MOST_STEPS = 2**17
"""Environment steps in an update, at most, where the number of tasks is derived."""


LONG_EPISODE = 50
"""Steps of an episode from which on rewards say soon enough what an action was worth."""
MOST_DEAR_STEPS, ALL_DEAR_STEPS = 2**15, 8_000_000
"""The same, and of a whole training, where simulators make some 10,000 steps a second."""


def _where_steps_are_dear(problem: Settings, steps: int) -> dict[str, Any]:
    """Fewer steps, each learned from several times; as was found on pendulums (examples/your_simulator.py)."""
    tasks = as_many_as_fit(64, 16, MOST_DEAR_STEPS, steps, multiple_of=16)
    updates = as_many_as_fit(1000, 100, ALL_DEAR_STEPS, tasks * steps, multiple_of=50)
    passes = {"num_epochs": 8, "num_minibatches": 8, "learning_rate": 1e-3}
    near = {"gae_lambda": 0.95} if horizon_of(problem) >= LONG_EPISODE else {}
    return {"memory": "gru", "num_tasks": tasks, "num_updates": updates, "discount": 0.99, **passes, **near}


def of_trial(problem: Settings) -> Changes:
    """What the length of a trial says: how many fit into an update, and how far the advantages have to look.

    Observations that are numbers may be of any scale.
    """
    steps = episodes_of(problem)[1] * horizon_of(problem)
    foresight = round(min(max(1 - 10 / steps, 0.9), 0.99), 3)
    tasks = as_many_as_fit(512, 64, MOST_STEPS, steps, multiple_of=16)
    scales = {} if problem.discrete_states else {"normalize_observations": True}
    dear = _where_steps_are_dear(problem, steps) if problem.on_host else {}
    return {RL2Settings: {"num_tasks": tasks, "gae_lambda": foresight, **scales, **dear}}


_ON_TRIALS = Defaults("tasks and λ by the length of a trial", {"tabular-mdp": {RL2Settings: _STATES}}, derive=of_trial)
"""A dense memory on random MDPs finds the action that is best on the whole, whatever the state, and stays there."""

_WITH_NETWORK = {
    "base": "reinforce",
    "base_size": 16,
    "base_learning_rate": 0.03,
    "base_discount": 0.97,
    "num_tasks": 32,
    "replicas": 8,
    "num_epochs": 8,
    "num_updates": 80,
    "learning_rate": 0.01,
}


def _of_exploration(problem: Settings) -> Changes:
    """Half the trial to explore, 20 episodes at most; a table for the base learner where there can be one."""
    episodes = episodes_of(problem)[1]
    explored = {"exploration_episodes": min(20, episodes // 2)} if episodes > 1 else {}  # of one: refused
    table = problem.discrete_states and not problem.continuous_actions
    if problem.discrete_states:
        return {MetaPolicyGradientSettings: explored if table else explored | _WITH_NETWORK}
    return {MetaPolicyGradientSettings: explored | _WITH_NETWORK | {"normalize_observations": True}}


_EXPLORING = Defaults(
    "one episode to explore, or a few",
    {
        "chain": {MetaPolicyGradientSettings: {"num_updates": 100}},
        # Of order 1, and measured so.
        "point-robot": {MetaPolicyGradientSettings: {"normalize_observations": False}},
        "point-robot-sparse": {MetaPolicyGradientSettings: {"normalize_observations": False}},
    },
    {
        "tabular-mdp": {"num_episodes": 10},
        "chain": {"num_episodes": 4},
        "point-robot": {"num_episodes": 2},
        "point-robot-sparse": {"num_episodes": 2},
        "cart-pole": {"num_episodes": 2},
        "t-maze": {"num_episodes": 4},
        "treasure-mountain": {"num_episodes": 4},
        **{f"metaworld-{name}": {"num_episodes": 2} for name in ("ml1", "ml10", "ml25", "ml45")},
    },
    derive=_of_exploration,
)

TRAINABLE: Mapping[str, Entry] = {
    "rl2": Entry(
        "adaptax.algorithms.memory.rl2:RL2",
        "RL²: an LSTM, GRU, symmetric or no memory, PPO over whole trials",
        RL2Settings,
        defaults=_ON_TRIALS,
        presets=_DUAN,
        measured=("bandit", "tabular-mdp", "cue"),
    ),
}

_RANDOM_TEACHES = (
    "exploring at random teaches its base learner as much as whatever exploring was learned (docs/results.md)"
)

EXPLORERS: Mapping[str, Entry] = {
    "meta-policy-gradient": Entry(
        "adaptax.algorithms.memory.meta_policy_gradient:MetaPolicyGradient",
        "a policy that explores so that another learner learns (Xu et al. 2018b)",
        MetaPolicyGradientSettings,
        defaults=_EXPLORING,
        measured=("chain", "point-robot-sparse", "grid-navigation", "cue"),
        gains_nothing={
            **dict.fromkeys(("bandit", "gaussian-bandit", "correlated-bandit", "tabular-mdp"), _RANDOM_TEACHES),
            "point-robot": "what its base learner learns there stays worse than random actions (docs/results.md)",
        },
    ),
}
"""What learns to explore for another learner."""
