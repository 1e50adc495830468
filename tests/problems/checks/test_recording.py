"""Lives of random actions, where all that happens is known beforehand."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.spaces import Box, Discrete
from adaptax.problems.checks.recording import (
    Recorder,
    by_hand,
    ends,
    numbers_of,
    oracles_of,
    rows,
    same,
    tasks_of,
)
from tests.sample_problems import Length, clockwork

KEY = jax.random.key(3)
TASKS = Length(jnp.asarray([2, 4]))
"""One ends after two steps, the other not before the horizon."""
TIMES = [[0, 1, 0, 1, 0], [0, 1, 2, 0, 1]]
ENDED = [[False, True, False, True, False], [False] * 5]


def test_episodes_follow_each_other_and_every_step_is_recorded():
    record = Recorder(clockwork(3, 1).env, KEY, 5)
    seen = record(TASKS)
    np.testing.assert_array_equal(seen.time, TIMES)
    np.testing.assert_array_equal(seen.terminated, ENDED)
    np.testing.assert_array_equal(seen.observation[..., 0], TIMES)
    np.testing.assert_array_equal(seen.after[..., 0], seen.time + 1)  # what is seen before the reset
    np.testing.assert_array_equal(seen.reward, 100 * seen.time + seen.action)
    assert len(np.unique(seen.action)) > 5
    assert same(seen, record(TASKS))
    other = record(TASKS, 1)
    assert not (seen.action == other.action).any()
    np.testing.assert_array_equal(record(TASKS, 2).reward, 100 * seen.time)
    np.testing.assert_array_equal(record(TASKS, 3).action, np.full((2, 5), 999))


def test_the_ends_of_spaces():
    assert [int(x) for x in ends(Discrete(5))] == [0, 4]
    low, high = ends(Box((2,), -1.0, 3.0))
    np.testing.assert_array_equal([low, high], [[-1, -1], [3, 3]])
    assert low.dtype == jnp.float32
    assert ends(Box((2,))) == ends(Box((2,), 0.0)) == []


@pytest.mark.parametrize(("horizon", "steps"), [(3, 2), (1, 1)])
def test_without_compiling_one_task_after_the_other(horizon, steps):
    env = clockwork(horizon, 1).env
    first, second, again = by_hand(env, TASKS, KEY, (0, 1, 0))
    actions = [int(env.action_space.sample(jax.random.fold_in(KEY, number))) for number in range(steps)]
    expected = [[0.0]]
    for number, action in enumerate(actions):
        expected += [[number + 1.0], 100 * number + action]
    assert [x.tolist() for x in first] == expected
    assert same(first, second)  # only the end of the episode depends on the task
    assert same(first, again)


def test_nan_is_like_nan_and_all_else_is_as_it_is():
    one = {"x": np.array([1.0, np.nan]), "n": np.array([1, 2])}
    assert same(one, {"x": np.array([1.0, np.nan]), "n": np.array([1, 2])})
    assert not same(one, {**one, "x": np.array([np.nan, 1.0])})
    assert not same(one, {**one, "n": np.array([1, 3])})
    assert not same(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="zip"):
        same([np.zeros(2)], [])


def test_tasks_as_bytes():
    numbers = np.array([[1, 2], [3, 4], [1, 2]], np.int32)
    truth = np.array([True, False, True])
    found = rows({"b": jnp.asarray(truth), "a": jnp.asarray(numbers)})
    assert found == [x.tobytes() + y.tobytes() for x, y in zip(numbers, truth, strict=True)]
    assert len(set(found)) == 2
    keys = jax.random.split(KEY, 2)
    assert rows(keys) == [np.asarray(x).tobytes() for x in jax.random.key_data(keys)]
    np.testing.assert_array_equal(numbers_of(keys), jax.random.key_data(keys))


def test_tasks_are_those_of_the_family_and_oracles_what_it_says_of_them():
    family = SimpleNamespace(sample=jax.random.key_data, oracle=lambda task: task[0].astype(jnp.float32) / 2)
    tasks = tasks_of(family, 4, KEY)
    np.testing.assert_array_equal(tasks, jax.random.key_data(jax.random.split(KEY, 4)))
    assert len(set(rows(tasks))) == 4
    known = oracles_of(family, tasks)
    assert known.dtype == np.float64
    np.testing.assert_allclose(known, np.asarray(tasks)[:, 0] / 2, rtol=1e-6)
