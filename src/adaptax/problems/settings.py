"""Parameters of the problem families, and their names.

Each class has the fields of the factory function that it is for, which takes its defaults from here.
"""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

from adaptax.core.entry import Entry
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, episodes_of, horizon_of, setting  # noqa: F401 (asked of problems)

MOST_TRANSITIONS = 1_000_000
"""S · A · S of a random MDP: a thousand of them are looked at side by side."""


@dataclasses.dataclass(frozen=True)
class BanditSettings(Settings):
    """Bernoulli bandits with p ~ U[0, 1] (Duan et al. 2016, section 3.1).

    Attributes:
        num_arms: Arms k.
        num_pulls: Pulls n in a trial; each is an episode of one step.
    """

    horizon: ClassVar[int] = 1

    num_arms: int = setting(10, low=2, high=10_000)
    num_pulls: int = setting(100, low=1, high=100_000)


@dataclasses.dataclass(frozen=True)
class GaussianBanditSettings(Settings):
    """Gaussian bandits: rewards N(μ, σ²), means μ ~ N(0, 1).

    Attributes:
        num_arms: Arms k.
        num_pulls: Pulls n in a trial.
        noise: Standard deviation σ of a reward.
    """

    horizon: ClassVar[int] = 1

    num_arms: int = setting(10, low=2, high=10_000)
    num_pulls: int = setting(100, low=1, high=100_000)
    noise: float = setting(1.0, low=1e-6, high=1e6)


@dataclasses.dataclass(frozen=True)
class CorrelatedBanditSettings(Settings):
    """Two arms with p₂ = 1 − p₁ (Wang et al. 2016, section 3.1).

    Attributes:
        variant: uniform: p₁ ~ U[0, 1]; easy: 0.1 or 0.9; medium: 0.25 or 0.75; hard: 0.4 or 0.6; independent: not
            correlated.
        num_pulls: Pulls in a trial.
    """

    horizon: ClassVar[int] = 1

    variant: Literal["uniform", "easy", "medium", "hard", "independent"] = "uniform"
    num_pulls: int = setting(100, low=1, high=100_000)


@dataclasses.dataclass(frozen=True)
class LinearBanditSettings(Settings):
    """Linear-Gaussian bandits: rewards ⟨w, φ⟩ + N(0, σ²), w ~ N(0, I).

    Attributes:
        dimension: Entries d of w.
        num_pulls: Pulls n in a trial.
        noise: Standard deviation σ of a reward given w.
        contexts: none: the action is φ, a vector; axes or sphere: φ is the unit vector that is observed times the
            action, a number.
    """

    horizon: ClassVar[int] = 1
    continuous_actions: ClassVar[bool] = True

    dimension: int = setting(1, low=1, high=1000)
    num_pulls: int = setting(20, low=1, high=10_000)
    noise: float = setting(1.0, low=1e-6, high=1e6)
    contexts: Literal["none", "axes", "sphere"] = "none"

    @property
    def discrete_states(self) -> bool:  # type: ignore[override]
        """Whether there is one state only: nothing is shown."""
        return self.contexts == "none"


@dataclasses.dataclass(frozen=True)
class TwoStepSettings(Settings):
    """The two-step task (Wang et al. 2016, section 3.2).

    Attributes:
        num_rounds: Rounds of two choices in a trial.
    """

    num_rounds: int = setting(100, low=1, high=100_000)

    @property
    def horizon(self) -> int:
        """Steps of an episode, which is the whole trial."""
        return 2 * self.num_rounds


@dataclasses.dataclass(frozen=True)
class TabularMDPSettings(Settings):
    """Random tabular MDPs (Duan et al. 2016, section 3.2).

    Attributes:
        num_states: States S.
        num_actions: Actions A.
        horizon: Steps in an episode.
        num_episodes: Episodes n in a trial.
    """

    num_states: int = setting(10, low=1, high=1000)
    num_actions: int = setting(5, low=1, high=1000)
    horizon: int = setting(10, low=1, high=10_000)
    num_episodes: int = setting(10, low=1, high=100_000)

    def __post_init__(self):
        """Check every field, and that a task is not too large."""
        super().__post_init__()
        transitions = self.num_states**2 * self.num_actions
        if transitions > MOST_TRANSITIONS:
            raise ConfigError(
                f"TabularMDPSettings.num_states: expected at most {MOST_TRANSITIONS} transitions, num_states² × "
                f"num_actions; found {self.num_states}² × {self.num_actions} = {transitions}. Lower one of them"
            )


@dataclasses.dataclass(frozen=True)
class GridNavigationSettings(Settings):
    """Grid navigation with a hidden goal (Zintgraf et al. 2020, section 5.1).

    Attributes:
        num_episodes: Episodes in a trial.
        size: Cells on a side.
        horizon: Steps in an episode.
        held_out: Deal the goals out to training, validation and test. By default all goals serve all three: the
            family is a finite set.
    """

    num_episodes: int = setting(4, low=1, high=10_000)
    size: int = setting(5, low=3, high=50)
    horizon: int = setting(15, low=1, high=10_000)
    held_out: bool = False


@dataclasses.dataclass(frozen=True)
class PointRobotSettings(Settings):
    """2D navigation with a dense reward (Finn et al. 2017, section 5.3).

    Attributes:
        num_episodes: Episodes in a trial.
        horizon: Steps in an episode.
    """

    continuous_actions: ClassVar[bool] = True
    discrete_states: ClassVar[bool] = False

    num_episodes: int = setting(3, low=1, high=10_000)
    horizon: int = setting(100, low=1, high=10_000)


@dataclasses.dataclass(frozen=True)
class PointRobotSparseSettings(Settings):
    """2D navigation to a goal on a half-circle, rewarded only near it (Gupta et al. 2018; Zintgraf et al. 2020).

    Attributes:
        num_episodes: Episodes in a trial.
        horizon: Steps in an episode.
        goal_radius: Distance from the goal within which there is a reward.
    """

    continuous_actions: ClassVar[bool] = True
    discrete_states: ClassVar[bool] = False

    num_episodes: int = setting(3, low=1, high=10_000)
    horizon: int = setting(100, low=1, high=10_000)
    goal_radius: float = setting(0.2, above=0, high=1e6)


@dataclasses.dataclass(frozen=True)
class CartPoleSettings(Settings):
    """Cart-pole balancing as in CartPole-v1 (Barto et al. 1983), and a family around it.

    Attributes:
        num_episodes: Episodes in a trial.
        horizon: Steps in an episode.
        variation: Pole length, pole mass, cart mass and force are their textbook values times exp(U[−v, v]). 0: the
            textbook's task alone.
    """

    discrete_states: ClassVar[bool] = False

    num_episodes: int = setting(3, low=1, high=10_000)
    horizon: int = setting(500, low=1, high=10_000)
    variation: float = setting(0.0, low=0, high=1)


@dataclasses.dataclass(frozen=True)
class ChainSettings(Settings):
    """A chain with a treasure far from its start, where undirected exploration fails.

    Attributes:
        length: The last state; the treasure is in the second half.
        horizon: Steps in an episode.
        num_episodes: Episodes in a trial.
    """

    length: int = setting(16, low=2, high=1000)
    horizon: int = setting(32, low=1, high=10_000)
    num_episodes: int = setting(4, low=1, high=10_000)

    def __post_init__(self):
        """Check every field, and that some treasures are within reach."""
        super().__post_init__()
        if self.horizon < self.length // 2:
            raise ConfigError(
                f"ChainSettings.horizon: expected at least {self.length // 2} steps with length={self.length}, or no "
                f"treasure is within reach; found {self.horizon}. Raise horizon, or lower length"
            )


@dataclasses.dataclass(frozen=True)
class CueSettings(Settings):
    """A test of memory: what an episode shows at its end is what the next one asks for at its beginning.

    Attributes:
        num_cues: Cues k, and answers.
        num_episodes: Episodes in a trial.
    """

    horizon: ClassVar[int] = 2

    num_cues: int = setting(2, low=2, high=1000)
    num_episodes: int = setting(2, low=1, high=10_000)


@dataclasses.dataclass(frozen=True)
class DarkRoomSettings(Settings):
    """An unseen goal in a room where only one's place is seen (Laskin et al. 2022, section 4).

    Attributes:
        num_episodes: Episodes in a trial.
        size: Cells on a side.
        horizon: Steps in an episode.
        held_out: Deal the goals out to training, validation and test. By default all cells serve all three: the
            family is a finite set.
    """

    num_episodes: int = setting(4, low=1, high=10_000)
    size: int = setting(10, low=3, high=50)
    horizon: int = setting(100, low=1, high=10_000)
    held_out: bool = False


@dataclasses.dataclass(frozen=True)
class DarkKeyDoorSettings(Settings):
    """An unseen key, and then its door, where only one's place is seen (Laskin et al. 2022, section 4).

    Attributes:
        num_episodes: Episodes in a trial.
        size: Cells on a side.
        horizon: Steps in an episode.
    """

    num_episodes: int = setting(4, low=1, high=10_000)
    size: int = setting(10, low=3, high=50)
    horizon: int = setting(100, low=1, high=10_000)


@dataclasses.dataclass(frozen=True)
class TMazeSettings(Settings):
    """A test of long memory: a sign at the start of a corridor says which way to turn at its end.

    Attributes:
        length: Steps from the sign to the junction; an episode has one more.
        num_episodes: Episodes in a trial.
    """

    length: int = setting(10, low=1, high=10_000)
    num_episodes: int = setting(1, low=1, high=10_000)

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return self.length + 1


@dataclasses.dataclass(frozen=True)
class TreasureMountainSettings(Settings):
    """A treasure in a marsh, and a mountain from whose top it is seen (after Zintgraf et al. 2021).

    Attributes:
        num_episodes: Episodes in a trial.
        size: Cells on a side.
        horizon: Steps in an episode.
        climb_cost: What each step that ends on the mountain costs.
        marsh_cost: What each step costs that ends in the marsh without the treasure. With 4 and one episode, as by
            default, searching the marsh is worth less than staying away.
    """

    num_episodes: int = setting(1, low=1, high=10_000)
    size: int = setting(5, low=5, high=50)
    horizon: int = setting(15, low=1, high=10_000)
    climb_cost: float = setting(0.5, low=0, high=1e6)
    marsh_cost: float = setting(4.0, low=0, high=1e6)


_BANDIT = ("random", "epsilon-greedy", "greedy", "ucb1", "thompson", "optimistic-thompson", "gittins")
_GAUSSIAN = ("random", "gaussian-greedy", "gaussian-epsilon-greedy", "gaussian-ucb1", "gaussian-thompson")
_TABULAR = ("random", "tabular-greedy", "tabular-epsilon-greedy", "psrl", "optimistic-psrl", "ucrl2", "beb")

PROBLEMS: Mapping[str, Entry] = {
    "bandit": Entry(
        "adaptax.problems.bandit:bernoulli_bandit",
        "Bernoulli bandits, p ~ U[0,1] (Duan et al. 2016)",
        BanditSettings,
        _BANDIT,
        traits=("bernoulli",),
    ),
    "gaussian-bandit": Entry(
        "adaptax.problems.gaussian_bandits:gaussian_bandit",
        "Gaussian bandits, means ~ N(0,1)",
        GaussianBanditSettings,
        _GAUSSIAN,
        traits=("gaussian",),
    ),
    "correlated-bandit": Entry(
        "adaptax.problems.correlated_bandits:correlated_bandit",
        "two arms, p₂ = 1 − p₁ (Wang et al. 2016)",
        CorrelatedBanditSettings,
        _BANDIT,
        traits=("bernoulli",),
    ),
    "linear-bandit": Entry(
        "adaptax.problems.linear_bandits:linear_bandit",
        "rewards linear in the action, weights ~ N(0, I)",
        LinearBanditSettings,
        ("random",),
    ),
    "two-step": Entry(
        "adaptax.problems.two_step_tasks:two_step",
        "the two-step task (Wang et al. 2016)",
        TwoStepSettings,
        ("random",),
        traits=("countable",),
    ),
    "tabular-mdp": Entry(
        "adaptax.problems.tabular:tabular_mdp",
        "random tabular MDPs (Duan et al. 2016)",
        TabularMDPSettings,
        _TABULAR,
        traits=("countable",),
    ),
    "grid-navigation": Entry(
        "adaptax.problems.grid_worlds:grid_navigation",
        "5×5 grid with a hidden goal (Zintgraf et al. 2020)",
        GridNavigationSettings,
        ("random", "bayes-optimal-grid"),
        traits=("countable", "grid"),
    ),
    "dark-room": Entry(
        "adaptax.problems.dark_rooms:dark_room",
        "10×10 cells and an unseen goal (Laskin et al. 2022)",
        DarkRoomSettings,
        ("random",),
        traits=("countable",),
    ),
    "dark-key-door": Entry(
        "adaptax.problems.dark_rooms:dark_key_door",
        "an unseen key, then its door (Laskin et al. 2022)",
        DarkKeyDoorSettings,
        ("random",),
    ),
    "point-robot": Entry(
        "adaptax.problems.point_robots:point_robot",
        "2D navigation (Finn et al. 2017)",
        PointRobotSettings,
        ("random",),
    ),
    "point-robot-sparse": Entry(
        "adaptax.problems.point_robots:point_robot_sparse",
        "2D navigation, sparse half-circle (Gupta et al. 2018)",
        PointRobotSparseSettings,
        ("random",),
    ),
    "cart-pole": Entry(
        "adaptax.problems.cart_poles:cart_pole",
        "CartPole-v1, and a family around it (Barto et al. 1983)",
        CartPoleSettings,
        ("random",),
    ),
    "chain": Entry(
        "adaptax.problems.chains:chain",
        "a chain where undirected exploration fails",
        ChainSettings,
        ("random",),
        traits=("countable",),
    ),
    "cue": Entry(
        "adaptax.problems.cues:cue",
        "remember over episodes: a test of memory",
        CueSettings,
        ("random",),
    ),
    "t-maze": Entry(
        "adaptax.problems.t_mazes:t_maze",
        "remember a sign for up to thousands of steps (Bakker 2001; Ni et al. 2023)",
        TMazeSettings,
        ("random",),
    ),
    "treasure-mountain": Entry(
        "adaptax.problems.treasure_mountains:treasure_mountain",
        "climb to see where the treasure is: exploring costs (after Zintgraf et al. 2021)",
        TreasureMountainSettings,
        ("random",),
    ),
}
