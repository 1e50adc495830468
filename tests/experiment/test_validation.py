"""When an evaluation during training is due, and with whose seed."""

from types import SimpleNamespace

import pytest

from adaptax.experiment.options import TrainOptions
from adaptax.experiment.validation import Validator, seed_of


def due(num_updates, every, tmp_path):
    validator = Validator(
        SimpleNamespace(num_updates=num_updates), None, TrainOptions(eval_every=every), tmp_path, lambda line: None
    )
    return [done for done in range(num_updates + 1) if validator.is_due(done)]


@pytest.mark.parametrize(
    ("num_updates", "every", "at"),
    [
        (40, 20, [0, 20, 40]),
        (40, 10, [0, 10, 20, 30, 40]),
        (40, 3, [0, 10, 20, 30, 40]),  # the host looks after whole chunks
        (45, 25, [0, 30, 45]),
        (13, 5, [0, 10, 13]),
        (7, 2, [0, 7]),
        (40, 1000, [0, 40]),
    ],
)
def test_it_is_due_at_both_ends_and_after_whole_chunks(num_updates, every, at, tmp_path):
    assert due(num_updates, every, tmp_path) == at


def test_what_was_stopped_after_any_update_has_the_same_evaluations(tmp_path):
    # It depends on the update alone: the first look after update 14 of a run that goes on at 13 is none of them.
    assert 14 not in due(40, 1, tmp_path)


def test_E48_validation_has_a_seed_of_its_own():
    seeds = [seed_of(seed) for seed in range(1000)]
    assert len(set(seeds)) == 1000
    assert not set(seeds) & set(range(1000))
    assert all(0 <= seed < 2**31 for seed in seeds)
