"""Training goes on after the last planned update, or from another run's parameters."""

import json
import os
import shutil

import numpy as np
import pytest

from adaptax import experiment
from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.experiment import extension, reproduction
from adaptax.runs import checkpoints
from adaptax.runs.directory import read_recipe
from adaptax.runs.load import load_agent, read_agent
from tests.strangers.tiring_learner import Tiring

pytestmark = pytest.mark.compiles
SMALL = {"num_arms": 3, "num_pulls": 20, "num_updates": 40, "num_tasks": 4, "devices": 1, "eval_tasks": 0}
TINY_RL2 = {
    "num_arms": 3, "num_pulls": 5, "num_tasks": 4, "num_minibatches": 2, "memory_size": 3, "critic_size": 3,
    "num_updates": 4, "devices": 1, "eval_tasks": 0,
}  # fmt: skip


def train(directory, **changes):
    return experiment.train(Tiring, "bandit", directory=directory, **{**SMALL, **changes})


def leaves(run):
    return {name: x for name, x in checkpoints._arrays(run.state).items()}


def files(directory):
    newest = sorted((directory / "checkpoints").glob("*.safetensors"))[-1]
    return newest.name, newest.read_bytes(), (directory / "metrics.jsonl").read_bytes()


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """What a run of 60 updates comes to that was planned so from the beginning."""
    return train(tmp_path_factory.mktemp("longer") / "run", num_updates=60, eval_every=20, validation_tasks=100)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(tmp_path_factory.mktemp("finished") / "run", eval_every=20, validation_tasks=100, eval_tasks=50)


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished.directory, tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_goes_on_as_if_it_had_been_planned_so(longer, copy):
    said = []
    run = experiment.resume(copy, num_updates=60, on_message=said.append)
    assert (run.done, run.stopped, run.algorithm.num_updates) == (60, False, 60)
    assert files(copy) == files(longer.directory)
    assert any("60 updates instead of 40" in line for line in said)
    recipe, options = read_recipe(copy)
    assert recipe.algorithm_settings.num_updates == 60
    assert (options["planned_before"], options["planned_at"]) == ((40,), 40)
    assert read_agent(copy, said.append)[1] == 60


def test_what_an_evaluation_left_is_put_aside_and_made_again(copy):
    was = {name: (copy / name).read_bytes() for name in ("evaluation.json", "returns.npz", "adaptation.png")}
    assert json.loads(was["evaluation.json"])["protocol"]["update"] == 40
    experiment.resume(copy, num_updates=60)
    assert {name: (copy / "evaluation-of-update-40" / name).read_bytes() for name in was} == was
    assert json.loads((copy / "evaluation.json").read_text())["protocol"]["update"] == 60


@pytest.mark.parametrize("where", ["aside", "config", "training", "chunk"])
def test_one_that_died_while_it_got_another_plan_can_be_gone_on_with(longer, copy, monkeypatch, where):
    class Died(BaseException):
        pass

    def die(*arguments, **more):
        raise Died

    def until(progress):
        if where == "chunk":
            raise Died

    place = {
        "aside": (extension, "_put_aside"), "config": (extension, "save_config"),
        "training": ("adaptax.training.loop", "train"),
    }.get(where)  # fmt: skip
    if place and isinstance(place[0], str):
        monkeypatch.setattr(".".join(place), die)
    elif place:
        monkeypatch.setattr(*place, die)
    with pytest.raises(Died):
        experiment.resume(copy, num_updates=60, on_progress=lambda p: until(p) if p.done == 50 else None)
    monkeypatch.undo()
    assert load_agent(copy, lambda line: None) is not None
    experiment.resume(copy, num_updates=60)
    assert files(copy) == files(longer.directory)


def test_a_stopped_run_gets_another_plan_and_may_end_earlier(tmp_path):
    stop = experiment.StopSignal()
    train(tmp_path / "run", stop=stop, on_progress=lambda progress: progress.done == 10 and stop.ask())
    with pytest.raises(
        ConfigError, match=r"--num-updates: expected at least 10, as .* has so many updates behind it; found 9"
    ):
        experiment.resume(tmp_path / "run", num_updates=9)
    run = experiment.resume(tmp_path / "run", num_updates=17)
    assert (run.done, run.stopped) == (17, False)
    assert [row["update"] for row in run.metrics] == list(range(1, 18))
    run = experiment.resume(tmp_path / "run", num_updates=30)
    assert run.done == 30
    assert read_recipe(tmp_path / "run")[1]["planned_before"] == (40, 17)


def test_E46_one_whose_newest_checkpoint_is_damaged_says_that_it_goes_on_before_its_plan(copy, longer):
    newest = copy / "checkpoints" / "update-00000040.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    said = []
    run = experiment.resume(copy, num_updates=57, on_message=said.append)
    assert run.done == 57
    assert any("planned for 57 updates at update 40, goes on at 30" in line for line in said)
    assert read_recipe(copy)[1]["planned_at"] == 30
    assert [row["update"] for row in run.metrics] == list(range(1, 58))
    np.testing.assert_array_equal(leaves(run)[".step"], 57)


def test_a_schedule_goes_on_as_if_it_had_been_planned_so(tmp_path):
    long = experiment.train("rl2", "bandit", directory=tmp_path / "long", **{**TINY_RL2, "num_updates": 8})
    short = experiment.train("rl2", "bandit", directory=tmp_path / "short", **TINY_RL2)
    at_end = leaves(short)
    more = experiment.resume(tmp_path / "short", num_updates=8)
    name = next(name for name in at_end if "memory" in name and "meta" in name)
    moved = np.abs(leaves(more)[name] - at_end[name]).max()
    assert moved > 1e-4  # a learning rate of 0 would not move it
    assert more.done == long.done == 8
    assert leaves(more).keys() == leaves(long).keys()


def test_what_learns_from_nothing_has_no_updates(tmp_path):
    small = {"num_episodes": 4, "length": 4, "horizon": 3, "eval_tasks": 0}
    experiment.train("q-learning", "chain", directory=tmp_path / "run", **small)
    with pytest.raises(ConfigError, match="--num-updates: q-learning learns every task from nothing"):
        experiment.resume(tmp_path / "run", num_updates=5)


def test_from_another_run_its_parameters_are_the_first_and_nothing_else_of_it(finished, tmp_path):
    run = train(tmp_path / "new", from_=finished.directory, num_updates=20, peak=40, seed=7)
    shape = checkpoints.newest(
        run.directory, run.state, run.recipe.about(read_recipe(run.directory)[1]), print, run.recipe.complete, only=0
    )
    assert float(shape.state.meta["clear"]) == float(finished.state.meta["clear"]) == 0.0
    assert int(shape.state.step) == 0
    assert run.done == 20
    options = read_recipe(run.directory)[1]
    assert (options["from_"], options["from_update"]) == (finished.directory.name, 40)
    (manifest,) = (run.directory / "checkpoints").glob("update-00000020.json")
    assert json.loads(manifest.read_text())["manifest"]["about"]["options"]["from_sha256"] == options["from_sha256"]
    assert str(finished.directory.parent) not in manifest.read_text() + (run.directory / "config.json").read_text()


def test_all_seeds_begin_from_one_and_each_from_its_own(tmp_path):
    one = experiment.train("rl2", "bandit", directory=tmp_path / "one", **TINY_RL2)
    three = experiment.train("rl2", "bandit", directory=tmp_path / "three", from_=one, seeds=3, **TINY_RL2)
    again = experiment.train(
        "rl2", "bandit", directory=tmp_path / "again", from_=tmp_path / "three", seeds=3, **TINY_RL2
    )
    firsts = [
        checkpoints._deserialise((run.directory / "checkpoints" / "update-00000000.safetensors").read_bytes())
        for run in (three, again)
    ]
    for name, x in leaves(one).items():
        if name.startswith(".meta"):
            np.testing.assert_array_equal(firsts[0][name], np.broadcast_to(x, (3, *x.shape)))
            np.testing.assert_array_equal(firsts[1][name], leaves(three)[name])
    with pytest.raises(ConfigError, match=r"--from: expected a run of 1 training; found 3 in .*three"):
        experiment.train("rl2", "bandit", directory=tmp_path / "no", from_=tmp_path / "three", **TINY_RL2)


@pytest.mark.parametrize(
    ("algorithm", "changes", "says"),
    [
        (
            "rl2",
            {"memory_size": 4},
            r"expected the network that is to be trained; found another in .*: \.\w+.*: expected",
        ),
        ("rl2", {"memory": "gru"}, "expected the network that is to be trained; found another"),
        ("rl2", {"num_arms": 4}, "expected the network that is to be trained; found another"),
        ("multitask-ppo", {}, r"expected a run of 'multitask-ppo', which is to be trained; found 'rl2'"),
    ],
)
def test_of_another_algorithm_or_network_is_refused_and_nothing_is_written(tmp_path, algorithm, changes, says):
    wanted = {**TINY_RL2, "num_updates": 1}
    experiment.train("rl2", "bandit", directory=tmp_path / "one", **wanted)
    if algorithm != "rl2":
        wanted = {"num_arms": 3, "num_pulls": 5, "devices": 1}
    with pytest.raises(ConfigError, match=says):
        experiment.train(
            algorithm, "bandit", directory=tmp_path / "new", from_=tmp_path / "one", **{**wanted, **changes}
        )
    assert not (tmp_path / "new" / "config.json").exists()


def test_it_is_gone_on_with_when_the_other_is_gone_and_if_it_had_kept_nothing_says_so(finished, tmp_path):
    shutil.copytree(finished.directory, tmp_path / "source")
    whole = train(tmp_path / "whole", from_=tmp_path / "source", num_updates=20)
    stop = experiment.StopSignal()
    stop.ask()
    train(tmp_path / "run", from_=tmp_path / "source", num_updates=20, stop=stop)
    shutil.rmtree(tmp_path / "source")
    for path in (tmp_path / "run" / "checkpoints").glob("update-00000001*"):
        path.unlink()
    (tmp_path / "run" / "metrics.jsonl").unlink()
    said = []
    experiment.resume(tmp_path / "run", on_message=said.append)
    assert files(tmp_path / "run") == files(whole.directory)
    for name in ("metrics.jsonl", "times.jsonl", "training.png"):
        (tmp_path / "run" / name).unlink()
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(tmp_path / "run" / name)
    with pytest.raises(CheckpointError, match=r"was stopped before the parameters that it begins from .* were kept"):
        experiment.resume(tmp_path / "run")


def test_a_cell_of_a_table_is_not_taken_from_a_run_with_another_beginning_or_plan(finished, copy, tmp_path):
    recipe, _ = read_recipe(copy)
    options = experiment.ReproduceOptions(seed=0)
    assert reproduction._begun(recipe, options, copy) is not None
    train(tmp_path / "from", from_=finished.directory)
    assert read_recipe(tmp_path / "from")[0] == recipe
    assert reproduction._begun(recipe, options, tmp_path / "from") is None
    content = json.loads((copy / "config.json").read_text())
    content["options"] |= {"planned_before": [60], "planned_at": 20}
    (copy / "config.json").write_text(json.dumps(content))
    assert reproduction._begun(recipe, options, copy) is None
    assert os.path.lexists(copy / "config.json")
