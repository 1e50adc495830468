"""What learners see of Gymnasium's spaces, and what environments are given of their actions."""

from typing import ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from adaptax.core.errors import UseError
from adaptax.problems.host.simulations import Description, Maker, Simulations, chosen, done, observed, seen
from tests.problems.host.walks import Walk

OBSERVED = {
    "numbers": (spaces.Box(-3.4e38, 3.4e38, (2, 3), np.float64), Description(0, (2, 3))),
    "categories": (spaces.Discrete(4, start=2), Description(4)),
    "several categories": (spaces.MultiDiscrete([2, 3]), Description(0, (5,))),
    "switches": (spaces.MultiBinary(3), Description(0, (3,))),
    "a dictionary": (
        spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "kind": spaces.Discrete(3)}),
        Description(0, (5,)),
    ),
    "a tuple in a dictionary": (
        spaces.Dict({"both": spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (1,))])}),
        Description(0, (3,)),
    ),
    "an image": (spaces.Box(0, 255, (4, 4, 3), np.uint8), Description(0, (4, 4, 3))),
}


@pytest.mark.parametrize(("space", "expected"), OBSERVED.values(), ids=OBSERVED)
def test_observations_are_numbers_or_categories(space, expected):
    assert observed(space) == expected
    space.seed(0)
    for _ in range(10):
        found = seen(space, space.sample())
        assert found.shape == expected.shape
        assert found.dtype == (np.int32 if expected.num else np.float32)
        assert not expected.num or 0 <= found < expected.num


def test_categories_in_a_vector_are_ones_and_zeros():
    space = OBSERVED["a dictionary"][0]
    assert seen(space, {"place": np.asarray([0.5, -0.5], np.float32), "kind": 1}).tolist() == [0, 1, 0, 0.5, -0.5]


ACTIONS = {
    "categories": (spaces.Discrete(3, start=-1), Description(3), [(0, -1), (2, 1)]),
    "numbers": (spaces.Box(-2, 2, (2,)), Description(0, (2,), -2.0, 2.0), [([0.5, -3], [0.5, -2])]),
    "numbers without bounds": (spaces.Box(-np.inf, np.inf, (1,)), Description(0, (1,)), [([50.0], [50.0])]),
    "bounds that differ": (
        spaces.Box(np.asarray([0, -4], np.float32), np.asarray([10, 4], np.float32)),
        Description(0, (2,), -1.0, 1.0),
        [([-1, -1], [0, -4]), ([0, 0], [5, 0]), ([1, 2], [10, 4])],
    ),
    "several categories": (spaces.MultiDiscrete([2, 3]), Description(6), [(0, [0, 0]), (5, [1, 2]), (4, [1, 1])]),
    "that begin elsewhere": (spaces.MultiDiscrete([2, 3], start=[5, 7]), Description(6), [(5, [6, 9])]),
    "switches": (spaces.MultiBinary(2), Description(4), [(1, [0, 1]), (2, [1, 0])]),
}


@pytest.mark.parametrize(("space", "expected", "pairs"), ACTIONS.values(), ids=ACTIONS)
def test_actions_lie_in_the_environments_space(space, expected, pairs):
    assert chosen(space) == expected
    given = np.asarray([action for action, _ in pairs], np.int32 if expected.num else np.float32)
    for found, (_, wanted) in zip(done(space, given), pairs, strict=True):
        assert np.asarray(found).tolist() == wanted
        assert space.contains(found)


def test_spaces_that_nobody_can_learn_in_are_refused():
    with pytest.raises(UseError, match="observation space"):
        observed(spaces.Sequence(spaces.Discrete(2)))
    with pytest.raises(UseError, match=r"at most 1024 combinations.*1048576"):
        chosen(spaces.MultiBinary(20))
    with pytest.raises(UseError, match="all finite, or all the same"):
        chosen(spaces.Box(np.asarray([0, -np.inf], np.float32), np.asarray([1, np.inf], np.float32)))
    with pytest.raises(UseError, match="found Dict"):
        chosen(spaces.Dict({"a": spaces.Discrete(2)}))


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (spaces.Box(-1, 1, (2,)), np.zeros(3)),
        (spaces.Box(-1, 1, (2,)), None),
        (spaces.Discrete(3), 3),
    ],
)
def test_what_is_no_observation_is_an_error(space, observation):
    with pytest.raises((ValueError, TypeError)):
        seen(space, observation)


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
