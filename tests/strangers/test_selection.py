"""`--select-on validation`: of a learner that becomes worse again, the best checkpoint is kept and used."""

import json

import jax
import pytest

from adaptax import experiment
from adaptax.core.errors import CheckpointError
from adaptax.deployment.agent import Agent
from adaptax.experiment.validation import seed_of
from adaptax.runs.load import load_agent
from tests.strangers.tiring_learner import Tiring

pytestmark = pytest.mark.compiles
SELECT = {"select_on": "validation", "eval_every": 10, "validation_tasks": 100, "save_every": 10}
SMALL = {"num_arms": 3, "num_pulls": 20, "num_updates": 60, "num_tasks": 4, "devices": 1}


def train(directory, **changes):
    wanted = {**SMALL, **SELECT, "eval_tasks": 100, **changes}
    return experiment.train(Tiring, "bandit", directory=directory, **wanted)


def files(directory):
    """All that decides what a run is and what is used of it."""
    kept = sorted((directory / "checkpoints").glob("*.safetensors"))
    names = ["validation.json", "metrics.jsonl"]
    return {path.name: path.read_bytes() for path in [*kept, *(directory / name for name in names)]}


def clear_of(directory, **options):
    return float(load_agent(directory, print, **options).meta["clear"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole") / "run")


def test_the_best_is_kept_though_it_is_not_among_the_newest(whole):
    found = json.loads((whole.directory / "validation.json").read_text())
    assert found["best"] == 20
    means = {one["update"]: one["mean"] for one in found["validations"]}
    assert list(means) == [10, 20, 30, 40, 50, 60]
    assert means[20] > means[10] > means[60] + 1
    kept = sorted(int(path.stem[-8:]) for path in (whole.directory / "checkpoints").glob("*.json"))
    assert kept == [20, 40, 50, 60]


def test_it_is_what_is_evaluated_loaded_and_acted_with_unless_the_last_is_asked_for(whole, capsys):
    assert clear_of(whole.directory) == clear_of(whole.directory, checkpoint="best") == 1.0
    assert "using checkpoint 20, the best on validation tasks" in capsys.readouterr().out
    assert clear_of(whole.directory, checkpoint="last") == 0.0
    with pytest.warns(UserWarning, match="using checkpoint 20"):
        assert float(Agent.load(whole.directory).meta["clear"]) == 1.0
    mean = lambda assessment: next(iter(assessment.results.values())).summary.mean  # noqa: E731
    best = mean(experiment.evaluate(whole, tasks=100, against=()))
    last = mean(experiment.evaluate(whole, tasks=100, against=(), checkpoint="last"))
    assert best > last + 1
    assert mean(whole.evaluation) > last + 1


def test_a_run_that_was_stopped_and_gone_on_with_has_bitwise_the_same_best(whole, tmp_path):
    stop = experiment.StopSignal()
    stopped = train(
        tmp_path / "run", eval_tasks=0, stop=stop, on_progress=lambda progress: progress.done and stop.ask()
    )
    assert (stopped.done, stopped.stopped) == (1, True)
    for update in (30, 50):
        stop = experiment.StopSignal()

        def until(progress, update=update, stop=stop):
            if progress.done >= update:
                stop.ask()

        experiment.resume(tmp_path / "run", stop=stop, on_progress=until)
    experiment.resume(tmp_path / "run")
    assert files(tmp_path / "run") == files(whole.directory)


def test_one_that_died_between_a_checkpoint_and_its_validation_makes_up_for_it(whole, tmp_path, monkeypatch):
    class Died(Exception):
        pass

    def die(self, done, meta):
        if done == 20:
            raise Died
        return validate(self, done, meta)

    validate = experiment.validation.Validator.validate
    monkeypatch.setattr(experiment.validation.Validator, "validate", die)
    with pytest.raises(Died):
        train(tmp_path / "run")
    monkeypatch.undo()
    assert [one["update"] for one in json.loads((tmp_path / "run/validation.json").read_text())["validations"]] == [10]
    experiment.resume(tmp_path / "run")
    assert files(tmp_path / "run") == files(whole.directory)


def test_without_it_the_last_is_the_result_and_the_best_is_not_known(tmp_path):
    run = train(tmp_path / "run", select_on="last", eval_every=0, validation_tasks=400, eval_tasks=0)
    assert not (run.directory / "validation.json").exists()
    assert clear_of(run.directory) == 0.0
    with pytest.raises(CheckpointError, match="no checkpoint of it was chosen by validation"):
        load_agent(run.directory, checkpoint="best")


def test_what_is_not_as_it_was_written_is_refused_and_the_last_can_be_used(whole, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(whole.directory, copy)
    for text in ("", "[]", '{"validations": [{"update": 20}]}', '{"validations": [{"update": "../x", "mean": 1.0}]}'):
        (copy / "validation.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"validation.json: is not what was written"):
            load_agent(copy, print)
        assert clear_of(copy, checkpoint="last") == 0.0


def test_validation_has_keys_of_its_own():
    assert len({seed_of(seed) for seed in range(1000)} | set(range(1000))) == 2000
    assert jax.random.key(seed_of(2**31 - 1)) is not None
