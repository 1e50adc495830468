"""The small agents that ship with the package: that they load, and are as good as is stated."""

import json

import numpy as np
import pytest

import adaptax
from adaptax.core.errors import CheckpointError, ConfigError, UseError
from adaptax.deployment import pretrained
from adaptax.deployment.agent import Agent
from adaptax.deployment.export.parity import in_one_row, recorded
from adaptax.deployment.export.traced import exported
from adaptax.deployment.pretrained.steps import Learner, read_step
from adaptax.experiment.demonstration import demo
from adaptax.runs.directory import read_recipe
from adaptax.runs.load import load_agent
from adaptax.runs.parameters import holds_parameters_only

MOST = 100_000
"""Bytes of an agent's folder."""


@pytest.fixture(scope="module")
def loaded():
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = load_agent(pretrained.directory_of(name))
        return kept[name]

    return get


@pytest.mark.parametrize("name", pretrained.NAMES)
def test_an_agent_is_small_and_says_what_it_earned_and_how_it_was_made(name):
    folder = pretrained.directory_of(name)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= MOST
    recipe, options = read_recipe(folder)
    result = pretrained.result_of(folder)
    assert recipe.problem == name
    assert result["agent"] == f"{recipe.algorithm} on {name}"
    assert result["command"] == f"python benchmarks/pretrained.py {name}"
    assert result["training"].startswith(f"adaptax train {recipe.algorithm} {name} ")
    assert options["seeds"] == 1
    assert holds_parameters_only(folder)
    assert "/" not in json.dumps(json.loads((folder / "config.json").read_text())).replace("RL/", "")
    assert result["trained"]["mean"] > result["untrained"]["mean"] + 10 * result["trained"]["stderr"]
    assert result["trained"]["mean"] <= result["best"]["mean"] + 3 * result["trained"]["stderr"]


def test_the_one_on_bandits_earns_97_per_cent_of_the_gittins_index():
    result = pretrained.result_of(pretrained.directory_of("bandit"))
    assert result["best"]["name"] == "the Gittins index"
    assert result["trained"]["mean"] >= 0.97 * result["best"]["mean"]


@pytest.mark.parametrize("name", pretrained.NAMES)
def test_a_demonstration_earns_what_is_stated(name):
    tasks = {"bandit": 60, "grid-navigation": 40, "point-robot": 8}[name]
    found = demo(name, tasks=tasks, seed=5)
    learns = name == "point-robot"
    scores = [trial.returns[-1] if learns else sum(trial.returns) for trial in found.trials]
    stated = found.result["trained"]
    spread = max(float(np.std(scores, ddof=1)), stated["stderr"] * np.sqrt(found.result["tasks"]))
    assert np.mean(scores) == pytest.approx(stated["mean"], abs=4 * spread / np.sqrt(tasks))
    assert len(found.trials) == tasks


@pytest.mark.parametrize("name", ["", "bandits", "../bandit", None, 3])
def test_a_wrong_name_is_told_which_there_are(name):
    with pytest.raises(UseError, match="expected one of bandit, grid-navigation, point-robot; found"):
        Agent.pretrained(name)
    with pytest.raises(UseError, match="expected one of"):
        read_step(name)


def test_of_a_misspelt_name_the_right_one_is_told():
    with pytest.raises(ConfigError, match=r"found 'bandti'; did you mean 'bandit'\?"):
        demo("bandti")


@pytest.mark.compiles
@pytest.mark.parametrize("name", pretrained.NAMES)
def test_they_earn_what_is_stated(name, loaded):
    agent, stated = loaded(name), pretrained.result_of(pretrained.directory_of(name))["trained"]
    found = adaptax.evaluate(agent, num_tasks=200, seed=11)
    scores = found.adapted_returns if agent.learns_from_windows else found.scores
    error = np.hypot(np.std(scores, ddof=1) / np.sqrt(scores.size), stated["stderr"])
    assert np.mean(scores) == pytest.approx(stated["mean"], abs=3 * error)


@pytest.mark.compiles
@pytest.mark.parametrize("name", pretrained.NAMES)
def test_the_step_beside_a_checkpoint_is_the_agent_s(name, loaded):
    agent = loaded(name)
    written, module = exported(agent), read_step(name)
    record = recorded(written, agent.problem.env.observation_space, steps=1000)
    memory, state = len(written.state) - written.adapted, []
    for number, (*told, begins) in enumerate(record.steps):
        state = list(written.initial) if begins else state
        action, *rest = module.act(*told, *state)
        np.testing.assert_allclose(action, record.actions[number], rtol=1e-5, atol=1e-5)
        if memory:
            np.testing.assert_allclose(in_one_row(rest), record.kept[number], rtol=1e-5, atol=1e-5)
        if written.window is not None:
            drawn, *rest = module.explore(*told, *state, np.asarray([0, number], np.uint32))
            np.testing.assert_allclose(drawn, record.drawn[number], rtol=1e-5, atol=1e-5)
        state = [*state[: written.adapted], *rest[:memory]]
    if record.window is not None:
        for wanted, found, by in zip(record.learned, module.adapt(*record.window), record.rounded, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 + 10 * np.max(by, initial=0))


@pytest.mark.compiles
def test_a_pretrained_agent_is_an_agent_in_use():
    agent, learner = Agent.pretrained("bandit", seed=3), Learner(read_step("bandit"))
    rng = np.random.default_rng(0)
    for _ in range(3):
        agent.begin()
        learner.begin()
        for _ in range(40):
            action, found = agent.act([]), learner.act([])
            assert action == found
            reward = float(rng.integers(2))
            agent.observe(reward, episode_over=True)
            learner.observe(found, reward, True, True, [])


@pytest.mark.compiles
def test_a_run_reduced_to_its_parameters_is_not_gone_on_with(tmp_path):
    import shutil

    from adaptax.experiment import resume

    shutil.copytree(pretrained.directory_of("bandit"), tmp_path / "run")
    with pytest.raises(CheckpointError, match="has other leaves"):
        resume(tmp_path / "run")
