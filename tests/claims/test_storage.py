"""The self-test's own code, on fewer disks and starts; and that it fails where it should."""

import os

import pytest

from adaptax.experiment.run_writer import PATIENCE
from tests.claims import storage


@pytest.mark.parametrize(
    ("begin", "length", "code", "good"),
    [
        (-1, 7, 7, None),  # not even the first checkpoint
        (0, 1, 0, 0),
        (0, 2, 0, 0),
        (0, 3, 7, 0),  # patience is at its end
        (2, 2, 0, 20),
        (4, 2, 7, 40),  # the last chunk is among them
        (5, 1, 7, 50),
    ],
)
def test_what_is_expected_of_a_full_disk(begin, length, code, good):
    assert storage._expected(begin, length) == (code, good)
    assert storage.PATIENCE == PATIENCE


def test_a_traceback_is_more_than_a_line():
    assert storage.lines_of_error("note\nerror[7]: x\n", 7) == 1
    assert storage.lines_of_error("error[7]: x\nTraceback (most recent call last):\n", 7) > 1
    assert storage.lines_of_error("error[6]: x\n", 7) == 0


@pytest.mark.skipif(
    os.geteuid() == 0 and not storage.others_can_read(),
    reason="only root can read this clone",
)
def test_a_read_only_directory_is_refused_at_once(tmp_path):
    checks = list(storage._check_read_only(storage.Place(tmp_path)))
    judged = [check for check in checks if "seconds" not in check.name]  # a busy machine is no failure
    assert [check.name for check in judged if not check.passed] == []
    assert len(judged) == 2


def test_one_that_can_be_written_to_would_be_found(tmp_path):
    place = storage.Place(tmp_path)
    (result,) = place.do([{"arguments": ["list"]}])
    assert result["code"] == 0
    (died,) = place.do([{"unknown": 1}])
    assert "the process died" in died["said"]


@pytest.mark.nightly
@pytest.mark.process
def test_all_of_it_on_fewer_disks():
    checks = list(storage.run(1, 4))
    assert all(check.passed for check in checks), "\n".join(check.line() for check in checks)
