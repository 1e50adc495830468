"""A whole run with trackers: what they are given, what they may cost, and how it is gone on with."""

import sys
import time

import pytest

from adaptax import experiment
from adaptax.core.errors import MissingPackageError
from adaptax.experiment.signals import StopSignal
from adaptax.runs.directory import read_recipe
from adaptax.runs.trackers import background
from tests.cli.conftest import SMALL_BANDIT, TINY, run
from tests.runs.trackers.fakes import NAMES, Store, install
from tests.runs.trackers.rows import numbers, without_speed

SETTINGS = {
    "num_arms": 3, "num_pulls": 5, "num_updates": 12, "num_tasks": 8, "memory_size": 4, "critic_size": 4,
    "num_minibatches": 2, "eval_tasks": 50, "eval_every": 10, "validation_tasks": 10,
}  # fmt: skip


@pytest.fixture
def store(monkeypatch):
    kept = Store()
    install(monkeypatch, kept)
    return kept


def bits(directory):
    """What must be the same, whatever a tracker does."""
    newest = max((directory / "checkpoints").glob("*.safetensors"))
    return newest.name, newest.read_bytes(), (directory / "metrics.jsonl").read_bytes()


def train(directory, **changes):
    said = []
    options = {"on_message": said.append, "reference": False, "directory": directory}
    return experiment.train("rl2", "bandit", **options, **{**SETTINGS, **changes}), said


@pytest.mark.compiles
def test_a_run_is_logged_whole_and_gone_on_with(tmp_path, store, monkeypatch):
    done, _ = train(tmp_path / "plain")
    stop = StopSignal()
    stop.ask()  # after the first chunk
    first, _ = train(tmp_path / "tracked", log=NAMES, stop=stop)
    assert first.stopped
    assert [status for name, _, status in store.ended if name == "mlflow"] == ["KILLED"]
    second = experiment.resume(tmp_path / "tracked", reference=False)
    assert bits(tmp_path / "tracked") == bits(tmp_path / "plain")
    for name in NAMES:
        *rows, last = store.of(name)
        assert without_speed(rows) == numbers(tmp_path / "tracked")
        assert last[0] == 12
        assert last[1]["evaluation/rl2/return"] == second.evaluation.results["rl2"].summary.mean
        assert last[1]["evaluation/gittins/stderr"] == done.evaluation.results["gittins"].summary.stderr
        assert len({identity for package, identity, *_ in store.begun if package == name}) == 1
    config = next(config for name, _, _, config in store.begun if name == "wandb")
    assert (config["algorithm"], config["problem"], config["options"]["seed"]) == ("rl2", "bandit", 0)
    assert config["algorithm_settings"]["memory_size"] == 4
    assert config["options"]["out"] is None
    assert config["version"]

    # Elsewhere from here on, or nowhere; and a package that is gone is said before anything is done.
    experiment.resume(tmp_path / "tracked", log=(), num_updates=13, reference=False)
    assert {step for step, _ in store.of("wandb")} == {*range(13)}
    assert read_recipe(tmp_path / "tracked")[1]["log"] == ()
    monkeypatch.setitem(sys.modules, "wandb", None)
    before = (tmp_path / "tracked/config.json").read_bytes()
    with pytest.raises(MissingPackageError, match=r"--log wandb needs wandb"):
        experiment.resume(tmp_path / "tracked", log="wandb", reference=False)
    assert (tmp_path / "tracked/config.json").read_bytes() == before


@pytest.mark.compiles
def test_trackers_that_are_down_or_hang_cost_a_line_each_and_no_bit(tmp_path, store, monkeypatch):
    train(tmp_path / "plain", eval_tasks=0)

    def down(**options):
        raise ConnectionError("down")

    monkeypatch.setitem(background.Background.__init__.__kwdefaults__, "patience", 0.5)
    monkeypatch.setattr(sys.modules["wandb"], "init", down)
    monkeypatch.setattr(sys.modules["trackio"], "init", lambda **options: time.sleep(20))
    stop = StopSignal()
    begun = time.monotonic()
    _, said = train(tmp_path / "tracked", log=NAMES, eval_tasks=0, stop=stop)
    assert bits(tmp_path / "tracked") == bits(tmp_path / "plain")
    assert without_speed(store.of("mlflow")) == numbers(tmp_path / "tracked")
    assert [line.split(":")[:3] for line in said if line.startswith("warning")] == [
        ["warning", " wandb", " ConnectionError"],
        ["warning", " trackio", " is not done 0.5 s after the run; no more is logged there. The run goes on as if "
         "nothing had happened, and its directory has all"],
    ]  # fmt: skip
    assert stop.abrupt  # of a command line: what hangs must not be waited for at the end of the process
    assert time.monotonic() - begun < 600


def test_a_missing_package_ends_the_command_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = run("train", "rl2", "bandit", *SMALL_BANDIT, *TINY, "--log", "mlflow", "--out", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert 'pip install "adaptax[mlflow]"' in done.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--log", "tensorbord"], "--log: expected some of wandb, mlflow, trackio; found 'tensorbord'"),
        (["--log", "wandb", "wandb"], "--log: expected some of wandb, mlflow, trackio, each once; found ('wandb',"),
    ],
)
def test_what_is_no_tracker_is_named(words, said, tmp_path):
    done = run("train", "rl2", "bandit", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
