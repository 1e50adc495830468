"""`adaptax plan`: what it prints, what it refuses, and that it writes nothing."""

import json

import pytest

from adaptax.cli import plan
from adaptax.cli.train import understood
from adaptax.experiment import memory
from tests.cli.conftest import SMALL_BANDIT, TINY, run


def test_it_says_what_a_training_would_need_and_writes_nothing(tmp_path):
    done = run("plan", "rl2", "bandit", *SMALL_BANDIT, *TINY, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["fits"]
    assert (found["updates"], found["steps_per_update"]) == (4, 8 * 5)
    assert 1e3 < found["needed_bytes"] < 1e7
    assert not found["compiled"]
    assert len(found["largest"]) == 3
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_ends_with_7_and_a_setting_to_lower(tmp_path):
    done = run("plan", "rl2", "bandit", "--num-pulls", "1000", "--num-tasks", "1000000", "--devices", "1", cwd=tmp_path)
    assert done.returncode == 7
    assert "memory      " in done.stdout
    assert "environment steps" in done.stdout
    assert "Lower --num-tasks from 1000000 to " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_where_it_is_near_to_what_is_free_the_compiler_is_asked(monkeypatch, capsys):
    typed = understood(["rl2", "bandit", *SMALL_BANDIT, *TINY], "plan", plan.USAGE)
    expected = plan.planned(typed.recipe, typed.run)["needed_bytes"]
    for share, compiled in ((1.6, False), (1.1, True), (0.8, True), (0.6, False)):
        free = int(share * expected)
        monkeypatch.setattr(memory, "free_bytes", lambda free=free: free)
        found = plan.planned(typed.recipe, typed.run)
        assert found["compiled"] == compiled == ("compiling to know" in capsys.readouterr().err)
        assert (found["needed_bytes"] == expected) == (not compiled)
        assert found["fits"] == (found["needed_bytes"] <= free)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ppo", "bandit"), "nothing to train"),
        (("rl3", "bandit"), "did you mean 'rl2'?"),
        (("rl2", "bandit", "--num-taks", "3"), "did you mean"),
        (("rl2",), "plan: expected ALGORITHM and PROBLEM"),
    ],
)
def test_what_cannot_be_planned_is_told(words, says, tmp_path):
    done = run("plan", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr


def test_help_needs_no_jax(tmp_path):
    done = run("plan", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "usage: adaptax plan" in done.stdout
