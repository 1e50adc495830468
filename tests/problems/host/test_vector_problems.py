"""Vector environments, of each autoreset mode, do what the same environments do one by one."""

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from adaptax.core.errors import ConfigError, EnvironmentContractError, UseError
from adaptax.core.host_program import HostProgram
from adaptax.core.spaces import Box, Discrete
from adaptax.problems import gymnasium_problem, vector_problem
from adaptax.problems.host.gymnasium_spaces import observed
from adaptax.problems.host.simulations import Maker, Simulations
from adaptax.problems.host.vector_simulations import VectorMaker, VectorSimulations
from tests.problems.host.walks import HORIZON, RANGES, Noisy

MODES = list(AutoresetMode)


def vectors(kind=Noisy, mode=AutoresetMode.NEXT_STEP):
    return lambda count: SyncVectorEnv([kind] * count, autoreset_mode=mode)


def put(env, tasks):
    for one, task in zip(env.envs, tasks, strict=True):
        one.unwrapped.task.update(task)


def put_one(env, task):
    env.unwrapped.task.update(task)


class Parts(Noisy):
    """What it shows has parts, and it chooses."""

    observation_space = gymnasium.spaces.Dict(
        {"place": gymnasium.spaces.Box(-10, 10, (1,), np.float32), "even": gymnasium.spaces.Discrete(2, start=3)}
    )
    action_space = gymnasium.spaces.Discrete(3, start=-1)

    def seen(self):
        return {"place": np.asarray([self.place], np.float32), "even": np.int64(3 + self.steps % 2)}

    def step(self, action):
        return super().step(np.asarray([action], np.float32))


class Says(Noisy):
    """It tells whether it is beyond 0."""

    def step(self, action):
        *step, told = super().step(action)
        return *step, {**told, "is_success": self.place > 0}


TASKS = [{"goal": -1.0, "drift": 0.125}, {"goal": 0.5, "drift": 0.0}, {"goal": 1.0, "drift": 0.1}]


@pytest.mark.parametrize("kind", [Noisy, Parts], ids=["numbers", "parts"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_steps_and_ends_are_those_of_each_environment_by_itself(mode, kind):
    apart, together = Simulations(Maker(kind, put_one)), VectorSimulations(VectorMaker(vectors(kind, mode), put))
    rng, ended = np.random.default_rng(0), 0
    for trial in range(4):
        seeds, going = [trial, 10 + trial, 20 + trial], [0, 1, 2]
        found = [pool.reset(going, TASKS, seeds) for pool in (apart, together)]
        for _ in range(HORIZON):
            for a, b in zip(*found, strict=True):
                np.testing.assert_array_equal(a, b)
            over = found[0].terminated | found[0].truncated
            ended += over.sum()
            going = [row for row, end in zip(going, over, strict=True) if not end]
            if not going:
                break
            drawn = rng.uniform(0, 1, (3, 1)).astype(np.float32) if kind is Noisy else rng.integers(1, 3, 3)
            found = [pool.step(going, drawn[going]) for pool in (apart, together)]
    assert ended >= 4  # some ended early, at the edge, beside others that went on
    for pool in (apart, together):
        pool.close()


@pytest.mark.compiles
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_training_is_that_of_environments_one_by_one(mode):
    from tests.problems.host.test_environment import RL2_TINY, trained

    said = {"horizon": HORIZON, "episodes": 2}
    together = vector_problem(vectors(mode=mode), RANGES, set_tasks=put, **said)
    apart = gymnasium_problem(Noisy, RANGES, **said)
    found = [trained(RL2_TINY, problem) for problem in (apart, together)]
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        keys = jax.dtypes.issubdtype(getattr(a, "dtype", np.dtype(int)), jax.dtypes.prng_key)
        np.testing.assert_array_equal(*((jax.random.key_data(x) for x in (a, b)) if keys else (a, b)))


def test_tasks_may_be_options_of_a_reset_and_vectors_are_kept_for_two_sizes():
    made, given = [], []

    class Told(SyncVectorEnv):
        def reset(self, *, seed=None, options=None):
            given.append((seed, options["tasks"]))
            return super().reset(seed=seed)

    def make(count):
        made.append(count)
        return Told([Noisy] * count)

    pool = VectorSimulations(VectorMaker(make, "options"))
    for count in (2, 3, 2, 3, 1, 3, 2):
        pool.reset(range(count), TASKS[:count], list(range(count)))
    assert made == [2, 3, 1, 2]
    assert given[1] == ([0, 1, 2], TASKS)


def test_names_of_vectors_and_their_time_limits():
    problem = vector_problem("CartPole-v1", {"length": (0.25, 1.0)}, set_tasks=lambda env, tasks: None)
    assert (problem.env.horizon, problem.env.action_space) == (500, Discrete(2))
    assert problem.env.observation_space == Box((4,))


class Broken(Noisy):
    """It breaks in the second step."""

    def step(self, action):
        if self.steps == 1 and self.task["goal"] == TASKS[1]["goal"]:
            raise RuntimeError("the lights are out")
        return super().step(action)


class Lightless(Noisy):
    """It sees nothing in one task."""

    def seen(self):
        return np.asarray([np.nan if self.task["goal"] == TASKS[1]["goal"] else 0.0, 1.0], np.float32)


def test_what_raises_costs_all_rows_and_what_is_not_finite_its_own():
    pool = VectorSimulations(VectorMaker(vectors(Broken), put))
    actions = np.zeros((3, 1), np.float32)
    for _ in range(2):  # it is made anew
        assert not pool.reset([0, 1, 2], TASKS, [0, 1, 2]).lost
        assert not pool.step([0, 1, 2], actions).lost
        assert pool.step([0, 1, 2], actions).lost == dict.fromkeys(range(3), "RuntimeError: the lights are out")
    pool = VectorSimulations(VectorMaker(vectors(Lightless), put))
    found = pool.reset([0, 1, 2], TASKS, [0, 1, 2])
    assert found.lost == {1: "observation has nan in it"}
    assert found.observation.tolist() == [[0, 1], [0, 0], [0, 1]]
    assert not pool.step([0, 2], actions[:2]).lost


def test_where_all_is_lost_it_ends_with_the_reason():
    problem = vector_problem(vectors(Broken), {"goal": [0.5], "drift": [0.0]}, set_tasks=put, horizon=3)
    task, keys = problem.train.sample(jax.random.key(0)), jax.random.split(jax.random.key(1), 30)

    def both(key):
        state, _ = problem.env.reset(task, key)
        state = problem.env.step(state, np.zeros(1, np.float32), task, key).state
        return problem.env.step(state, np.zeros(1, np.float32), task, key).lost

    with pytest.raises(EnvironmentContractError, match=r"30 of 30 episodes were lost.*the lights are out"):
        HostProgram(jax.vmap(both))(keys)


def test_what_is_no_vector_environment_is_refused():
    with pytest.raises(ConfigError, match=r"expected a gymnasium\.vector\.VectorEnv from `make`; found Noisy"):
        vector_problem(lambda count: Noisy(), RANGES, horizon=3)
    with pytest.raises(ConfigError, match="of 1 row raised TypeError"):
        vector_problem(lambda: None, RANGES, horizon=3)
    with pytest.raises(UseError, match="expected a time limit"):
        vector_problem(vectors(), RANGES)
    with pytest.raises(UseError, match="expected a function as set_tasks"):
        vector_problem(vectors(), RANGES, set_tasks="opinions", horizon=3)
    pool = VectorSimulations(VectorMaker(vectors(), put))
    with pytest.raises(UseError, match="all its rows together"):
        pool.reset([1, 2], TASKS[:2], [0, 1])
    with pytest.raises(UseError, match="simulates all of them by itself"):
        vector_problem(vectors(), RANGES, horizon=3).env.simulate_with(2, None)
    assert observed(Noisy.observation_space).shape == (2,)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_what_is_said_of_success_is_that_of_each_environment_by_itself(mode):
    apart = Simulations(Maker(Says, put_one, success="is_success"))
    together = VectorSimulations(VectorMaker(vectors(Says, mode), put, "is_success"))
    rng, said, going, ended = np.random.default_rng(0), [], [0, 1, 2], 0
    for pool in (apart, together):
        pool.reset(going, TASKS, [3, 4, 5])
    for _ in range(HORIZON):
        actions = rng.uniform(-1, 1, (3, 1)).astype(np.float32)
        one, other = (pool.step(going, actions[going]) for pool in (apart, together))
        np.testing.assert_array_equal(one.success, other.success)
        said += one.success.tolist()
        over = one.terminated | one.truncated
        ended += int(over.sum())
        going = [row for row, is_over in zip(going, over, strict=True) if not is_over]
        if not going:
            break
    assert len(set(said)) == 2
    assert ended


def test_who_does_not_say_it_is_told_so():
    together = VectorSimulations(VectorMaker(vectors(), put, "is_success"))
    together.reset([0, 1], TASKS[:2], [0, 1])
    lost = together.step([0, 1], np.zeros((2, 1), np.float32)).lost
    assert "expected 'is_success' in what `step` tells besides" in lost[0]
