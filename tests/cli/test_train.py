import json
import signal
import subprocess
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.cli.conftest import PATIENCE, PROGRAM, SMALL_BANDIT, TINY, environment, run, run_alone

LAST = "checkpoints/update-00000004.safetensors"


def test_a_run_leaves_everything_behind(finished_run):
    directory = finished_run.directory
    config = json.loads((directory / "config.json").read_text())
    assert config["algorithm"] == "rl2"
    assert config["problem_settings"] == {"num_arms": 3, "num_pulls": 5}
    assert {"jax", "adaptax"} <= set(config["versions"])
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2, 3, 4]
    assert [row["env_steps"] for row in rows] == [40, 80, 120, 160]
    assert all(np.isfinite(row["return"]) for row in rows)
    for picture in ("adaptation.png", "training.png"):
        assert (directory / picture).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert list((directory / "tensorboard").glob("events.*"))


def test_json_prints_one_object_and_nothing_else(finished_run):
    content = json.loads(finished_run.stdout)
    assert next(iter(content["agents"])) == "rl2"
    assert set(content["agents"]["gittins"]) >= {
        "mean",
        "stderr",
        "iqm",
        "interval",
        "episode_returns",
        "steps",
    }
    assert json.loads(finished_run.evaluation) == content


def test_same_seed_in_a_fresh_process_gives_bitwise_the_same_parameters(finished_run, tmp_path):
    directory = finished_run.directory
    words = [*SMALL_BANDIT, *TINY, "--eval-tasks", "0", "--out", "again"]
    done = run_alone("train", "rl2", "bandit", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / LAST).read_bytes() == (directory / LAST).read_bytes()


@pytest.mark.compiles
def test_seeds_train_side_by_side_and_differ(tmp_path):
    done = run(
        "train",
        "rl2",
        "bandit",
        *SMALL_BANDIT,
        *TINY,
        "--seeds",
        "2",
        "--eval-tasks",
        "20",
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["protocol"]["training_seeds"] == 2
    state = load_file(tmp_path / "runs/rl2-bandit-1" / LAST)
    weights = state[".meta.network.memory.weight"]
    assert weights.shape[0] == 2
    assert np.abs(weights[0] - weights[1]).max() > 0.1
    rows = (tmp_path / "runs/rl2-bandit-1/metrics.jsonl").read_text().splitlines()
    first = json.loads(rows[0])
    assert len(first["by_seed"]["return"]) == 2
    assert set(first["by_seed"]) == set(first) - {"update", "env_steps", "by_seed"}


def test_a_directory_that_holds_a_run_is_not_touched(finished_run):
    cwd, directory = finished_run.cwd, finished_run.directory
    before = (directory / LAST).read_bytes()
    done = run("train", "rl2", "bandit", "--out", directory.name, cwd=cwd)
    assert done.returncode == 6
    assert "already holds a run" in done.stderr
    assert (directory / LAST).read_bytes() == before


def test_more_devices_than_there_are_is_a_configuration_error(tmp_path):
    done = run("train", "rl2", "bandit", *TINY, "--devices", "999", cwd=tmp_path)
    assert done.returncode == 2
    assert "--devices" in done.stderr


def test_ctrl_c_saves_and_says_so(tmp_path, start):
    arguments = ["train", "rl2", "bandit", *SMALL_BANDIT, *TINY[2:], "--num-updates", "1000000", "--out", "out"]
    process = start([*PROGRAM, *arguments], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "out/metrics.jsonl"
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 75, stderr
    assert "all is saved" in stderr
    assert "Traceback" not in stderr
    rows = metrics.read_text().splitlines()
    assert (tmp_path / f"out/checkpoints/update-{len(rows):08d}.json").exists()


@pytest.mark.compiles
def test_maml_trains_evaluates_and_draws_paths(tmp_path):
    sizes = {"updates": 2, "tasks": 4, "episodes": 6}
    small = [word for name, size in sizes.items() for word in (f"--num-{name}", str(size))]
    small += ["--inner-steps", "1", "--trajectories", "2", "--hidden-size", "4", "--horizon", "5"]
    done = run("train", "maml", "point-robot", *small, "--eval-tasks", "20", "--out", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    after = content["agents"]["maml"]["after_windows"]
    assert [len(after[name]) for name in ("sample", "mode")] == [3, 3]
    assert len(content["agents"]["maml"]["episode_returns"]) == 6
    assert content["protocol"]["policy"] == "sample"
    assert (tmp_path / "run/paths.png").stat().st_size > 10_000
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["env_steps"] == 2 * 4 * 2 * 2 * 5  # updates × tasks × windows × episodes × steps
    again = run("evaluate", "run", "--tasks", "20", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "after 2 steps" in again.stdout
    assert "paths.png" in again.stdout


def test_a_trial_that_does_not_divide_into_windows_is_a_configuration_error(tmp_path):
    done = run("train", "maml", "point-robot", "--num-episodes", "50", cwd=tmp_path)
    assert done.returncode == 2
    assert "PointRobotSettings.num_episodes: expected a multiple of trajectories=20" in done.stderr
    assert "--num-episodes 40 or 60" in done.stderr
