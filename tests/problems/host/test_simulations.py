"""What learners see of Gymnasium's spaces, and what environments are given of their actions."""

from typing import ClassVar

import gymnasium
import numpy as np
import pytest

from adaptax.problems.host.simulations import Maker, Simulations
from tests.problems.host.walks import Walk


class Counting(Walk):
    """It says how many there were, and notes in which tasks it was."""

    made: ClassVar = []

    def __init__(self, **task):
        super().__init__(**task)
        type(self).made.append(task)
        self.options = []

    def reset(self, *, seed=None, options=None):
        self.options.append(options)
        return super().reset(seed=seed)


@pytest.fixture
def counting():
    Counting.made = []
    return Counting


def test_an_environment_is_built_for_every_task_and_kept_while_that_stays(counting):
    row = Simulations(Maker(counting, None))
    for goal in (0.5, 0.5, -0.5):
        assert not row.reset([0], [{"goal": goal, "drift": 0.0}], [1]).lost
    assert counting.made == [{"goal": 0.5, "drift": 0.0}, {"goal": -0.5, "drift": 0.0}]


def test_a_task_may_be_set_or_given_to_reset(counting):
    changed = []
    row = Simulations(Maker(counting, lambda env, task: changed.append((env, task))))
    row.reset([0, 1], [{"goal": 0.1}, {"goal": 0.2}], [1, 2])
    assert [task for _, task in changed] == [{"goal": 0.1}, {"goal": 0.2}]
    assert len({id(env) for env, _ in changed}) == len(counting.made) == 2
    env = counting()
    row = Simulations(Maker(lambda: env, "options"))
    row.reset([0], [{"goal": 0.3}], [1])
    assert env.options == [{"goal": 0.3}]


def test_names_that_gymnasium_knows():
    env = Maker("Pendulum-v1", None)({"g": 3.0})
    assert env.unwrapped.g == 3.0


class Broken(Walk):
    """It breaks in the way that its goal says."""

    def step(self, action):
        seen, reward, terminated, truncated, info = super().step(action)
        kind = self.task["goal"]
        if kind == 1:
            raise RuntimeError("exploded")
        if kind == 2:
            return np.asarray([np.nan, 0]), reward, terminated, truncated, info
        if kind == 3:
            return np.zeros(5), reward, terminated, truncated, info
        if kind == 4:
            return seen, np.inf, terminated, truncated, info
        if kind == 5:
            return seen, None, terminated, truncated, info
        if kind == 6:
            return seen, reward
        return seen, reward, terminated, truncated, info


def test_rows_that_break_are_lost_alone_with_the_reason_and_begin_anew():
    row = Simulations(Maker(Broken, None))
    rows, tasks = list(range(7)), [{"goal": kind} for kind in range(7)]
    assert not row.reset(rows, tasks, rows).lost
    found = row.step(rows, np.full((7, 1), 0.5, np.float32))
    assert sorted(found.lost) == [1, 2, 3, 4, 5, 6]
    assert found.lost[1] == "RuntimeError: exploded"
    assert found.lost[2] == "observation has nan in it"
    assert "(5,), expected (2,)" in found.lost[3]
    assert found.lost[4] == "reward is inf"
    assert found.observation[0].tolist() == [0.25, 1.0]
    assert not row.reset(rows, tasks, rows).lost


def test_environments_are_closed_when_they_are_let_go():
    closed = []

    class Closing(Walk):
        def close(self):
            closed.append(self.task["goal"])
            raise RuntimeError("not even that")

    row = Simulations(Maker(Closing, None))
    row.reset([0, 1], [{"goal": 1}, {"goal": 2}], [0, 0])
    row.reset([0], [{"goal": 3}], [0])
    assert closed == [1]
    row.close()
    assert sorted(closed) == [1, 2, 3]


def test_an_environment_that_cannot_be_built_is_lost_too():
    class Unbuilt(gymnasium.Env):
        def __init__(self, goal):
            raise OSError("no such robot")

    found = Simulations(Maker(Unbuilt, None)).reset([0], [{"goal": 1}], [0])
    assert found.lost == {0: "OSError: no such robot"}
