import dataclasses
import random

import pytest

from adaptax.core.errors import ConfigError, DivergenceError
from adaptax.core.settings import setting
from adaptax.problems.settings import CartPoleSettings, PointRobotSettings
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import LEARNERS, NATIVE_PROBLEMS
from adaptax.runs.recipe import Recipe
from tests.claims import odd_settings


def recipe():
    return Recipe("rl2", "bandit", *settings_for("rl2", "bandit"))


def test_odd_values_reach_both_bounds_and_stay_within():
    rng = random.Random(0)
    field = dataclasses.make_dataclass("Sample", [("share", float, setting(0.5, low=0.0, high=1.0))])
    (share,) = dataclasses.fields(field)
    found = {odd_settings.odd_value(share, rng) for _ in range(100)}
    assert found == {0.0, 1.0, 0.5e-3}


@pytest.mark.parametrize(
    "algorithm", ["rl2", "off-policy-rl2", "maml", "meta-lstm", "multitask-ppo", "meta-policy-gradient", "dqn"]
)
def test_settings_that_suit_a_problem_are_found_and_are_small(algorithm):
    rng = random.Random(0)
    for _ in range(10):
        found, _ = odd_settings.draw(rng, (algorithm, "cart-pole"))
        assert found is not None
        found.algorithm_settings.check_problem(found.problem_settings)
        assert found.problem_settings.horizon <= 3
        assert getattr(found.algorithm_settings, "num_updates", 1) == 1


def test_nothing_is_found_for_pairs_that_do_not_suit_each_other(monkeypatch):
    monkeypatch.setattr(odd_settings, "TRIES", 20)
    found, refusals = odd_settings.draw(random.Random(0), ("dqn", "point-robot"))
    assert found is None
    assert len(refusals) == 20
    assert any("expects discrete actions" in said for said in refusals)


def test_deviations_are_left_alone_where_actions_are_discrete():
    settings, _ = settings_for("maml", "point-robot")
    changed = odd_settings.fitting(settings, CartPoleSettings())
    assert (changed.initial_std, changed.exploration_std, changed.exploration_decay) == (1.0, 0.0, 0.0)
    assert odd_settings.fitting(settings, PointRobotSettings()) == settings


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (DivergenceError("NaN"), "diverged"),
        (ConfigError("--devices: …"), "refused: --devices: …"),
        (ZeroDivisionError("by zero"), "crashed: ZeroDivisionError: by zero"),
    ],
)
def test_every_end_is_told(error, ended, monkeypatch):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(odd_settings, "init", fails)
    assert odd_settings.outcome(recipe(), 0) == ended


def test_a_crash_fails_the_self_test(monkeypatch):
    monkeypatch.setattr(odd_settings, "outcome", lambda recipe, seed: "crashed: boom")
    monkeypatch.setattr(odd_settings, "draw", lambda rng, pair: (recipe(), ["RL2Settings.clip: …", "clip: …"]))
    checks = {check.name: check for check in odd_settings.run(0, 3)}
    crashed = checks["crashed, or refused only after they were built"]
    assert (crashed.figure, crashed.passed) == (3, False)
    assert "crashed: boom with Recipe(algorithm='rl2'" in crashed.note
    assert checks["refusals that name no field"].figure == 3


@pytest.mark.nightly
def test_odd_settings_train_for_an_update():
    checks = {check.name: check for check in odd_settings.run(0, 12)}
    assert checks["odd settings: trained for an update, or run"].figure >= 8
    for check in checks.values():
        assert check.passed, check.line()


def test_all_pairs_are_tried_but_those_that_cannot_suit_each_other():
    rng = random.Random(1)
    pairs = [(agent, problem) for agent in LEARNERS for problem in NATIVE_PROBLEMS]
    drawn = {pair: odd_settings.draw(rng, pair) for pair in pairs}
    continuous = ("point-robot", "point-robot-sparse", "linear-bandit")
    tables = {(agent, problem) for agent in ("q-learning", "sarsa") for problem in (*continuous, "cart-pole")}
    unsuited = {pair for pair, (found, _) in drawn.items() if found is None}
    assert unsuited == tables | {("dqn", problem) for problem in continuous} | {("pearl", "two-step")}
    for _, refusals in drawn.values():
        assert all("Settings" in said.partition(":")[0] for said in refusals)
