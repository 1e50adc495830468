"""Bounds of options that suit each other; as they are typed: `tests/cli/test_options.py`."""

from pathlib import Path

import pytest

from adaptax.core.errors import ConfigError
from adaptax.experiment.options import EvaluateOptions, HostOptions, InspectOptions, WatchOptions, check_training_seed

TOGETHER = {"distributed": True, "coordinator": "host:1", "num_processes": 2, "process_id": 1}


@pytest.mark.parametrize("coordinator", ["host:1", "host:65535", "[::1]:8476", "10.0.0.1:00080"])
def test_where_processes_meet(coordinator):
    assert HostOptions(**{**TOGETHER, "coordinator": coordinator}).coordinator == coordinator


@pytest.mark.parametrize(
    "coordinator", ["host", "host:", ":80", "host:0", "host:65536", "host:000080", "host:+80", "host:8 0", "host:٣", ""]
)
def test_what_is_no_place_to_meet_is_refused(coordinator):
    with pytest.raises(ConfigError, match=r"^--coordinator: expected HOST:PORT, with a port between 1 and 65535; fo"):
        HostOptions(**{**TOGETHER, "coordinator": coordinator})


def test_processes_are_counted_from_0():
    assert HostOptions(**{**TOGETHER, "process_id": 0}).process_id == 0
    with pytest.raises(ConfigError, match=r"^--process-id: expected less than --num-processes, 2; found 2$"):
        HostOptions(**{**TOGETHER, "process_id": 2})


@pytest.mark.parametrize(
    ("left_out", "says"),
    [
        (["process_id"], "--process-id: expected together with --coordinator; found nothing"),
        (["coordinator"], "--coordinator: expected together with --num-processes; found nothing"),
        (["coordinator", "num_processes"], "--coordinator: expected together with --process-id; found nothing"),
    ],
)
def test_who_they_are_is_said_whole_or_found_out(left_out, says):
    with pytest.raises(ConfigError, match=f"^{says}$"):
        HostOptions(**{name: value for name, value in TOGETHER.items() if name not in left_out})
    assert HostOptions(distributed=True).num_processes is None


@pytest.mark.parametrize("changes", [{"heartbeat": 9}, {k: v for k, v in TOGETHER.items() if k != "distributed"}])
def test_alone_there_is_nobody_to_meet(changes):
    with pytest.raises(ConfigError, match="has an effect only if distributed is True"):
        HostOptions(**changes)


def test_a_chunk_may_take_some_time():
    assert WatchOptions(chunk_timeout=0.5).chunk_timeout == 0.5
    with pytest.raises(ConfigError, match=r"WatchOptions\.chunk_timeout: expected a number .*; found 0"):
        WatchOptions(chunk_timeout=0)


def test_agents_to_compare_with_are_known_or_would_be_imported():
    assert EvaluateOptions(against=()).against == ()
    assert EvaluateOptions(against=("ucb1", "json:loads")).against == ("ucb1", "json:loads")
    with pytest.raises(ConfigError, match=r"^--against: expected some of .*; found 'rl2'"):
        EvaluateOptions(against=("ucb1", "rl2"))  # it has to be trained


@pytest.mark.parametrize(("num_seeds", "has"), [(1, "1 training, counted"), (3, "3 trainings, counted")])
def test_a_run_has_as_many_trainings_as_it_has(num_seeds, has):
    for index in range(num_seeds):
        check_training_seed(InspectOptions(training_seed=index), Path("run"), num_seeds)
    says = f"^--training-seed: expected at most {num_seeds - 1}, since run holds {has} from 0; found {num_seeds}$"
    with pytest.raises(ConfigError, match=says):
        check_training_seed(InspectOptions(training_seed=num_seeds), Path("run"), num_seeds)
