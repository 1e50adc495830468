import json
import signal

import pytest

from tests.claims import children
from tests.claims.children import end, result_of, rows_in, wait_for_rows
from tests.claims.hosts import LOSSES, both, lose, pair
from tests.claims.kill import SKIP, TRAIN, UPDATES

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def whole(place):
    """A run of two processes that nobody disturbs, with an evaluation."""
    first, second = both([*TRAIN, "--eval-tasks", "20", "--out", "whole", "--devices", "2", "--json"], place)
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    return first, second, result_of(place / "whole")


@pytest.mark.nightly
def test_the_first_prints_the_result_and_nothing_else(whole):
    first, second, _ = whole
    assert json.loads(first.stdout)["agents"]["rl2"]["mean"] > 0
    assert second.stdout == ""


@pytest.mark.nightly
def test_checkpoints_are_written_once(whole, place):
    assert [path.name for path in place.iterdir() if path.is_dir() and path.name != "cache"] == ["whole"]
    assert len(list((place / "whole" / "checkpoints").glob("*.json"))) == 3


@pytest.mark.nightly
@pytest.mark.parametrize("loss", LOSSES[1:3], ids=lambda loss: loss.name)
def test_one_is_lost_and_the_run_goes_on_to_bitwise_the_same(loss, whole, place):
    after = lose(loss, place, loss.name, 50)
    assert after.ended.code == 75, after.ended.stderr
    assert after.named, after.ended.stderr
    assert after.seconds < 900  # a fuse: the claim measures it
    assert after.result[:2] == whole[2][:2]


@pytest.mark.nightly
def test_a_signal_to_either_stops_both_and_one_can_go_on_alone(place):
    processes = pair([*TRAIN, *SKIP, "--out", "asked", "--devices", "2"], place)
    wait_for_rows(processes[0], place / "asked", 50)
    processes[1].send_signal(signal.SIGTERM)
    first, second = (end(process) for process in processes)
    assert (first.code, second.code) == (75, 75), first.stderr + second.stderr
    assert "all is saved" in first.stderr
    stopped_at = rows_in(place / "asked")
    assert 50 <= stopped_at < UPDATES
    alone = children.run(["train", "--resume", "asked"], place)
    assert alone.code == 0, alone.stderr
    assert f"resumed at update {stopped_at} (" in alone.stderr
    assert rows_in(place / "asked") == UPDATES


def test_processes_that_were_asked_for_different_things(place):
    first, second = both(
        [*TRAIN, "--out", "different", "--devices", "2", "--seed", "3"], place, others=("--save-every", "7")
    )
    assert second.code == 2
    assert "--save-every: expected the same as in process 0, 10; found 7 in process 1" in second.stderr
    assert first.code == 2  # and not 75: to go on would be in vain
