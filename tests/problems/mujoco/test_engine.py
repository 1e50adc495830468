"""The engine is a pure function, the same as Gymnasium's simulators, and never in two callers' hands."""

import subprocess
import sys

import gymnasium
import mujoco
import numpy as np
import pytest

from adaptax.problems.mujoco import engine
from adaptax.problems.mujoco.ant import ANT
from adaptax.problems.mujoco.half_cheetah import CHEETAH
from adaptax.problems.mujoco.humanoid import HUMANOID
from adaptax.problems.mujoco.random_parameters import HOPPER, WALKER

ALL = {"half-cheetah": CHEETAH, "ant": ANT, "humanoid": HUMANOID, "walker": WALKER, "hopper": HOPPER}
BATCH = 12


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """MuJoCo writes a file into the working directory when a model is old, as Gymnasium's are."""
    monkeypatch.chdir(tmp_path)


def begun(robot, seed=0, batch=BATCH):
    rng, model = np.random.default_rng(seed), robot.model
    return robot.begin(rng.uniform(-0.05, 0.05, (batch, model.nq)), rng.normal(0, 0.05, (batch, model.nv)))[0]


def controls(robot, steps, seed=1, batch=BATCH):
    low, high = robot.model.actuator_ctrlrange[0]
    return np.random.default_rng(seed).uniform(low, high, (steps, batch, robot.model.nu))


def factors(robot, batch=BATCH):
    return np.random.default_rng(2).uniform(0.5, 2, (batch, robot.num_parameters))


def stepped(robot, state, actions, parameters):
    readings = []
    for control in actions:
        state, read = robot.advance(state, control, parameters)
        readings.append(read)
    return state, np.array(readings)


@pytest.fixture
def threads(monkeypatch):
    """Say how many threads there are, for places to simulate that are made from now on."""

    def choose(number):
        monkeypatch.setattr(engine, "_FREE", [])
        monkeypatch.setattr(engine, "num_threads", lambda: number)

    return choose


@pytest.mark.parametrize("name", ALL)
def test_a_step_depends_on_its_arguments_alone(name, threads):
    robot, steps = ALL[name], 30
    state, actions, parameters = begun(robot), controls(robot, steps), factors(robot)
    threads(2)
    after, readings = stepped(robot, state, actions, parameters)
    threads(1)
    alone = stepped(robot, state, actions, parameters)
    np.testing.assert_array_equal(alone[0], after)
    np.testing.assert_array_equal(alone[1], readings)
    order = np.random.default_rng(3).permutation(BATCH)
    permuted = stepped(robot, state[order], actions[:, order], parameters[order])
    np.testing.assert_array_equal(permuted[0], after[order])
    np.testing.assert_array_equal(permuted[1], readings[:, order])
    some = stepped(robot, state[3:8], actions[:, 3:8], parameters[3:8])
    np.testing.assert_array_equal(some[0], after[3:8])
    halfway = stepped(robot, state, actions[:20], parameters)[0]
    stepped(robot, begun(robot, 7), controls(robot, 3, 8), parameters)  # somebody else in between
    np.testing.assert_array_equal(stepped(robot, halfway, actions[20:], parameters)[0], after)


def test_a_hundred_steps_can_be_gone_on_with():
    state, actions, parameters = begun(CHEETAH), controls(CHEETAH, 150), factors(CHEETAH)
    halfway = stepped(CHEETAH, state, actions[:100], parameters)[0]
    kept = np.frombuffer(halfway.tobytes()).reshape(halfway.shape)
    after = stepped(CHEETAH, state, actions, parameters)[0]
    np.testing.assert_array_equal(stepped(CHEETAH, kept, actions[100:], parameters)[0], after)


def test_half_cheetahs_are_gymnasiums():
    env = gymnasium.make("HalfCheetah-v5").unwrapped
    env.reset(seed=0)
    state, actions = begun(CHEETAH, batch=1), controls(CHEETAH, 20, batch=1)
    env.set_state(state[0, 1:10], state[0, 10:])
    env.data.qacc_warmstart[:] = 0
    for step, control in enumerate(actions):
        before = env.data.qpos[0]
        env.step(control[0])
        state, readings = CHEETAH.advance(state, control, factors(CHEETAH, 1))
        there = np.concatenate([env.data.qpos, env.data.qvel])
        difference = np.abs(state[0, 1:] - there).max()
        assert difference == 0 if step == 0 else difference <= 1e-9
        velocity = (env.data.qpos[0] - before) / env.dt
        assert abs(readings[0, 0] - velocity) <= (0 if step == 0 else 1e-7)
    env.close()


@pytest.mark.parametrize("name", ALL)
def test_states_begin_where_the_model_does(name):
    robot = ALL[name]
    model = robot.model
    state, readings = robot.begin(np.zeros((2, model.nq)), np.zeros((2, model.nv)))
    assert state.shape == (2, robot.state_size)
    assert readings.shape == (2, robot.num_readings)
    np.testing.assert_array_equal(state[0], np.concatenate([[0], model.qpos0, np.zeros(model.nv)]))


def test_a_model_of_ones_own_has_what_was_asked_for_and_the_file_stays_as_it_is():
    row = factors(WALKER, 3)
    before = {name: getattr(WALKER.model, name).copy() for name in WALKER.changed}
    known = {}
    models = WALKER.models(known, row[[0, 1, 0, 2]])
    assert models[0] is models[2]
    assert len(known) == 3
    start = 0
    for name, base in before.items():
        own = row[0, start : start + base.size].reshape(base.shape)
        np.testing.assert_array_equal(getattr(models[0], name), base * own)
        np.testing.assert_array_equal(getattr(WALKER.model, name), base)
        start += base.size
    np.testing.assert_array_equal(models[0].dof_invweight0, WALKER.model.dof_invweight0)  # stale, as in the papers


def test_models_of_tasks_long_gone_are_not_kept(monkeypatch):
    monkeypatch.setattr(engine, "MOST_MODELS", 4)
    known = {}
    rows = factors(HOPPER, 9)
    for row in rows:
        HOPPER.models(known, row[None])
    assert len(known) <= 5
    assert rows[-1].tobytes() in known


def test_a_place_to_simulate_has_one_caller(monkeypatch):
    monkeypatch.setattr(engine, "_FREE", [])
    with engine.workplace() as first, engine.workplace() as second:
        assert first is not second
    with engine.workplace() as third:
        assert third in (first, second)


def test_the_version_is_the_engines():
    assert engine.version() == f"mujoco {mujoco.__version__}"


DIVERGING = """
import numpy as np
from adaptax.problems.mujoco.random_parameters import WALKER
alike, control = np.ones((8, WALKER.num_parameters)), np.ones((8, 6))
state, _ = WALKER.begin(np.zeros((8, 9)), np.zeros((8, 9)))
for _ in range(5):
    state, _ = WALKER.advance(state, control, alike)
state[:4, 1], state[:4, 10:] = 100.0, 1e12
after, readings = WALKER.advance(state, control, alike)
assert np.isfinite(after).all() and np.isfinite(readings).all()
assert (after[:4, 0] < state[:4, 0]).all() and (after[4:, 0] > state[4:, 0]).all()
assert (readings[:4, 0] == 0).all() and (readings[4:, 0] != 0).all()
"""


def test_a_simulation_that_diverges_begins_again_without_a_word_and_earns_nothing_by_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DIVERGING], capture_output=True, text=True, check=False, cwd=tmp_path
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not [*tmp_path.iterdir()]
