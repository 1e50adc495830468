import dataclasses
import importlib.metadata
import subprocess
import sys
import typing
from importlib.metadata import EntryPoint

import jax
import pytest

import adaptax
from adaptax.core.errors import ConfigError
from adaptax.core.settings import episodes_of, horizon_of
from adaptax.problems import bernoulli_bandit
from adaptax.registry import registry, resolve
from adaptax.registry.presets import agent_for, check_agent, presets_for, settings_for
from adaptax.registry.registry import AGENTS, ALGORITHMS, FROM_SCRATCH, LEARNERS, PROBLEMS, TRAINABLE, build
from adaptax.registry.resolve import needs_import, resolve_algorithm, resolve_problem, unchecked_problem


def test_a_function_is_a_problem_whose_arguments_are_settings(place):
    entry = resolve_problem("my_envs:make")
    settings = entry.settings(arms=4)
    assert {f.name: f.type for f in dataclasses.fields(settings)} == {
        "arms": int,
        "pulls": int,
        "kind": typing.Literal["short", "long"],
        "shift": float | None,
    }
    assert entry.summary == "Bandits of my own. And more"
    assert "arms: How many arms there are.\n    pulls: Episodes of a trial.\n" in type(settings).__doc__
    assert (horizon_of(settings), episodes_of(settings)) == (1, (None, 40))
    assert (settings.continuous_actions, settings.discrete_states) == (False, True)
    problem = build(entry, settings)
    assert (problem.env.num_arms, problem.episodes) == (4, 40)
    with pytest.raises(ConfigError, match=r"make\.arms: expected an integer; found 'x'"):
        entry.settings(arms="x")
    with pytest.raises(ConfigError, match=r"make\.kind: expected one of short, long; found 'lang'; did you mean"):
        entry.settings(kind="lang")


def test_a_function_may_bring_a_class_of_settings_with_bounds(place):
    kind = resolve_problem("my_envs:robot").settings
    settings = kind()
    assert (horizon_of(settings), episodes_of(settings)) == (5, ("num_episodes", 4))
    assert (settings.continuous_actions, settings.discrete_states) == (True, False)
    with pytest.raises(ConfigError, match=r"robot\.num_episodes: expected an integer between 1 and 80; found 81"):
        kind(num_episodes=81)


def test_settings_need_not_derive_from_ours_and_refuse_what_they_refuse(place):
    kind = resolve_problem("my_envs:plain").settings
    assert build(PROBLEMS["my_envs:plain"], kind(size=3)).env.num_arms == 3
    with pytest.raises(ConfigError, match=r"my_envs:plain: making it raised ValueError: 7 is too much \(my_envs.py"):
        kind(size=7)


def test_a_problem_that_is_there_already_has_no_settings_to_choose(place):
    entry = resolve_problem("my_envs:ready")
    assert dataclasses.fields(entry.settings) == ()
    assert build(entry, entry.settings()).env.num_arms == 2
    algorithm, problem = settings_for("maml", "my_envs:ready")
    algorithm.check_problem(problem)  # 20 pulls are a window of 20
    with pytest.raises(ConfigError, match="ready: a trial is 20 episodes, but trajectories=7 episodes"):
        dataclasses.replace(algorithm, trajectories=7).check_problem(problem)


def test_defaults_of_a_family_find_a_users_problem(place):
    assert settings_for("maml", "my_envs:robot")[1].num_episodes == 80
    assert settings_for("rl2", "my_envs:robot")[1].num_episodes == 4
    assert list(presets_for("rl2", "my_envs:robot")) == ["default"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("goood:make", "goood: expected a module, here or installed; found none"),
        ("my_env:make", "did you mean 'my_envs'?"),
        ("my_envs:makes", "expected 'makes' in .*my_envs.py; found none; did you mean 'make'?"),
        ("my_envs:needs", "one that needs size"),
        ("my_envs:value", "expected a function; found an int"),
        ("imports:make", r"imports 'gymnaxx', which is not installed \(imports.py, line 1\)"),
        ("wrong:make", "wrong.py, line 1: invalid syntax"),
        ("stops:make", r"importing it raised SystemExit: 0 \(stops.py, line 1\)"),
        ("os.path:exists;x", "expected MODULE:NAME"),
        ("a" * 300 + ":b", "expected MODULE:NAME"),
        ("a.b:c.d()", "expected MODULE:NAME"),
        ("bandid", "problem: expected one of bandit, .*, or MODULE:NAME; found 'bandid'; did you mean 'bandit'?"),
        ("b\n", r"found 'b\\n'"),
    ],
)
def test_what_is_no_problem_is_said(place, name, says):
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        resolve_problem(name)
    assert name not in PROBLEMS


def test_what_a_function_returns_is_looked_at_when_it_is_built(place):
    settings = resolve_problem("my_envs:nothing").settings()
    for ask in (lambda: horizon_of(settings), lambda: build(PROBLEMS["my_envs:nothing"], settings)):
        with pytest.raises(ConfigError, match=r"my_envs:nothing: expected a Problem, or .*; found a dict"):
            ask()
    assert unchecked_problem("my_envs:nothing") == {}
    failing = resolve_problem("my_envs:fails")
    with pytest.raises(ConfigError, match=r"ZeroDivisionError: division by zero \(my_envs.py, line 70\)"):
        build(failing, failing.settings())


def test_a_class_is_an_algorithm_whose_fields_are_settings(place):
    entry = resolve_algorithm("my_algos:Mine", LEARNERS)
    settings, problem = settings_for("my_algos:Mine", "bandit")
    assert (settings.knob, settings.num_tasks, settings.memory_size) == (0.5, 32, 64)
    assert "knob: What it turns." in type(settings).__doc__
    assert "memory_size: Units of the memory" in type(settings).__doc__
    with pytest.raises(ConfigError, match=r"Mine\.knob: expected a number between 0 and 1"):
        dataclasses.replace(settings, knob=2.0)
    with pytest.raises(ConfigError, match="expected a multiple of num_minibatches=16; found 33"):
        dataclasses.replace(settings, num_tasks=33)
    with pytest.raises(ConfigError, match="whose actions are continuous"):  # RL2's own check
        dataclasses.replace(settings, memory="symmetric").check_problem(PROBLEMS["point-robot"].settings())
    with pytest.raises(ConfigError, match="not with this knob"):  # its own
        dataclasses.replace(settings, knob=0.75).check_problem(problem)
    algorithm = build(entry, settings)
    assert dataclasses.asdict(algorithm) == dataclasses.asdict(settings)
    assert "my_algos:Mine" in TRAINABLE
    assert "my_algos:Mine" not in FROM_SCRATCH
    assert problem == PROBLEMS["bandit"].settings()


def test_who_learns_from_nothing_is_an_agent_at_once(place):
    check_agent("my_algos:Lazy", "bandit", PROBLEMS["bandit"].settings())
    assert "my_algos:Lazy" in FROM_SCRATCH
    agent = agent_for("my_algos:Lazy", "bandit", PROBLEMS["bandit"].settings())
    assert agent.size == 2
    bare = resolve_algorithm("my_algos:Bare").settings
    bare().check_problem(PROBLEMS["bandit"].settings())
    with pytest.raises(ConfigError, match=r"Bare\.count: expected an integer between 1 and 3; found 4"):
        bare(count=4)
    with pytest.raises(ConfigError, match="ValueError: no more than 9"):
        ALGORITHMS["my_algos:Lazy"].settings(size=10)
    with pytest.raises(ConfigError, match=r"agent: expected one of .*; found 'my_algos:Mine'"):
        resolve_algorithm("my_algos:Mine", AGENTS, "agent")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("my_algos:Other", "expected a class that derives from adaptax.Algorithm; found the class Other"),
        ("my_envs:make", "expected a class that derives from adaptax.Algorithm; found a function"),
        ("my_algos:Half", "expected an algorithm with all its functions; found none of act, "),
        ("my_algos:Needs", r"my_algos:Needs.size: expected a default, as every setting has; found none"),
        ("rl3", "algorithm: expected one of rl2, .*, or MODULE:NAME; found 'rl3'; did you mean 'rl2'"),
    ],
)
def test_what_is_no_algorithm_is_said(place, name, says):
    with pytest.raises(ConfigError, match=says):
        resolve_algorithm(name)
    assert name not in ALGORITHMS


def test_classical_agents_know_nothing_of_a_users_problem(place):
    resolve_problem("my_envs:make")
    check_agent("random", "my_envs:make", PROBLEMS["my_envs:make"].settings())
    with pytest.raises(ConfigError, match=r"gittins: expected a problem that it is for \(bandit, correlated-bandit\)"):
        check_agent("gittins", "my_envs:make", PROBLEMS["my_envs:make"].settings())


def test_register(place):
    adaptax.register_problem(
        "my-bandit", lambda arms=3: bernoulli_bandit(arms, 20), summary="mine", traits=("bernoulli",)
    )
    assert build(resolve_problem("my-bandit"), PROBLEMS["my-bandit"].settings(arms=5)).env.num_arms == 5
    check_agent("gittins", "my-bandit", PROBLEMS["my-bandit"].settings())
    adaptax.register_problem("my-robot", "my_envs:robot")
    assert PROBLEMS["my-robot"].settings().num_episodes == 4
    adaptax.register_algorithm("mine", "my_algos:Mine", summary="with a knob")
    assert settings_for("mine", "my-bandit")[0].knob == 0.5
    assert (LEARNERS["mine"].summary, LEARNERS["mine"].settings.__name__) == ("with a knob", "mine")
    adaptax.register_algorithm("lazy", type(build(resolve_algorithm("my_algos:Lazy"))), suits="bernoulli")
    assert not needs_import("mine")
    assert not needs_import("my-robot")


@pytest.mark.parametrize("name", ["bandit", "Bandit", "my bandit", "", "a:b", "-x", "x" * 51, "ä", 3, "--out"])
def test_names_are_checked(name):
    with pytest.raises(ConfigError, match=r"expected a name of small letters|that name is taken"):
        adaptax.register_problem(name, bernoulli_bandit)
    with pytest.raises(ConfigError, match=r"expected a name of small letters|that name is taken"):
        adaptax.register_algorithm("rl2" if name == "bandit" else name, "my_algos:Mine")


@pytest.fixture
def packages(monkeypatch):
    points = {
        "adaptax.problems": [
            EntryPoint("far-bandit", "my_envs:make", "adaptax.problems"),
            EntryPoint("broken", "my_envs:no_such_thing", "adaptax.problems"),
            EntryPoint("bandit", "my_envs:robot", "adaptax.problems"),
        ],
        "adaptax.algorithms": [EntryPoint("far-mine", "my_algos:Mine", "adaptax.algorithms")],
    }
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points.get(group, []))


def test_installed_packages_bring_entry_points(place, packages, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])  # they are installed
    assert needs_import("far-bandit")
    assert needs_import("far-mine")
    assert resolve_problem("far-bandit").settings().arms == 3
    assert resolve_algorithm("far-mine").settings().knob == 0.5
    assert build(resolve_problem("bandit")).env.num_arms == 10  # ours stay ours
    with pytest.raises(ConfigError, match=r"broken: the entry point my_envs:no_such_thing .* cannot be loaded: Attr"):
        resolve_problem("broken")
    with pytest.raises(ConfigError, match="did you mean 'far-bandit'"):
        resolve_problem("far-bandid")
    monkeypatch.undo()


def test_whether_a_module_would_be_imported_is_known_without_importing_it(place):
    assert needs_import("stops:make")
    assert not needs_import("bandit")
    assert not needs_import("no-such-name")
    with pytest.raises(ConfigError, match="expected a module"):
        needs_import("no_such_module:make")
    assert "stops" not in sys.modules


def test_entry_points_are_looked_up_only_for_names_that_are_not_known(monkeypatch):
    def never(group):
        raise AssertionError("looked up")

    monkeypatch.setattr(importlib.metadata, "entry_points", never)
    assert resolve_problem("bandit") is PROBLEMS["bandit"]
    settings_for("rl2", "bandit")
    assert resolve.installed  # the name is used
    assert registry.PROBLEMS is PROBLEMS


@pytest.mark.compiles
def test_a_users_algorithm_learns_on_a_users_problem(place):
    from adaptax.runs.recipe import Recipe

    algorithm, problem = settings_for("my_algos:Mine", "my_envs:make")
    algorithm = dataclasses.replace(algorithm, num_tasks=4, num_minibatches=2, num_updates=1, memory_size=4)
    recipe = Recipe("my_algos:Mine", "my_envs:make", algorithm, dataclasses.replace(problem, pulls=5))
    algorithm, problem = recipe.build()
    before, state = (adaptax.init(algorithm, problem, seed=0) for _ in range(2))  # training gives `state` away
    after = adaptax.train(algorithm, problem, state, num_updates=1)
    assert int(after.step) == 1
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(before.meta), jax.tree.leaves(after.meta), strict=True))


def test_names_of_ours_need_no_jax():
    code = (
        "import sys\nfrom adaptax.registry.presets import settings_for\nfrom adaptax.registry.registry import *\n"
        "[settings_for(a, p) for a in LEARNERS for p in PROBLEMS]\nimport adaptax.runs.recipe\n"
        "print([m for m in ('jax', 'equinox', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
