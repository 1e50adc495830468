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


def _beginnings(buffers, task, num, recent, draws=40):
    """What is drawn, as tuples of rewards."""
    draw = jax.jit(lambda key: buffers.draw_beginning(jnp.asarray(task), key, num, recent))
    found = [draw(jax.random.key(seed)) for seed in range(draws)]
    return {tuple(np.asarray(steps.reward)[np.asarray(there)].tolist()) for steps, there in found}


def test_contexts_are_the_beginnings_of_recent_trials():
    buffers = TaskBuffers.empty(2, 8, 1, 1)
    assert _beginnings(buffers, 1, 2, 3, draws=5) == {()}
    one = jnp.asarray([1])
    buffers = buffers.add(one, _numbered([[1, 2, 3, 0]]), jnp.asarray([[True, True, True, False]]))
    assert _beginnings(buffers, 1, 2, 3, draws=5) == {(1, 2)}
    assert _beginnings(buffers, 1, 4, 3, draws=5) == {(1, 2, 3)}  # and what is not there is said so
    buffers = buffers.add(one, _numbered([[11, 0, 12, 0]]), jnp.asarray([[True, False, True, False]]))
    assert _beginnings(buffers, 1, 3, 1, draws=5) == {(11, 12)}
    assert _beginnings(buffers, 1, 3, 2) == {(1, 2, 3), (11, 12)}


def test_trials_that_were_overwritten_in_part_are_no_contexts():
    buffers = TaskBuffers.empty(2, 8, 1, 1)
    for first in (1, 11, 21):  # nine steps in eight places
        steps = _numbered([[first, first + 1, first + 2]])
        buffers = buffers.add(jnp.asarray([0]), steps, jnp.ones((1, 3), bool))
    assert _beginnings(buffers, 0, 3, 5) == {(11, 12, 13), (21, 22, 23)}
    buffers = buffers.add(jnp.asarray([0]), _numbered([[31] * 8]), jnp.ones((1, 8), bool))
    assert _beginnings(buffers, 0, 2, 5) == {(31, 31)}
