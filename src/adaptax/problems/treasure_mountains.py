"""A treasure in a marsh, and a mountain from whose top it is seen: what tells must be paid for first.

After the treasure mountain of Zintgraf et al. 2021 ("HyperX", arXiv 2010.01062), on a grid, so that the optimum is
exact. A 5 × 5 grid; an episode starts in a corner and lasts 15 steps, with the five actions of grid navigation.

- **The mountain** is the middle cell, its top, and the eight cells around it: each step that ends there costs 0.5. On
  the top, and only there, what is observed tells where the treasure is.
- **The marsh** is three cells in the middle of each of the two far sides: each step that ends there costs 4,
- but on **the treasure**, which is in one of these six cells, each step earns 1. All other steps earn 0.

The best is to climb, to look, and to go and stay there: 7.5, exactly (`exact_mountains.mountain_plan`). *Whoever never
looks can do no better than to stay away, and earns 0*: that is exact, too. Random actions earn −3.8. So the climb and
the marsh cost from the first step on, and what they are good for takes eight steps and more that fit together. A
learner that follows its returns has left both alone by then, and stays away for ever. That is what bonuses for what is
new are for.

Differences from the paper: a grid; a treasure that pays for each step on it; whoever neither climbs nor wades loses
nothing. There, walking along the shore in search of the treasure is what is learned without bonuses; here, nothing is.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from adaptax.core.problem import Problem, Step, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.exact_mountains import from_the_top, known_returns, marsh_cells, mountain_plan, solvable
from adaptax.problems.grid_worlds import GridGoal, GridWorld, UniformGoals
from adaptax.problems.settings import TreasureMountainSettings


class TreasureMountain(GridWorld):
    """Climb, look, fetch: see the module. The state is the cell.

    What is observed is the cell, too, but on the top, where it is size² + the number of the treasure's cell in the
    marsh.

    Attributes:
        climb_cost: What each step that ends on the mountain costs.
        marsh_cost: What each step costs that ends in the marsh without the treasure.
    """

    climb_cost: float = eqx.field(static=True)
    marsh_cost: float = eqx.field(static=True)

    def __init__(self, size: int, horizon: int, climb_cost: float, marsh_cost: float):
        super().__init__(size, horizon)
        self.climb_cost, self.marsh_cost = climb_cost, marsh_cost
        self.observation_space = Discrete(size * size + len(marsh_cells(size)))

    def reset(self, task: GridGoal, key: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Begin in cell 0, which is also what is observed."""
        start = jnp.asarray(0, jnp.int32)
        return start, start

    def step(self, state: Int[Array, ""], action: Int[Array, ""], task: GridGoal, key: Key[Array, ""]) -> Step:
        """Move one cell, or stay."""
        cell, away = self.moved(state, action), from_the_top(self.size)
        costs = np.where(away <= 1, self.climb_cost, 0.0)
        costs[list(marsh_cells(self.size))] = self.marsh_cost
        reward = jnp.where(cell == task.cell, 1.0, -jnp.asarray(costs, jnp.float32)[cell])
        place = jnp.searchsorted(jnp.asarray(marsh_cells(self.size), jnp.int32), task.cell).astype(jnp.int32)
        seen = jnp.where(jnp.asarray(away == 0)[cell], self.size**2 + place, cell)
        return Step(cell, seen, reward, jnp.asarray(False))


class Treasures(UniformGoals):
    """The treasure is in one of the marsh's cells, each with the same chance.

    Attributes:
        best: Return of an episode of whoever knows it, for each of them.
    """

    best: tuple[float, ...] = eqx.field(static=True)

    def __init__(self, env: TreasureMountain, split: str):
        super().__init__(marsh_cells(env.size), env.size, env.horizon, split)
        self.best = known_returns(env.size, env.horizon, env.climb_cost, env.marsh_cost)

    def oracle(self, task: GridGoal) -> Float[Array, ""]:
        """Go there by the way that costs least, and stay."""
        return jnp.asarray(self.best, jnp.float32)[jnp.searchsorted(jnp.asarray(self.goals, jnp.int32), task.cell)]


def treasure_mountain(
    num_episodes: int = TreasureMountainSettings.num_episodes,
    size: int = TreasureMountainSettings.size,
    horizon: int = TreasureMountainSettings.horizon,
    climb_cost: float = TreasureMountainSettings.climb_cost,
    marsh_cost: float = TreasureMountainSettings.marsh_cost,
) -> Problem:
    """Climb a mountain to see where the treasure is: optimum 7.5; 0 for all who never look.

    The optimum is exact where it takes no more than a second or two: on a 7 × 7 grid, in trials of up to 79 steps.

    Args:
        num_episodes: Episodes in a trial.
        size: Cells along one side.
        horizon: Steps of an episode.
        climb_cost: What each step that ends on the mountain costs.
        marsh_cost: What each step costs that ends in the marsh without the treasure.
    """
    env = TreasureMountain(size, horizon, climb_cost, marsh_cost)
    of = size, horizon, num_episodes, climb_cost, marsh_cost
    optimum = mountain_plan(*of).returns if solvable(size, horizon * num_episodes) else None
    return make_problem(env, lambda split: Treasures(env, split), num_episodes, optimum)
