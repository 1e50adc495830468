import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from adaptax.cli.inspect import command
from adaptax.core.algorithm import init
from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.inspection import inspect_memory
from adaptax.registry.presets import settings_for
from adaptax.runs import checkpoints
from adaptax.runs.directory import save_config
from adaptax.runs.recipe import Recipe
from tests.cli.conftest import run
from tests.sample_problems import TINY


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """Makes the directory of a run that was not trained; commands may be called in this process."""
    monkeypatch.setattr("adaptax.experiment.jax_setup.start_jax", lambda: None)

    def make(algorithm="rl2", problem="bandit", seeds=1, of_problem=None, **of_algorithm):
        directory = tmp_path / f"{algorithm}-{problem}-{seeds}"
        directory.mkdir()
        settings = settings_for(algorithm, problem)
        kinds = type(settings[0])(**of_algorithm), type(settings[1])(**(of_problem or {}))
        recipe = Recipe(algorithm, problem, *kinds)
        save_config(directory, recipe, {"seeds": seeds})
        state = init(*recipe.build(), seed=3, num_seeds=seeds)
        checkpoints.save(directory, state, update=kinds[0].num_updates, about=recipe.about({"seeds": seeds}))
        return directory, recipe, state

    return make


def test_a_finished_run_is_inspected(finished_run):
    cwd, directory = finished_run.cwd, finished_run.directory
    done = run("inspect", directory.name, "--tasks", "30", "--seed", "5", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((directory / "inspection.json").read_text())
    assert (directory / "inspection.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert content["episodes"] == [0, 1, 2, 3, 4, 5]
    assert list(content["r2"]) == ["pooled", *(f"probabilities[{arm}]" for arm in range(3))]
    assert all(len(curve["interval"]) == 6 for curve in content["r2"].values())
    assert content["r2"]["pooled"]["value"][0] <= 0
    assert content["accuracy"] is None
    assert content["memory_size"] == 2 * 4  # an LSTM with four units
    assert content["protocol"]["tasks"] == 30
    assert content["protocol"]["held_out"]
    assert content["protocol"]["policy"] == "mode"
    assert "inspect 60/60 trials" in done.stderr


@pytest.mark.compiles
def test_tables_for_people(untrained, capsys):
    directory, *_ = untrained(**TINY, of_problem={"num_arms": 2, "num_pulls": 25})
    assert command([str(directory), "--tasks", "40", "--policy", "sample"]) == 0
    printed = capsys.readouterr().out
    assert "rl2 on bandit (num_arms 2, num_pulls 25)" in printed
    rows = {words[0]: words for words in map(str.split, printed.splitlines()) if words}
    assert float(rows["0"][1]) <= 0
    assert rows["0"][-1] == "–"  # at the start there are no distances
    assert "25" in rows
    assert "24" not in rows  # a long trial is read at fewer times
    assert "after 25 pulls" in printed
    assert rows["probabilities[1]"][2] == "±"
    assert printed.count("inspection.png") == 1
    content = json.loads((directory / "inspection.json").read_text())
    assert content["protocol"]["policy"] == "sample"


@pytest.mark.compiles
def test_one_of_several_trainings_is_looked_into(untrained, capsys):
    directory, recipe, state = untrained(seeds=2, **TINY, of_problem={"num_arms": 2, "num_pulls": 3})
    found = []
    for seed in (0, 1):
        assert command([str(directory), "--tasks", "40", "--training-seed", str(seed), "--json"]) == 0
        content = json.loads(capsys.readouterr().out)
        assert content["protocol"]["training_seed"] == seed
        assert content["protocol"]["training_seeds"] == 2
        found.append(content["r2"])
        meta = jax.tree.map(lambda x, seed=seed: x[seed], state.meta)
        expected = inspect_memory(TrainedAgent(*recipe.build(), meta), num_tasks=40)
        np.testing.assert_allclose(content["r2"]["pooled"]["value"], expected.pooled.value, rtol=1e-4, atol=1e-6)
    assert found[0] != found[1]
    with pytest.raises(ConfigError, match=r"--training-seed: expected at most 1, .* holds 2 trainings, .* found 2"):
        command([str(directory), "--training-seed", "2"])


@pytest.mark.compiles
def test_of_a_finite_family_tasks_are_named_and_it_is_said_that_none_is_held_out(untrained, capsys):
    sizes = {"num_episodes": 2, "size": 3, "horizon": 3}
    directory, *_ = untrained(problem="grid-navigation", **TINY, of_problem=sizes)
    assert command([str(directory), "--tasks", "40"]) == 0
    said = capsys.readouterr()
    assert "named rightly" in said.out
    assert "by chance" in said.out
    assert "finite set" in said.err
    content = json.loads((directory / "inspection.json").read_text())
    assert content["accuracy"]["value"][0] == content["accuracy"]["chance"]


def test_an_agent_without_memory_is_refused_before_anything_is_written(untrained):
    directory, *_ = untrained(**TINY, memory="none", of_problem={"num_arms": 2, "num_pulls": 3})
    before = sorted(directory.iterdir())
    with pytest.raises(ConfigError, match="expected an agent that learns by remembering"):
        command([str(directory)])
    assert sorted(directory.iterdir()) == before


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no run there"):
        command([str(tmp_path)])


def test_wrong_usage_is_found_without_importing_jax():
    code = (
        "import sys, contextlib, io\n"
        "from adaptax.cli import main\n"
        "for words in (['inspect'], ['inspect', 'x', '--tasks', '5'], ['inspect', 'x', '--policy', 'best']):\n"
        "    with contextlib.redirect_stderr(sys.stdout):\n"
        "        try: main(words)\n"
        "        except SystemExit as stop: print(stop.code)\n"
        "print([m for m in ('jax', 'equinox', 'matplotlib') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    flat = " ".join(done.stdout.replace("│", " ").split())
    assert "inspect: expected the directory of a run; found nothing 2" in flat
    assert "InspectOptions.tasks: expected an integer between 20 and 20000; found 5 2" in flat
    assert "--policy" in flat
    assert flat.endswith("2 []")
