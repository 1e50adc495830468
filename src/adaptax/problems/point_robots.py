"""Point robots in the plane: dense 2D navigation, and its sparse version on a half-circle.

The robot starts at the origin and sees its position; an action is a displacement, each coordinate clipped to
±0.1. The goal is hidden. Rewards are given for the position after the move.

- Dense (Finn et al. 2017, section 5.3, arXiv 1703.03400): goal ~ U[−0.5, 0.5]², reward −‖position − goal‖,
  horizon 100. An episode ends when both coordinates are within 0.01 of the goal, as in the authors'
  environment (the paper says only "within 0.01").
- Sparse (Gupta et al. 2018, arXiv 1802.07245, with the settings of Zintgraf et al. 2020, arXiv 1910.08348):
  the goal is on the upper unit half-circle, the reward 1 − ‖position − goal‖ within `goal_radius` and 0
  elsewhere, horizon 100. An episode never ends early. A robot must search the half-circle, then go straight
  back in each later episode.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box
from adaptax.problems.settings import PointRobotSettings, PointRobotSparseSettings

MAX_STEP = 0.1
TOLERANCE = 0.01


class PointGoal(eqx.Module):
    """Where to go.

    Attributes:
        position: The goal's coordinates.
    """

    position: Float[Array, "*batch 2"]


def straight_distances(goal: PointGoal, horizon: int) -> Float[Array, " horizon"]:
    """Distance left after each step of the walk that moves each coordinate to the goal as fast as it may.

    No walk has less left of either coordinate at any time, so none is closer at any time: the walk is optimal
    for every reward that falls with distance.
    """
    steps = jnp.arange(1, horizon + 1, dtype=jnp.float32)
    left = jnp.maximum(jnp.abs(goal.position)[None, :] - MAX_STEP * steps[:, None], 0.0)
    return jnp.sqrt(jnp.sum(left**2, axis=-1))


class PointRobot(Environment):
    """A point that moves where it is told.

    Attributes:
        goal_radius: Distance within which there is a reward; None for the dense reward, which ends at the
            goal.
    """

    goal_radius: float | None = eqx.field(static=True)
    observation_space: Box = eqx.field(static=True)
    action_space: Box = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, horizon: int, goal_radius: float | None = None):
        self.goal_radius = goal_radius
        self.observation_space = Box((2,))
        self.action_space = Box((2,), -MAX_STEP, MAX_STEP)
        self.horizon = horizon
        self.ends_early = goal_radius is None

    def reset(self, task: PointGoal, key: Key[Array, ""]) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
        """Begin at the origin."""
        return jnp.zeros(2), jnp.zeros(2)

    def step(self, state: Float[Array, "2"], action: Float[Array, "2"], task: PointGoal, key: Key[Array, ""]) -> Step:
        """Move by `action`, clipped."""
        position = state + jnp.clip(action, -MAX_STEP, MAX_STEP)
        left = position - task.position
        terminated = jnp.all(jnp.abs(left) < TOLERANCE) if self.ends_early else jnp.asarray(False)
        return Step(position, position, reward_at(jnp.sqrt(jnp.sum(left**2)), self.goal_radius), terminated)


def reward_at(distance: Float[Array, "*batch"], goal_radius: float | None) -> Float[Array, "*batch"]:
    """Reward at `distance` from the goal; dense if `goal_radius` is None."""
    if goal_radius is None:
        return -distance
    return jnp.where(distance <= goal_radius, 1.0 - distance, 0.0)


class SquareGoals(TaskDistribution):
    """Goals ~ U[−0.5, 0.5]².

    Attributes:
        horizon: Steps of an episode.
    """

    horizon: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> PointGoal:
        """Draw the goal."""
        return PointGoal(jax.random.uniform(key, (2,), minval=-0.5, maxval=0.5))

    def oracle(self, task: PointGoal) -> Float[Array, ""]:
        """Exact: minus the distances on the straight walk, from which ending early could save nothing."""
        return jnp.sum(reward_at(straight_distances(task, self.horizon), None))


class RingGoals(SquareGoals):
    """Goals uniform on the square ring around `SquareGoals`: 0.5 to 1 away in the larger coordinate."""

    def draw(self, key: Key[Array, ""]) -> PointGoal:
        """Draw the goal."""
        distance_key, side_key, along_key, flip_key = jax.random.split(key, 4)
        # The area within distance r grows as r², so r² is uniform.
        distance = jnp.sqrt(jax.random.uniform(distance_key, minval=0.25, maxval=1.0))
        across = jnp.where(jax.random.bernoulli(side_key), distance, -distance)
        along = distance * jax.random.uniform(along_key, minval=-1.0, maxval=1.0)
        flip = jax.random.bernoulli(flip_key)
        return PointGoal(jnp.where(flip, jnp.stack([across, along]), jnp.stack([along, across])))


class HalfCircleGoals(TaskDistribution):
    """Goals on the upper or lower unit half-circle, at an angle ~ U[0, π] or its negative.

    Attributes:
        horizon: Steps of an episode.
        goal_radius: Distance within which there is a reward.
        upper: Which half.
    """

    horizon: int = eqx.field(static=True)
    goal_radius: float = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)
    upper: bool = eqx.field(static=True, default=True)

    def draw(self, key: Key[Array, ""]) -> PointGoal:
        """Draw the goal."""
        angle = jax.random.uniform(key, (), maxval=jnp.pi)
        height = jnp.sin(angle) if self.upper else -jnp.sin(angle)
        return PointGoal(jnp.stack([jnp.cos(angle), height]))

    def oracle(self, task: PointGoal) -> Float[Array, ""]:
        """Exact: the rewards along the straight walk."""
        return jnp.sum(reward_at(straight_distances(task, self.horizon), self.goal_radius))


def point_robot(
    num_episodes: int = PointRobotSettings.num_episodes,
    horizon: int = PointRobotSettings.horizon,
) -> Problem:
    """2D navigation of Finn et al. 2017, with a dense reward.

    Args:
        num_episodes: Episodes in a trial.
        horizon: H, steps of an episode.
    """
    return make_problem(
        PointRobot(horizon),
        lambda split: SquareGoals(horizon=horizon, split=split),
        num_episodes,
        shifted=RingGoals(horizon=horizon, split="shifted"),
        shift="goals 0.5 to 1 away in the larger coordinate, outside of the square of training",
    )


def point_robot_sparse(
    num_episodes: int = PointRobotSparseSettings.num_episodes,
    horizon: int = PointRobotSparseSettings.horizon,
    goal_radius: float = PointRobotSparseSettings.goal_radius,
) -> Problem:
    """Sparse 2D navigation on a half-circle (Gupta et al. 2018, Zintgraf et al. 2020).

    Args:
        num_episodes: Episodes in a trial.
        horizon: H, steps of an episode.
        goal_radius: Distance from the goal within which there is a reward.

    Raises:
        UseError: If `goal_radius` is not positive.
    """
    if goal_radius <= 0:
        raise UseError(f"point_robot_sparse(goal_radius): expected a positive distance, got {goal_radius!r}")
    env = PointRobot(horizon, goal_radius)
    return make_problem(
        env,
        lambda split: HalfCircleGoals(horizon=horizon, goal_radius=goal_radius, split=split),
        num_episodes,
        shifted=HalfCircleGoals(horizon=horizon, goal_radius=goal_radius, split="shifted", upper=False),
        shift="goals on the lower half-circle, opposite to those of training",
    )
