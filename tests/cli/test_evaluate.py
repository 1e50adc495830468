import json
import shutil

import pytest

from tests.cli.conftest import run


def test_evaluate_against_chosen_agents(finished_run):
    cwd, directory = finished_run.cwd, finished_run.directory
    done = run("evaluate", directory.name, "--tasks", "60", "--against", "gittins", "random", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert list(content["agents"]) == ["rl2", "gittins", "random"]
    assert content["protocol"]["tasks"] == 60
    assert content["protocol"]["split"] == "test"
    assert 2.5 < content["oracle"] < 5  # 5 pulls of the best of 3 arms: 3.75 on average
    assert len(content["agents"]["rl2"]["episode_returns"]) == 5
    low, high = content["agents"]["random"]["interval"]
    assert low < content["agents"]["random"]["mean"] < high


def test_a_table_for_people(finished_run):
    cwd, directory = finished_run.cwd, finished_run.directory
    done = run("evaluate", directory.name, "--tasks", "20", "--against", "ucb1", cwd=cwd, COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert "ucb1" in done.stdout
    assert "adaptation.png" in done.stdout


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda d: shutil.rmtree(d / "checkpoints"), "no checkpoint there"),
        (lambda d: [x.write_bytes(b"nonsense") for x in d.glob("checkpoints/*.safetensors")], "damaged"),
        (lambda d: (d / "config.json").write_text("{"), "unreadable"),
        (lambda d: (d / "config.json").unlink(), "no run there"),
    ],
)
def test_an_unusable_run_is_exit_code_5(finished_run, tmp_path, damage, says):
    directory = finished_run.directory
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    damage(copy)
    done = run("evaluate", "copy", "--tasks", "5", cwd=tmp_path)
    assert done.returncode == 5
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_checkpoint_is_passed_over_and_an_unfinished_training_named(finished_run, tmp_path):
    shutil.copytree(finished_run.directory, tmp_path / "copy")
    path = tmp_path / "copy/checkpoints/update-00000004.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    done = run("evaluate", "copy", "--tasks", "5", "--against", "random", cwd=tmp_path)
    assert done.returncode == 0
    assert "checkpoint 4 damaged (weights: checksum); using 0" in done.stderr
    assert "not finished: 0 of 4 updates" in done.stderr
