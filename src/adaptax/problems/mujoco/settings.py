"""Parameters of the locomotion families, and their names. No JAX and no MuJoCo here."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

from adaptax.core.entry import Entry
from adaptax.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class LocomotionSettings(Settings):
    """What all have.

    Attributes:
        num_episodes: Episodes in a trial.
        horizon: Steps in an episode.
    """

    continuous_actions: ClassVar[bool] = True
    discrete_states: ClassVar[bool] = False

    num_episodes: int = setting(2, low=1, high=10_000)
    horizon: int = setting(200, low=1, high=10_000)


@dataclasses.dataclass(frozen=True)
class HalfCheetahDirectionSettings(LocomotionSettings):
    """Half-cheetahs that run forwards or backwards (Finn et al. 2017)."""


@dataclasses.dataclass(frozen=True)
class HalfCheetahVelocitySettings(LocomotionSettings):
    """Half-cheetahs that run at a velocity (Finn et al. 2017).

    Attributes:
        protocol: Whose velocities: U[0, 3] (varibad), 100 of those to train and 30 to test (pearl), U[0, 2] (promp).
    """

    protocol: Literal["varibad", "pearl", "promp"] = "varibad"


@dataclasses.dataclass(frozen=True)
class AntDirectionSettings(LocomotionSettings):
    """Ants that run in a direction.

    Attributes:
        protocol: Whose directions: all around (pearl), 0 or π (promp), −1 or 1 radian (varibad).
    """

    protocol: Literal["pearl", "promp", "varibad"] = "pearl"


@dataclasses.dataclass(frozen=True)
class AntGoalSettings(LocomotionSettings):
    """Ants that go to a place."""


@dataclasses.dataclass(frozen=True)
class HumanoidDirectionSettings(LocomotionSettings):
    """Humanoids that walk in a direction."""


@dataclasses.dataclass(frozen=True)
class WalkerParametersSettings(LocomotionSettings):
    """Walkers with hidden masses, inertias, damping and friction."""


@dataclasses.dataclass(frozen=True)
class HopperParametersSettings(LocomotionSettings):
    """Hoppers with hidden masses, inertias, damping and friction."""


_HERE = "adaptax.problems.mujoco"


def _entry(target: str, summary: str, settings: type[Settings]) -> Entry:
    return Entry(f"{_HERE}.{target}", summary, settings, ("random",), traits=("simulated",))


SIMULATED: Mapping[str, Entry] = {
    "half-cheetah-direction": _entry(
        "half_cheetah:half_cheetah_direction",
        "MuJoCo: half-cheetahs that run forwards or backwards (Finn et al. 2017)",
        HalfCheetahDirectionSettings,
    ),
    "half-cheetah-velocity": _entry(
        "half_cheetah:half_cheetah_velocity",
        "MuJoCo: half-cheetahs that run at a velocity (Finn et al. 2017)",
        HalfCheetahVelocitySettings,
    ),
    "ant-direction": _entry(
        "ant:ant_direction",
        "MuJoCo: ants that run in a direction (Rakelly et al. 2019)",
        AntDirectionSettings,
    ),
    "ant-goal": _entry("ant:ant_goal", "MuJoCo: ants that go to a place (Rothfuss et al. 2019)", AntGoalSettings),
    "humanoid-direction": _entry(
        "humanoid:humanoid_direction",
        "MuJoCo: humanoids that walk in a direction (Rakelly et al. 2019)",
        HumanoidDirectionSettings,
    ),
    "walker-parameters": _entry(
        "random_parameters:walker_parameters",
        "MuJoCo: walkers with hidden masses, damping, friction (Rothfuss et al. 2019)",
        WalkerParametersSettings,
    ),
    "hopper-parameters": _entry(
        "random_parameters:hopper_parameters",
        "MuJoCo: hoppers with hidden masses, damping, friction (Rothfuss et al. 2019)",
        HopperParametersSettings,
    ),
}
"""Families on MuJoCo's engine (extra `mujoco`)."""
