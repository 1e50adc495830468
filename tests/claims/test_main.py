import json
import subprocess
import sys

import pytest

from adaptax.cli import selftest
from adaptax.cli.main import main
from adaptax.core.errors import ConfigError
from adaptax.experiment import jax_setup
from tests.claims.checks import at_most, measured


def fake(monkeypatch, *checks):
    """Replace the self-test by one with known figures; return what it was called with."""
    calls = []

    def run(seed, n):
        calls.append((seed, n))
        return iter(checks)

    monkeypatch.setattr(jax_setup, "start_jax", lambda: None)
    monkeypatch.setattr(selftest, "load", lambda name: run)
    return calls


def test_passing(monkeypatch, capsys):
    calls = fake(monkeypatch, at_most("one", 1, 2), measured("two", 3.0), at_most("three", 0, 0))
    assert selftest.command(["gradients", "--seed", "3", "--n", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("PASS 2/2")
    assert calls == [(3, 4)]


def test_failing_is_exit_code_1(monkeypatch, capsys):
    calls = fake(monkeypatch, at_most("one", 1, 2), at_most("two", 3, 2))
    assert selftest.command(["gradients"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL 1/2")
    assert calls == [(0, 50)]


def test_json_is_all_there_is_on_standard_output(monkeypatch, capsys):
    fake(monkeypatch, at_most("one", 1, 2, "how"))
    assert selftest.command(["gradients", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["name"] == "gradients"
    assert result["passed"] is True
    assert result["checks"] == [{"name": "one", "figure": 1.0, "bar": "≤ 2", "passed": True, "note": "how"}]


def test_all_in_turn_each_with_as_many_instances_as_its_claim_is_about(monkeypatch, capsys):
    calls = fake(monkeypatch, at_most("one", 1, 2))
    assert selftest.command(["all"]) == 0
    assert calls == [(0, test.n) for test in selftest.SELFTESTS.values()]
    out = capsys.readouterr().out
    assert all(f"\n{name}: {test.summary}\n" in out for name, test in selftest.SELFTESTS.items())


def test_names(capsys):
    with pytest.raises(ConfigError, match="did you mean 'gradients'"):
        selftest.command(["gradient"])
    with pytest.raises(ConfigError, match="expected NAME, one of gradients"):
        selftest.command([])
    with pytest.raises(ConfigError, match=r"SelftestOptions\.n: expected an integer"):
        selftest.command(["gradients", "--n", "-1"])
    with pytest.raises(SystemExit) as stop:
        selftest.command(["--help"])
    assert stop.value.code == 0
    assert "gradients: meta-gradients" in capsys.readouterr().out


def test_it_is_a_command(monkeypatch):
    fake(monkeypatch, at_most("one", 3, 2))
    with pytest.raises(SystemExit) as stop:
        main(["selftest", "gradients"])
    assert stop.value.code == 1


def test_every_selftest_can_be_loaded():
    for name in selftest.SELFTESTS:
        assert callable(selftest.load(name))


def test_arguments_are_checked_before_jax_is_imported():
    code = (
        "import sys\nfrom tests.claims.__main__ import command\n"
        "try: command(['gradient'])\nexcept Exception as e: print(type(e).__name__, 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ConfigError False\n"
