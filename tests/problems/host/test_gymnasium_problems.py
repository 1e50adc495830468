"""A family of Gymnasium environments as a problem: tasks, time limits, refusals, and the contract of all problems."""

import gymnasium
import jax
import numpy as np
import pytest

from adaptax.core.errors import ConfigError, UseError
from adaptax.core.spaces import Box, Discrete
from adaptax.problems import gymnasium_problem
from adaptax.problems.checks.check import examine
from tests.problems.host.walks import HORIZON, RANGES, Walk, noisy, walks


def drawn(problem, count=512, split="train"):
    return jax.jit(jax.vmap(getattr(problem, split).sample))(jax.random.split(jax.random.key(0), count))


def test_tasks_are_drawn_from_ranges_and_lists():
    made = []

    def make(**task):
        made.append(task)
        return Walk()

    problem = gymnasium_problem(
        make, {"mass": (0.5, 2.0), "friction": (0.01, 1.0, "log"), "terrain": ["ice", "sand"]}, horizon=3
    )
    tasks = {name: np.asarray(values) for name, values in drawn(problem).items()}
    assert 0.5 <= tasks["mass"].min() < 0.6
    assert 1.9 < tasks["mass"].max() <= 2.0
    assert abs(np.log10(tasks["friction"]).mean() + 1) < 0.1
    assert set(tasks["terrain"].tolist()) == {0, 1}
    problem.env.reset({"mass": 1.5, "friction": 0.25, "terrain": 1}, jax.random.key(0))
    assert made[-1] == {"mass": 1.5, "friction": 0.25, "terrain": "sand"}
    assert problem.test.finite is None
    assert gymnasium_problem(make, {"terrain": ["ice", "sand"]}, horizon=3).test.finite == 2


def test_no_task_of_training_is_one_of_the_test():
    problem = walks()
    splits = [
        {tuple(x) for x in np.stack(list(drawn(problem, split=name).values()), 1).tolist()}
        for name in ("train", "test")
    ]
    assert splits[0].isdisjoint(splits[1])


def test_spaces_and_time_limits_are_the_environments_own():
    pendulum = gymnasium_problem("Pendulum-v1", {"g": (5.0, 15.0)})
    assert (pendulum.env.horizon, pendulum.env.action_space) == (200, Box((1,), -2.0, 2.0))
    assert gymnasium_problem("CartPole-v1", {"sutton_barto_reward": [False, True]}).env.action_space == Discrete(2)
    limited = gymnasium_problem(
        lambda goal: gymnasium.wrappers.RescaleAction(gymnasium.wrappers.TimeLimit(Walk(goal), 4), -2, 2),
        {"goal": (0.0, 1.0)},
    )
    assert limited.env.horizon == 4


class Short(Walk):
    """Its own time limit is shorter than the horizon."""

    def step(self, action):
        seen, reward, terminated, _, info = super().step(action)
        return seen, reward, terminated, self.steps == 2, info


def test_an_episode_that_is_truncated_early_goes_on_in_value_and_not_in_time():
    from adaptax.algorithms.memory.rl2 import RL2
    from adaptax.core.algorithm import init
    from adaptax.core.host_program import HostProgram
    from adaptax.core.rollout import run_trial

    problem = gymnasium_problem(Short, RANGES, horizon=HORIZON, episodes=2)
    algorithm = RL2(num_updates=1, num_tasks=2, num_minibatches=1, memory_size=4, critic_size=4)
    meta = init(algorithm, problem, seed=0).meta
    task = problem.train.sample(jax.random.key(0))
    trial = HostProgram(lambda key: run_trial(algorithm, problem, meta, task, key))(jax.random.key(1))
    slot = [True, True, False, False, False, False]
    np.testing.assert_array_equal(trial.valid[:, 0], slot * 2)
    np.testing.assert_array_equal(trial.truncated[:, 0], [False, True, False, False, False, False] * 2)
    assert not trial.terminated.any()
    assert not np.asarray(trial.reward[:, 0])[[2, 3, 4, 5]].any()


REFUSED = {
    "nothing": ({}, {}, "expected what the tasks' values are drawn from"),
    "a range without a width": ({"goal": (1.0, 1.0)}, {}, r"goal: expected \(low, high\) with low < high"),
    "a logarithm of nothing": ({"goal": (0.0, 1.0, "log")}, {}, "with 0 < low"),
    "an empty list": ({"goal": []}, {}, "a list of values"),
    "no time limit": (RANGES, {}, "expected a time limit"),
    "fewer workers than none": (RANGES, {"horizon": 3, "workers": -1}, "workers ≥ 0"),
}


@pytest.mark.parametrize(("tasks", "options", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_family_is_refused(tasks, options, says):
    with pytest.raises(UseError, match=says):
        gymnasium_problem(Walk, tasks, **options)


def test_an_environment_that_cannot_be_built_says_with_which_task():
    with pytest.raises(ConfigError, match=r"task \{'gaol': 0.5\} raised TypeError.*gaol"):
        gymnasium_problem(Walk, {"gaol": (0.0, 1.0)}, horizon=3)
    with pytest.raises(ConfigError, match=r"expected a gymnasium\.Env"):
        gymnasium_problem(lambda goal: goal, {"goal": (0.0, 1.0)}, horizon=3)


class Leaking(Walk):
    """Where an episode begins depends on how the last one ended."""

    place = np.float32(0)

    def reset(self, *, seed=None, options=None):
        before = self.place
        super().reset(seed=seed, options=options)
        self.place = before / 2
        return self.seen(), {}


@pytest.mark.compiles
def test_the_contract_is_checked_as_of_all_problems():
    assert not examine(noisy(), steps=24, tasks=3).findings
    leaking = gymnasium_problem(Leaking, RANGES, horizon=HORIZON, episodes=2)
    found = examine(leaking, steps=24, tasks=3).findings
    assert found, "an environment that does not forget"
