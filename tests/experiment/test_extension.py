"""Another number of updates, as it is written down; how such a run goes on: `tests/strangers/test_going_on.py`."""

import dataclasses
import json

import pytest

from adaptax.core.errors import ConfigError, OutputError
from adaptax.experiment import extension
from adaptax.experiment.extension import EVALUATED, replanned
from adaptax.registry.presets import settings_for
from adaptax.runs.checkpoints import FOLDER
from adaptax.runs.directory import CONFIG, read_recipe, save_config
from adaptax.runs.recipe import Recipe
from tests.claims.tiny_run import options, recipe


@pytest.fixture
def run(tmp_path):
    """A run of 40 planned updates, with files of checkpoints of 10 and 30, and one of an impossible update."""
    save_config(tmp_path, recipe(), options())
    (tmp_path / FOLDER).mkdir()
    for update in (10, 30, 50):
        (tmp_path / FOLDER / f"update-{update:08d}.json").touch()
    return tmp_path


def plan(directory, num_updates, say=lambda line: None):
    return replanned(*read_recipe(directory), directory, num_updates, say)


def contents(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("num_updates", [None, 40])
def test_the_same_number_changes_nothing(run, num_updates):
    before = contents(run)
    assert replanned(*read_recipe(run), run, num_updates, pytest.fail) == read_recipe(run)
    assert contents(run) == before


def test_the_new_plan_is_written_and_the_old_one_kept(run):
    said = []
    new, written = plan(run, 60, said.append)
    assert new == dataclasses.replace(
        recipe(), algorithm_settings=dataclasses.replace(recipe().algorithm_settings, num_updates=60)
    )
    assert written == {**options(), "planned_before": (40,), "planned_at": 30}
    assert read_recipe(run) == (new, written)
    (line,) = said
    assert line.startswith(f"{run}: 60 updates instead of 40. Where a learning rate")
    assert "from update 30 on it is as if 60 had been planned" in line
    plan(run, 55)
    assert read_recipe(run)[1]["planned_before"] == (40, 60)
    assert read_recipe(run)[1]["planned_at"] == 50  # an update that the run may have by now


def test_not_fewer_than_there_are(run):
    before = contents(run)
    with pytest.raises(
        ConfigError, match=r"--num-updates: expected at least 30, as .* behind it; found 29\. Nothing was changed"
    ):
        plan(run, 29)
    assert contents(run) == before
    assert plan(run, 30)[1]["planned_at"] == 30


def test_a_run_without_checkpoints_has_none_behind_it(tmp_path):
    save_config(tmp_path, recipe(), options())
    assert plan(tmp_path, 1)[1]["planned_at"] == 0


def test_what_an_evaluation_left_is_put_aside_each_time_into_a_folder_of_its_own(run):
    for name in EVALUATED[:2]:
        (run / name).write_text(f"first {name}")
    said = []
    plan(run, 60, said.append)
    assert said[0] == (f"{run}: evaluation.json, returns.npz, of the agent as it was, moved to evaluation-of-update-30")
    assert {path.name for path in (run / "evaluation-of-update-30").iterdir()} == set(EVALUATED[:2])
    (run / FOLDER / "update-00000050.json").unlink()
    (run / EVALUATED[0]).symlink_to("nowhere")
    plan(run, 70, said.append)
    assert (run / "evaluation-of-update-30-2" / EVALUATED[0]).is_symlink()
    assert (run / "evaluation-of-update-30" / EVALUATED[0]).read_text() == f"first {EVALUATED[0]}"
    assert not any((run / name).exists() for name in EVALUATED)


def test_what_learns_from_nothing_has_no_updates(tmp_path):
    nothing = Recipe("q-learning", "chain", *settings_for("q-learning", "chain"))
    assert replanned(nothing, {}, tmp_path, None, pytest.fail) == (nothing, {})
    with pytest.raises(ConfigError, match="--num-updates: q-learning learns every task from nothing"):
        replanned(nothing, {}, tmp_path, 5, pytest.fail)


def test_where_it_cannot_be_written_the_run_has_its_old_plan(run, monkeypatch):
    def refuse(*arguments):
        raise OSError(13, "Permission denied")

    (run / EVALUATED[0]).write_text("of the agent as it was")
    before = contents(run)
    monkeypatch.setattr(extension, "save_config", refuse)
    with pytest.raises(OutputError, match=r"cannot be written down \(Permission denied\); the run is as it was"):
        replanned(*read_recipe(run), run, 60, pytest.fail)
    assert contents(run) == before
    assert json.loads((run / CONFIG).read_text())["algorithm_settings"]["num_updates"] == 40
