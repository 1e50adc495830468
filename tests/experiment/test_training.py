"""What belongs to a training and in which order; the training itself: `test_session.py` and `test_chunks.py`."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from adaptax.core.errors import OutputError
from adaptax.experiment import reporting, training
from adaptax.experiment.curves import CURVE
from adaptax.experiment.distributed import Group
from adaptax.experiment.options import TrainOptions
from adaptax.experiment.surroundings import Surroundings
from adaptax.runs.directory import CONFIG, save_config
from adaptax.runs.trackers.trackers import Trackers
from tests.claims.tiny_run import options, recipe

CHOSEN = {"num_updates": 3, "num_arms": 3, "on_message": lambda line: None}


def trained(recipe, options, directory, **changes):
    """A run as a session leaves it behind."""
    known = {"stopped": False, "done": 3, "agent": "the last", "evaluation": None, **changes}
    figures = lambda: {"seconds": 1.5}  # noqa: E731
    return SimpleNamespace(recipe=recipe, options=options, directory=directory, figures=figures, **known)


class Written(str):
    """An evaluation that was written down."""

    def scalars(self):
        return {}


@pytest.fixture
def seen(monkeypatch):
    """What was called, in order; nothing is trained or evaluated."""
    calls, changes = [], {}

    class Session:
        def __init__(self, recipe, options, directory, surroundings, started_with=None, *, preset="default"):
            calls.append(("session", directory, started_with and started_with["planned_before"], preset))
            self.run = lambda: trained(recipe, options, directory, **changes)
            self.trackers = Trackers((), directory, {}, calls.append)

    def assess(recipe, agent, *, update, num_tasks, seed, against, surroundings, references):
        calls.append(("assess", agent, update, num_tasks, seed, against))
        return "found"

    monkeypatch.setattr(training, "TrainSession", Session)
    monkeypatch.setattr(training, "assess", assess)
    write = lambda found, place, figures, say: calls.append(("write", found, figures)) or Written("written")  # noqa: E731
    monkeypatch.setattr(training, "write_assessment", write)
    monkeypatch.setattr(training, "read_agent", lambda directory, say: ("the best", 2))
    report = lambda run, agent, around: calls.append(("report", agent, run.evaluation)) or "page"  # noqa: E731
    monkeypatch.setattr(training, "report_of_training", report)
    monkeypatch.setattr(training, "draw_training", lambda run, say: calls.append(("draw", run.evaluation)))
    return SimpleNamespace(calls=calls, changes=changes)


def test_a_new_run_is_trained_then_evaluated_then_written_down(seen, tmp_path):
    run = training.train("rl2", "bandit", directory=str(tmp_path / "new"), out=tmp_path / "old", seed=4, **CHOSEN)
    assert run.evaluation == "written"
    assert run.recipe.problem_settings.num_arms == 3
    assert seen.calls == [
        ("session", tmp_path / "new", None, "default"), ("assess", "the last", 3, 4000, 4, None),
        ("write", "found", {"seconds": 1.5}), ("report", "the last", "written"),
    ]  # fmt: skip
    assert not (tmp_path / "old").exists()
    assert run.report == "page"


def test_no_page_is_written_where_none_is_wanted(seen, tmp_path):
    training.train("rl2", "bandit", directory=tmp_path / "first", report=False, **CHOSEN)
    training.train("rl2", "bandit", directory=tmp_path / "second", eval_tasks=0, **CHOSEN)
    assert "report" not in [name for name, *_ in seen.calls]


def test_a_page_that_cannot_be_made_costs_a_warning_and_nothing_else(monkeypatch, tmp_path):
    said, run = [], trained(None, TrainOptions(), tmp_path)
    monkeypatch.setattr(reporting, "read_facts", lambda *given: 1 / 0)
    assert reporting.report_of_training(run, "the last", Surroundings(on_message=said.append)) is None
    assert len(said) == 1
    assert said[0].startswith("warning: report.html could not be written (ZeroDivisionError")


def test_its_directory_is_what_is_said_or_the_first_that_is_free(seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/rl2-bandit-1").mkdir(parents=True)
    places = [{"out": Path("a")}, {"directory": "b"}, {}, {}]
    found = [training.train("rl2", "bandit", eval_tasks=0, **place, **CHOSEN).directory for place in places]
    assert found == [Path(name) for name in ("a", "b", "runs/rl2-bandit-2", "runs/rl2-bandit-3")]
    (tmp_path / "b" / CONFIG).touch()
    with pytest.raises(OutputError, match="already holds a run"):
        training.train("rl2", "bandit", directory="b", **CHOSEN)


@pytest.mark.parametrize(("eval_tasks", "stopped"), [(0, False), (9, True)])
def test_what_was_stopped_or_is_not_to_be_evaluated_is_not(seen, tmp_path, eval_tasks, stopped):
    seen.changes["stopped"] = stopped
    run = training.train("rl2", "bandit", directory=tmp_path, eval_tasks=eval_tasks, **CHOSEN)
    assert (run.evaluation, len(seen.calls)) == (None, 1)


@pytest.mark.parametrize(("algorithm", "agent"), [("rl2", ("the best", 2)), ("q-learning", ("the last", 3))])
def test_where_it_was_selected_by_validation_the_best_is_evaluated(seen, tmp_path, algorithm, agent):
    training.train(algorithm, "bandit", directory=tmp_path, select_on="validation", eval_tasks=7, num_pulls=20)
    assert seen.calls[1] == ("assess", *agent, 7, 0, None)


def test_a_curve_that_was_drawn_is_drawn_again_beside_the_evaluation(seen, tmp_path):
    (tmp_path / CURVE).touch()
    training.train("rl2", "bandit", directory=tmp_path, preset="10x5", **CHOSEN)
    assert seen.calls[0] == ("session", tmp_path, None, "10x5")
    assert seen.calls[2:] == [
        ("draw", "found"),
        ("write", "found", {"seconds": 1.5}),
        ("report", "the last", "written"),
    ]


def test_a_run_whose_evaluation_cannot_be_written_is_not_lost(seen, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "write_assessment", Mock(side_effect=OSError(13, "Permission denied")))
    with pytest.raises(OutputError, match="Permission denied") as refused:
        training.train("rl2", "bandit", directory=tmp_path, **CHOSEN)
    assert (refused.value.result.done, refused.value.result.evaluation) == (3, "found")


def test_a_run_is_gone_on_with_as_it_was_started_or_with_another_plan(seen, tmp_path):
    save_config(tmp_path, recipe(), {**options(seed=6), "from_": "first", "eval_tasks": 5})
    run = training.resume(tmp_path)
    assert (run.recipe, run.options) == (recipe(), TrainOptions(seed=6, eval_tasks=5))
    assert training.resume(str(tmp_path), num_updates=60).recipe.algorithm_settings.num_updates == 60
    assert [call[2] for call in seen.calls if call[0] == "session"] == [None, (40,)]
    assert seen.calls[1] == ("assess", "the last", 3, 5, 6, None)


def test_who_does_not_write_follows_and_makes_no_directory(seen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    followed = []
    monkeypatch.setattr(training, "follow", lambda around, *asked: followed.append(asked) or "followed")
    group = Group(SimpleNamespace(first=False, index=1))
    assert training.train("rl2", "bandit", group=group, seed=3, **CHOSEN) == "followed"
    assert training.resume("nothing", group=group) == "followed"
    assert [len(asked) for asked in followed] == [2, 0]
    assert (followed[0][0].algorithm_settings.num_updates, followed[0][1]) == (3, TrainOptions(seed=3))
    assert list(tmp_path.iterdir()) == seen.calls == []
