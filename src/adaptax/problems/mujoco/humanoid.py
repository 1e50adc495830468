"""Humanoids that walk in a direction; the task is hidden (Rakelly et al. 2019; Rothfuss et al. 2019).

Reward 0.25 u · Δc / δ − 0.1 ‖a‖² − min(5e−7 ‖f‖², 10) + 5: u is the unit vector of the task's angle ~ U[0, 2π], Δc how
far the center of mass moved, f the contact forces. δ is, as in the papers' code, 0.003 s of one of the engine's steps,
though an environment's step has 5 of them. An episode ends when the torso's height leaves [1, 2].

It sees positions but the first two, velocities, inertias, the bodies' velocities, the joints' forces and contact
forces: 22 + 23 + 140 + 84 + 23 + 84 = 376 numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from adaptax.core.problem import Problem, make_problem
from adaptax.problems.mujoco.ant import Heading, Headings
from adaptax.problems.mujoco.engine import Spatial
from adaptax.problems.mujoco.locomotion import Locomotion
from adaptax.problems.mujoco.settings import HumanoidDirectionSettings

NUM_OBSERVED = 376
LOWEST, HIGHEST = 1.0, 2.0
"""Of a torso that has not fallen, in m."""


class HumanoidEngine(Spatial):
    """Reads how far the center of mass moved [2], then what is observed."""

    @property
    def num_readings(self) -> int:
        """Numbers that are read after each step."""
        return 2 + NUM_OBSERVED

    def read(self, data, center_before: np.ndarray) -> np.ndarray:
        """Forces, inertias and velocities of the last substep; then the center of mass where the robot is now."""
        held = [data.qpos[2:], data.qvel, data.cinert.ravel(), data.cvel.ravel(), data.qfrc_actuator]
        seen = np.concatenate([*held, data.cfrc_ext.ravel()])
        return np.concatenate([self.center(data)[:2] - center_before[:2], seen])


HUMANOID = HumanoidEngine("humanoid.xml", 5)


class HumanoidDirection(Locomotion):
    """A humanoid: 17 joints, torques within ± 0.4."""

    def __init__(self, horizon: int):
        super().__init__(HUMANOID, horizon, NUM_OBSERVED, ends_early=True)

    @property
    def num_unseen(self) -> int:
        """Where it is on the ground."""
        return 2

    def start(self, key: Key[Array, ""]) -> tuple[Float[Array, "24"], Float[Array, "23"]]:
        """Positions and velocities of ± 0.01."""
        position_key, velocity_key = jax.random.split(key)
        positions = jax.random.uniform(position_key, (24,), minval=-0.01, maxval=0.01)
        return positions, jax.random.uniform(velocity_key, (23,), minval=-0.01, maxval=0.01)

    def observe(self, readings: Float[Array, "378"]) -> Float[Array, "376"]:
        """All but how far it came."""
        return readings[2:]

    def reward(self, readings: Float[Array, "378"], action: Float[Array, "17"], task: Heading) -> Float[Array, ""]:
        """Velocity in the task's direction, 5 for living, less what it costs."""
        moved = jnp.cos(task.angle) * readings[0] + jnp.sin(task.angle) * readings[1]
        contact = jnp.minimum(5e-7 * jnp.sum(readings[-84:] ** 2), 10.0)
        forward = 0.25 * moved / float(HUMANOID.model.opt.timestep)
        return forward + 5.0 - 0.1 * jnp.sum(action**2) - contact

    def fallen(self, readings: Float[Array, "378"]) -> Bool[Array, ""]:
        """Whether the torso is too low or too high."""
        return ~((readings[2] >= LOWEST) & (readings[2] <= HIGHEST))


def humanoid_direction(
    num_episodes: int = HumanoidDirectionSettings.num_episodes,
    horizon: int = HumanoidDirectionSettings.horizon,
) -> Problem:
    """A humanoid that has to walk in a direction.

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
    """
    return make_problem(HumanoidDirection(horizon), Headings, num_episodes)
