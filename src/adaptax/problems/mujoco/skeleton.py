"""What a robot looks like in a pose: the capsules and balls that it is made of, as lines in space."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from adaptax.core.errors import needs
from adaptax.problems.mujoco.engine import Engine

with needs("mujoco", "a MuJoCo family"):
    import mujoco

WORLD = 0
"""Number of the body that is no robot: the ground."""


class Skeleton(NamedTuple):
    """A robot in some poses, in metres.

    Attributes:
        lines: Both ends of each limb's axis, `[pose, limb, 2, 3]`; those of a ball are the same.
        radii: Of limbs, `[limb]`.
        places: Where the torso is, `[pose, 3]`.
    """

    lines: Float[np.ndarray, "pose limb 2 3"]
    radii: Float[np.ndarray, " limb"]
    places: Float[np.ndarray, "pose 3"]


def skeleton(engine: Engine, positions: np.ndarray) -> Skeleton:
    """Put a robot into poses.

    Args:
        engine: The robot.
        positions: Coordinates as MuJoCo has them, `[pose, nq]`.
    """
    model = engine.model
    data = mujoco.MjData(model)
    kinds = np.isin(model.geom_type, (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE))
    shown = np.flatnonzero(kinds & (model.geom_bodyid != WORLD))
    balls = model.geom_type[shown] == mujoco.mjtGeom.mjGEOM_SPHERE
    half = np.where(balls, 0.0, model.geom_size[shown, 1])[:, None]
    lines, places = np.empty((len(positions), len(shown), 2, 3)), np.empty((len(positions), 3))
    for number, position in enumerate(positions):
        data.qpos[:] = position
        mujoco.mj_kinematics(model, data)
        reach = half * data.geom_xmat[shown].reshape(-1, 3, 3)[:, :, 2]
        lines[number] = np.stack([data.geom_xpos[shown] - reach, data.geom_xpos[shown] + reach], 1)
        places[number] = data.xpos[WORLD + 1]
    return Skeleton(lines, model.geom_size[shown, 0].copy(), places)
