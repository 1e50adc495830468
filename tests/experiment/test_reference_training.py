"""Training the reference policies from Python: stopped and gone on with, and of a problem of one's own."""

import json
import sys

import numpy as np
import pytest

from adaptax import experiment
from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.experiment.options import ReferenceOptions
from adaptax.experiment.reference_policies import check_marks
from adaptax.experiment.reference_recipes import reference_recipes
from adaptax.experiment.signals import StopSignal
from adaptax.problems.settings import BanditSettings
from adaptax.registry import registry
from tests.cli.conftest import TINY as OF_RL2
from tests.cli.conftest import run

TINY = {"num_updates": 3, "num_tasks": 4, "num_minibatches": 2, "hidden_size": 4, "num_layers": 1, "streams": 2}
OF_BANDITS = {**TINY, "num_arms": 3, "num_pulls": 5, "eval_tasks": 40, "devices": 1}


def test_both_recipes_differ_in_what_is_seen_alone():
    recipes, options = reference_recipes("bandit", ReferenceOptions(), {"num_arms": 3, "seeds": 2, "num_updates": 7})
    informed, memoryless = recipes["informed"], recipes["memoryless"]
    assert (informed.algorithm, memoryless.algorithm) == ("oracle-ppo", "multitask-ppo")
    assert informed.algorithm_settings == memoryless.algorithm_settings
    assert informed.algorithm_settings.num_updates == 7
    assert informed.problem_settings == memoryless.problem_settings == BanditSettings(num_arms=3)
    training = options.training()
    assert (training.seeds, training.eval_tasks) == (2, 0)
    of_settings, _ = reference_recipes(BanditSettings(num_arms=3), ReferenceOptions())
    assert of_settings["informed"].problem == "bandit"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fine_tuning_rate": 0.1}, "learns nothing in a task"),
        ({"save_every": 3}, "save_every: is an option of train, and none of reference"),
        ({"nonsense": 3}, "nonsense: no such field"),
        ({"num_arms": 0}, "num_arms"),
    ],
)
def test_what_does_not_go_together(changes, says):
    with pytest.raises(ConfigError, match=says):
        reference_recipes("bandit", ReferenceOptions(), changes)


def test_marks_of_tasks():
    known = {"horizon": 5, "mean": [1.0, 2.0], "std": [0.5, 1.0]}
    check_marks("here", known, known)
    check_marks("here", {**known, "mean": [1.0004, 2.0]}, known)  # rounding, on another machine
    others = [{**known, "mean": [1.001, 2.0]}, {**known, "std": [0.6, 1.0]}, {**known, "horizon": 6}]
    others += [{**known, "mean": [1.0], "std": [0.5]}, {**known, "mean": [np.nan, 2.0]}]
    for other in others:
        with pytest.raises(CheckpointError, match="here: is of other tasks"):
            check_marks("here", other, known)
    for other in ({}, {**known, "mean": "many"}, {**known, "std": [[1.0], 2.0]}):
        with pytest.raises(CheckpointError, match="not known"):
            check_marks("here", other, known)


def files(directory):
    """What training has left of it, by name; not what says when, or how long it took."""
    names = [f"{part}/metrics.jsonl" for part in ("informed", "memoryless")]
    names += [f"{part}/checkpoints/update-00000003.safetensors" for part in ("informed", "memoryless")]
    return {name: (directory / name).read_bytes() for name in names}


@pytest.mark.compiles
@pytest.mark.parametrize("when", [1, 2])
def test_stopped_and_gone_on_with_is_bitwise_as_at_once(tmp_path, when):
    at_once = experiment.reference("bandit", references=tmp_path / "at once", **OF_BANDITS)
    stop, begun = StopSignal(), []

    def stop_in_time(progress):
        """In the first update of the first or of the second policy."""
        if progress.work == "train" and progress.done == 0:
            begun.append(progress)
        if len(begun) == when and progress.done == 1:
            stop.ask()

    same = {"references": tmp_path / "in parts", **OF_BANDITS}
    first = experiment.reference("bandit", on_progress=stop_in_time, stop=stop, **same)
    assert first.stopped
    assert first.content is None
    assert len(first.runs) == when
    assert list(first.runs.values())[-1].done == 1
    said = []
    found = experiment.reference("bandit", on_message=said.append, **same)
    assert not found.stopped
    assert any("resumed at update 1" in line for line in said)
    assert files(found.directory) == files(at_once.directory)
    assert found.content["policies"] == at_once.content["policies"]
    assert json.loads((found.directory / "reference.json").read_text())["policies"] == found.content["policies"]
    assert repr(found).count("policy") >= 2
    assert found._repr_html_().count("<tr>") == 4


OWN = '''
import equinox as eqx, jax, jax.numpy as jnp
from tests.strangers.stranger_problem import HiddenTarget, Targets, make_problem

class Unknown(Targets):
    """Targets of which no optimum is known."""
    low: float = eqx.field(static=True, default=0.0)

    def draw(self, key):
        return jax.random.uniform(key, minval=self.low)

    def oracle(self, task):
        return jnp.asarray(jnp.nan)

LOW = 0.0

def make(num_actions: int = 5, num_episodes: int = 4):
    """Guess where a target is."""
    return make_problem(HiddenTarget(num_actions), lambda split: Unknown(num_actions, split, None, LOW), num_episodes)
'''
POLICY = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture
def own_problem(tmp_path, monkeypatch):
    """A problem of a user's own in the working directory, by MODULE:NAME."""
    (tmp_path / "own_of_reference.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADAPTAX_REFERENCES", raising=False)
    yield "own_of_reference:make"
    registry.forget("own_of_reference:make")
    sys.modules.pop("own_of_reference", None)


@pytest.mark.compiles
def test_a_problem_of_ones_own_whose_optimum_is_unknown(own_problem, tmp_path):
    first = run("train", "rl2", own_problem, *OF_RL2, "--eval-tasks", "30", "--out", "mine", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert f"`adaptax reference {own_problem}` trains what it can be measured by" in first.stderr
    trained = run("reference", own_problem, *POLICY, "--eval-tasks", "30", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "knows the task (exact)" not in trained.stdout
    few = ["--tasks", "30", "--problem", own_problem]
    done = run("evaluate", "mine", *few, "--json", cwd=tmp_path)
    content = json.loads(done.stdout)
    assert content["oracle"] is None
    assert len(content["reference"]["agents"]["rl2"]) == 4
    assert "trains what it can be measured by" not in done.stderr
    compared = run("compare", "mine", *few, "--family-tasks", "6", "--json", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    label = json.loads(compared.stdout)["reference"]["label"]
    assert label == "the trained informed policy (oracle-ppo, 3 updates; told the task, no exact optimum)"
    left_out = run("compare", "mine", *few, "--family-tasks", "6", "--json", "--no-reference", cwd=tmp_path)
    assert "the best agent here (no oracle is known)" in json.loads(left_out.stdout)["reference"]["label"]

    sys.modules["own_of_reference"].LOW = 0.5  # the same name and settings, and other tasks
    changed = run("evaluate", "mine", *few, "--json", cwd=tmp_path)
    assert changed.returncode == 0
    assert json.loads(changed.stdout)["reference"] is None
    assert "is of other tasks" in changed.stderr
    again = run("reference", own_problem, *POLICY, cwd=tmp_path)
    assert again.returncode == 5
    assert "is of other tasks" in again.stderr


@pytest.mark.compiles
def test_nothing_is_imported_that_the_user_did_not_name(own_problem, tmp_path):
    done = run("reference", own_problem, *POLICY, "--eval-tasks", "20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    registry.forget(own_problem)
    sys.modules.pop("own_of_reference")
    (directory,) = (tmp_path / "runs/references").iterdir()
    refused = run("evaluate", str(directory / "informed"), cwd=tmp_path)
    assert refused.returncode == 5
    assert "imported only if you name it" in refused.stderr
    assert "own_of_reference" not in sys.modules
