"""Grid navigation with a hidden goal (Zintgraf et al. 2020, section 5.1; arXiv 1910.08348).

A 5 × 5 grid; every episode starts in a corner and lasts 15 steps. The goal is one of the 21 cells that are
neither the start nor one of its three neighbours; it is not observed, and only stepping on it tells where it
is: reward 1 for each step that ends on the goal, −0.1 for each other. There are five actions, "stay" among
them; a step off the grid leaves the agent where it is.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.exact import GRID_MOVES, GRID_STEP_REWARD, grid_goals, grid_plan
from adaptax.problems.settings import GridNavigationSettings


class GridGoal(eqx.Module):
    """Where to go.

    Attributes:
        cell: The goal, row × size + column.
    """

    cell: Int[Array, "*batch"]


class GridWorld(Environment):
    """A square grid whose cell 0, a corner, is the start. Actions: 0 stay, 1 up, 2 right, 3 down, 4 left.

    Attributes:
        size: Cells along one side.
    """

    size: int = eqx.field(static=True)
    observation_space: Discrete = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, size: int, horizon: int):
        if size < 3:
            raise UseError(f"{type(self).__name__}(size): expected at least 3, to have room for a goal, got {size!r}")
        self.size = size
        self.observation_space = Discrete(size * size)
        self.action_space = Discrete(len(GRID_MOVES))
        self.horizon = horizon
        self.ends_early = False

    def moved(self, cell: Int[Array, ""], action: Int[Array, ""]) -> Int[Array, ""]:
        """One cell on, or the same one."""
        move = jnp.asarray(GRID_MOVES, jnp.int32)[action]
        row, column = jnp.clip(jnp.stack(jnp.divmod(cell, self.size)) + move, 0, self.size - 1)
        return row * self.size + column


class GridNavigation(GridWorld):
    """Find the goal, and stay there: see the module."""

    def __init__(self, size: int, horizon: int):
        super().__init__(size, horizon)

    def reset(self, task: GridGoal, key: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Begin in cell 0, which is also what is observed."""
        start = jnp.asarray(0, jnp.int32)
        return start, start

    def step(self, state: Int[Array, ""], action: Int[Array, ""], task: GridGoal, key: Key[Array, ""]) -> Step:
        """Move one cell, or stay."""
        cell = self.moved(state, action)
        return Step(cell, cell, jnp.where(cell == task.cell, 1.0, GRID_STEP_REWARD), jnp.asarray(False))


class UniformGoals(TaskDistribution):
    """One of `goals`, each with the same chance.

    Attributes:
        goals: Cells that may be the goal.
        size: Cells along one side.
        horizon: Steps of an episode.
    """

    goals: tuple[int, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, goals: tuple[int, ...], size: int, horizon: int, split: str):
        self.goals = goals
        self.size = size
        self.horizon = horizon
        self.split = split
        self.finite = len(goals)

    def draw(self, key: Key[Array, ""]) -> GridGoal:
        """Draw the goal."""
        return GridGoal(jnp.asarray(self.goals, jnp.int32)[jax.random.randint(key, (), 0, len(self.goals))])

    def oracle(self, task: GridGoal) -> Float[Array, ""]:
        """Walk there in d steps and stay: d − 1 rewards of −0.1, then of 1: 44.29 in four episodes."""
        steps = task.cell // self.size + task.cell % self.size
        reached = jnp.maximum(self.horizon - steps + 1, 0).astype(jnp.float32)
        return reached + GRID_STEP_REWARD * (self.horizon - reached)


def deal_goals(goals: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Deal goals out to the three splits, about 13 : 4 : 4, always in the same way."""
    mixed = np.random.default_rng(0).permutation(np.asarray(goals))
    held_out = max(1, len(mixed) * 4 // 21)
    validation, test, train = np.split(mixed, [held_out, 2 * held_out])
    dealt = {"train": train, "validation": validation, "test": test}
    return {split: tuple(sorted(part.tolist())) for split, part in dealt.items()}


def grid_navigation(
    num_episodes: int = GridNavigationSettings.num_episodes,
    size: int = GridNavigationSettings.size,
    horizon: int = GridNavigationSettings.horizon,
    held_out: bool = GridNavigationSettings.held_out,
) -> Problem:
    """Grid navigation of Zintgraf et al. 2020.

    As in the paper all splits hold all goals: what is new in a test is not the goal but that it is hidden.
    The optimum is then exact (4.00, 11.07, 11.07, 11.07 by default); it is computed where that takes no more
    than a second or two, for the paper's grid and for smaller ones.

    Args:
        num_episodes: Episodes in a trial.
        size: Cells along one side.
        horizon: Steps of an episode.
        held_out: Whether validation and test have goals of their own, in 13 : 4 : 4. No optimum is known
            then: an agent may have learnt that the training goals are the only ones.
    """
    env = GridNavigation(size, horizon)
    if held_out:
        dealt = deal_goals(grid_goals(size))
        return make_problem(env, lambda split: UniformGoals(dealt[split], size, horizon, split), num_episodes)
    solvable = (size, horizon) == (5, 15) or (size < 5 and horizon <= 50)
    optimum = grid_plan(size, horizon, num_episodes).returns if solvable else None
    return make_problem(env, lambda split: UniformGoals(grid_goals(size), size, horizon, split), num_episodes, optimum)
