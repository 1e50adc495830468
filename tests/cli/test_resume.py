"""What a run survives, in processes of its own; `python -m tests.claims kill` and `signals` do much more of it."""

import json
import shutil
import signal
import subprocess
import sys

import pytest

from adaptax.runs import checkpoints
from adaptax.runs.directory import claim
from tests.claims import kill, signals
from tests.cli.conftest import SMALL_BANDIT, TINY, run

TRAIN = ["train", "rl2", "bandit", *SMALL_BANDIT, *TINY[2:]]


def cut(directory, update):
    """Make a run's directory what it was when the checkpoint of `update` had just been written, and a little later."""
    for path in (directory / checkpoints.FOLDER).iterdir():
        if int(path.stem.split("-")[1]) > update:
            path.unlink()
    for name in ("evaluation.json", "adaptation.png", "training.png"):
        (directory / name).unlink(missing_ok=True)


@pytest.mark.compiles
def test_from_an_earlier_checkpoint_it_comes_to_bitwise_the_same_without_doubled_rows(finished_run, tmp_path):
    shutil.copytree(finished_run.directory, tmp_path / "run")
    cut(tmp_path / "run", 0)
    with (tmp_path / "run/metrics.jsonl").open("a") as file:
        file.write('{"update": 5, "half a row')
    done = run("train", "--resume", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resumed at update 0 (4 lost)" in done.stderr
    for name in ("metrics.jsonl", "checkpoints/update-00000004.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (finished_run.directory / name).read_bytes()
    figures = [json.loads(text)["agents"] for text in (done.stdout, finished_run.stdout)]
    assert figures[0] == figures[1]


@pytest.mark.compiles
def test_a_trained_run_is_only_evaluated_again(finished_run, tmp_path):
    shutil.copytree(finished_run.directory, tmp_path / "run")
    before = (tmp_path / "run/metrics.jsonl").read_bytes()
    done = run("train", "--resume", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "trained already" in done.stderr
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--resume", "nowhere"], 5, "no run there"),
        (["--resume"], 2, "--resume"),
        (["rl2", "bandit", "--resume", "run"], 2, "knows its algorithm"),
        (["--resume", "run", "--num-tasks", "9"], 2, "num-tasks"),
    ],
)
def test_what_cannot_be_resumed_is_told(words, code, says, finished_run):
    done = run("train", *words, cwd=finished_run.cwd)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_without_any_good_checkpoint_nothing_is_started_from_scratch(finished_run, tmp_path):
    shutil.copytree(finished_run.directory, tmp_path / "run")
    for path in (tmp_path / "run/checkpoints").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    before = (tmp_path / "run/metrics.jsonl").read_bytes()
    done = run("train", "--resume", "run", cwd=tmp_path)
    assert done.returncode == 5
    assert all(f"checkpoint {update} damaged" in done.stderr for update in (0, 4))
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == before


def test_a_run_in_use_is_not_touched(finished_run, tmp_path, start):
    shutil.copytree(finished_run.directory, tmp_path / "run")
    code = "import sys, time\nfrom pathlib import Path\nfrom adaptax.runs.directory import claim\n"
    code += "with claim(Path('run'), fresh=False):\n print('mine', flush=True)\n time.sleep(10**6)"
    holder = start([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "mine\n"
    done = run("train", "--resume", "run", cwd=tmp_path)
    assert done.returncode == 6
    assert f"process {holder.pid}" in done.stderr
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with claim(tmp_path / "run", fresh=False):  # nothing has to be cleaned up
        pass


def test_some_checkpoints_are_kept_for_good(tmp_path):
    more = ["--num-updates", "60", "--save-every", "10", "--keep-every", "20", "--eval-tasks", "0", "--out", "run"]
    done = run(*TRAIN, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert checkpoints.updates_in(tmp_path / "run") == [20, 40, 50, 60]


@pytest.mark.process
@pytest.mark.nightly
def test_killed_at_named_points_and_at_random():
    *_, mid, equal = list(kill.run(1, 5))
    assert equal.passed, equal
    assert mid.figure >= 3


@pytest.mark.nightly
@pytest.mark.process
def test_told_to_stop():
    for check in signals.run(1, 2):
        assert check.passed, check
