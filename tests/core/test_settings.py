import dataclasses
import math
import subprocess
import sys
from typing import ClassVar, Literal

import pytest

from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, setting, suggestion
from adaptax.problems.settings import BanditSettings, PointRobotSettings


@dataclasses.dataclass(frozen=True)
class Sample(Settings):
    count: int = setting(3, low=1, high=10)
    share: float = setting(0.5, above=0, high=1)
    scale: float = setting(1.0, low=0)
    flag: bool = True
    kind: Literal["lstm", "gru", "none"] = "lstm"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"count": 1},
        {"count": 10},
        {"share": 1e-9},
        {"share": 1},
        {"scale": 0},
        {"flag": False},
        {"kind": "gru"},
    ],
)
def test_good_values_are_kept(changes):
    assert dataclasses.asdict(Sample(**changes)) == {**dataclasses.asdict(Sample()), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "Sample.count: expected an integer between 1 and 10; found 0"),
        ({"count": 11}, "Sample.count: expected an integer between 1 and 10; found 11"),
        ({"count": 2.0}, "Sample.count: expected an integer between 1 and 10; found 2.0"),
        ({"count": True}, "Sample.count: expected an integer between 1 and 10; found True"),
        ({"count": "3"}, "Sample.count: expected an integer between 1 and 10; found '3'"),
        ({"count": None}, "Sample.count: expected an integer between 1 and 10; found None"),
        ({"share": 0}, "Sample.share: expected a number > 0 and ≤ 1; found 0"),
        ({"share": 1.5}, "Sample.share: expected a number > 0 and ≤ 1; found 1.5"),
        ({"share": math.nan}, "Sample.share: expected a number > 0 and ≤ 1; found nan"),
        ({"scale": -0.1}, "Sample.scale: expected a number ≥ 0; found -0.1"),
        ({"scale": math.inf}, "Sample.scale: expected a number ≥ 0; found inf"),
        ({"flag": 1}, "Sample.flag: expected True or False; found 1"),
        (
            {"kind": "ltsm"},
            "Sample.kind: expected one of lstm, gru, none; found 'ltsm'; did you mean 'lstm'?",
        ),
        ({"kind": "zzz"}, "Sample.kind: expected one of lstm, gru, none; found 'zzz'"),
    ],
)
def test_bad_values_name_field_expected_and_found(changes, message):
    with pytest.raises(ConfigError) as error:
        Sample(**changes)
    assert str(error.value) == message


def test_replace_checks_again():
    with pytest.raises(ConfigError, match=r"Sample\.count"):
        dataclasses.replace(Sample(), count=-1)


@dataclasses.dataclass(frozen=True)
class Choosy(Settings):
    outer: Literal["trpo", "ppo", "gradient"] = "trpo"
    rate: float = setting(0.1, above=0, only={"outer": ("ppo", "gradient")})
    clip: float = setting(0.2, above=0, only={"outer": ("ppo",)})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"outer": "gradient", "rate": 0.5},
        {"outer": "ppo", "rate": 0.5, "clip": 0.1},
        {"rate": 0.1},  # its default: nobody is misled
    ],
)
def test_values_that_have_an_effect_are_kept(changes):
    assert dataclasses.asdict(Choosy(**changes)) == {**dataclasses.asdict(Choosy()), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rate": 0.5},
            "Choosy.rate: has an effect only if outer is 'ppo' or 'gradient'; found outer='trpo' and rate=0.5. "
            "Leave it out, or change outer",
        ),
        (
            {"outer": "gradient", "clip": 0.1},
            "Choosy.clip: has an effect only if outer is 'ppo'; found outer='gradient' and clip=0.1. "
            "Leave it out, or change outer",
        ),
    ],
)
def test_values_without_effect_are_refused(changes, message):
    with pytest.raises(ConfigError) as error:
        Choosy(**changes)
    assert str(error.value) == message


def test_a_bad_value_is_called_bad_even_if_it_has_no_effect():
    with pytest.raises(ConfigError, match=r"Choosy\.rate: expected a number > 0; found -1"):
        Choosy(rate=-1)


def test_effects_are_checked_again_after_a_change():
    with pytest.raises(ConfigError, match=r"Choosy\.clip: has an effect only if"):
        dataclasses.replace(Choosy(outer="ppo", clip=0.1), outer="trpo")


def test_effects_of_fields_that_a_subclass_fixed():
    @dataclasses.dataclass(frozen=True)
    class Clipped(Settings):
        clip: float = setting(0.2, above=0, only={"outer": ("ppo",)})
        outer: ClassVar[str] = "ppo"

    assert Clipped(clip=0.1).clip == 0.1


def test_suggestion():
    assert suggestion("bandti", ["bandit", "two-step"]) == "; did you mean 'bandit'?"
    assert suggestion("xyz", ["bandit", "two-step"]) == ""


def test_rl2_trials_divide_into_minibatches():
    with pytest.raises(ConfigError, match=r"num_tasks: expected a multiple of num_minibatches=4; found 6"):
        RL2Settings(num_tasks=6, num_minibatches=4)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("memory", "elephant"),
        ("memory_size", 0),
        ("critic_size", 0),
        ("informed_critic", "yes"),
        ("num_tasks", 0),
        ("num_updates", 0),
        ("num_epochs", 0),
        ("num_minibatches", 0),
        ("learning_rate", 0),
        ("discount", 1.01),
        ("gae_lambda", -0.1),
        ("clip", 0),
        ("entropy_cost", -1),
        ("value_cost", -1),
        ("max_gradient_norm", 0),
        ("adam_b2", 1.0),
        ("initial_std", 0),
    ],
)
def test_rl2_refuses_nonsense(field, bad):
    with pytest.raises(ConfigError, match=rf"RL2Settings\.{field}: expected .*; found {bad!r}"):
        RL2Settings(**{field: bad})


def test_every_number_of_rl2_is_described():
    for field in dataclasses.fields(RL2Settings):
        assert f"{field.name}: " in RL2Settings.__doc__


def test_settings_are_checked_before_jax_is_imported():
    program = "import sys, adaptax.core.settings; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_memory_of_pairs_asks_for_discrete_actions():
    RL2Settings(memory="symmetric").check_problem(BanditSettings())
    RL2Settings(memory="gru").check_problem(PointRobotSettings())
    with pytest.raises(ConfigError, match=r"RL2Settings.memory.*found PointRobotSettings.*--memory lstm"):
        RL2Settings(memory="symmetric").check_problem(PointRobotSettings())


@dataclasses.dataclass(frozen=True)
class Optional(Settings):
    episodes: int | None = setting(None, low=1, high=1_000_000)


def test_a_number_that_may_be_missing():
    assert Optional().episodes is None
    assert Optional(episodes=3).episodes == 3
    with pytest.raises(ConfigError) as error:
        Optional(episodes=0)
    assert str(error.value) == "Optional.episodes: expected an integer between 1 and 1000000; found 0"


@pytest.mark.parametrize("value", [1e-30, 1e30, 0.0])
def test_numbers_that_single_precision_holds_are_kept(value):
    assert Sample(scale=value).scale == value


@pytest.mark.parametrize("value", [1e-31, 1e31])
def test_numbers_that_single_precision_does_not_hold_are_refused(value):
    with pytest.raises(ConfigError, match=r"Sample\.scale: expected a number ≥ 0; found .*at least 1e-30 and at most"):
        Sample(scale=value)


def test_a_number_of_thousands_of_digits_is_refused_like_any_other():
    with pytest.raises(ConfigError) as error:
        Sample(count=10**4000)
    assert str(error.value) == f"Sample.count: expected an integer between 1 and 10; found 1{'0' * 79} …"


def test_letters_in_another_order_are_near():
    assert suggestion("srasa", ["q-learning", "sarsa"]) == "; did you mean 'sarsa'?"


def test_the_steps_of_an_update_must_be_held_by_some_memory():
    RL2Settings(num_tasks=10_000, num_minibatches=1).check_problem(BanditSettings(num_pulls=100_000))
    with pytest.raises(ConfigError) as error:
        RL2Settings(num_tasks=10_001, num_minibatches=1).check_problem(BanditSettings(num_pulls=100_000))
    assert str(error.value) == (
        "RL2Settings.num_tasks: expected at most 1000000000 steps in an update on BanditSettings; found 10001 "
        "(num_tasks) × 100000 (num_pulls) = 1000100000. Lower one of them"
    )


def test_a_deviation_asks_for_continuous_actions():
    RL2Settings(initial_std=2.0).check_problem(PointRobotSettings())
    RL2Settings().check_problem(BanditSettings())
    with pytest.raises(ConfigError, match=r"RL2Settings\.initial_std: has an effect on continuous actions only"):
        RL2Settings(initial_std=2.0).check_problem(BanditSettings())
