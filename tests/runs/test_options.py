import dataclasses

import pytest

from adaptax.core.errors import ConfigError
from adaptax.runs.options import CHANGING, KeptOptions, TrainOptions, of_older


@pytest.mark.parametrize(
    ("options", "interval"),
    [
        ({}, 0),
        ({"eval_every": 7}, 7),
        ({"select_on": "validation"}, 10),
        ({"select_on": "validation", "eval_every": 25}, 25),
    ],
)
def test_how_often_it_is_validated(options, interval):
    assert TrainOptions(**options).evaluation_interval == interval


def test_tasks_of_evaluations_that_there_are_not_are_refused():
    for some in ({"eval_every": 1}, {"select_on": "validation"}):
        assert TrainOptions(validation_tasks=50, **some).validation_tasks == 50
    with pytest.raises(ConfigError, match=r"--validation-tasks: has an effect only with .*; found 50\. Leave it"):
        TrainOptions(validation_tasks=50)
    assert TrainOptions(validation_tasks=400) == TrainOptions()


def test_plans_are_read_as_lists_and_are_tuples():
    assert KeptOptions(planned_before=[40, 17]).planned_before == (40, 17)
    assert KeptOptions(planned_before=[]).planned_before == ()
    assert KeptOptions().planned_before is None
    assert {field.name for field in dataclasses.fields(KeptOptions)} >= set(CHANGING)


@pytest.mark.parametrize("plans", [3, "40", [0], [-1], ["40"], [True], [40.0], [None], {40: 1}])
def test_what_are_no_plans_is_refused(plans):
    with pytest.raises(ConfigError, match=r"options\.planned_before: expected numbers of updates; found"):
        KeptOptions(planned_before=plans)


def test_what_a_run_keeps_is_checked_like_what_was_typed():
    assert KeptOptions(from_="first", from_update=40).from_ == "first"
    with pytest.raises(ConfigError, match=r"KeptOptions\.from_: expected a word; found 3"):
        KeptOptions(from_=3)
    with pytest.raises(ConfigError, match=r"KeptOptions\.seeds: expected an integer between 1 and 1024; found 0"):
        KeptOptions(seeds=0)
    with pytest.raises(ConfigError, match="--validation-tasks"):
        KeptOptions(validation_tasks=50)


def test_an_interval_of_older_runs_had_an_effect_only_where_it_was_selected_by():
    assert of_older({"seed": 1}) == {"seed": 1}
    chosen = {"select_on": "validation", "validate_every": 20, "seed": 1}
    assert of_older(chosen) == {"select_on": "validation", "eval_every": 20, "seed": 1}
    assert of_older({"select_on": "last", "validate_every": 20}) == {"select_on": "last"}
    assert of_older({"validate_every": 20}) == {}
    assert "validate_every" in chosen  # what was given stays as it is


@pytest.mark.parametrize(
    ("given", "kept"), [(None, None), ((), ()), ("wandb", ("wandb",)), (["mlflow", "trackio"], ("mlflow", "trackio"))]
)
def test_trackers_are_some_of_those_that_there_are(given, kept):
    assert TrainOptions(log=given).log == kept
    assert KeptOptions(log=given).log == kept


@pytest.mark.parametrize("given", ["wandbb", ["tensorboard"], ["wandb", "wandb"], 3, [["wandb"]], {"wandb": 1}])
def test_other_trackers_are_refused(given):
    with pytest.raises(ConfigError, match=r"^--log: expected some of wandb, mlflow, trackio, each once; found "):
        TrainOptions(log=given)


def test_where_a_run_is_logged_is_nothing_that_a_checkpoint_is_of():
    assert "log" in CHANGING
