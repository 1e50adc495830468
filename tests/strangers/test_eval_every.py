"""`--eval-every N`: evaluation on validation tasks during training, which changes nothing of it."""

import json

import numpy as np
import pytest

from adaptax import experiment
from adaptax.core.errors import ConfigError, EnvironmentContractError
from adaptax.evaluation import evaluator
from adaptax.experiment.validation import Validator, seed_of
from adaptax.runs.load import load_agent
from tests.strangers.tiring_learner import Tiring

pytestmark = pytest.mark.compiles
SMALL = {"num_arms": 3, "num_pulls": 20, "num_updates": 60, "num_tasks": 4, "devices": 1, "eval_tasks": 0}
EVERY = {"eval_every": 20, "validation_tasks": 100}


def train(directory, **changes):
    return experiment.train(Tiring, "bandit", directory=directory, **{**SMALL, **EVERY, **changes})


def weights(directory):
    return {path.name: path.read_bytes() for path in sorted((directory / "checkpoints").glob("*.safetensors"))}


def rows(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def files(directory):
    return {**weights(directory), "metrics.jsonl": (directory / "metrics.jsonl").read_bytes()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole") / "run", keep_every=20)


def test_E40_training_is_bitwise_the_same_with_and_without_it(whole, tmp_path):
    without = train(tmp_path / "run", eval_every=0, validation_tasks=400, keep_every=20)
    assert weights(without.directory) == weights(whole.directory)
    assert rows(without.directory) == [row for row in rows(whole.directory) if "split" not in row]
    assert without.validations == []


def test_E40_rows_are_evaluations_of_that_checkpoint_on_validation_tasks_by_the_best_action(whole):
    found = [row for row in rows(whole.directory) if row.get("split") == "validation"]
    assert found == whole.validations
    assert [row["update"] for row in found] == [0, 20, 40, 60]
    assert [row["env_steps"] for row in found] == [4 * 20 * update for update in (0, 20, 40, 60)]
    assert found[1]["validation_return"] > found[0]["validation_return"] + 1  # at update 20 it is at its best
    agent = load_agent(whole.directory)
    again = evaluator.evaluate(agent, num_tasks=100, seed=seed_of(0), family=agent.problem.validation)
    assert found[-1]["validation_return"] == again.scores.mean()
    assert found[-1]["validation_episode_returns"] == again.episode_returns.tolist()


def test_a_run_that_was_stopped_and_gone_on_with_has_each_evaluation_once_and_to_the_byte(whole, tmp_path):
    for update in (10, 20, 30, 50):  # of 20, one is due when it is asked to stop
        stop = experiment.StopSignal()

        def until(progress, update=update, stop=stop):
            if progress.done >= update:
                stop.ask()

        if update == 10:
            train(tmp_path / "run", stop=stop, on_progress=until, keep_every=20)
        else:
            experiment.resume(tmp_path / "run", stop=stop, on_progress=until)
    experiment.resume(tmp_path / "run")
    assert files(tmp_path / "run") == files(whole.directory)


@pytest.mark.parametrize(("where", "update"), [("validate", 0), ("validate", 40), ("after", 20), ("after", 60)])
def test_one_that_died_has_each_evaluation_once_and_to_the_byte(whole, tmp_path, monkeypatch, where, update):
    class Died(BaseException):
        pass

    validate = Validator.validate

    def die(self, done, meta):
        if (where, done) == ("validate", update):
            raise Died
        return validate(self, done, meta)

    def write(self, progress, evaluation=None):
        log(self, progress, evaluation)
        if (where, progress.done) == ("after", update):
            raise Died  # the rows are written, the checkpoint is not

    from adaptax.runs.metrics_log import RunLog

    log = RunLog.write
    monkeypatch.setattr(Validator, "validate", die)
    monkeypatch.setattr(RunLog, "write", write)
    with pytest.raises(Died):
        train(tmp_path / "run", keep_every=20)
    monkeypatch.undo()
    experiment.resume(tmp_path / "run")
    assert files(tmp_path / "run") == files(whole.directory)


def test_E44_an_evaluation_that_fails_loses_no_training(tmp_path, monkeypatch):
    def fail(self, done, meta):
        raise EnvironmentContractError("it broke")

    monkeypatch.setattr(Validator, "is_due", lambda self, done: done == 40)
    monkeypatch.setattr(Validator, "validate", fail)
    with pytest.raises(EnvironmentContractError, match="it broke"):
        train(tmp_path / "run", save_every=1000)
    assert max(weights(tmp_path / "run")) == "update-00000040.safetensors"


def test_it_is_shown_with_seeds_and_does_not_choose_a_checkpoint(tmp_path, monkeypatch):
    drawn, said = [], []

    def draw(path, rows, **more):
        path.touch()
        drawn.append((rows, more))

    monkeypatch.setattr("adaptax.reports.figures.plot_training", draw)
    run = train(tmp_path / "run", seeds=2, eval_tasks=50, on_progress=lambda progress: said.append(progress.text))
    assert all(len(row["validation_returns"]) == 2 for row in run.validations)
    assert run.validations[1]["validation_return"] == pytest.approx(np.mean(run.validations[1]["validation_returns"]))
    assert "validation" in said[1]
    assert any(f"· validation {run.validations[-1]['validation_return']:.4g}" in text for text in said)
    first, last = drawn  # before the evaluation on held-out tasks, and after it
    assert [row["env_steps"] for row in first[1]["evaluations"]] == [row["env_steps"] for row in run.validations]
    assert all(len(row["return"]) == 2 for row in first[0])
    assert first[1]["references"] == {}
    known = run.evaluation.results
    assert last[1]["references"]["random"] == known["random"].summary.mean
    best = max(
        (name for name in known if name not in ("random", run.recipe.algorithm)),
        key=lambda name: known[name].summary.mean,
    )
    assert last[1]["references"][best] == known[best].summary.mean
    assert last[1]["references"]["knows the task"] == pytest.approx(20 * run.evaluation.oracle)
    assert not (tmp_path / "run" / "validation.json").exists()


def test_a_run_of_a_version_that_called_it_otherwise_is_gone_on_with(tmp_path):
    run = train(tmp_path / "run", select_on="validation", eval_every=30, num_updates=60)
    for path in (run.directory / "config.json",):
        content = json.loads(path.read_text())
        content["options"]["validate_every"] = content["options"].pop("eval_every")
        path.write_text(json.dumps(content))
    said = []
    experiment.resume(run.directory, on_message=said.append)
    assert "trained already" in " ".join(said)
    assert load_agent(run.directory, lambda line: None) is not None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"validation_tasks": 50}, "--validation-tasks: has an effect only with --eval-every"),
        ({"eval_every": -1}, "eval_every: expected an integer between 0 and"),
    ],
)
def test_options_that_do_nothing_are_refused(tmp_path, changes, says):
    with pytest.raises(ConfigError, match=says):
        experiment.train("rl2", "bandit", directory=tmp_path / "run", **changes)
    with pytest.raises(ConfigError, match="--eval-every: q-learning learns every task from nothing"):
        experiment.train("q-learning", "grid-navigation", directory=tmp_path / "run", eval_every=5)
    assert not (tmp_path / "run").exists()
