import dataclasses
import json
import sys

import pytest

from adaptax.core.errors import CheckpointError, ConfigError
from adaptax.registry import registry
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import ALGORITHMS, PROBLEMS
from adaptax.runs.directory import CONFIG, FORMAT, read_recipe
from adaptax.runs.recipe import Recipe, recipe_of

ENVS = """
from adaptax.problems import bernoulli_bandit


def make(arms: int = 3):
    return bernoulli_bandit(arms, 20)
"""
ALGOS = """
import dataclasses

from adaptax.algorithms.memory.rl2 import RL2


@dataclasses.dataclass(frozen=True)
class Mine(RL2):
    knob: float = 0.5
"""
NAMES = ("my_algos:Mine", "my_envs:make")


def forget():
    for name in NAMES:
        registry.forget(name)
        sys.modules.pop(name.partition(":")[0], None)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a user's modules, one that leaves a mark when it is imported, and a run of theirs."""
    (tmp_path / "my_envs.py").write_text(ENVS)
    (tmp_path / "my_algos.py").write_text(ALGOS)
    (tmp_path / "hostile.py").write_text("open('mark', 'w').close()\ndef make():\n    open('mark2', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    algorithm, problem = settings_for(*NAMES)
    write(tmp_path, Recipe(*NAMES, dataclasses.replace(algorithm, knob=0.25), dataclasses.replace(problem, arms=4)))
    forget()
    yield tmp_path
    forget()
    assert not any(name.partition(":")[0] == "hostile" for name in (*PROBLEMS, *ALGORITHMS, *sys.modules))


def write(directory, recipe, **changes):
    content = {"format": FORMAT, **recipe.to_json(), "options": {"seeds": 1}, **changes}
    (directory / CONFIG).write_text(json.dumps(content))


def test_a_recipe_of_a_users_own_is_read_where_the_user_names_it(place):
    recipe, _ = read_recipe(place, problem="my_envs:make", algorithm="my_algos:Mine")
    assert (recipe.algorithm, recipe.problem) == NAMES
    assert (recipe.algorithm_settings.knob, recipe.problem_settings.arms) == (0.25, 4)
    algorithm, problem = recipe.build()
    assert (type(algorithm).__name__, algorithm.knob, problem.env.num_arms) == ("Mine", 0.25, 4)
    assert recipe_of(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert read_recipe(place)[0] == recipe  # the names were given to this process


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, r"algorithm: is 'my_algos:Mine', .*--algorithm my_algos:Mine \(in Python algorithm='my_algos:Mine'\)"),
        ({"algorithm": "my_algos:Mine"}, r"problem: is 'my_envs:make', .*--problem my_envs:make \(in Python problem="),
        ({"algorithm": "rl2"}, r"algorithm: expected 'rl2', as given \(--algorithm\); found 'my_algos:Mine'"),
        ({"algorithm": "my_algos:Mine", "problem": "bandit"}, "problem: expected 'bandit', as given"),
    ],
)
def test_what_the_user_has_not_named_is_not_imported(place, given, says):
    with pytest.raises(CheckpointError, match=says) as raised:
        read_recipe(place, **given)
    assert str(raised.value).startswith(str(place / CONFIG))
    assert "my_envs" not in sys.modules


def test_a_name_of_the_users_that_cannot_be_resolved_is_their_error(place):
    with pytest.raises(ConfigError, match=r"^my_algos:Min: expected 'Min' in .*did you mean 'Mine'"):
        read_recipe(place, algorithm="my_algos:Min")


@pytest.mark.parametrize("field", ["algorithm", "problem"])
@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "hostile:make",
        "hostile",
        "hostile:make\n",
        "hostile:\x1b[2Jmake",
        "hostile.py:make",
        "./hostile:make",
        "a.b:c.d()",
        "hostile:make" * 10_000,
        ":",
        "__import__('hostile'):x",
        ["hostile:make"],
        {"hostile": "make"},
        None,
        0,
    ],
)
def test_a_file_that_names_code_does_not_run_it(place, field, name):
    algorithm, problem = settings_for("rl2", "bandit")
    write(place, Recipe("rl2", "bandit", algorithm, problem), **{field: name})
    with pytest.raises(CheckpointError) as raised:
        read_recipe(place)
    message = str(raised.value)
    assert len(message) < 1000
    assert message.isprintable()
    assert not list(place.glob("mark*"))
    assert "hostile" not in sys.modules


def test_other_names_are_read_as_they_were(place):
    recipe = Recipe("rl2", "bandit", *settings_for("rl2", "bandit"))
    write(place, recipe)
    assert read_recipe(place)[0] == recipe
    assert read_recipe(place, problem="bandit", algorithm="rl2")[0] == recipe
    with pytest.raises(CheckpointError, match="problem: expected 'cue', as given"):
        read_recipe(place, problem="cue")
