import pytest

from adaptax.core.errors import CheckpointError
from adaptax.experiment import session
from adaptax.experiment.recipes import options_of
from adaptax.experiment.surroundings import Surroundings
from adaptax.runs.directory import METRICS, read_recipe, save_config
from tests.claims.tiny_run import options, recipe


class BeginsError(Exception):
    """Training would begin now."""


@pytest.fixture
def gone_on_with(tmp_path, monkeypatch):
    """Goes on with a run without any checkpoint, until training would begin; gives what is said."""

    def begins(*arguments, **more):
        raise BeginsError

    monkeypatch.setattr(session, "init", begins)
    save_config(tmp_path, recipe(), options())

    def attempt():
        said = []
        found, written = read_recipe(tmp_path)
        around = Surroundings(on_message=said.append)
        with pytest.raises((BeginsError, CheckpointError)) as raised:
            session.TrainSession(found, options_of(written), tmp_path, around, written).run()
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
