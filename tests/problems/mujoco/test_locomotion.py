"""Each family against an independent one, written here with MuJoCo alone; its tasks; algorithms on it."""

import math
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from adaptax import problems
from adaptax.algorithms import MAML, RL2
from adaptax.core.algorithm import init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems.mujoco.settings import SIMULATED
from adaptax.training.loop import train
from tests.cli.conftest import PATIENCE, environment

TASKS, STEPS = 20, 50
"""A thousand random steps."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """MuJoCo writes a file into the working directory when a model is old, as Gymnasium's are."""
    monkeypatch.chdir(tmp_path)


def com(model, data):
    return (model.body_mass[:, None] * data.xipos).sum(0) / model.body_mass.sum()


def cheetah(model, data, x_before, com_before, action):
    seen = np.concatenate([data.qpos[1:], data.qvel, [data.qpos[0], 0, 0.7 + data.qpos[1]]])
    return (data.qpos[0] - x_before[0]) / 0.05, seen, False


def ant(model, data, x_before, com_before, action):
    contact = 0.0005 * np.sum(np.clip(data.cfrc_ext, -1, 1) ** 2)
    return ((data.qpos[:2] - x_before[:2]) / 0.05, contact), None, not 0.2 <= data.qpos[2] <= 1


def direction(fact, action, task):
    return float(task.sign) * fact - 0.05 * np.sum(action**2)


def velocity(fact, action, task):
    return -abs(fact - float(task.goal)) - 0.05 * np.sum(action**2)


def heading(fact, action, task):
    (vx, vy), contact = fact
    return math.cos(task.angle) * vx + math.sin(task.angle) * vy - 0.5 * np.sum(action**2) - contact + 1


def planar(model, data, x_before, com_before, action):
    seen = np.concatenate([data.qpos[1:], np.clip(data.qvel, -10, 10)])
    height, angle = data.qpos[1:3]
    if model.nu == 6:
        return (data.qpos[0] - x_before[0]) / 0.008, seen, not (0.8 < height < 2 and abs(angle) < 1)
    sound = np.all(np.abs(np.concatenate([data.qpos[2:], data.qvel])) < 100)
    return (data.qpos[0] - x_before[0]) / 0.008, seen, not (sound and height > 0.7 and abs(angle) < 0.2)


def body(fact, action, task):
    return fact + 1 - 1e-3 * np.sum(action**2)


def ant_goal(model, data, x_before, com_before, action):
    forces = np.clip(data.cfrc_ext, -1, 1).ravel()
    seen = np.concatenate([data.qpos, data.qvel, forces])
    return (data.qpos[:2].copy(), 0.0005 * np.sum(forces**2)), seen, False


def place(fact, action, task):
    return -np.abs(fact[0] - task.position).sum() - 0.1 * np.sum(action**2) - fact[1]


def humanoid(model, data, x_before, com_before, action):
    parts = [
        data.qpos[2:],
        data.qvel,
        data.cinert.ravel(),
        data.cvel.ravel(),
        data.qfrc_actuator,
        data.cfrc_ext.ravel(),
    ]
    seen = np.concatenate(parts)
    contact = min(5e-7 * np.sum(data.cfrc_ext**2), 10)
    fallen = not 1 <= data.qpos[2] <= 2
    mujoco.mj_kinematics(model, data)
    return ((com(model, data) - com_before)[:2] / 0.003, contact), seen, fallen


def walk(fact, action, task):
    (vx, vy), contact = fact
    forward = 0.25 * (math.cos(task.angle) * vx + math.sin(task.angle) * vy)
    return forward - 0.1 * np.sum(action**2) - contact + 5


INDEPENDENT = {
    "half-cheetah-direction": ("half_cheetah.xml", 5, cheetah, direction),
    "half-cheetah-velocity": ("half_cheetah.xml", 5, cheetah, velocity),
    "ant-direction": ("ant.xml", 5, ant, heading),
    "ant-goal": ("ant.xml", 5, ant_goal, place),
    "humanoid-direction": ("humanoid.xml", 5, humanoid, walk),
    "walker-parameters": ("walker2d.xml", 4, planar, body),
    "hopper-parameters": ("hopper.xml", 4, planar, body),
}


def made(name):
    return SIMULATED[name].load()()


def rolled(problem):
    """States as words, actions, rewards, ends and observations of random steps in some tasks, `[step, task, ...]`."""
    env = problem.env
    tasks = jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(0), TASKS))
    keys = jax.random.split(jax.random.key(1), TASKS)
    state, first = jax.vmap(env.reset)(tasks, keys)

    def one(state, key):
        keys = jax.random.split(key, TASKS)
        action = jax.vmap(env.action_space.sample)(keys)
        step = jax.vmap(env.step)(state, action, tasks, keys)
        return step.state, (state, action, step)

    run = jax.jit(lambda s: jax.lax.scan(one, s, jax.random.split(jax.random.key(2), STEPS)))
    return jax.tree.map(np.asarray, (tasks, first, run(state)[1]))


@pytest.mark.parametrize("name", SIMULATED)
def test_a_family_is_what_the_papers_say(name):
    file, substeps, read, reward = INDEPENDENT[name]
    problem = made(name)
    tasks, first, (states, actions, steps) = rolled(problem)
    assert first.shape == (TASKS, *problem.env.observation_space.shape)
    full = mujoco.mjtState.mjSTATE_FULLPHYSICS
    for task in range(TASKS):
        own = jax.tree.map(lambda x: x[task], tasks)  # noqa: B023 (used at once)
        model = mujoco.MjModel.from_xml_path(path(file))
        if hasattr(own, "mass"):
            for array, factor in (("body_mass", "mass"), ("body_inertia", "inertia")):
                getattr(model, array)[...] *= getattr(own, factor)
            model.dof_damping[...] *= own.damping
            model.geom_friction[...] *= own.friction
        data = mujoco.MjData(model)
        for step in range(STEPS):
            before = np.array(states[step, task]).view(
                np.float64
            )  # a copy: MuJoCo 3.3 wants to be able to write into it
            action = actions[step, task].astype(np.float64)
            mujoco.mj_resetData(model, data)
            mujoco.mj_setState(model, data, before, full)
            mujoco.mj_kinematics(model, data)
            x_before, com_before = data.qpos.copy(), com(model, data)
            data.ctrl[:] = action
            for _ in range(substeps):
                mujoco.mj_step(model, data)
            mujoco.mj_rnePostConstraint(model, data)
            fact, seen, fallen = read(model, data, x_before, com_before, action)
            expected = reward(fact, action, own)
            np.testing.assert_allclose(steps.reward[step, task], expected, rtol=1e-4, atol=1e-4)
            assert bool(steps.terminated[step, task]) == (fallen and problem.env.ends_early)
            if seen is not None:
                np.testing.assert_allclose(steps.observation[step, task], seen, rtol=1e-4, atol=1e-4)


def path(file):
    return f"{gymnasium.__path__[0]}/envs/mujoco/assets/{file}"


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        (RL2(memory="gru", memory_size=8, critic_size=8, num_tasks=4, num_minibatches=2), "half_cheetah_velocity"),
        (MAML(hidden_size=8, num_tasks=4, trajectories=2, exploration_std=0.0, initial_std=0.5), "hopper_parameters"),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_algorithms_train_as_anywhere_and_twice_the_same(algorithm, name):
    problem = getattr(problems, name)(num_episodes=4, horizon=12)
    begun = init(algorithm, problem, seed=0)
    keep = lambda state: jax.tree.map(lambda x: x.copy(), state)  # noqa: E731 (training takes its arguments' place)
    once, again = (train(algorithm, problem, keep(begun), num_updates=2) for _ in range(2))
    same = jax.tree.map(lambda a, b: bool(jnp.array_equal(a, b)), once.meta, again.meta)
    assert all(jax.tree.leaves(same))
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), once.meta, begun.meta)
    assert any(jax.tree.leaves(moved))


@pytest.mark.compiles
def test_what_was_trained_on_several_devices_is_evaluated_on_several():
    """θ lies on training's mesh of devices then, and a program that calls a simulator takes arguments of one mesh."""
    problem = problems.half_cheetah_velocity(num_episodes=2, horizon=4)
    algorithm = RL2(memory="none", memory_size=8, critic_size=8, num_tasks=4, num_minibatches=2)
    both = [train(algorithm, problem, init(algorithm, problem, seed=0), num_updates=1, devices=n).meta for n in (1, 2)]
    for one, two in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)
    assert np.isfinite(evaluate(TrainedAgent(algorithm, problem, both[1]), num_tasks=6).scores).all()


MANY = """
import jax, jax.numpy as jnp
from adaptax.problems import half_cheetah_direction

problem = half_cheetah_direction(horizon=3)
env, devices = problem.env, jax.devices()
assert len(devices) == 2


def walk(task, key):
    def step(state, _):
        found = env.step(state, 0.1 * jnp.ones(6), task, key)
        return found.state, found.reward

    return jnp.sum(jax.lax.scan(step, env.reset(task, key)[0], None, length=3)[1])


keys = jax.random.split(jax.random.key(0), 4000)
tasks = jax.vmap(problem.train.sample)(keys)
mesh = jax.make_mesh((2,), ("device",), axis_types=(jax.sharding.AxisType.Auto,))
part = jax.sharding.PartitionSpec("device")
many = jax.jit(jax.shard_map(jax.vmap(walk), mesh=mesh, in_specs=(part, part), out_specs=part, check_vma=False))
few = jax.jit(jax.vmap(walk))(jax.tree.map(lambda x: x[:10], tasks), keys[:10])
assert jnp.array_equal(many(tasks, keys)[:10], few)
print("done")
"""


@pytest.mark.process
def test_as_many_devices_as_cores_do_not_wait_for_one_another_though_the_batch_is_large():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", MANY], env={**environment(), **flags}, capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert done.stdout.endswith("done\n"), done.stderr[-2000:]
