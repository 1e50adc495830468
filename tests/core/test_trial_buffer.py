"""A ring of whole trials, against a list."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.trial_buffer import TrialBuffer


def trials(first, number):
    """Each trial says its number at every step, and as its task."""
    names = jnp.arange(first, first + number)
    return {"steps": jnp.broadcast_to(names[:, None], (number, 3)), "task": names.astype(jnp.float32)}


@pytest.mark.parametrize("batch", [2, 3, 7])
def test_the_newest_trials_are_kept(batch):
    buffer = TrialBuffer.empty(5, trials(0, 1))
    for update in range(4):
        buffer = buffer.add(trials(update * batch, batch))
        number = (update + 1) * batch
        assert buffer.count in (number, min(batch, 5) * (update + 1))
        held = np.asarray(buffer.trials["task"])[: min(int(buffer.count), 5)]
        assert sorted(held) == list(range(max(0, number - 5), number))


def test_E17_a_place_holds_one_trial_of_one_task():
    buffer = TrialBuffer.empty(4, trials(0, 1)).add(trials(10, 3)).add(trials(13, 3))
    drawn = buffer.at(buffer.places(jax.random.key(0), 64))
    assert (np.asarray(drawn["steps"]) == np.asarray(drawn["task"])[:, None]).all()
    assert set(np.asarray(drawn["task"]).tolist()) == {12, 13, 14, 15}


def test_only_what_was_put_in_is_drawn():
    buffer = TrialBuffer.empty(100, trials(0, 1)).add(trials(5, 2))
    assert set(np.asarray(buffer.places(jax.random.key(1), 200)).tolist()) == {0, 1}
    assert TrialBuffer.empty(3, trials(0, 1)).places(jax.random.key(1), 9).max() == 0
