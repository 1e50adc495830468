"""Half-cheetahs that run forwards or backwards, or as fast as they are told; the task is hidden.

- Direction (Finn et al. 2017, section 5.3): d is −1 or 1, reward d · v − 0.05 ‖a‖². A family of two tasks: those of
  training are those of the test.
- Velocity (the same): reward −|v − g| − 0.05 ‖a‖². Goals g by `protocol`: "varibad" U[0, 3] (Zintgraf et al. 2020);
  "pearl" 130 of those, drawn once, 100 to train and 30 to test (Rakelly et al. 2019); "promp" U[0, 2] (Finn et al.
  2017, Rothfuss et al. 2019).

v is how far the robot comes in a step, divided by its duration of 0.05 s (5 of the engine's). It sees positions but
the first, velocities, and where its torso is: 8 + 9 + 3 numbers; in the papers' code the torso is that of one of the
engine's steps before. Episodes never end early. Horizon 200 and two episodes are VariBAD's; MAML's and ProMP's horizon
is 100.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Problem, TaskDistribution, make_problem
from adaptax.problems.mujoco.engine import Planar
from adaptax.problems.mujoco.locomotion import Locomotion
from adaptax.problems.mujoco.settings import HalfCheetahDirectionSettings, HalfCheetahVelocitySettings

CHEETAH = Planar("half_cheetah.xml", 5)
TORSO_HEIGHT = 0.7
"""In the model's initial state, in m."""
CONTROL_COST = 0.05
FASTEST = {"varibad": 3.0, "pearl": 3.0, "promp": 2.0}
"""Of the goals in training, in m/s."""
PEARL_SEED, PEARL_TRAIN, PEARL_TEST = 1337, 100, 30
"""What its goals were drawn with, and how many of them are for training and for the test."""


class Direction(eqx.Module):
    """Where to run.

    Attributes:
        sign: 1 is forwards, −1 backwards.
    """

    sign: Float[Array, "*batch"]


class Velocity(eqx.Module):
    """How fast to run.

    Attributes:
        goal: In m/s.
    """

    goal: Float[Array, "*batch"]


class HalfCheetah(Locomotion):
    """A half-cheetah in a plane: 6 joints."""

    def __init__(self, horizon: int):
        super().__init__(CHEETAH, horizon, 20)

    def start(self, key: Key[Array, ""]) -> tuple[Float[Array, "9"], Float[Array, "9"]]:
        """Positions of ± 0.1, velocities of deviation 0.1."""
        position_key, velocity_key = jax.random.split(key)
        positions = jax.random.uniform(position_key, (9,), minval=-0.1, maxval=0.1)
        return positions, 0.1 * jax.random.normal(velocity_key, (9,))

    def observe(self, readings: Float[Array, "19"]) -> Float[Array, "20"]:
        """Positions but the first, velocities, the torso's place."""
        forward, height = readings[1], readings[2] + TORSO_HEIGHT
        return jnp.concatenate([readings[2:], jnp.stack([forward, jnp.zeros(()), height])])

    @property
    def sees_where_it_is(self) -> bool:
        """By its torso."""
        return True

    def poses(self, seen: np.ndarray) -> np.ndarray:
        """All coordinates, `[step, 9]`: the first is where the torso is."""
        return np.concatenate([seen[:, 17:18], seen[:, :8]], 1)


class HalfCheetahDirection(HalfCheetah):
    """Run in a direction."""

    def __init__(self, horizon: int):
        super().__init__(horizon)

    def reward(self, readings: Float[Array, "19"], action: Float[Array, "6"], task: Direction) -> Float[Array, ""]:
        """Velocity in the task's direction, less what it costs."""
        return task.sign * readings[0] - CONTROL_COST * jnp.sum(action**2)


class HalfCheetahVelocity(HalfCheetah):
    """Run at a velocity."""

    def __init__(self, horizon: int):
        super().__init__(horizon)

    def reward(self, readings: Float[Array, "19"], action: Float[Array, "6"], task: Velocity) -> Float[Array, ""]:
        """How far off the velocity is, and what it costs."""
        return -jnp.abs(readings[0] - task.goal) - CONTROL_COST * jnp.sum(action**2)


class Directions(TaskDistribution):
    """Forwards or backwards, with equal probability: the same two tasks in all splits."""

    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=2)

    def draw(self, key: Key[Array, ""]) -> Direction:
        """Draw the sign."""
        return Direction(jax.random.rademacher(key, (), jnp.float32))

    def oracle(self, task: Direction) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


class Velocities(TaskDistribution):
    """Goals ~ U[low, high], or one of a few.

    Attributes:
        low: In m/s.
        high: In m/s.
        goals: The few; none: all between.
    """

    split: str = eqx.field(static=True)
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    goals: tuple[float, ...] = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, split: str, low: float, high: float, goals: tuple[float, ...] = ()):
        self.split = split
        self.low = low
        self.high = high
        self.goals = goals
        self.finite = len(goals) or None

    def draw(self, key: Key[Array, ""]) -> Velocity:
        """Draw the goal."""
        if self.goals:
            return Velocity(jax.random.choice(key, jnp.asarray(self.goals, jnp.float32)))
        return Velocity(jax.random.uniform(key, (), minval=self.low, maxval=self.high))

    def oracle(self, task: Velocity) -> Float[Array, ""]:
        """Unknown."""
        return jnp.asarray(jnp.nan)


def pearl_goals() -> dict[str, tuple[float, ...]]:
    """PEARL's goals of each split; it has none for validation, which here may be any."""
    drawn = np.random.RandomState(PEARL_SEED).uniform(0.0, FASTEST["pearl"], PEARL_TRAIN + PEARL_TEST)
    return {"train": tuple(drawn[:PEARL_TRAIN].tolist()), "test": tuple(drawn[PEARL_TRAIN:].tolist())}


def half_cheetah_direction(
    num_episodes: int = HalfCheetahDirectionSettings.num_episodes,
    horizon: int = HalfCheetahDirectionSettings.horizon,
) -> Problem:
    """A half-cheetah that has to run forwards or backwards (Finn et al. 2017).

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
    """
    return make_problem(HalfCheetahDirection(horizon), Directions, num_episodes)


def half_cheetah_velocity(
    num_episodes: int = HalfCheetahVelocitySettings.num_episodes,
    horizon: int = HalfCheetahVelocitySettings.horizon,
    protocol: str = HalfCheetahVelocitySettings.protocol,
) -> Problem:
    """A half-cheetah that has to run at a velocity (Finn et al. 2017).

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
        protocol: Whose velocities: "varibad", "pearl" or "promp".

    Raises:
        UseError: There is no such protocol.
    """
    if protocol not in FASTEST:
        raise UseError(f"half_cheetah_velocity(protocol): expected one of {', '.join(FASTEST)}, got {protocol!r}")
    fastest, fixed = FASTEST[protocol], pearl_goals() if protocol == "pearl" else {}
    return make_problem(
        HalfCheetahVelocity(horizon),
        lambda split: Velocities(split, 0.0, fastest, fixed.get(split, ())),
        num_episodes,
        shifted=Velocities("shifted", fastest, fastest + 1),
        shift=f"velocities of {fastest:g} to {fastest + 1:g} m/s; of 0 to {fastest:g} in training",
    )
