import dataclasses
import re

import jax
import pytest

from adaptax.core.errors import CheckpointError
from adaptax.experiment import session
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.recipes import options_of
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry import registry
from adaptax.runs.directory import METRICS, read_recipe, save_config
from tests.claims.tiny_run import TinyRun, options, recipe


class BeginsError(Exception):
    """Training would begin now."""


def ran(made):
    """Run a session as `adaptax.experiment.training` does, with its trackers open."""
    with made.trackers:
        made.run()


@pytest.fixture
def gone_on_with(tmp_path, monkeypatch):
    """Goes on with a run without any checkpoint, until training would begin; gives what is said."""

    def begins(*arguments, **more):
        raise BeginsError

    monkeypatch.setattr(session, "begin", begins)
    save_config(tmp_path, recipe(), options())

    def attempt():
        said = []
        found, written = read_recipe(tmp_path)
        around = Surroundings(on_message=said.append)
        with pytest.raises((BeginsError, CheckpointError)) as raised:
            ran(session.TrainSession(found, options_of(written), tmp_path, around, written))
        return said, raised.value

    return attempt


def test_a_run_that_was_stopped_at_once_begins_again(gone_on_with, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    said, raised = gone_on_with()
    assert said[0] == f"{tmp_path}: stopped before its first update; starting at update 0"
    assert isinstance(raised, BeginsError)


@pytest.mark.parametrize("name", ["evaluation.json", "validation.json", "tensorboard", "training.png", METRICS])
def test_E43_a_run_whose_checkpoints_were_deleted_does_not_begin_again(gone_on_with, tmp_path, name):
    (tmp_path / name).symlink_to("nowhere")
    said, raised = gone_on_with()
    assert said == []
    assert isinstance(raised, CheckpointError)
    assert f"{tmp_path / 'checkpoints'}: no checkpoint there, though {name} says that there was one" in str(raised)


@pytest.mark.parametrize("reason", ["", "nobody could gain anything where all that is done earns the same"])
def test_what_is_known_to_gain_nothing_is_said_before_training(tmp_path, monkeypatch, reason):
    monkeypatch.setattr(session, "known_to_gain_nothing", lambda algorithm, problem: reason)
    said = []

    def stopped(*arguments, **more):
        raise BeginsError

    monkeypatch.setattr(session.TrainSession, "_train", stopped)
    with pytest.raises(BeginsError):
        ran(session.TrainSession(recipe(), TrainOptions(devices=1), tmp_path, Surroundings(on_message=said.append)))
    warned = [line for line in said if line.startswith("warning: by default, ")]
    assert [line.partition(": ")[2].partition(": ")[2] for line in warned] == [reason] * bool(reason)
    told = next(index for index, line in enumerate(said) if "environment steps" in line)
    assert all(said.index(line) < told for line in warned)


@pytest.fixture
def taken_up(tmp_path, monkeypatch):
    """Takes a run up at its last checkpoint, until training would begin; gives what is said."""

    def begins(*arguments, **more):
        raise BeginsError

    TinyRun(tmp_path, 0)
    monkeypatch.setattr(session.loop, "train", begins)

    def attempt():
        said = []
        found, written = read_recipe(tmp_path)
        with pytest.raises(BeginsError):
            ran(
                session.TrainSession(
                    found, options_of(written), tmp_path, Surroundings(on_message=said.append), written
                )
            )
        return said

    return attempt


def test_E38_gone_on_with_elsewhere_it_is_said_in_a_line_what_differs_and_what_that_means(taken_up, monkeypatch):
    assert not [line for line in taken_up() if "warning" in line]
    with jax.threefry_partitionable(False):
        (line,) = [line for line in taken_up() if "warning" in line]
    assert line.startswith(
        "warning: checkpoint 30 was made with threefry_partitionable True (here False): other random"
    )
    assert line.endswith("JAX_THREEFRY_PARTITIONABLE=1")
    monkeypatch.setenv("PJRT_NPROC", "99")
    (line,) = [line for line in taken_up() if "warning" in line]
    assert re.fullmatch(r"warning: checkpoint 30 was made with cores \d+ \(here 99\): .* up to rounding, .*", line)


@pytest.mark.parametrize(("name", "checked"), [("bandit", False), ("mine", True)])
def test_what_a_user_brings_is_checked_before_it_is_trained_on_under_whatever_name(
    name, checked, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(session, "require", lambda problem, seed: seen.append(problem))
    registry.enter_problem("mine", registry.PROBLEMS["bandit"])  # as `adaptax.register_problem` does
    try:
        named = dataclasses.replace(recipe(), problem=name)
        session.TrainSession(named, TrainOptions(eval_tasks=0), tmp_path, Surroundings())
    finally:
        registry.forget("mine")
    assert bool(seen) is checked
