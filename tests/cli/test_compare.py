import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from adaptax.cli.compare import command
from adaptax.core.algorithm import init
from adaptax.core.errors import CheckpointError, ConfigError, OutputError
from adaptax.experiment.agent_specs import resolve
from adaptax.experiment.comparison import agent_of
from adaptax.experiment.options import CompareOptions
from adaptax.registry.presets import settings_for
from adaptax.runs import checkpoints
from adaptax.runs.directory import save_config
from adaptax.runs.recipe import Recipe
from tests.cli.conftest import run
from tests.sample_problems import TINY

FEW = ["--tasks", "12", "--family-tasks", "6"]
BANDIT = {"num_arms": 2, "num_pulls": 6}


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """Makes the directory of a run that was not trained; commands may be called in this process."""
    monkeypatch.setattr("adaptax.experiment.jax_setup.start_jax", lambda: None)
    monkeypatch.chdir(tmp_path)

    def make(name, seed=0, seeds=1, of_problem=BANDIT, **of_algorithm):
        directory = tmp_path / name
        directory.mkdir()
        settings = settings_for("rl2", "bandit")
        recipe = Recipe("rl2", "bandit", type(settings[0])(**TINY, **of_algorithm), type(settings[1])(**of_problem))
        options = {"seed": seed, "seeds": seeds}
        save_config(directory, recipe, options)
        state = init(*recipe.build(), seed=seed, num_seeds=seeds)
        checkpoints.save(directory, state, update=recipe.algorithm_settings.num_updates, about=recipe.about(options))
        return str(directory), state

    return make


@pytest.mark.compiles
def test_a_finished_run_is_compared(finished_run):
    cwd, directory = finished_run.cwd, finished_run.directory
    done = run("compare", directory.name, "gittins", "--seed", "5", "--json", "--out", "report", *FEW, cwd=cwd)
    assert done.returncode == 0, done.stderr
    printed, content = json.loads(done.stdout), json.loads((cwd / "report/comparison.json").read_text())
    assert printed.pop("directory") == "report"
    assert printed == content
    assert list(content["agents"]) == ["rl2", "gittins", "random"]
    assert content["command"][:3] == ["adaptax", "compare", directory.name]
    assert content["families"]["held-out"] == {"tasks": 12, "seed": 5}
    assert content["problem"]["settings"] == {"num_arms": 3}
    assert content["agents"]["rl2"]["runs"] == [{"directory": directory.name, "seed": 0, "seeds": 1}]
    assert {"adaptax", "jax", "numpy"} <= set(content["versions"])
    assert (cwd / "report/report.html").read_text().startswith("<!DOCTYPE html>")
    assert "compare " in done.stderr


@pytest.mark.nightly
def test_tables_for_people_and_a_free_directory(untrained, tmp_path, capsys):
    directory, _ = untrained("a")
    for number in (1, 2):
        assert command([directory, "ucb1", *FEW]) == 0
        said = capsys.readouterr().out
        assert f"report  runs/compare-{number}/report.html" in said
        assert (tmp_path / f"runs/compare-{number}/comparison.json").exists()
    for words in ("1. pulls in a new task", "2. return per pull", "3. what finding out costs", "rl2", "ucb1", "random"):
        assert words in said


@pytest.mark.compiles
def test_seeds_of_several_runs_are_one_agents(untrained):
    first, one = untrained("a", seed=0)
    second, two = untrained("b", seed=1, seeds=2)
    spec = resolve([first, second], None, None)[1][0]
    agent = agent_of(spec, "bandit", CompareOptions())
    assert agent.num_seeds == 3
    joined = jax.tree.leaves(agent.meta)
    for leaf, alone, pair in zip(joined, jax.tree.leaves(one.meta), jax.tree.leaves(two.meta), strict=True):
        np.testing.assert_array_equal(leaf[0], alone)
        np.testing.assert_array_equal(leaf[1:], pair)
    assert command([first, second, "--out", "report", *FEW]) == 0


@pytest.mark.compiles
def test_agents_alone(untrained, tmp_path):
    words = ["ucb1", "--problem", "correlated-bandit", "--out", "report", *FEW]
    assert command(words) == 0
    content = json.loads((tmp_path / "report/comparison.json").read_text())
    assert content["problem"]["name"] == "correlated-bandit"
    assert content["agents"]["ucb1"]["trial"] == 100
    assert content["agents"]["ucb1"]["kind"] == "classical"


@pytest.mark.compiles
def test_nothing_is_overwritten(untrained, tmp_path):
    directory, _ = untrained("a")
    (tmp_path / "report").mkdir()
    (tmp_path / "report/comparison.json").write_text("mine")
    with pytest.raises(OutputError, match="already holds a report"):
        command([directory, "--out", "report", *FEW])
    with pytest.raises(OutputError, match="already holds a run"):
        command([directory, "--out", directory, *FEW])
    assert (tmp_path / "report/comparison.json").read_text() == "mine"


def test_an_agent_that_does_not_suit_the_problem_is_named(untrained):
    directory, _ = untrained("a")
    with pytest.raises(ConfigError, match=r"psrl: expected a problem that it is for .*found bandit"):
        command([directory, "psrl", "--out", "report", *FEW])


def test_a_run_without_checkpoints(untrained, tmp_path):
    directory, _ = untrained("a")
    shutil.rmtree(tmp_path / "a/checkpoints")
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        command([directory, *FEW])


def test_wrong_usage_is_found_without_importing_jax(tmp_path):
    code = (
        "import sys, contextlib, io\n"
        "from adaptax.cli import main\n"
        "bandit = ['--problem', 'bandit']\n"
        "for words in ([], ['nope'], ['./nope'], ['ppo'], ['random', *bandit], ['ppo', *bandit, '--episodes', '7'],\n"
        "              ['ppo', *bandit, '--tasks', '1'], ['ppo', *bandit, '--episodes', '0']):\n"
        "    with contextlib.redirect_stderr(sys.stdout):\n"
        "        try: main(['compare', *words])\n"
        "        except SystemExit as stop: print(stop.code)\n"
        "print([m for m in ('jax', 'equinox', 'matplotlib') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    flat = " ".join(done.stdout.replace("│", " ").split())
    assert "expected directories of runs, and names of agents that need no training; found nothing 2" in flat
    assert "found 'nope', which is neither 2" in flat
    assert "nope: no run there" in flat
    assert "expected at least one run's directory, or --problem NAME; found neither 2" in flat
    assert "expected at least one agent besides random; found none 2" in flat
    assert "ppo, with a trial of 7 episodes (--episodes)" in flat
    assert "CompareOptions.tasks: expected an integer between 2 and 100000; found 1 2" in flat
    assert "CompareOptions.episodes: expected an integer between 1 and 1000000; found 0 2" in flat
    assert flat.endswith("[]")
    assert not list(tmp_path.iterdir())


def test_help_says_what_there_is(capsys):
    with pytest.raises(SystemExit):
        command(["--help"])
    said = capsys.readouterr().out
    for option in ("--problem", "--tasks", "--family-tasks", "--seed", "--episodes", "--out", "--json"):
        assert option in said
