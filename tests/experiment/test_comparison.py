"""What is written and shown of a comparison; who is compared: `test_agent_specs.py`; whole ones: `tests/cli`."""

import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from adaptax.core.errors import ConfigError, OutputError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.experiment import comparison
from adaptax.experiment.agent_specs import AgentSpec, RunSpec
from adaptax.experiment.comparison import Comparison, about, agent_of, compare, compare_in, early_agent, provenance
from adaptax.experiment.options import CompareOptions
from adaptax.experiment.reports import FIGURES, REPORT
from adaptax.problems import bernoulli_bandit
from adaptax.problems.settings import BanditSettings
from adaptax.reports import comparison_page
from tests.claims.tiny_run import recipe

BANDIT = BanditSettings(num_arms=3, num_pulls=20)
UCB1 = AgentSpec("ucb1", "ucb1", "classical", None, BANDIT)


def after(value, low, high):
    return {"after": {"value": value, "interval": [low, high]}}


CONTENT = {
    "problem": {"name": "bandit"},
    "families": ["held-out", "shifted"],
    "warnings": ["few tasks"],
    "agents": {
        "rl2": {"kind": "meta-trained", "families": {"held-out": after(0.75, 0.7, 0.8), "shifted": after(-1, -2, 0)}},
        "random": {"kind": "classical", "families": {"held-out": after(0.5, 0.4996, 2), "shifted": after(0, 0, 0)}},
    },
}
ROWS = [
    ("rl2", "meta-trained", "0.750 (0.700 … 0.800)", "-1.000 (-2.000 … 0.000)"),
    ("random", "classical", "0.500 (0.500 … 2.000)", "0.000 (0.000 … 0.000)"),
]


def test_it_is_shown_as_a_table():
    shown = Comparison(CONTENT, Path("here"))
    assert shown.rows() == ROWS
    assert shown.report == Path("here") / REPORT
    assert repr(shown).startswith("bandit: return of an episode at the end of a trial (95 % interval)\nagent ")
    assert repr(shown).splitlines()[1].split() == ["agent", "kind", "held-out", "shifted"]
    assert "<td>0.750 (0.700 … 0.800)</td>" in shown._repr_html_()


def test_what_was_asked_for_is_written_down_as_it_was_typed():
    options = CompareOptions(problem="bandit", tasks=50, policy="sample", json=True, out=Path("here"))
    found = provenance(["runs/a", "ucb1"], "bandit", [UCB1], options)
    assert found["command"] == [
        "adaptax", "compare", "runs/a", "ucb1", "--problem", "bandit", "--tasks", "50", "--policy", "sample",
        "--out", "here", "--json",
    ]  # fmt: skip
    assert found["problem"]["settings"] == {"num_arms": 3}  # trials differ from agent to agent
    assert (found["options"]["tasks"], found["options"]["out"]) == (50, None)
    assert provenance([], "bandit", [UCB1], CompareOptions())["command"] == ["adaptax", "compare"]


def test_versions_are_of_what_is_installed():
    assert comparison.installed_versions(["numpy", "no-such-package"]) == {"numpy": np.__version__}


def test_what_an_agent_comes_from_is_written_down():
    assert about(UCB1) == {"algorithm": "ucb1", "settings": None, "runs": []}
    run = RunSpec(Path("runs/a"), recipe(), 3, 2)
    spec = AgentSpec("rl2 (a)", "rl2", "meta-trained", recipe().algorithm_settings, BANDIT, (run,))
    assert about(spec)["settings"]["memory_size"] == 4
    assert about(spec)["runs"] == [{"directory": "runs/a", "seed": 3, "seeds": 2}]


def test_agents_that_need_no_training_are_built_for_the_problem():
    agent = agent_of(UCB1, "bandit", CompareOptions())
    assert (agent.name, agent.kind, agent.about, agent.problem.episodes) == ("ucb1", "classical", about(UCB1), 20)
    shorter = early_agent(agent, bernoulli_bandit(3, 2), 0)
    assert (shorter.name, shorter.kind, shorter.problem.episodes) == ("ucb1", "classical", 2)
    assert shorter.algorithm is agent.algorithm


def test_an_agent_that_does_not_suit_the_problem_is_named(monkeypatch):
    monkeypatch.setattr(TrainedAgent, "initial", Mock(side_effect=ValueError("too many arms")))
    with pytest.raises(ConfigError, match=r"^ucb1: does not suit bandit: too many arms$"):
        agent_of(UCB1, "bandit", CompareOptions())


def test_trainings_of_several_runs_are_one_agent(monkeypatch):
    def load(directory, say, *, checkpoint):
        return TrainedAgent(None, None, np.array([ord(directory.name), ord(checkpoint[0])]), name="rl2")

    monkeypatch.setattr(comparison, "load_agent", load)
    runs = tuple(RunSpec(Path(name), recipe(), seed, 1) for seed, name in enumerate("ab"))
    spec = AgentSpec("mine", "rl2", "meta-trained", recipe().algorithm_settings, BANDIT, runs)
    agent = agent_of(spec, "bandit", CompareOptions(checkpoint="best"))
    assert agent.meta.tolist() == [[*b"ab"], [*b"bb"]]  # the best of both
    assert (agent.num_seeds, agent.name, agent.kind, agent.about) == (2, "mine", "meta-trained", about(spec))


def test_random_alone_is_nothing_to_compare(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^compare: expected at least one agent besides random; found none$"):
        compare(["random"], problem="bandit")
    assert list(tmp_path.iterdir()) == []


def test_figures_are_written_before_the_report_and_not_lost(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(comparison, "measure", lambda *given: CONTENT)
    monkeypatch.setattr(comparison_page, "report", Mock(side_effect=OSError(13, "Permission denied")))
    with pytest.raises(OutputError, match="Permission denied") as refused:
        compare_in(tmp_path, ["ucb1"], "bandit", [UCB1], CompareOptions(), on_message=said.append)
    assert refused.value.result.rows() == ROWS
    assert said == ["warning: few tasks"]
    assert json.loads((tmp_path / FIGURES).read_text())["agents"] == CONTENT["agents"]


def test_options_are_written_as_they_are_typed():
    options = CompareOptions(problem="bandit", algorithm=("mine:A", "mine:B"), tasks=7, json=True)
    assert comparison._typed(options) == [
        "--problem", "bandit", "--algorithm", "mine:A", "mine:B", "--tasks", "7", "--json"
    ]  # fmt: skip
