import json
import shutil

import pytest

from adaptax.deployment import pretrained
from tests.cli.conftest import run


@pytest.mark.compiles
def test_a_run_s_page_is_written_and_not_opened(finished_run, tmp_path):
    page = tmp_path / "page.html"
    done = run("play", finished_run.directory.name, "--no-open", "--out", str(page), "--json", cwd=finished_run.cwd)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problem"] == "bandit"
    assert found["size"] == page.stat().st_size <= 1_000_000
    if shutil.which("node"):
        assert found["difference"] <= 1e-5
    assert '"num_pulls": 5' in page.read_text(encoding="utf-8")


@pytest.mark.compiles
def test_the_page_of_a_pretrained_agent_says_what_that_earned(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda place: opened.append(place) or True)
    done = run("play", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "play-bandit.html"
    assert opened == [page.resolve().as_uri()]
    stated = pretrained.result_of(pretrained.directory_of("bandit"))["trained"]
    assert f"{stated['mean']:.2f} ± {stated['stderr']:.2f}" in page.read_text(encoding="utf-8")


def test_what_no_page_can_play_is_refused_in_a_line(finished_run, tmp_path):
    shutil.copytree(finished_run.directory, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((tmp_path / "run/config.json").read_text())
    config |= {"problem": "chain", "problem_settings": {"length": 4, "horizon": 6}}
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    done = run("play", "run", cwd=tmp_path)
    assert done.returncode == 2
    families = "bandit, grid-navigation, point-robot, point-robot-sparse, cart-pole"
    assert f"play: expected the run of an agent on {families}, whose tasks a page can play; found chain" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["nowhere"], 5, "no run there"),
        (["bandti"], 2, "or the directory of a run; found 'bandti'; did you mean 'bandit'?"),
        (["--seed", "-1"], 2, "PlayOptions.seed: expected"),
        (["bandit", "grid-navigation"], 2, "expected only NAME|DIR"),
    ],
)
def test_what_is_wrong_is_said(typed, code, said, tmp_path):
    done = run("play", *typed, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
