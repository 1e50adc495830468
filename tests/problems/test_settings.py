import dataclasses
import inspect

import pytest

from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings
from adaptax.problems import settings as problem_settings
from adaptax.registry.registry import PROBLEMS

CLASSES = [
    thing
    for _, thing in inspect.getmembers(problem_settings, inspect.isclass)
    if issubclass(thing, Settings) and thing is not Settings
]


@pytest.mark.parametrize("settings", CLASSES)
def test_defaults_are_valid_and_every_parameter_is_documented(settings):
    built = settings()
    for field in dataclasses.fields(built):
        assert f"        {field.name}: " in settings.__doc__


@pytest.mark.parametrize("settings", CLASSES)
def test_every_number_has_a_bound_and_minus_one_is_beyond_it(settings):
    for field in dataclasses.fields(settings):
        if field.type in (int, float):
            with pytest.raises(ConfigError, match=rf"{settings.__name__}\.{field.name}: expected .* found -1"):
                settings(**{field.name: field.type(-1)})


def test_variants_are_checked():
    with pytest.raises(ConfigError, match="did you mean 'medium'"):
        problem_settings.CorrelatedBanditSettings(variant="medum")


def test_variation_ends_where_carts_can_no_longer_be_balanced():
    assert problem_settings.CartPoleSettings(variation=1.0).variation == 1
    with pytest.raises(ConfigError, match=r"variation: expected a number between 0 and 1; found 1\.5"):
        problem_settings.CartPoleSettings(variation=1.5)


def test_every_family_says_how_many_episodes_a_trial_has():
    found = {name: problem_settings.episodes_of(entry.settings()) for name, entry in PROBLEMS.items()}
    assert found["bandit"] == ("num_pulls", 100)
    assert found["two-step"] == (None, 1)
    assert found["point-robot"] == ("num_episodes", 3)
    assert found["cart-pole"] == ("num_episodes", 3)
    assert found["chain"] == ("num_episodes", 4)


def test_every_family_says_how_long_an_episode_is():
    found = {name: problem_settings.horizon_of(entry.settings()) for name, entry in PROBLEMS.items()}
    assert (found["bandit"], found["two-step"], found["cart-pole"], found["chain"]) == (1, 200, 500, 32)
    with pytest.raises(TypeError, match="RL2Settings has no horizon"):
        problem_settings.horizon_of(RL2Settings())


def test_a_random_mdp_is_not_too_large_to_look_at_a_thousand_of_them():
    problem_settings.TabularMDPSettings(num_states=100, num_actions=100)
    with pytest.raises(ConfigError, match=r"num_states² × num_actions; found 101² × 100 = 1020100"):
        problem_settings.TabularMDPSettings(num_states=101, num_actions=100)


def test_a_chain_has_a_treasure_within_reach():
    problem_settings.ChainSettings(length=17, horizon=8)
    with pytest.raises(ConfigError, match=r"horizon: expected at least 8 steps with length=17.*found 7"):
        problem_settings.ChainSettings(length=17, horizon=7)
