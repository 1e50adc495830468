import json
import subprocess
import sys

import pytest

from adaptax.experiment import jax_setup
from tests.claims import __main__ as claims
from tests.claims.checks import at_most, measured
from tests.claims.children import environment_for_tests


def fake(monkeypatch, *checks):
    """Replace every claim by one with known figures; return what it was called with."""
    calls = []

    def run(seed, n):
        calls.append((seed, n))
        return iter(checks)

    monkeypatch.setattr(jax_setup, "start_jax", lambda: None)
    monkeypatch.setattr(claims, "load", lambda name: run)
    return calls


def test_passing(monkeypatch, capsys):
    calls = fake(monkeypatch, at_most("one", 1, 2), measured("two", 3.0), at_most("three", 0, 0))
    assert claims.main(["gradients", "--seed", "3", "--n", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("PASS 2/2")
    assert calls == [(3, 4)]


def test_failing_is_exit_code_1(monkeypatch, capsys):
    calls = fake(monkeypatch, at_most("one", 1, 2), at_most("two", 3, 2))
    assert claims.main(["gradients"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL 1/2")
    assert calls == [(0, 50)]


def test_json_is_all_there_is_on_standard_output(monkeypatch, capsys):
    fake(monkeypatch, at_most("one", 1, 2, "how"))
    assert claims.main(["gradients", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["name"] == "gradients"
    assert result["passed"] is True
    assert result["checks"] == [{"name": "one", "figure": 1.0, "bar": "≤ 2", "passed": True, "note": "how"}]


def test_all_in_turn_each_with_as_many_instances_as_its_claim_is_about(monkeypatch, capsys):
    calls = fake(monkeypatch, at_most("one", 1, 2))
    assert claims.main(["all"]) == 0
    assert calls == [(0, test.n) for test in claims.CLAIMS.values()]
    out = capsys.readouterr().out
    assert all(f"\n{name}: {test.summary}\n" in out for name, test in claims.CLAIMS.items())


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["gradient"], "invalid choice: 'gradient'"),
        ([], "required: NAME"),
        (["gradients", "--n", "-1"], "expected a whole number"),
        (["gradients", "--see", "1"], "unrecognized arguments: --see"),
    ],
)
def test_wrong_words_are_refused(typed, says, capsys):
    with pytest.raises(SystemExit) as stop:
        claims.main(typed)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_help_lists_all(capsys):
    with pytest.raises(SystemExit) as stop:
        claims.main(["--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(claim.summary in out for claim in claims.CLAIMS.values())


def test_every_claim_can_be_loaded():
    for name in claims.CLAIMS:
        assert callable(claims.load(name))


def test_arguments_are_checked_before_jax_is_imported():
    code = (
        "import sys\nfrom tests.claims.__main__ import main\n"
        "try: main(['gradient'])\nexcept SystemExit as e: print(type(e).__name__, 'jax' in sys.modules)"
    )
    command, env = [sys.executable, "-c", code], environment_for_tests()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "SystemExit False\n"
