import ast
import dataclasses
import inspect
import textwrap

import pytest

from adaptax import algorithms, problems
from adaptax.core.errors import ConfigError
from adaptax.core.spaces import Box, Discrete
from adaptax.problems.settings import episodes_of, horizon_of
from adaptax.registry.registry import ALGORITHMS, CLASSICAL, TRAINABLE, build, build_agent, lookup, suited
from tests.families import PROBLEMS


@pytest.mark.parametrize("name", PROBLEMS)
def test_settings_and_factory_have_the_same_parameters_and_defaults(name):
    entry = PROBLEMS[name]
    parameters = inspect.signature(entry.load()).parameters
    assert {n: p.default for n, p in parameters.items()} == dataclasses.asdict(entry.settings())
    assert set(entry.baselines) <= set(CLASSICAL)


@pytest.mark.parametrize("name", PROBLEMS)
def test_settings_say_what_the_problem_is_without_building_it(name):
    settings = PROBLEMS[name].settings()
    problem = build(PROBLEMS[name], settings)
    observations, actions = problem.env.observation_space, problem.env.action_space
    assert settings.continuous_actions == isinstance(actions, Box)
    # A bandit, which shows nothing, has one state.
    assert settings.discrete_states == (isinstance(observations, Discrete) or observations.encoded_size == 0)
    assert (episodes_of(settings)[1], horizon_of(settings)) == (problem.episodes, problem.env.horizon)


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_agent_can_be_built_by_name(name):
    assert type(build_agent(name, PROBLEMS["bandit"].settings())).__name__ in algorithms.__all__


def test_agents_of_gaussian_bandits_know_the_noise():
    settings = PROBLEMS["gaussian-bandit"].settings(noise=0.25)
    for name in PROBLEMS["gaussian-bandit"].baselines[1:]:
        assert build_agent(name, settings).prior.noise == 0.25


def test_nothing_exported_lacks_a_name():
    targets = {entry.target.split(":")[1] for entry in (*ALGORITHMS.values(), *PROBLEMS.values())}
    assert set(algorithms.__all__) | set(problems.__all__) == targets
    for package in (algorithms, problems):
        assert {*package.__all__} <= {*dir(package)}
        assert all(getattr(package, name).__name__ == name for name in package.__all__)


def test_a_default_stands_once():
    # A factory that had defaults of its own could differ from its settings; so the source has none.
    for entry in PROBLEMS.values():
        arguments = ast.parse(textwrap.dedent(inspect.getsource(entry.load()))).body[0].args
        assert [type(default) for default in arguments.defaults] == [ast.Attribute] * len(arguments.args)


COUNTABLE = ("tabular-mdp", "grid-navigation", "dark-room", "chain", "two-step")


@pytest.mark.parametrize("name", PROBLEMS)
def test_agents_that_count_on_a_trait_suit_the_problems_that_they_did(name):
    bandits, countable = ("bandit", "correlated-bandit"), COUNTABLE
    for agent, where in {"gittins": bandits, "gaussian-ucb1": ("gaussian-bandit",), "psrl": countable}.items():
        assert (name in suited(CLASSICAL[agent])) == (name in where)
    assert (name in suited(CLASSICAL["bayes-optimal-grid"])) == (name == "grid-navigation")
    assert name in suited(CLASSICAL["random"])


def test_other_names_of_the_packages():
    assert problems.CartPole is problems.cart_pole().env.__class__
    assert problems.informed.__module__ == "adaptax.problems.task_informed"
    for package in (algorithms, problems):
        for name in ("Nothing", "nothing"):
            with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
                getattr(package, name)


@pytest.mark.parametrize("name", TRAINABLE)
def test_an_algorithm_is_its_settings(name):
    settings = TRAINABLE[name].settings()
    algorithm = build(TRAINABLE[name], settings)
    assert dataclasses.asdict(algorithm) == dataclasses.asdict(settings)
    assert dataclasses.replace(algorithm, num_updates=3).num_updates == 3


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'gittins'"):
        lookup("agent", CLASSICAL, "gittin")
