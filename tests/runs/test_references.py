import dataclasses
import json
from pathlib import Path

import pytest

from adaptax.core.errors import CheckpointError
from adaptax.problems.settings import BanditSettings
from adaptax.registry.presets import settings_for
from adaptax.runs.directory import save_config
from adaptax.runs.recipe import Recipe
from adaptax.runs.references import (
    FORMAT,
    INFORMED,
    RECORD,
    VARIABLE,
    command,
    place,
    read_policy,
    read_record,
    root,
)

ROOT = Path("runs/references")


def test_where_references_are_kept(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert root() == ROOT
    monkeypatch.setenv(VARIABLE, "elsewhere")
    assert root() == Path("elsewhere")
    assert root("given") == Path("given")


def test_a_problem_is_its_name_and_settings_whatever_the_length_of_a_trial():
    of = lambda **settings: place(ROOT, "bandit", BanditSettings(**settings))  # noqa: E731
    assert of(num_arms=3, num_pulls=5) == of(num_arms=3, num_pulls=70)
    assert of(num_arms=3) != of(num_arms=4)
    assert of() != place(ROOT, "gaussian-bandit", BanditSettings())
    assert place(ROOT, "my_envs:make", BanditSettings()).name.startswith("my_envs.make-")


def test_a_setting_that_a_later_version_adds_leaves_references_where_they_are():
    @dataclasses.dataclass(frozen=True)
    class Later(BanditSettings):
        """The same with one more."""

        added: int = 7

    old, new = BanditSettings(num_arms=3), Later(num_arms=3)
    assert place(ROOT, "bandit", old) == place(ROOT, "bandit", new)
    assert place(ROOT, "bandit", old) != place(ROOT, "bandit", Later(num_arms=3, added=8))


def test_what_to_type(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    settings = BanditSettings(num_arms=3, num_pulls=5)
    assert command("bandit", settings, ROOT) == "adaptax reference bandit --num-arms 3"
    assert command("bandit", settings, Path("a b")) == "adaptax reference bandit --num-arms 3 --references 'a b'"
    switched = settings_for("rl2", "grid-navigation")[1]
    switched = dataclasses.replace(switched, held_out=True)
    assert command("grid-navigation", switched, ROOT) == "adaptax reference grid-navigation --held-out"


def test_a_run_of_something_else_is_none_of_the_problems_policies(tmp_path):
    directory, settings = tmp_path / "kept", BanditSettings(num_arms=3)
    (directory / INFORMED).mkdir(parents=True)

    def of(algorithm, problem_settings):
        recipe = Recipe(algorithm, "bandit", settings_for(algorithm, "bandit")[0], problem_settings)
        save_config(directory / INFORMED, recipe, {"seed": 0})

    of("oracle-ppo", dataclasses.replace(settings, num_pulls=7))
    recipe, options = read_policy(directory, INFORMED, "bandit", settings)
    assert (recipe.problem_settings.num_pulls, options["seed"]) == (7, 0)
    with pytest.raises(CheckpointError, match="num_arms: expected 4; found 3"):
        read_policy(directory, INFORMED, "bandit", BanditSettings(num_arms=4))
    of("multitask-ppo", settings)
    with pytest.raises(CheckpointError, match="expected oracle-ppo on bandit; found multitask-ppo on bandit"):
        read_policy(directory, INFORMED, "bandit", settings)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 2, "tasks": {}}', '{"format": 1, "tasks": 3}'])
def test_a_record_that_is_none(tmp_path, content):
    assert read_record(tmp_path) is None
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(CheckpointError):
        read_record(tmp_path)
    (tmp_path / RECORD).write_text(json.dumps({"format": FORMAT, "tasks": {}, "more": 1}))
    assert read_record(tmp_path)["more"] == 1
