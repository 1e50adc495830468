import json
import re
import sys

import pytest

from adaptax.cli.main import main
from tests.cli.conftest import run

GOOD = """from adaptax.problems import bernoulli_bandit


def make():
    return bernoulli_bandit(num_arms=3, num_pulls=5)
"""
SOURCES = {
    "good.py": GOOD,
    "needs.py": GOOD.replace("make()", "make(size)"),
    "fails.py": "def make():\n    return 1 / 0\n\n\nvalue = 3\n",
    "missing.py": "import gymnaxx\n",
    "wrong.py": "def make(:\n",
    "stops.py": "raise SystemExit(0)\n",
    "elsewhere.py": "import json\n\n\ndef make():\n    return json.loads('{')\n",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, source in SOURCES.items():
        (tmp_path / name).write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("adaptax.experiment.jax_setup.start_jax", lambda: None)
    yield tmp_path
    for name in (*SOURCES, "bad.py"):
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["goood:make"], "did you mean 'good'?"),
        (["good:maker"], "did you mean 'make'?"),
        (["needs:make"], "needs size"),
        (["fails:make"], "ZeroDivisionError: division by zero (fails.py, line 2)"),
        (["fails:value"], "expected a function; found an int"),
        (["missing:make"], "imports 'gymnaxx', which is not installed (missing.py, line 1)"),
        (["stops:make"], "importing it raised SystemExit: 0 (stops.py, line 1)"),
        (["elsewhere:make"], "(elsewhere.py, line 5)"),
        (["wrong:make"], "wrong.py, line 1: invalid syntax"),
        (["os.path:exists;x"], "expected MODULE:NAME"),
        (["bandid"], "did you mean 'bandit'?"),
        ([], "found nothing"),
        (["good:make", "--tasks", "1"], "tasks"),
    ],
)
def test_what_cannot_be_imported_or_made_is_exit_code_2_in_a_line(place, capsys, words, says):
    with pytest.raises(SystemExit) as stop:
        main(["check-env", *words])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert says in error
    assert error.startswith("error[2]: ")
    assert error.count("\n") == 1


def test_that_there_is_no_such_module_is_found_before_jax_is_imported(place, capsys, monkeypatch):
    def too_late():
        raise AssertionError("JAX was started")

    monkeypatch.setattr("adaptax.experiment.jax_setup.start_jax", too_late)
    with pytest.raises(SystemExit) as stop:
        main(["check-env", "no_such_module.envs:make"])
    assert stop.value.code == 2
    assert "expected a module, here or installed; found none" in capsys.readouterr().err


@pytest.mark.compiles
def test_a_good_one_passes_and_a_broken_one_is_exit_code_3(place):
    done = run("check-env", "good:make", "--tasks", "4", "--steps", "20", cwd=place)
    assert done.returncode == 0, done.stderr
    # 4 families, shifted tasks among them; 20 steps in each, 5 in each task.
    assert re.fullmatch(r"PASS 15/15 rules, 16 tasks, 80 steps \(\d+\.\d s\)\n", done.stdout)
    (place / "bad.py").write_text(GOOD + "\n\ndef broken():\n    return {}\n")
    done = run("check-env", "bad:broken", "--json", cwd=place)
    assert done.returncode == 3
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["rule"] == "problem"
    done = run("check-env", "bad:broken", cwd=place)
    assert done.stdout.splitlines()[-1].startswith("FAIL 1 of 15 rules, found before any step (")
