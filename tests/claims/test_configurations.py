import json
import subprocess
import sys

import pytest

from tests.claims import configurations
from tests.claims.children import environment_for_tests
from tests.claims.configurations import Answer, faults
from tests.claims.fuzzing import Case

WRONG = Case(("train", "rl2", "bandit", "--seed", "x"), (("--seed", ".seed"),), hint=True)
RIGHT = Answer(2, "", "error[2]: --seed: expected …; did you mean …?\n", 0.01, [])


def test_nothing_is_wrong_with_a_good_answer():
    assert faults(WRONG, RIGHT) == set()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"code": 1}, {"code"}),
        ({"code": None}, {"code", "traceback"}),
        ({"stderr": RIGHT.stderr + "Traceback (most recent call last)"}, {"traceback"}),
        ({"stderr": "error[2]: --sead: did you mean …?"}, {"unnamed"}),
        ({"stderr": "error[2]: --seed"}, {"hint"}),
        ({"stderr": "╭── --seed did you mean"}, {"form"}),
        ({"stderr": RIGHT.stderr + "." * 3000}, {"form"}),
        ({"stdout": "training …"}, {"form"}),
        ({"left": ["runs"]}, {"left"}),
    ],
)
def test_every_fault_is_found(change, fault):
    assert faults(WRONG, RIGHT._replace(**change)) == fault


def test_files_of_one_command_line_are_not_blamed_on_the_next(tmp_path):
    (tmp_path / "old").touch()
    answer, seconds = configurations.run_one(WRONG, tmp_path)
    assert answer.left == []
    assert answer.code == 2
    assert 0 < answer.seconds < 60
    assert seconds > 0


def test_wrong_command_lines_are_refused(monkeypatch):
    monkeypatch.setattr(configurations, "NUM_PROCESSES", 2)
    checks = list(configurations.run(0, 300))
    timed = [check for check in checks if "seconds" in check.name]  # not to be asserted on a busy machine
    assert len(timed) == 3
    for check in checks:
        assert check.passed or check in timed, check.line()


def test_a_traceback_is_told(monkeypatch):
    monkeypatch.setattr(configurations, "NUM_PROCESSES", 1)
    broken = configurations.MANY.replace("main(words)", "raise RuntimeError('boom')")
    monkeypatch.setattr(configurations, "MANY", broken)
    checks = {check.name: check for check in configurations.run(0, 3)}
    traceback = checks["wrong command lines: end in a traceback"]
    assert (traceback.figure, traceback.passed) == (3, False)
    assert "adaptax '" in traceback.note


def test_the_self_test_does_not_start_jax():
    code = (
        "import sys, json\nfrom tests.claims.__main__ import main\n"
        "main(['config', '--n', '5', '--json'])\nprint('jax' in sys.modules)"
    )
    command, env = [sys.executable, "-c", code], environment_for_tests()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    figures, imported = done.stdout.splitlines()
    assert json.loads(figures)["name"] == "config"
    assert imported == "False"
