"""Trap E42: two commands in one directory: all pairs in one process, some in two."""

import json
import math
import os
import shutil
import subprocess
import sys
import time

import pytest

from adaptax.core import atomic_files
from adaptax.core.errors import AdaptaxError
from adaptax.experiment import comparison, evaluation, reproduction, training
from adaptax.experiment.assessment import Assessment
from adaptax.experiment.options import ReproduceOptions
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.paper_tables import Cell, Table
from adaptax.runs import checkpoints
from adaptax.runs.directory import save_config
from adaptax.runs.trackers.trackers import Trackers
from tests.claims.tiny_run import UPDATES, TinyRun, options, recipe
from tests.cli.conftest import environment

RECIPE = recipe()
OTHER = {"memory_size": 4, "critic_size": 4, "num_tasks": 8, "num_minibatches": 2, "num_updates": 2000}
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
            self.evaluation = None
            self.trackers = Trackers((), directory, {}, surroundings.on_message)
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
    monkeypatch.setattr("adaptax.reports.comparison_page.report", lambda content: "page")
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
            assert set(after) - set(before) <= (
                {"evaluation.json", "adaptation.png", "returns.npz"} if ends[0][0] == 0 else set()
            )

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


TINY = f"""
from adaptax.cli import main
from adaptax.registry.paper_tables import TABLES, Cell, Table
TABLES["tiny"] = Table("", "rl2", "bandit", {{"x": Cell({{"num_arms": 3, "num_pulls": 5}}, {OTHER}, 1.0, None, "")}})
main()
"""
TRAIN = ["train", "rl2", "bandit", "--num-arms", "3", "--num-pulls", "5", "--out", "out/x", "--num-updates", "2000"]
TRAIN += ["--num-tasks", "8", "--memory-size", "4", "--critic-size", "4", "--num-minibatches", "2", "--eval-tasks", "9"]
TYPED = {
    "train": TRAIN,
    "resume": ["train", "--resume", "out/x"],
    "reproduce": ["reproduce", "tiny", "--out", "out", "--tasks", "20"],
    "evaluate": ["evaluate", "out/x", "--tasks", "9"],
    "compare": ["compare", "ucb1", "--problem", "bandit", "--tasks", "60", "--family-tasks", "30", "--out", "out/x"],
}


@pytest.mark.process
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("reproduce", "reproduce", 6),
        ("reproduce", "resume", 6),
        ("train", "reproduce", 6),
        ("train", "evaluate", 0),
        ("compare", "compare", 6),
    ],
)
def test_E42_of_two_processes_in_one_directory_none_spoils_the_other(tmp_path, start, first, second, expected):
    def begin(name):
        how = {"cwd": tmp_path, "env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return start([sys.executable, "-c", TINY, *TYPED[name]], text=True, **how)

    one = begin(first)
    begun = "x/.lock" if first == "compare" else "x/checkpoints/update-00000000.json"
    while not (tmp_path / "out" / begun).exists():
        assert one.poll() is None, one.communicate()[1]
        time.sleep(0.01)
    two = begin(second)
    said = two.communicate()[1]
    assert two.returncode == expected, said
    assert expected == 0 or f"in use by process {one.pid}" in said
    one_said = one.communicate()[1]
    assert one.returncode == 0, one_said
    assert os.listdir(tmp_path / "out") == ["x"]
    if first != "compare":
        rows = (tmp_path / "out/x/metrics.jsonl").read_text().splitlines()
        assert [json.loads(row)["update"] for row in rows] == list(range(1, len(rows) + 1))
        assert checkpoints.updates_in(tmp_path / "out/x")[-1] == len(rows)
