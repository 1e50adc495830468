"""Bayes-optimal agents: the best that any learner can do, where the beliefs are few enough to plan over.

A learner that starts from the prior over tasks faces one Markov decision process whose state is what it has
seen (Duff 2002; Zintgraf et al. 2020, section 2.2, arXiv 1910.08348): V(b) = max_a E[r + V(b') | b, a].
Dynamic programming over the beliefs b, in `adaptax.problems.exact`, gives policies that trade exploring for
exploiting exactly as much as pays.

- `BayesOptimalBandit`, two Bernoulli arms with p ~ Beta(1, 1): b is each arm's successes and failures. Worth
  13/12 for 2 pulls, 2.888889 for 5, 12.431265 for 20.
- `BayesOptimalGrid`, grid navigation: b is the set of cells not yet visited, until the goal is found. Worth
  4.00 in the first episode and 11.071 in each of the three later ones, 37.21 in all.
"""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from adaptax.core.algorithm import FromScratch
from adaptax.core.errors import UseError
from adaptax.core.problem import Problem
from adaptax.core.spaces import Discrete
from adaptax.core.types import AgentState, TimeStep
from adaptax.problems.exact import bernoulli_plan, grid_plan


class BanditPolicy(eqx.Module):
    """What to pull after t pulls, n₁ of them of the first arm, with s₁ and s₂ successes.

    Attributes:
        second_arm: Whether to pull the second arm; the tables `[n₁, s₁, s₂]` of size (t + 1)³ one after
            another, so that table t begins at Σ_{u<t} (u + 1)³ = (t (t + 1) / 2)².
    """

    second_arm: Bool[Array, " entries"]


class ArmCounts(eqx.Module):
    """The belief over two arms.

    Attributes:
        pulls: Pulls of both arms together, t.
        first_pulls: Pulls of the first arm, n₁.
        successes: Successes of each arm, s₁ and s₂.
    """

    pulls: Int[Array, "*batch"]
    first_pulls: Int[Array, "*batch"]
    successes: Int[Array, "*batch 2"]


@dataclasses.dataclass(frozen=True)
class BayesOptimalBandit(FromScratch):
    """Optimal play of two Bernoulli arms with p ~ U[0, 1] over a known number of pulls (up to 100)."""

    def describe(self, problem: Problem) -> BanditPolicy:
        """Solve the bandit for `problem.episodes` pulls.

        Raises:
            UseError: If the problem has not two actions and episodes of one step, or too many pulls.
        """
        actions = problem.env.action_space
        if actions != Discrete(2) or problem.env.horizon != 1 or problem.episodes > 100:
            raise UseError(
                f"BayesOptimalBandit.describe: expected a bandit with 2 arms and at most 100 pulls, "
                f"got {actions} and {problem.episodes} episodes of {problem.env.horizon} steps"
            )
        tables = bernoulli_plan(problem.episodes).second_arm
        return BanditPolicy(jnp.asarray(np.concatenate([table.ravel() for table in tables])))

    def begin(self, meta: BanditPolicy, key: Key[Array, ""]) -> AgentState:
        """Know nothing but the prior."""
        zero = jnp.asarray(0, jnp.int32)
        return AgentState(None, ArmCounts(zero, zero, jnp.zeros(2, jnp.int32)))

    def act(
        self, meta: BanditPolicy, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[Int[Array, ""], ArmCounts, None]:
        """Count the last pull and look up the next one."""
        pulled = timestep.action == jnp.arange(2)  # Neither before the first pull.
        belief = ArmCounts(
            agent.memory.pulls + jnp.any(pulled).astype(jnp.int32),
            agent.memory.first_pulls + pulled[0].astype(jnp.int32),
            agent.memory.successes + (pulled & (timestep.reward > 0.5)).astype(jnp.int32),
        )
        side = belief.pulls + 1
        table = (belief.pulls * side // 2) ** 2
        entry = (belief.first_pulls * side + belief.successes[0]) * side + belief.successes[1]
        return meta.second_arm[table + entry].astype(jnp.int32), belief, None


class GridSearchPlan(eqx.Module):
    """Where to walk until the goal is found, by the step of the trial.

    Attributes:
        actions: The action.
        cells: The cell on which it ends.
        size: Cells along one side of the grid.
    """

    actions: Int[Array, " time"]
    cells: Int[Array, " time"]
    size: int = eqx.field(static=True)


class GridMemory(eqx.Module):
    """The belief over goals: all cells that the plan has not visited yet, or one.

    Attributes:
        time: Steps of the trial done.
        goal: The goal's cell; −1 while it is unknown.
    """

    time: Int[Array, "*batch"]
    goal: Int[Array, "*batch"]


@dataclasses.dataclass(frozen=True)
class BayesOptimalGrid(FromScratch):
    """Optimal search for the hidden goal of grid navigation, over the episodes of a trial.

    Not finding the goal is all that can be learnt before it is found, so the search is one fixed walk per
    episode; then it is optimal to go there by a shortest way and to stay, in this and in each later episode.
    """

    def describe(self, problem: Problem) -> GridSearchPlan:
        """Plan the search; see `adaptax.problems.exact.grid_plan` for what it costs.

        Raises:
            UseError: If the problem is not a grid.
        """
        size = getattr(problem.env, "size", None)
        if size is None or problem.env.action_space != Discrete(5):
            raise UseError(f"BayesOptimalGrid.describe: expected grid navigation, got {type(problem.env).__name__}")
        plan = grid_plan(size, problem.env.horizon, problem.episodes)
        return GridSearchPlan(jnp.asarray(plan.actions, jnp.int32), jnp.asarray(plan.cells, jnp.int32), size)

    def begin(self, meta: GridSearchPlan, key: Key[Array, ""]) -> AgentState:
        """Any goal is possible."""
        return AgentState(None, GridMemory(jnp.asarray(0, jnp.int32), jnp.asarray(-1, jnp.int32)))

    def act(
        self,
        meta: GridSearchPlan,
        agent: AgentState,
        timestep: TimeStep,
        key: Key[Array, ""],
        *,
        explore: bool,
    ) -> tuple[Int[Array, ""], GridMemory, None]:
        """Go on searching, or walk to the goal."""
        time, goal = agent.memory.time, agent.memory.goal
        # The observation may be the start of the next episode already; the plan knows where the step ended.
        found = (goal < 0) & (timestep.reward > 0)
        goal = jnp.where(found, meta.cells[jnp.maximum(time - 1, 0)], goal)
        action = jnp.where(goal < 0, meta.actions[time], toward(timestep.observation, goal, meta.size))
        return action, GridMemory(time + 1, goal), None


def toward(cell: Int[Array, ""], goal: Int[Array, ""], size: int) -> Int[Array, ""]:
    """Action of a shortest way from `cell` to `goal`, rows first: 0 stay, 1 up, 2 right, 3 down, 4 left."""
    rows, columns = goal // size - cell // size, goal % size - cell % size
    return jnp.select([rows > 0, rows < 0, columns > 0, columns < 0], [1, 3, 2, 4], 0).astype(jnp.int32)
