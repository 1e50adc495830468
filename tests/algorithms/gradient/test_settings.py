"""Settings of the gradient-based methods: bounds, and that no field changes nothing (trap E1d)."""

import dataclasses
import typing

import jax
import jax.numpy as jnp
import pytest
from jax.interpreters import partial_eval

from adaptax import algorithms
from adaptax.algorithms.gradient.settings import ESMAMLSettings, MAMLSettings, ProMPSettings
from adaptax.core.errors import ConfigError
from adaptax.problems import point_robot
from adaptax.problems.settings import BanditSettings, PointRobotSettings

PROBLEM = point_robot(num_episodes=6, horizon=2)
TINY = {"hidden_size": 2, "num_layers": 1, "num_tasks": 2, "trajectories": 2, "inner_steps": 2}
NAMES = ["MAML", "FOMAML", "MetaSGD", "MetaLSTM", "ANIL", "CAVIA", "EMAML", "ProMP", "Reptile", "ESMAML"]
NOT_TRACED = {"initial_std", "learning_rate"}
"""Floats that must be numbers; tested with the rest."""


def needed(settings, **floats):
    """Names of `floats` on which training depends, and the program itself, without what nothing depends on."""

    def two(floats, key):
        algorithm = dataclasses.replace(settings, **floats)
        state = algorithm.init(PROBLEM, key)
        state, _ = algorithm.update(PROBLEM, state)
        return state.meta

    floats = {name: jnp.asarray(value) for name, value in floats.items()}
    closed = jax.make_jaxpr(two)(floats, jax.random.key(0))
    jaxpr, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return {name for name, is_used in zip(sorted(floats), used, strict=False) if is_used}, str(jaxpr)


def floats_of(settings):
    """The float fields that may have an effect with these settings, by the fields' own word."""
    chosen = {}
    for field in dataclasses.fields(settings):
        only = field.metadata.get("only", {})
        works = all(getattr(settings, other) in values for other, values in only.items())
        if field.type is float and field.name not in NOT_TRACED and works:
            chosen[field.name] = getattr(settings, field.name)
    return chosen


@pytest.mark.compiles
@pytest.mark.parametrize("name", NAMES)
def test_E1d_training_depends_on_every_number(name):
    algorithm_class = getattr(algorithms, name)
    fields = {field.name for field in dataclasses.fields(algorithm_class)}
    variants = [{"baseline": "value"}] if "baseline" in fields and name != "ESMAML" else [{}]
    if "outer" in fields:
        variants = [{**variants[0], "outer": "ppo"}, {"outer": "trpo"}]
    for variant in variants if name == "MAML" else variants[:1]:
        settings = algorithm_class(**TINY, **variant)
        floats = floats_of(settings)
        assert floats
        used, _ = needed(settings, **floats)
        assert used == set(floats), f"{name}: no effect of {set(floats) - used} with {variant}"


BASE = {**TINY, "outer": "ppo"}
CHANGES = {
    "hidden_size": 3, "num_layers": 2, "activation": "relu", "initial_std": 0.5, "num_tasks": 4,
    "num_updates": 10, "trajectories": 3, "inner_steps": 3, "baseline": "none", "normalize_advantages": False,
    "num_epochs": 2, "num_minibatches": 2, "objective": "every-step", "checkpoint": True, "outer": "gradient",
    "estimator": "dice", "learning_rate": 0.5, "normalize_observations": True,
}  # fmt: skip
"""One change of every field that is not a traced float."""


@pytest.fixture(scope="module")
def base():
    return needed(algorithms.MAML(**BASE))[1]


@pytest.mark.compiles
@pytest.mark.parametrize("field", CHANGES)
def test_E1d_every_other_field_changes_the_program(field, base):
    assert needed(algorithms.MAML(**{**BASE, field: CHANGES[field]}))[1] != base


def test_every_field_is_among_those_tested():
    floats = {field.name for field in dataclasses.fields(MAMLSettings) if field.type is float} - NOT_TRACED
    rest = {field.name for field in dataclasses.fields(MAMLSettings)} - floats
    elsewhere = {"cg_steps", "encoder"}  # tests/optimization/test_outer_optimizers.py, tests/networks/test_encoders.py
    assert rest - set(CHANGES) == elsewhere


@pytest.mark.compiles
def test_E1d_cavia_has_a_field_more():
    few, many = (needed(algorithms.CAVIA(**BASE, context_size=n))[1] for n in (1, 2))
    assert few != many


def test_what_has_no_effect_is_refused():
    with pytest.raises(ConfigError, match="has an effect only if outer is 'trpo'"):
        MAMLSettings(outer="ppo", max_kl=0.02)
    with pytest.raises(ConfigError, match="has an effect only if outer is 'ppo'"):
        MAMLSettings(clip=0.3)
    with pytest.raises(ConfigError, match="has an effect only if baseline is 'value'"):
        MAMLSettings(critic_learning_rate=0.1)
    with pytest.raises(ConfigError, match="exploration_decay: has an effect only if exploration_std is positive"):
        MAMLSettings(exploration_decay=0.5)


def test_what_widens_normal_distributions_is_refused_where_there_are_none():
    MAMLSettings(exploration_std=1.0).check_problem(PointRobotSettings(num_episodes=40))
    with pytest.raises(ConfigError, match=r"exploration_std: has an effect on continuous .* BanditSettings"):
        MAMLSettings(exploration_std=1.0).check_problem(BanditSettings())


def test_bounds_and_divisors():
    with pytest.raises(ConfigError, match="num_tasks: expected a multiple of num_minibatches=3; found 20"):
        ProMPSettings(num_minibatches=3)
    with pytest.raises(ConfigError, match="inner_steps: expected an integer between 1 and 100; found 0"):
        MAMLSettings(inner_steps=0)
    assert set(typing.get_args(MAMLSettings.__annotations__["estimator"])) == {
        "lvc", "policy-gradient", "dice", "loaded-dice",
    }  # fmt: skip


def test_evolution_trains_no_critic():
    with pytest.raises(ConfigError, match=r"ESMAMLSettings.baseline: expected 'linear' or 'none'"):
        ESMAMLSettings(baseline="value")


def test_a_trial_must_divide_into_windows():
    settings = MAMLSettings(trajectories=20)
    settings.check_problem(PointRobotSettings(num_episodes=40))
    with pytest.raises(ConfigError, match="Try --num-episodes 40 or 60"):
        settings.check_problem(PointRobotSettings(num_episodes=50))
