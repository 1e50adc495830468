import json

import pytest

from adaptax.deployment.pretrained import NAMES
from tests.cli.conftest import run, run_alone


@pytest.mark.parametrize("name", NAMES)
def test_a_demonstration_tells_what_was_earned_and_what_to_do_next(name, tmp_path):
    done = run("demo", name, "--tasks", "1", "--speed", "1000", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{name}: task 1 of 1"
    assert any("whoever knows the task" in line for line in lines)
    assert any("before training" in line for line in lines)
    assert f"adaptax play {name} " in done.stdout
    assert not list(tmp_path.iterdir())


def test_without_a_name_it_is_a_bandit_and_nothing_waits_for_jax(tmp_path):
    done = run_alone("demo", "--tasks", "1", "--out", "moving.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pull 100 of 100" in done.stdout
    assert (tmp_path / "moving.svg").read_text(encoding="utf-8").startswith("<svg ")
    assert done.stdout.splitlines()[-3] == "picture moving.svg"


def test_the_same_seed_shows_the_same(tmp_path):
    first, again, other = (
        json.loads(run("demo", "--json", "--tasks", "2", "--seed", seed, cwd=tmp_path).stdout) for seed in "112"
    )
    assert first == again
    assert first["trials"] != other["trials"]
    assert len(first["trials"]) == 2
    assert len(first["trials"][0]["returns"]) == 100


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["chain"], "demo: expected one of bandit, grid-navigation, point-robot (`adaptax play DIR`"),
        (["bandti"], "found 'bandti'; did you mean 'bandit'?"),
        (["--tasks", "0"], "DemoOptions.tasks: expected"),
        (["--speed", "0"], "DemoOptions.speed: expected"),
        (["bandit", "bandit"], "demo: expected only NAME; found 'bandit' too"),
    ],
)
def test_what_is_wrong_is_said(typed, said, tmp_path):
    done = run("demo", *typed, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
