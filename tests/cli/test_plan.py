"""`adaptax plan`: what it prints, what it refuses, and that it writes nothing."""

import json

import pytest

from tests.cli.conftest import SMALL_BANDIT, TINY, run


def test_it_says_what_a_training_would_need_and_writes_nothing(tmp_path):
    done = run("plan", "rl2", "bandit", *SMALL_BANDIT, *TINY, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["fits"]
    assert (found["updates"], found["steps_per_update"]) == (4, 8 * 5)
    assert 1e3 < found["needed_bytes"] < 1e7
    assert len(found["largest"]) == 3
    assert "compiling to know" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.compiles
def test_what_does_not_fit_ends_with_7_and_a_setting_to_lower(tmp_path):
    words = [*TINY[:2], *TINY[4:], "--num-pulls", "1000", "--num-tasks", "1000000", "--devices", "1"]
    done = run("plan", "rl2", "bandit", *words, cwd=tmp_path)
    assert done.returncode == 7
    assert "memory      " in done.stdout
    assert "environment steps" in done.stdout
    assert "Lower --num-tasks from 1000000 to " in done.stderr
    assert len(done.stderr.splitlines()) == 2


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
