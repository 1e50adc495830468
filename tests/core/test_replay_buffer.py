"""Steps are told apart by their rewards; every case is computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.replay_buffer import ReplayBuffer, TrialBuffer
from tests.sample_problems import quick_jit

KEY = jax.random.key(0)


def steps(*numbers, valid=None):
    """Step n shows (n, 0), does action n, brings n, leads to (n, 1) and terminates if n is odd."""
    number = jnp.asarray(numbers, jnp.float32)
    show = [jnp.stack([number, jnp.full_like(number, place)], -1) for place in (0, 1)]
    happened = jnp.ones(len(numbers), bool) if valid is None else jnp.asarray(valid)
    action = number.astype(jnp.int32)
    return show[0], action, number, show[1], action % 2 == 1, happened


add = quick_jit(lambda buffer, steps: buffer.add(*steps))


def test_an_empty_buffer_has_nothing():
    buffer = ReplayBuffer.empty(3, 2)
    assert buffer.count == 0
    assert [x.shape for x in jax.tree.leaves(buffer)] == [(3, 2), (3,), (3,), (3, 2), (3,), ()]
    assert all(not np.asarray(x).any() for x in jax.tree.leaves(buffer))


def test_the_newest_take_the_places_of_the_oldest_and_what_never_happened_takes_none():
    buffer = add(ReplayBuffer.empty(5, 2), steps(1, 2, 3, valid=[True, False, True]))
    np.testing.assert_array_equal(buffer.reward, [1, 3, 0, 0, 0])
    buffer = add(buffer, steps(4, 5, 6))
    np.testing.assert_array_equal(buffer.reward, [1, 3, 4, 5, 6])
    buffer = add(buffer, steps(7, 8, 9, valid=[False, True, True]))
    np.testing.assert_array_equal(buffer.reward, [8, 9, 4, 5, 6])
    np.testing.assert_array_equal(buffer.action, [8, 9, 4, 5, 6])
    np.testing.assert_array_equal(buffer.before[:, 0], [8, 9, 4, 5, 6])
    np.testing.assert_array_equal(buffer.before[:, 1], [0] * 5)
    np.testing.assert_array_equal(buffer.after[:, 1], [1] * 5)
    np.testing.assert_array_equal(buffer.terminated, [False, True, False, True, False])
    assert buffer.count == 7


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("added", "there"), [([1, 2], {1, 2}), ([1, 2, 3, 4], {1, 2, 3, 4}), ([1, 2, 3, 4, 5], {2, 3, 4, 5})]
)
def test_what_is_drawn_is_there_with_equal_chances_and_all_of_one_step(added, there):
    buffer = ReplayBuffer.empty(4, 2)
    for number in added:
        buffer = add(buffer, steps(number))
    batch = quick_jit(lambda key: buffer.draw(key, 4000))(KEY)
    numbers, counts = np.unique(batch.reward, return_counts=True)
    assert set(numbers) == there
    # Four standard deviations of a binomial.
    share = 1 / len(there)
    assert (abs(counts - 4000 * share) < 4 * np.sqrt(4000 * share * (1 - share))).all()
    np.testing.assert_array_equal(batch.action, batch.reward)
    np.testing.assert_array_equal(batch.before[:, 0], batch.reward)
    np.testing.assert_array_equal(batch.terminated, batch.action % 2 == 1)


def test_one_key_draws_the_same_and_another_others():
    buffer = add(ReplayBuffer.empty(8, 2), steps(*range(8)))
    once, again, other = (np.asarray(buffer.draw(key, 16).reward) for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


def test_more_steps_than_places_are_refused():
    assert add(ReplayBuffer.empty(3, 2), steps(1, 2, 3)).count == 3
    with pytest.raises(ValueError, match=r"ReplayBuffer\.add: expected at most 3 steps, its capacity; found 4"):
        ReplayBuffer.empty(3, 2).add(*steps(1, 2, 3, 4))


# ---------------------------------------------------------------- whole trials


def trials(*numbers):
    """Trial n has rewards (n, n + ½), and n as what is said of it once."""
    number = jnp.asarray(numbers, jnp.float32)
    return {"reward": jnp.stack([number, number + 0.5], -1), "task": number.astype(jnp.int32)}


def shapes():
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), trials(0))


add_trials = quick_jit(lambda buffer, trials: buffer.add(trials))


def test_an_empty_buffer_of_trials_has_nothing():
    buffer = TrialBuffer.empty(3, shapes())
    assert (buffer.capacity, int(buffer.count)) == (3, 0)
    assert jax.tree.map(lambda x: (x.shape, x.dtype.name), buffer.trials) == {
        "reward": ((3, 2), "float32"), "task": ((3,), "int32"),
    }  # fmt: skip
    assert not any(np.asarray(x).any() for x in jax.tree.leaves(buffer))


def test_the_newest_trials_take_the_places_of_the_oldest():
    buffer = add_trials(TrialBuffer.empty(5, shapes()), trials(1, 2, 3))
    np.testing.assert_array_equal(buffer.trials["task"], [1, 2, 3, 0, 0])
    buffer = add_trials(buffer, trials(4, 5, 6))
    np.testing.assert_array_equal(buffer.trials["task"], [6, 2, 3, 4, 5])
    np.testing.assert_array_equal(buffer.trials["reward"][0], [6, 6.5])
    assert buffer.count == 6


def test_of_more_trials_than_places_the_last_are_kept():
    buffer = add_trials(TrialBuffer.empty(3, shapes()), trials(1, 2))
    buffer = add_trials(buffer, trials(3, 4, 5, 6))
    # The sixth in a row is in place 5 % 3.
    np.testing.assert_array_equal(buffer.trials["task"], [4, 5, 6])
    assert buffer.count == 6


def test_trials_are_drawn_whole_and_only_those_that_were_put_in():
    buffer = add_trials(TrialBuffer.empty(8, shapes()), trials(3, 5, 7))
    drawn = buffer.draw(KEY, 1000)
    np.testing.assert_array_equal(drawn["reward"][:, 1] - drawn["reward"][:, 0], 0.5)
    np.testing.assert_array_equal(drawn["reward"][:, 0], drawn["task"])
    numbers, counts = np.unique(np.asarray(drawn["task"]), return_counts=True)
    np.testing.assert_array_equal(numbers, [3, 5, 7])
    assert abs(counts - 1000 / 3).max() < 4 * np.sqrt(1000 * 2 / 9)


def test_E17_a_place_holds_one_trial_of_one_task():
    buffer = add_trials(add_trials(TrialBuffer.empty(4, shapes()), trials(10, 11, 12)), trials(13, 14, 15))
    drawn = buffer.at(buffer.places(KEY, 64))
    np.testing.assert_array_equal(drawn["reward"][:, 0], drawn["task"])
    assert set(np.asarray(drawn["task"]).tolist()) == {12, 13, 14, 15}


def test_of_an_empty_buffer_places_are_the_first():
    assert TrialBuffer.empty(3, shapes()).places(KEY, 9).max() == 0


def test_of_a_full_buffer_all_trials_are_drawn():
    buffer = add_trials(TrialBuffer.empty(3, shapes()), trials(1, 2, 3, 4))
    assert set(np.asarray(buffer.draw(KEY, 200)["task"])) == {2, 3, 4}
