"""Robots as lines, and how they stand from what they see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("mujoco")

from adaptax.problems.mujoco.ant import AntDirection, AntGoal
from adaptax.problems.mujoco.half_cheetah import CHEETAH, HalfCheetahVelocity
from adaptax.problems.mujoco.humanoid import HumanoidDirection
from adaptax.problems.mujoco.random_parameters import Hopper, Walker
from adaptax.problems.mujoco.skeleton import skeleton

ROBOTS = (HalfCheetahVelocity, AntDirection, AntGoal, HumanoidDirection, Walker, Hopper)
STEPS = 12


def walked(env):
    """The engine's coordinates in a few steps of controls by chance, and what is seen there."""
    rng, engine = np.random.default_rng(0), env.engine
    model = engine.model
    state, readings = engine.begin(rng.normal(size=(1, model.nq)) * 0.01, rng.normal(size=(1, model.nv)) * 0.1)
    states, seen = [state], [readings]
    for _ in range(STEPS):
        control = rng.uniform(-1, 1, (1, model.nu)) * model.actuator_ctrlrange[:, 1]
        state, readings = engine.advance(state, control, np.ones((1, engine.num_parameters)))
        states.append(state)
        seen.append(readings)
    observe = jax.vmap(env.observe)(jnp.asarray(np.concatenate(seen), jnp.float32))
    return np.concatenate(states)[:, 1 : 1 + model.nq], np.asarray(observe, np.float64)


@pytest.mark.parametrize("robot", ROBOTS)
def test_poses_are_those_that_were_simulated(robot):
    env = robot(STEPS)
    positions, seen = walked(env)
    poses = env.poses(seen)
    unseen = 0 if env.sees_where_it_is else env.num_unseen
    np.testing.assert_allclose(poses[:, unseen:], positions[:, unseen:], atol=1e-5)
    # Summed up from velocities at both ends of a step: near, where they change within it.
    moved = positions[:, :unseen] - positions[:1, :unseen]
    np.testing.assert_allclose(poses[:, :unseen], moved, atol=0.02)
    assert np.abs(positions[-1] - positions[0]).max() > 0.05


def test_a_half_cheetah_is_its_file():
    # half_cheetah.xml: the torso's capsule from (−.5, 0, 0) to (.5, 0, 0) of radius .046, .7 above the ground.
    found = skeleton(CHEETAH, np.zeros((2, 9)) + [[0.0], [1.0]] * np.eye(9)[0])
    assert found.lines.shape == (2, 8, 2, 3)
    np.testing.assert_allclose(found.radii, 0.046)
    np.testing.assert_allclose(np.sort(found.lines[0, 0], 0), [[-0.5, 0, 0.7], [0.5, 0, 0.7]], atol=1e-6)
    np.testing.assert_allclose(found.lines[1], found.lines[0] + [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.places, [[0, 0, 0.7], [1, 0, 0.7]], atol=1e-6)


@pytest.mark.parametrize("robot", ROBOTS)
def test_limbs_stand_above_the_ground_and_hang_together(robot):
    env = robot(STEPS)
    found = skeleton(env.engine, env.engine.model.qpos0[None])
    assert len(found.radii) == found.lines.shape[1] >= 4
    assert found.lines[0, :, :, 2].min() > -0.1
    ends = found.lines[0]
    for number, limb in enumerate(ends):  # each has an end near another
        others = np.delete(ends, number, 0).reshape(-1, 3)
        along = limb[0] + np.linspace(0, 1, 21)[:, None] * (limb[1] - limb[0])
        assert np.linalg.norm(along[:, None] - others[None], axis=-1).min() < 0.3
