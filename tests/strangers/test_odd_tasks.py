"""Trap E37: what check-env allows works in training, evaluation, resumption and use, whatever tasks are made of."""

import json

import jax
import numpy as np
import pytest

from adaptax import experiment
from adaptax.deployment.agent import Agent
from adaptax.problems.checks.check import examine
from tests.strangers.odd_tasks import buttons
from tests.strangers.test_commands import run

pytestmark = pytest.mark.compiles

PROBLEM = "tests.strangers.odd_tasks:buttons"
FEW = {"num_updates": 20, "eval_tasks": 6, "devices": 1, "num_episodes": 4}
SMALL = {"num_tasks": 4, "num_minibatches": 2}
LEARNERS = {
    "rl2": {"memory_size": 4, "critic_size": 4, **SMALL},
    "maml": {"hidden_size": 4, "num_tasks": 4, "trajectories": 2},
    "oracle-ppo": {"hidden_size": 4, **SMALL},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr("adaptax.experiment.jax_setup.start_jax", lambda: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("continuous", [False, True])
def test_E37_check_env_finds_nothing_wrong(continuous, place):
    assert [finding.line() for finding in examine(buttons(continuous=continuous), tasks=8, steps=32).findings] == []
    assert "PASS" in run("check-env", PROBLEM, "--tasks", "4", "--steps", "20")


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_E37_tasks_of_every_kind_are_trained_on_resumed_evaluated_and_used(algorithm, place):
    whole = experiment.train(algorithm, PROBLEM, directory="whole", **FEW, **LEARNERS[algorithm])
    stop = experiment.StopSignal()
    begun = experiment.train(
        algorithm, PROBLEM, directory="run", stop=stop, on_progress=lambda progress: stop.ask(),
        **FEW, **LEARNERS[algorithm],
    )  # fmt: skip
    assert begun.stopped
    gone_on = experiment.resume("run", problem=PROBLEM)
    for one, other in zip(jax.tree.leaves(whole.state.meta), jax.tree.leaves(gone_on.state.meta), strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(one).all()
    assert all(row["return"] > -10 for row in whole.metrics)
    printed = json.loads(run("evaluate", "run", "--problem", PROBLEM, "--tasks", "6", "--json"))
    assert np.isfinite([agent["mean"] for agent in printed["agents"].values()]).all()
    if algorithm != "oracle-ppo":  # which has to be told the task
        agent = Agent.load("run", problem=PROBLEM)
        for step in range(16):
            agent.act(np.zeros(2))
            agent.observe(1.0, episode_over=step % 2 == 1, observation=np.zeros(2))


def test_E37_a_learner_from_scratch_lives_in_tasks_of_every_kind(place):
    small = {"hidden_size": 4, "streams": 2, "num_minibatches": 2, "num_epochs": 1}
    experiment.train("ppo", PROBLEM, directory="run", eval_tasks=6, num_episodes=4, horizon=4, **small)
    printed = json.loads(run("evaluate", "run", "--problem", PROBLEM, "--tasks", "6", "--json"))
    assert all(agent["mean"] > -10 for agent in printed["agents"].values())
    agent = Agent.load("run", problem=PROBLEM)
    for step in range(16):
        agent.act(np.zeros(2))
        agent.observe(1.0, episode_over=step % 2 == 1, observation=np.zeros(2))


def test_E37_tasks_of_every_kind_are_compared_and_looked_for_in_a_memory(place):
    experiment.train("rl2", PROBLEM, directory="run", **FEW, **LEARNERS["rl2"])
    few = {"problem": PROBLEM, "tasks": 6}
    compared = experiment.compare(["run"], **few, family_tasks=4)
    assert list(compared.content["agents"])[-1] == "random"
    looked = experiment.inspect("run", **{**few, "tasks": 20})
    parts = set(looked.content["r2"])
    assert {"goal", "yes", "mask[0]", "many[1]", "small[0]", "half[0]", "huge", "wave.real", "wave.imag"} <= parts
    assert not {"limit", "none", "sometimes", "three", "zero", "nothing", "key", "keys"} & parts
