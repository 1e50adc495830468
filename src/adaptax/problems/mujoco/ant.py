"""Ants that run in a direction, or to a place; the task is hidden.

- Direction: reward u · v − 0.5 ‖a‖² − 0.0005 ‖clip(f, ±1)‖² + 1, with u the unit vector of the task's angle, v the
  torso's velocity in the plane and f the contact forces. An episode ends when the torso's height leaves [0.2, 1].
  Angles by `protocol`: "pearl" U[0, 2π] (Rakelly et al. 2019, whose code draws two once and trains and tests on them);
  "promp" 0 or π (Rothfuss et al. 2019); "varibad" −1 or 1, which its code takes for angles in *radians*, so that the
  two are 115° apart (Zintgraf et al. 2020).
- Goal (Rothfuss et al. 2019, Rakelly et al. 2019): a place in the disc of radius 3, its distance from the middle
  3 √U as in the papers' code; reward −‖x − g‖₁ − 0.1 ‖a‖² − 0.0005 ‖clip(f, ±1)‖². Episodes never end early.

A step is 0.05 s, 5 of the engine's. Forces are computed as Gymnasium does; under MuJoCo 2.0 to 2.1, which some of the
papers' results were made with, they read 0.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Problem, TaskDistribution, make_problem
from adaptax.problems.mujoco.engine import Spatial
from adaptax.problems.mujoco.locomotion import Locomotion
from adaptax.problems.mujoco.settings import AntDirectionSettings, AntGoalSettings

FARTHEST = 3.0
"""Radius of the disc of goals, in m."""
LOWEST, HIGHEST = 0.2, 1.0
"""Of a torso that has not fallen, in m."""
CONTACT_COST = 0.0005
ANGLES: dict[str, tuple[float, ...]] = {"pearl": (), "promp": (0.0, math.pi), "varibad": (-1.0, 1.0)}
"""Those of two tasks, in radians; none: all around."""


class AntEngine(Spatial):
    """Reads the torso's velocity [2], positions [15], velocities [14] and contact forces within ± 1 [84]."""

    @property
    def num_readings(self) -> int:
        """Numbers that are read after each step."""
        return 2 + self.model.nq + self.model.nv + 6 * self.model.nbody

    def read(self, data, center_before: np.ndarray) -> np.ndarray:
        """Velocity is filled in afterwards: it is in the states."""
        return np.concatenate([np.zeros(2), data.qpos, data.qvel, np.clip(data.cfrc_ext, -1, 1).ravel()])

    def advance(self, state: np.ndarray, control: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step."""
        after, readings = super().advance(state, control, parameters)
        readings[:, :2] = self.velocities(state, after, 2)
        return after, readings


ANT = AntEngine("ant.xml", 5)


class Heading(eqx.Module):
    """Where to run.

    Attributes:
        angle: From the x axis, in radians.
    """

    angle: Float[Array, "*batch"]


class Place(eqx.Module):
    """Where to go.

    Attributes:
        position: Coordinates in m.
    """

    position: Float[Array, "*batch 2"]


class Ant(Locomotion):
    """An ant with four legs: 8 joints."""

    def __init__(self, horizon: int, num_observed: int, *, ends_early: bool):
        super().__init__(ANT, horizon, num_observed, ends_early=ends_early)

    def start(self, key: Key[Array, ""]) -> tuple[Float[Array, "15"], Float[Array, "14"]]:
        """Positions of ± 0.1, velocities of deviation 0.1."""
        position_key, velocity_key = jax.random.split(key)
        positions = jax.random.uniform(position_key, (15,), minval=-0.1, maxval=0.1)
        return positions, 0.1 * jax.random.normal(velocity_key, (14,))


def contact_cost(readings: Float[Array, "115"]) -> Float[Array, ""]:
    """What the forces cost."""
    return CONTACT_COST * jnp.sum(readings[31:] ** 2)


class AntDirection(Ant):
    """Run in a direction."""

    def __init__(self, horizon: int):
        super().__init__(horizon, 27, ends_early=True)

    @property
    def num_unseen(self) -> int:
        """Where it is on the ground."""
        return 2

    def observe(self, readings: Float[Array, "115"]) -> Float[Array, "27"]:
        """Positions but the first two, velocities."""
        return readings[4:31]

    def reward(self, readings: Float[Array, "115"], action: Float[Array, "8"], task: Heading) -> Float[Array, ""]:
        """Velocity in the task's direction, 1 for living, less what it costs."""
        forward = jnp.cos(task.angle) * readings[0] + jnp.sin(task.angle) * readings[1]
        return forward + 1.0 - 0.5 * jnp.sum(action**2) - contact_cost(readings)

    def fallen(self, readings: Float[Array, "115"]) -> Bool[Array, ""]:
        """Whether the torso is too low or too high."""
        return ~((readings[4] >= LOWEST) & (readings[4] <= HIGHEST))


class AntGoal(Ant):
    """Go to a place."""

    def __init__(self, horizon: int):
        super().__init__(horizon, 113, ends_early=False)

    @property
    def num_unseen(self) -> int:
        """It sees all of them."""
        return 0

    def observe(self, readings: Float[Array, "115"]) -> Float[Array, "113"]:
        """Positions, velocities, forces."""
        return readings[2:]

    def reward(self, readings: Float[Array, "115"], action: Float[Array, "8"], task: Place) -> Float[Array, ""]:
        """How far away the place is, and what the step costs."""
        away = jnp.sum(jnp.abs(readings[2:4] - task.position))
        return -away - 0.1 * jnp.sum(action**2) - contact_cost(readings)


class Headings(TaskDistribution):
    """Angles ~ U[0, 2π], or one of a few.

    Attributes:
        angles: The few; none: all around.
    """

    split: str = eqx.field(static=True)
    angles: tuple[float, ...] = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, split: str, angles: tuple[float, ...] = ()):
        self.split = split
        self.angles = angles
        self.finite = len(angles) or None

    def draw(self, key: Key[Array, ""]) -> Heading:
        """Draw the angle."""
        if self.angles:
            return Heading(jax.random.choice(key, jnp.asarray(self.angles, jnp.float32)))
        return Heading(jax.random.uniform(key, (), maxval=2 * jnp.pi))

    def oracle(self, task: Heading) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


class Places(TaskDistribution):
    """Goals at a distance of 3 √U from the middle, in any direction."""

    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> Place:
        """Draw the place."""
        angle_key, distance_key = jax.random.split(key)
        angle = jax.random.uniform(angle_key, (), maxval=2 * jnp.pi)
        distance = FARTHEST * jnp.sqrt(jax.random.uniform(distance_key, ()))
        return Place(distance * jnp.stack([jnp.cos(angle), jnp.sin(angle)]))

    def oracle(self, task: Place) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


def ant_direction(
    num_episodes: int = AntDirectionSettings.num_episodes,
    horizon: int = AntDirectionSettings.horizon,
    protocol: str = AntDirectionSettings.protocol,
) -> Problem:
    """An ant that has to run in a direction.

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
        protocol: Whose directions: "pearl", "promp" or "varibad".

    Raises:
        UseError: There is no such protocol.
    """
    if protocol not in ANGLES:
        raise UseError(f"ant_direction(protocol): expected one of {', '.join(ANGLES)}, got {protocol!r}")
    angles = ANGLES[protocol]
    return make_problem(AntDirection(horizon), lambda split: Headings(split, angles), num_episodes)


def ant_goal(
    num_episodes: int = AntGoalSettings.num_episodes,
    horizon: int = AntGoalSettings.horizon,
) -> Problem:
    """An ant that has to go to a place.

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
    """
    return make_problem(AntGoal(horizon), Places, num_episodes)
