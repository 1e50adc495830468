"""`--workers` and `--step-timeout`, of every command: how simulators run, and no part of what a run is."""

import json

import pytest

from adaptax.experiment.options import SimulatorOptions
from adaptax.registry.registry import forget
from adaptax.registry.simulation import accept_simulation
from tests.cli.conftest import TINY, run

NAME = "tests.problems.host.walks:walks"
OWN = "tests.problems.host.walks:noisy"


@pytest.fixture(autouse=True)
def nothing_said():
    yield
    accept_simulation(SimulatorOptions())
    forget(NAME)
    forget(OWN)


def test_commands_refuse_it_where_nothing_is_simulated(finished_run, tmp_path):
    for words in (
        ("train", "rl2", "bandit"),
        ("plan", "rl2", "bandit"),
        ("check-env", "bandit"),
        ("evaluate", str(finished_run.directory)),
        ("inspect", str(finished_run.directory)),
    ):
        done = run(*words, "--workers", "2", "--out" if words[0] == "train" else "--seed", "0", cwd=tmp_path)
        assert done.returncode == 2, words
        assert "--workers: expected a problem of simulators on the host" in done.stderr
    assert not (tmp_path / "0").exists()


@pytest.mark.process
def test_a_run_is_the_same_run_with_any_number_of_workers_and_goes_on_with_another(tmp_path):
    tiny = [*TINY, "--eval-tasks", "10", "--save-every", "1"]
    for name, workers in (("one", "0"), ("two", "2")):
        done = run("train", "rl2", NAME, *tiny, "--workers", workers, "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    read = [(tmp_path / name / "config.json").read_text() for name in ("one", "two")]
    assert read[0].replace("one", "two") == read[1].replace("one", "two")
    rows = [
        [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "time", "steps_per_second")} for line in x]
        for x in ((tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two"))
    ]
    assert [row["return"] for row in rows[0]] == [row["return"] for row in rows[1]]
    more = ["--problem", NAME, "--workers", "1", "--step-timeout", "30"]
    done = run("train", "--resume", "two", "--num-updates", "5", *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run("evaluate", "two", *more, "--tasks", "10", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.process
def test_where_a_users_function_has_workers_itself_those_are_meant(tmp_path):
    done = run("train", "rl2", OWN, *TINY, "--eval-tasks", "0", "--workers", "1", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/config.json").read_text())["problem_settings"]["workers"] == 1
