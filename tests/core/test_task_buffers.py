import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.core.task_buffers import Steps, TaskBuffers


def _numbered(rows):
    """Steps whose reward is a number, and whose other leaves are made of it; `rows[n][time]`."""
    numbers = jnp.asarray(rows, jnp.float32)
    return Steps(numbers[..., None], -numbers[..., None], numbers, numbers[..., None] + 0.5, numbers > 2)


def test_each_task_has_a_ring_of_its_own():
    buffers = TaskBuffers.empty(3, 3, 1, 1)
    everything = jnp.ones((2, 2), bool)
    buffers = buffers.add(jnp.asarray([2, 0]), _numbered([[1, 2], [11, 12]]), everything)
    buffers = buffers.add(
        jnp.asarray([2, 1]), _numbered([[3, 4], [21, 22]]), jnp.asarray([[True, True], [False, True]])
    )
    np.testing.assert_array_equal(buffers.count, [2, 1, 4])
    # The fourth step of task 2 has taken the first one's place; of task 1 only the step that happened is there.
    np.testing.assert_array_equal(buffers.steps.reward, [[11, 12, 0], [22, 0, 0], [4, 2, 3]])
    np.testing.assert_array_equal(buffers.steps.before[..., 0], buffers.steps.reward)
    np.testing.assert_array_equal(buffers.steps.action[..., 0], -buffers.steps.reward)
    np.testing.assert_array_equal(buffers.steps.terminated[2], [True, False, True])


def test_more_steps_than_places_are_refused():
    with pytest.raises(UseError, match="at most 1 steps of a task"):
        TaskBuffers.empty(1, 1, 1, 1).add(jnp.asarray([0]), _numbered([[1, 2]]), jnp.ones((1, 2), bool))


def _filled():
    buffers = TaskBuffers.empty(3, 8, 1, 1)
    steps = _numbered([[1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16]])
    return buffers.add(jnp.asarray([0, 2]), steps, jnp.asarray([[True] * 6, [True] * 3 + [False] * 3]))


def test_draws_are_of_the_task_and_of_all_that_happened_in_it():
    drawn = _filled().draw(jnp.asarray(2), jax.random.key(0), 200)
    assert set(np.asarray(drawn.reward).tolist()) == {11.0, 12.0, 13.0}
    np.testing.assert_array_equal(drawn.after[:, 0], drawn.reward + 0.5)


def test_tasks_of_which_nothing_is_known_are_not_drawn():
    assert set(np.asarray(_filled().draw_tasks(jax.random.key(0), 100)).tolist()) == {0, 2}


def test_what_is_recent_is_drawn_without_replacement():
    buffers = _filled()
    seen = set()
    for seed in range(20):
        steps, there = buffers.draw_newest(jnp.asarray(0), jax.random.key(seed), 3, 4)
        assert there.all()
        rewards = np.asarray(steps.reward).tolist()
        assert len(set(rewards)) == 3
        seen |= set(rewards)
    assert seen == {3.0, 4.0, 5.0, 6.0}


def test_what_is_not_there_yet_is_said_so():
    steps, there = _filled().draw_newest(jnp.asarray(2), jax.random.key(0), 5, 6)
    np.testing.assert_array_equal(there, [True] * 3 + [False] * 2)
    assert set(np.asarray(steps.reward[:3]).tolist()) == {11.0, 12.0, 13.0}


def test_what_is_recent_goes_around_the_ring():
    buffers = _filled().add(jnp.asarray([0]), _numbered([[7, 8, 9, 10]]), jnp.ones((1, 4), bool))
    steps, there = buffers.draw_newest(jnp.asarray(0), jax.random.key(0), 4, 4)
    assert there.all()
    assert set(np.asarray(steps.reward).tolist()) == {7.0, 8.0, 9.0, 10.0}
