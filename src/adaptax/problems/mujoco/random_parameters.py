"""Walkers and hoppers whose bodies differ: masses, inertias, damping and friction are hidden (Rothfuss et al. 2019).

Every entry of the model's masses, inertias and frictions is multiplied by 1.5^U(−3, 3), of its joints' damping by
1.3^U(−3, 3), each by its own. Reward v + 1 − 0.001 ‖a‖², v the forward velocity over a step of 0.008 s, 4 of the
engine's. It sees positions but the first, and velocities within ± 10. An episode ends when the walker's height leaves
(0.8, 2) or it leans by more than 1, or the hopper's height is below 0.7 or it leans by more than 0.2 rad.

As in the papers' code, constants that MuJoCo derives from masses when a model is compiled stay as they were. Models are
Gymnasium's; theirs came with packages of their own.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from adaptax.core.problem import Problem, TaskDistribution, make_problem
from adaptax.problems.mujoco.engine import Engine, Planar
from adaptax.problems.mujoco.locomotion import Locomotion
from adaptax.problems.mujoco.settings import HopperParametersSettings, WalkerParametersSettings

CHANGED = ("body_mass", "body_inertia", "dof_damping", "geom_friction")
BASES = {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}
SPREAD = 3.0
"""Largest exponent in training."""
WALKER = Planar("walker2d.xml", 4, CHANGED)
HOPPER = Planar("hopper.xml", 4, CHANGED)
FASTEST = 10.0
"""Of velocities as they are seen."""
HOPPER_LARGEST = 100.0
"""A hopper's coordinates beyond that are no hopping any more."""


class Body(eqx.Module):
    """Factors on a robot's parameters.

    Attributes:
        mass: Of each body's mass.
        inertia: Of each body's inertia about its three axes.
        damping: Of each joint's damping.
        friction: Of each geom's three frictions.
    """

    mass: Float[Array, "*batch bodies"]
    inertia: Float[Array, "*batch bodies 3"]
    damping: Float[Array, "*batch joints"]
    friction: Float[Array, "*batch geoms 3"]


class RandomParameters(Locomotion):
    """A robot in a vertical plane, with a body of its own."""

    def __init__(self, engine: Engine, horizon: int):
        super().__init__(engine, horizon, engine.model.nq - 1 + engine.model.nv, ends_early=True)

    def parameters(self, task: Body) -> Float[Array, " parameters"]:
        """Factors in the order of `CHANGED`."""
        return jnp.concatenate([x.ravel() for x in (task.mass, task.inertia, task.damping, task.friction)])

    def start(self, key: Key[Array, ""]) -> tuple[Float[Array, " nq"], Float[Array, " nv"]]:
        """Positions and velocities of ± 0.005."""
        position_key, velocity_key = jax.random.split(key)
        positions = jax.random.uniform(position_key, (self.engine.model.nq,), minval=-0.005, maxval=0.005)
        return positions, jax.random.uniform(velocity_key, (self.engine.model.nv,), minval=-0.005, maxval=0.005)

    def observe(self, readings: Float[Array, " readings"]) -> Float[Array, " observed"]:
        """Positions but the first, and velocities."""
        positions = self.engine.model.nq
        return jnp.concatenate([readings[2 : 1 + positions], jnp.clip(readings[1 + positions :], -FASTEST, FASTEST)])

    def reward(self, readings: Float[Array, " readings"], action: Float[Array, " nu"], task: Body) -> Float[Array, ""]:
        """Forward velocity and 1 for living, less what it costs."""
        return readings[0] + 1.0 - 1e-3 * jnp.sum(action**2)


class Walker(RandomParameters):
    """A walker with two legs: 6 joints."""

    def __init__(self, horizon: int):
        super().__init__(WALKER, horizon)

    def fallen(self, readings: Float[Array, "19"]) -> Bool[Array, ""]:
        """Whether it is too low or too high, or leans too far."""
        height, angle = readings[2], readings[3]
        return ~((height > 0.8) & (height < 2.0) & (jnp.abs(angle) < 1.0))


class Hopper(RandomParameters):
    """A hopper with one leg: 3 joints."""

    def __init__(self, horizon: int):
        super().__init__(HOPPER, horizon)

    def fallen(self, readings: Float[Array, "13"]) -> Bool[Array, ""]:
        """Whether it is too low or leans too far."""
        height, angle = readings[2], readings[3]
        sound = jnp.all(jnp.abs(readings[3:]) < HOPPER_LARGEST)
        return ~(sound & (height > 0.7) & (jnp.abs(angle) < 0.2))


class Bodies(TaskDistribution):
    """Factors b^±z with either sign alike and z ~ U[low, high], each entry its own.

    Attributes:
        engine: Whose.
        low: Smallest z.
        high: Largest z.
    """

    engine: Engine = eqx.field(static=True)
    split: str = eqx.field(static=True)
    low: float = eqx.field(static=True, default=0.0)
    high: float = eqx.field(static=True, default=SPREAD)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> Body:
        """Draw all factors."""
        drawn = []
        for name, own in zip(CHANGED, jax.random.split(key, len(CHANGED)), strict=True):
            size_key, sign_key = jax.random.split(own)
            shape = getattr(self.engine.model, name).shape
            size = jax.random.uniform(size_key, shape, minval=self.low, maxval=self.high)
            drawn.append(BASES[name] ** (size * jax.random.rademacher(sign_key, shape, jnp.float32)))
        return Body(*drawn)

    def oracle(self, task: Body) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


def _problem(env: RandomParameters, num_episodes: int) -> Problem:
    engine = env.engine
    return make_problem(
        env,
        lambda split: Bodies(engine=engine, split=split),
        num_episodes,
        shifted=Bodies(engine=engine, split="shifted", low=SPREAD, high=SPREAD + 1),
        shift="every factor 1.5^±3 to 1.5^±4 (damping 1.3); nearer to 1 in training",
    )


def walker_parameters(
    num_episodes: int = WalkerParametersSettings.num_episodes,
    horizon: int = WalkerParametersSettings.horizon,
) -> Problem:
    """A walker whose body is hidden.

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
    """
    return _problem(Walker(horizon), num_episodes)


def hopper_parameters(
    num_episodes: int = HopperParametersSettings.num_episodes,
    horizon: int = HopperParametersSettings.horizon,
) -> Problem:
    """A hopper whose body is hidden.

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
    """
    return _problem(Hopper(horizon), num_episodes)
