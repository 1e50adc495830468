"""A row of the table of all algorithms: what is measured, on an agent of which all is known."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest

from adaptax import experiment
from adaptax.experiment import learning, reproduction
from adaptax.experiment.surroundings import Surroundings
from adaptax.registry.learning_table import Row, learning_table
from adaptax.registry.paper_tables import Cell
from adaptax.reports.tables import learning_table as printed

TINY = {
    "maml": {"num_tasks": 4, "trajectories": 2, "hidden_size": 4, "num_layers": 1, "num_updates": 2, "inner_steps": 2},
    "rl2": {
        "num_tasks": 4, "num_minibatches": 2, "memory_size": 3, "critic_size": 3, "num_updates": 2, "num_arms": 3,
        "num_pulls": 5,
    },
}  # fmt: skip
PROBLEM = {"maml": ("point-robot", {"num_episodes": 8, "horizon": 4}), "rl2": ("bandit", {})}


def test_gains_are_of_each_training_in_the_same_tasks():
    trained, untrained = np.array([[3.0, 5.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [1.0, 1.0]])
    assert learning._gains(trained, untrained) == [{"mean": 3.0, "stderr": 1.0}, {"mean": 0.0, "stderr": 0.0}]


@pytest.mark.parametrize(
    ("gains", "learns"),
    [
        ([(3.0, 1.0), (4.0, 1.0)], True),
        ([(9.0, 1.0), (2.9, 1.0)], False),
        ([(0.0, 0.0)], False),
        ([(-4.0, 1.0)], False),
    ],
)
def test_it_learns_if_every_training_gained_three_standard_errors(gains, learns):
    given = [{"mean": mean, "stderr": error} for mean, error in gains]
    assert learning.learns(given) is learns


@pytest.mark.compiles
@pytest.mark.parametrize("algorithm", ["maml", "rl2"])
def test_a_row_has_the_agent_its_untrained_self_and_random_actions_in_the_same_tasks(algorithm, tmp_path):
    problem, parameters = PROBLEM[algorithm]
    settings = {**TINY[algorithm], **parameters, "devices": 1, "eval_tasks": 0, "seeds": 2}
    run = experiment.train(algorithm, problem, directory=tmp_path / "run", **settings)
    row = Row(algorithm, problem, 2, published=7.5, source="nobody")
    told = []
    found = learning.measured(row, run, 30, 0, Surroundings(on_progress=told.append))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert reproduction._is_result(found)
    assert found["what"] == ("an adapted episode" if algorithm == "maml" else "a trial")
    assert len(found["gain"]) == 2
    by_hand = np.mean([gain["mean"] for gain in found["gain"]])
    assert found["mean"] - found["untrained"]["mean"] == pytest.approx(by_hand, abs=1e-5)
    assert abs(by_hand) > 0
    steps = found["steps"][algorithm]
    assert set(steps) == ({"sample", "mode"} if algorithm == "maml" else {"mode"})
    if algorithm == "maml":
        assert len(steps["mode"]) == 4  # a trial of four windows: before, and after one, two and three of them
        assert steps["mode"][-1][0] == pytest.approx(found["mean"], rel=1e-6)
        assert found["ceiling"] > found["mean"]
    assert (found["published"], found["source"], found["seeds"], found["tasks"]) == (7.5, "nobody", 2, 30)
    assert found["env_steps"] == run.env_steps > 0
    assert {x.text for x in told} >= {algorithm, "random"}
    text = str(printed({"cell": found}).rows)
    assert "cell" in text


@pytest.mark.compiles
def test_who_learns_from_nothing_is_compared_with_what_it_knew_before_its_first_episode(tmp_path):
    settings = {"streams": 2, "num_minibatches": 2, "hidden_size": 4, "num_layers": 1}
    settings |= {"num_episodes": 8, "horizon": 4, "devices": 1, "eval_tasks": 0}
    run = experiment.train("ppo", "point-robot", directory=tmp_path / "run", **settings)
    found = learning.measured(Row("ppo", "point-robot", 1), run, 20, 0, Surroundings())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found["steps"]) == {"ppo"}
    by_mode = found["steps"]["ppo"]["mode"]
    assert found["untrained"]["mean"] == pytest.approx(by_mode[0][0], rel=1e-6)
    assert found["mean"] == pytest.approx(by_mode[-1][0], rel=1e-6)
    assert found["gain"][0]["mean"] == pytest.approx(found["mean"] - found["untrained"]["mean"], abs=1e-4)
    assert len(found["gain"]) == 1


@pytest.mark.compiles
def test_a_cell_of_a_paper_has_other_agents_in_the_same_tasks(tmp_path):
    run = experiment.train("rl2", "bandit", directory=tmp_path / "run", devices=1, eval_tasks=0, **TINY["rl2"])
    cell = Cell({}, {}, 1.0, None, "", against=("gittins", "ucb1"))
    found = reproduction._measured(cell, run, 20, 0, Surroundings())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["beside"]) == ["gittins", "ucb1"]
    assert found["policy"] == "mode"
    sampled = reproduction._measured(dataclasses.replace(cell, explore=True), run, 20, 0, Surroundings())
    assert sampled["policy"] == "sample"
    assert sampled["mean"] != found["mean"]
    assert sampled["beside"]["ucb1"]["mean"] == pytest.approx(found["beside"]["ucb1"]["mean"], abs=2.0)
    for agent in found["beside"].values():
        assert found["mean"] - agent["mean"] == pytest.approx(agent["difference"], abs=1e-5)
        assert agent["stderr"] > 0


def test_a_row_is_trained_with_its_seeds_and_kept_with_what_was_asked(tmp_path, monkeypatch):
    row = learning_table().cells["maml-point-robot"]
    asked = []

    class Session:
        trackers = contextlib.nullcontext()

        def __init__(self, recipe, options, directory, surroundings, started_with=None, *, preset):
            asked.append((recipe.algorithm, recipe.problem, options.seeds, options.seed, preset))
            self.stopped, self.recipe, self.directory = False, recipe, directory

        def run(self):
            return self

    figures = {"mean": 1.0, "stderr": 0.1, "interval": [0.8, 1.2], "published": None, "ceiling": None, "seconds": 2.0}
    monkeypatch.setattr(reproduction, "TrainSession", Session)
    monkeypatch.setattr(learning, "measured", lambda cell, run, tasks, seed, around: {**figures, "tasks": tasks})
    found = experiment.reproduce("maml-point-robot", seed=4, out=tmp_path)
    assert asked == [("maml", "point-robot", row.seeds, 4, "reproduce")]
    assert found.cells["maml-point-robot"]["tasks"] == row.tasks == 500
    content = json.loads((tmp_path / "maml-point-robot" / "cell.json").read_text())
    assert (content["asked"]["seeds"], content["asked"]["tasks"], content["asked"]["seed"]) == (5, 500, 4)
    again = experiment.reproduce("all-algorithms", seed=4, out=tmp_path, cells="maml-point-robot")
    assert again.cells == found.cells
    assert len(asked) == 1


def test_the_table_marks_what_has_not_learned():
    figures = {"mean": 1.0, "stderr": 0.1, "interval": [0.8, 1.2]}
    cell = {**figures, "untrained": figures, "random": figures, "ceiling": None}
    good = {**cell, "gain": [{"mean": 4.0, "stderr": 1.0}, {"mean": 9.0, "stderr": 1.0}], "learns": True}
    bad = {**cell, "gain": [{"mean": 2.0, "stderr": 1.0}], "learns": False}
    none = {**cell, "gain": [{"mean": 0.0, "stderr": 0.0}], "learns": False}
    rows = printed({"good": good, "bad": bad, "none": none}).rows
    assert [[text for text in row if text in ("4.0", "2.0 !", "0.0 !")] for row in rows] == [
        ["4.0"],
        ["2.0 !"],
        ["0.0 !"],
    ]
