import subprocess
import sys
import warnings

import pytest

import adaptax
from adaptax import algorithms

OF_0_1 = [
    "Agent",
    "AgentState",
    "Algorithm",
    "Environment",
    "Evaluation",
    "Problem",
    "Step",
    "TaskDistribution",
    "TimeStep",
    "TrainState",
    "Transition",
    "Window",
    "adapt",
    "collect",
    "evaluate",
    "init",
    "lifetime",
    "maml_train",
    "make_problem",
    "start",
    "train",
]
MOVED = ("adapt", "collect", "lifetime", "maml_train", "start")
ENVS = [
    "bernoulli_bandit",
    "cart_pole",
    "chain",
    "correlated_bandit",
    "cue",
    "dark_key_door",
    "dark_room",
    "gaussian_bandit",
    "grid_navigation",
    "linear_bandit",
    "point_robot",
    "point_robot_sparse",
    "tabular_mdp",
    "two_step",
    "informed",
    "BernoulliBandit",
    "CartPole",
    "Chain",
    "Cue",
    "DarkKeyDoor",
    "DarkRoom",
    "GaussianBandit",
    "GridNavigation",
    "Informed",
    "LinearBandit",
    "PointRobot",
    "TabularMDP",
    "TwoStep",
]


def run(code):
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_every_name_can_be_used():
    for name in adaptax.__all__:
        assert getattr(adaptax, name).__name__ == name
    assert {*algorithms.__all__, "register_problem", "register_algorithm"} <= {*adaptax.__all__} <= {*dir(adaptax)}


def test_algorithms_are_the_same_here_and_there():
    for name in algorithms.__all__:
        assert getattr(adaptax, name) is getattr(algorithms, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = adaptax.nothing


def test_importing_the_package_imports_no_jax_and_warns_of_nothing():
    out, err = run("import sys, adaptax, adaptax.few_shot; dir(adaptax); print('jax' in sys.modules)")
    assert (out, err) == ("False\n", "")


@pytest.mark.parametrize("name", OF_0_1)
def test_names_of_0_1_work_and_those_that_moved_say_so_once(name, monkeypatch):
    monkeypatch.delitem(vars(adaptax), name, raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert callable(getattr(adaptax, name))
    said = [str(warning.message) for warning in caught]
    if name in MOVED:
        assert len(said) == 1
        assert said[0].startswith(f"adaptax.{name} is now adaptax.")
        assert caught[0].category is DeprecationWarning
        assert caught[0].filename == __file__
        assert name not in adaptax.__all__
    else:
        assert said == []
        assert name in adaptax.__all__


@pytest.mark.compiles
@pytest.mark.parametrize(
    "code",
    [
        "import adaptax.envs\nassert adaptax.envs.chain().episodes == 4",
        f"from adaptax.envs import {', '.join(ENVS)}\nassert chain().episodes == 4",
        "from adaptax.envs.base import Problem, make_problem\nimport adaptax\nassert adaptax.Problem is Problem",
        "import adaptax.envs.bandit as b\nfrom adaptax import problems\n"
        "assert b.BernoulliBandit is problems.BernoulliBandit",
        "from adaptax.envs import *\nassert bernoulli_bandit().episodes == 100",
        "import adaptax.envs as e\nassert e.base.Problem and not hasattr(e, 'nothing')",
    ],
)
def test_envs_of_0_1_work_and_say_once_that_they_moved(code):
    _, err = run(code)
    assert err.count("DeprecationWarning: adaptax.envs is now adaptax.problems") == 1
    assert err.count("Warning") == 1
    assert err.startswith("<string>:1: ")


def test_few_shot_of_0_1_works_and_stays():
    code = "from adaptax.few_shot import History, MetaTrained, adapt, maml_train"
    assert run(code) == ("", "")
