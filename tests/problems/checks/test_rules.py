"""Rules of numbers and ends, on records that were made up; in whole environments: `test_check.py`."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from adaptax.core.spaces import Box, Discrete
from adaptax.problems.checks import rules
from tests.problems.checks.made_up import recorded, told
from tests.sample_problems import Length, clockwork

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("changes", "where", "found"),
    [
        ({"observation": {(1, 0, 1): 2.0}}, "train task 1, reset of an episode: observation[1]", "2"),
        ({"observation": {(1, 1, 0): np.nan}}, "train task 1, step 1 of an episode: observation[0]", "nan"),
        ({"after": {(0, 2, 0): -1.5}}, "train task 0, step 3 of an episode: observation[0]", "-1.5"),
        # The earliest in its episode, then the first task.
        (
            {"after": {(0, 1, 0): 7, (1, 2, 1): 8, (0, 3, 1): 9}},
            "train task 0, step 1 of an episode: observation[1]",
            "9",
        ),
    ],
)
def test_observations_lie_in_their_space(changes, where, found):
    space = Box((2,), -1.0, 1.0)
    assert told(rules.numbers(space, "train", recorded(**changes))) == [
        ("numbers", where, "numbers from -1 to 1", found)
    ]
    assert told(rules.numbers(space, "train", recorded(after={(0, 0, 0): -1, (0, 0, 1): 1}))) == []


def test_numbers_that_can_be_squared():
    reward = recorded(reward={(1, 3): -2e18})
    where = "shifted task 1, step 2 of an episode: reward"
    expected = [("numbers", where, "numbers below 1e+18 in size", "-2e+18")]
    assert told(rules.numbers(Box((2,)), "shifted", reward)) == expected
    five = recorded()._replace(observation=np.full((2, 4), 4), after=np.full((2, 4), 5))
    assert told(rules.numbers(Discrete(5), "test", five)) == [
        ("numbers", "test task 0, step 1 of an episode: observation", "numbers from 0 to 4", "5")
    ]


EARLY, LAST = {(0, 1): True}, {(0, 2): True}


@pytest.mark.parametrize(
    ("ends_early", "ended", "where"),
    [
        (False, {}, None),
        (True, EARLY, None),
        (True, {**EARLY, **LAST}, None),
        (False, EARLY, "step 2 of an episode: terminated"),
        (True, LAST, "step 3: terminated"),
        (False, LAST, None),  # it may be that nothing comes after it
    ],
)
def test_ends_of_episodes_are_announced_and_none_is_a_time_limit(ends_early, ended, where):
    env = SimpleNamespace(horizon=3, ends_early=ends_early)
    found = told(rules.termination(env, [recorded(terminated=ended)]))
    assert [line[:2] for line in found] == ([] if where is None else [("termination", where)])
    if ended == LAST:
        assert told(rules.termination(env, [recorded(terminated=ended), recorded()])) == []  # not in every episode


@pytest.mark.parametrize(("ended", "where"), [([3], ["step 3: terminated"]), ([2], []), ([1, 3], [])])
def test_a_limit_that_moves_with_the_horizon_is_one(ended, where, monkeypatch):
    def longer(env, key, steps):
        assert (env.horizon, steps) == (4, 4)
        return lambda tasks: recorded(terminated={(..., step): True for step in ended})

    monkeypatch.setattr(rules, "Recorder", longer)
    env = clockwork(3, 1, ends_early=False).env
    found = told(rules.termination(env, [recorded(terminated=LAST)], Length(np.array([3, 3])), KEY))
    assert [line[1] for line in found] == where
    assert env.horizon == 3


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([2.5, 2.5], [("oracle", "test.oracle", "the best there is (2.5 per episode)", "3 by random actions")]),
        ([3, 3], []),
        ([3.5, np.inf], []),
        ([0, np.nan], []),  # of one task nothing is said
        ([0, 5.9], []),  # 3 too much in one and 2.9 too little in the other: nothing to be sure of
    ],
)
def test_random_actions_do_not_earn_more_than_the_oracle_says(known, expected):
    first, after = {(0, 0): 1.0, (0, 1): 2.0, (1, 0): 3.0}, {(0, 2): 99.0, (1, 1): 99.0}
    seen = recorded(reward={**first, **after}, terminated={(0, 1): True, (1, 0): True})
    env = SimpleNamespace(horizon=3)
    assert told(rules.oracle(env, "test", np.array(known, float), seen)) == expected
    cut = recorded(reward={**first, **after})._replace(time=np.array([[0, 1, 2, 3]] * 2))
    assert told(rules.oracle(SimpleNamespace(horizon=9), "test", np.zeros(2), cut)) == []  # no whole episode


def test_steps_in_each_task():
    env = SimpleNamespace(horizon=10, observation_space=Box((2,)), action_space=Discrete(3))
    assert [rules.steps_each(env, *asked) for asked in ((1000, 32), (320, 32), (0, 1))] == [32, 11, 11]
    env.horizon = 10**6
    assert rules.steps_each(env, 1000, 32) == 2**25 // (32 * (2 + 2 + 1 + 3))
    env.observation_space = Box((10**9,))
    assert rules.steps_each(env, 1000, 32) == 2


def test_actions_at_the_ends_of_their_space_are_told():
    env = SimpleNamespace(horizon=3, ends_early=False, action_space=Box((1,), -1.0, 3.0), observation_space=Box((2,)))
    lives = {2: recorded(terminated=EARLY), 3: recorded(reward={(1, 0): np.nan})}
    assert [line[:2] for line in told(rules.edges(env, None, lambda tasks, number: lives[number]))] == [
        ("termination", "step 2 of an episode: terminated"),
        ("numbers", "action 3: task 1, step 1 of an episode: reward"),
    ]
