"""The group of processes as the command line sees it; with real processes: `tests/claims/test_hosts.py`."""

import dataclasses

import jax
import pytest

from adaptax.core.algorithm import init
from adaptax.core.errors import ConfigError, DivergenceError
from adaptax.experiment.distributed import Group, joined
from adaptax.experiment.follower import follow
from adaptax.experiment.options import HostOptions, TrainOptions
from adaptax.experiment.session import TrainSession
from adaptax.experiment.signals import StopSignal
from adaptax.experiment.surroundings import Surroundings
from adaptax.runs import numerics
from tests.claims.tiny_run import options, recipe

RANDOM = numerics.configured(numerics.RANDOM)


class Others:
    """Stands for the processes; notes what was done with them."""

    first, index = False, 1

    def __init__(self, sent=None):
        self.content, self.state, self.left = sent, None, 0

    def broadcast_json(self, content=None):
        self.content = self.content if content is None else content
        return self.content

    def broadcast_tree(self, tree):
        return tree if self.state is None else self.state

    def any(self, flag):
        return flag

    def leave(self):
        self.left += 1


def followed(others, *asked):
    return follow(Surroundings(on_message=print, group=Group(others)), *asked)


def test_alone_there_is_nobody_to_tell():
    with joined(HostOptions(), StopSignal()) as group:
        assert group.is_writer
        assert group.broadcast({"what": 1}) == {"what": 1}
        assert group.broadcast_arrays("state") == "state"
        assert [group.any(flag) for flag in (True, False)] == [True, False]
        group.leave()
        with group.training():
            pass


@pytest.mark.compiles
def test_the_writer_tells_what_to_train_but_not_where_it_writes(tmp_path):
    class Writer(Others):
        first, index = True, 0

    others = Writer()
    run = TrainOptions(eval_tasks=0, out=tmp_path, seed=3)
    session = TrainSession(recipe(), run, tmp_path, Surroundings(group=Group(others)))
    with session.trackers:
        session.run()
    assert others.content["recipe"] == recipe().to_json()
    assert (others.content["devices"], others.content["done"]) == (2, 0)
    assert others.content["options"]["seed"] == 3
    assert others.content["random"] == RANDOM
    assert {"out", "json"}.isdisjoint(others.content["options"])
    assert set(others.content) == set(_sent())
    assert others.left == 1


@pytest.mark.parametrize("error", [None, DivergenceError("NaN")])
def test_they_part_ways_after_training_and_after_what_all_noticed(error):
    others = Others()
    group = Group(others)
    try:
        with group.training():
            if error is not None:
                raise error
    except DivergenceError:
        pass
    assert others.left == 1


def test_after_an_error_of_its_own_a_process_does_not_wait_for_the_others():
    others = Others()
    with pytest.raises(OSError, match="disk"), Group(others).training():
        raise OSError("disk")
    assert others.left == 0


def test_one_that_is_dismissed_has_nothing_to_do():
    others = Others(sent=None)
    assert followed(others, recipe(), TrainOptions()) is None
    assert others.left == 1


def _sent(**changes):
    return {
        "recipe": recipe().to_json(),
        "options": {**options(), **changes},
        "devices": 1,
        "done": 30,
        "random": RANDOM,
    }


@pytest.mark.parametrize(
    ("mine", "message"),
    [
        ({"seed": 4}, "--seed: expected the same as in process 0, 0; found 4 in process 1"),
        ({"num_tasks": 16}, "--num-tasks: expected the same as in process 0, 8; found 16 in process 1"),
        ({"num_arms": 7}, "--num-arms: expected the same as in process 0, 3; found 7 in process 1"),
    ],
)
def test_a_process_that_was_asked_for_something_else_says_what(mine, message):
    asked, run = recipe(), TrainOptions(eval_tasks=0)
    for name, value in mine.items():
        for part in ("algorithm_settings", "problem_settings"):
            if hasattr(getattr(asked, part), name):
                asked = dataclasses.replace(asked, **{part: dataclasses.replace(getattr(asked, part), **{name: value})})
        run = dataclasses.replace(run, **{name: value}) if hasattr(run, name) else run
    with pytest.raises(ConfigError, match=message):
        followed(Others(_sent()), asked, run)


def test_E38_a_process_that_would_draw_other_random_numbers_says_so():
    with jax.threefry_partitionable(False), pytest.raises(ConfigError, match="THREEFRY") as refused:
        followed(Others(_sent()))
    assert str(refused.value) == (
        "JAX_THREEFRY_PARTITIONABLE: expected the same random numbers as in process 0, JAX_THREEFRY_PARTITIONABLE=1; "
        "found JAX_THREEFRY_PARTITIONABLE=0 in process 1. Start all in the same environment"
    )


@pytest.mark.compiles
@pytest.mark.parametrize("resumes", [True, False])
def test_a_process_follows_to_the_end_and_writes_nothing(resumes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    others = Others(_sent())
    algorithm, problem = recipe().build()
    others.state = jax.device_get(init(algorithm, problem, seed=0))
    own = () if resumes else (recipe(), TrainOptions(eval_tasks=0, json=True))
    run = followed(others, *own)
    assert (run.done, run.stopped, run.directory) == (40, False, None)
    assert others.left == 1
    assert "process 1: trains with process 0" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
