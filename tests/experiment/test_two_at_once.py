"""Trap E42: two commands in one directory; all pairs, the second while the first is at work, in one process."""

import json
import math
import shutil

import pytest

from adaptax.core import atomic_files
from adaptax.core.errors import AdaptaxError
from adaptax.experiment import comparison, evaluation, reproduction, training
from adaptax.experiment.evaluation import Assessment
from adaptax.experiment.options import ReproduceOptions
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.paper_tables import Cell, Table
from adaptax.runs import checkpoints
from adaptax.runs.directory import save_config
from tests.claims.tiny_run import UPDATES, TinyRun, options, recipe

RECIPE = recipe()
OTHER = {"memory_size": 4, "critic_size": 4, "num_tasks": 8, "num_minibatches": 2, "num_updates": 41}
TABLE = Table("", "rl2", "bandit", {"x": Cell({"num_arms": 3, "num_pulls": 5}, OTHER, 1.0, None, "")})
NEWEST = UPDATES[-1]
QUIET = {"on_message": lambda line: None}
COMMANDS = {
    "train": lambda place: training.train(
        RECIPE.algorithm_settings, RECIPE.problem_settings, directory=place, eval_tasks=0, **QUIET
    ),
    "resume": lambda place: training.resume(place, **QUIET),
    "reproduce": lambda place: reproduction.finish(TABLE, "x", ReproduceOptions(), place, Surroundings(**QUIET)),
    "evaluate": lambda place: evaluation.evaluate(place, **QUIET),
    "compare": lambda place: comparison.compare(["ucb1"], problem="bandit", out=place, **QUIET),
}
BEGIN = ("train", "compare")
"""Commands that want a directory where no run is yet."""


def code_of_second(first, second):
    """With what the second ends: 0 where neither is in the other's way."""
    if first == "evaluate":  # which claims nothing; who comes may do what may be done in a run's directory
        return 6 if second in BEGIN else 0
    if first == "compare" and second in ("evaluate", "resume"):
        return 5  # there is no run
    return 0 if second == "evaluate" else 6


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyRun(tmp_path_factory.mktemp("run"), 0)


@pytest.fixture
def meanwhile(tiny, monkeypatch):
    """What is done, once, while the first command is at work; trainings and measurements themselves do nothing."""
    todo, inside = [], set()

    def at_work():
        if todo:
            todo.pop()()

    class Session:
        def __init__(self, recipe, chosen, directory, surroundings, started_with=None, *, preset="default"):
            self.recipe, self.directory, self.options, self.stopped = recipe, directory, chosen, True
            if started_with is None:
                save_config(directory, recipe, options())

        def run(self):
            place = self.directory.stat().st_ino
            assert place not in inside, "two train in one directory"
            inside.add(place)
            for update in range(NEWEST - 5, NEWEST + 1):
                checkpoints.save(
                    self.directory, tiny.states[NEWEST], update=update, about=self.recipe.about(options()), keep=UPDATES
                )
            at_work()
            inside.remove(place)
            return self

    def assess(*arguments, **more):
        at_work()
        return Assessment({}, math.nan, None, {"horizon": 5, "episodes": 1})

    def measure(*arguments):
        at_work()
        return {"warnings": []}

    monkeypatch.setattr(training, "TrainSession", Session)
    monkeypatch.setattr(reproduction, "TrainSession", Session)
    monkeypatch.setattr(evaluation, "assess", assess)
    monkeypatch.setattr(comparison, "measure", measure)
    monkeypatch.setattr(comparison, "_write_report", lambda path, content: atomic_files.write(path, b"page"))
    monkeypatch.setattr(
        "adaptax.reports.figures.plot_adaptation", lambda path, *rest, **more: atomic_files.write(path, b"picture")
    )
    return todo


def files(place):
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def attempt(name, place):
    """Do it; the exit code, and what was said."""
    try:
        COMMANDS[name](place)
    except AdaptaxError as error:
        return error.exit_code, str(error)
    return 0, ""


@pytest.mark.parametrize("first", COMMANDS)
@pytest.mark.parametrize("second", COMMANDS)
def test_E42_of_two_commands_in_one_directory_none_spoils_the_other(tiny, meanwhile, tmp_path, first, second):
    place, ends = tmp_path / "x", []
    if first in BEGIN:
        place.mkdir()
    else:
        shutil.copytree(tiny.directory, place)
    there = files(place)

    def come_second():
        before = files(place)
        ends.append(attempt(second, place))
        if first != "evaluate":
            after = files(place)
            assert {name: data for name, data in after.items() if name in before} == before
            assert set(after) - set(before) <= ({"evaluation.json", "adaptation.png"} if ends[0][0] == 0 else set())

    meanwhile.append(come_second)
    code, said = attempt(first, place)
    if (first, second) == ("evaluate", "reproduce"):
        assert code == 6
        assert "was moved meanwhile" in said
    else:
        assert code == 0, said
    ((code, said),) = ends
    assert code == code_of_second(first, second), said
    assert code != 6 or first == "evaluate" or "in use by process" in said
    kept = {name for moved in tmp_path.glob("x*") for name in files(moved)}
    assert {name for name in there if name.startswith(checkpoints.FOLDER)} <= kept
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_bytes())
    assert not list(tmp_path.rglob("*.tmp"))
