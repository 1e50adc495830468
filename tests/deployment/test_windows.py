import jax
import numpy as np
import pytest

from adaptax.core.types import replace
from adaptax.deployment.windows import padded, timestep_of, transition_of, windows


def step(number, *, terminated=False, truncated=False):
    """Saw `number`, did 10 × `number`, was paid 100 × `number`."""
    timestep = timestep_of(np.float32([number]), np.int32(0), 0.5, number == 0)
    return transition_of(timestep, np.int32(10 * number), None, 100.0 * number, terminated, truncated)


def episode(*numbers):
    return [step(number, terminated=number == numbers[-1]) for number in numbers]


def test_a_step_has_the_types_of_a_rollout_and_leads_nowhere_yet():
    taken = step(3, truncated=True)
    assert [x.dtype for x in (taken.reward, taken.terminated, taken.truncated, taken.valid)] == [
        np.float32, np.bool_, np.bool_, np.bool_
    ]  # fmt: skip
    assert (float(taken.reward), bool(taken.terminated), bool(taken.truncated), bool(taken.valid)) == (300, 0, 1, 1)
    np.testing.assert_array_equal(taken.next_observation, taken.timestep.observation)
    assert taken.timestep.reward.dtype == np.float32


def test_after_an_episode_s_end_nothing_happens():
    found = padded(episode(1, 2), 5)
    np.testing.assert_array_equal(found.reward, [100, 200, 0, 0, 0])
    np.testing.assert_array_equal(found.valid, [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(found.terminated, [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(found.truncated, np.zeros(5))
    np.testing.assert_array_equal(found.timestep.observation, [[1], [2], [2], [2], [2]])
    whole = padded(episode(1, 2), 2)
    np.testing.assert_array_equal(whole.valid, [1, 1])


@pytest.mark.parametrize(("steps", "lengths"), [(4, [4]), (2, [2, 2]), (3, [3, 1])])
def test_windows_are_consecutive_and_have_all_environments_side_by_side(steps, lengths):
    found = list(windows([padded(episode(0, 1, 2, 3), 4), padded(episode(4, 5), 4)], steps))
    assert [len(window.reward) for window in found] == lengths
    together = jax.tree.map(lambda *x: np.concatenate(x), *found)
    np.testing.assert_array_equal(together.reward, [[0, 400], [100, 500], [200, 0], [300, 0]])
    np.testing.assert_array_equal(together.valid, [[1, 1], [1, 1], [1, 0], [1, 0]])


def test_random_keys_in_what_an_agent_notes_are_stacked_too():
    noted = [replace(step(k), aux=jax.random.key(k)) for k in (1, 2)]
    found = padded(noted, 3).aux
    np.testing.assert_array_equal(
        jax.random.key_data(found), jax.random.key_data(jax.numpy.stack([jax.random.key(k) for k in (1, 2, 2)]))
    )
