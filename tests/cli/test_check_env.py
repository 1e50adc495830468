import json
import sys

import pytest

from adaptax.cli.main import main
from tests.cli.conftest import run

GOOD = (
    "from adaptax.envs import bernoulli_bandit\n\n\ndef make():\n    return bernoulli_bandit(num_arms=3, num_pulls=5)\n"
)
SOURCES = {
    "good.py": GOOD,
    "needs.py": GOOD.replace("make()", "make(size)"),
    "fails.py": "def make():\n    return 1 / 0\n\n\nvalue = 3\n",
    "missing.py": "import gymnaxx\n",
    "wrong.py": "def make(:\n",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, source in SOURCES.items():
        (tmp_path / name).write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr("adaptax.cli.session.start_jax", lambda: None)
    yield tmp_path
    for name in SOURCES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["goood:make"], "did you mean 'good'?"),
        (["good:maker"], "did you mean 'make'?"),
        (["needs:make"], "needs size"),
        (["fails:make"], "ZeroDivisionError: division by zero (fails.py, line 2)"),
        (["fails:value"], "expected a function; found int"),
        (["missing:make"], "imports 'gymnaxx', which is not installed (missing.py, line 1)"),
        (["wrong:make"], "wrong.py, line 1: invalid syntax"),
        (["os.path:exists;x"], "expected MODULE:FACTORY"),
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


@pytest.mark.slow
def test_a_good_one_passes_and_a_broken_one_is_exit_code_3(place):
    done = run("check-env", "good:make", "--tasks", "4", "--steps", "20", cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASS")
    (place / "bad.py").write_text(GOOD + "\n\ndef broken():\n    return {}\n")
    done = run("check-env", "bad:broken", "--json", cwd=place)
    assert done.returncode == 3
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["rule"] == "problem"
