"""That the claims `any-line` and `any-run` notice what they look for, and try the same again."""

import random
import shutil
import sys

import pytest

from adaptax.runs import checkpoints
from tests.claims import boundary, fuzz_lines, fuzz_runs
from tests.claims.any_input import run_lines, run_runs
from tests.claims.boundary import REACHED, Answer, faults
from tests.claims.children import answers

GOOD = Answer(2, "", "note: something\nerror[2]: --seed: expected …; found 'x'\n", 0.1, 0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"code": 0, "stderr": "", "stdout": "table"}, None),
        ({"stderr": "", "stdout": "usage: adaptax"}, None),
        ({"code": None}, "traceback"),
        ({"stderr": GOOD.stderr + "Traceback (most recent call last)"}, "traceback"),
        ({"code": 1, "stderr": "error[1]: KeyError (this should not happen; …)"}, "code"),
        ({"code": 5}, "line"),
        ({"code": 0}, "line"),
        ({"stderr": ""}, "line"),
        ({"stderr": 2 * GOOD.stderr}, "line"),
        ({"stderr": GOOD.stderr + "\x1b[2J"}, "control"),
        ({"stderr": GOOD.stderr + "x" * 5000}, "long"),
    ],
)
def test_every_fault_is_found(change, fault):
    found = faults(GOOD._replace(**change))
    assert not found if fault is None else fault in found


def test_a_line_depends_on_its_number_alone_and_all_commands_are_typed():
    line = fuzz_lines.lines(3)
    drawn = [line(number) for number in range(400)]
    assert drawn == [fuzz_lines.lines(3)(number) for number in range(400)]
    assert drawn != [fuzz_lines.lines(4)(number) for number in range(400)]
    assert {words[0] for words in drawn if words} >= {*fuzz_lines.COMMANDS}
    for words in drawn:
        assert not any(word.startswith(("/", "..")) or "\0" in word for word in words)


@pytest.mark.parametrize("kind", list(dict.fromkeys(fuzz_runs.KINDS)), ids=lambda kind: kind.__name__)
def test_something_is_changed(kind, tmp_path):
    content = lambda run: {  # noqa: E731
        path.relative_to(run): path.read_bytes() if path.is_file() else None for path in run.rglob("*")
    }
    changed = 0
    for number in range(10):
        run = tmp_path / str(number)
        shutil.copytree(fuzz_runs.GOLDEN[0], run)
        kind(random.Random(number), run)
        changed += content(run) != content(fuzz_runs.GOLDEN[0])
        if kind is fuzz_runs.repack:  # by somebody who knows how checkpoints are sealed
            for path in (run / checkpoints.FOLDER).glob("*.json"):
                checkpoints.seals.unseal(path.read_bytes())
    assert changed >= 8


@pytest.fixture
def place(tmp_path):
    shutil.copytree(fuzz_runs.GOLDEN[0], tmp_path / "run")
    with boundary.stopping_there():
        yield tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "run"],
        ["compare", "run", "--out", "report"],
        ["train", "--resume", "run"],
        ["train", "rl2", "bandit", "--out", "new"],
        ["train", "--distributed", "rl2", "bandit", "--out", "newer"],
        ["plan", "maml", "point-robot"],
        ["check-env", "bandit"],
        ["reproduce", "duan2016-bandits", "--out", "table"],
    ],
    ids=" ".join,
)
def test_what_is_right_comes_to_the_boundary_and_no_further(words, place, monkeypatch):
    monkeypatch.setattr(boundary, "CODES", {75})
    answer = boundary.run(words, place)
    assert faults(answer) == {}
    assert answer.stderr.endswith(f"error[75]: {REACHED}\n")


def test_a_child_that_dies_is_told_and_the_next_goes_on():
    program = (
        "import json, os, sys\nn = int(sys.argv[1])\n"
        "for i in range(n, 5):\n if i == 2 == n + 2: os._exit(9)\n print(json.dumps({'number': i}), flush=True)\n"
        "print('null', flush=True)"
    )
    found = [*answers([sys.executable, "-c", program])]
    assert [one["number"] for one in found] == [0, 1, 2, 3, 4]
    assert [one.get("faults") for one in found] == [None, None, {"hung": ""}, None, None]


def test_children_that_cannot_be_started_are_not_started_for_ever():
    with pytest.raises(RuntimeError, match=r"5 children in a row have said nothing: .*exit"):
        list(answers([sys.executable, "-c", "import sys; sys.exit(3)"]))


@pytest.mark.process
@pytest.mark.nightly
@pytest.mark.parametrize("run", [run_lines, run_runs])
def test_many(run):
    for check in run(1, 500):
        assert check.passed, check.line()
