"""Where learners of one task and of all at once start; that defaults fit together: `tests/registry/test_presets.py`."""

import dataclasses

import pytest

from adaptax.algorithms.standard_rl.entries import FROM_SCRATCH, TRAINABLE
from adaptax.problems.settings import BanditSettings, CartPoleSettings
from adaptax.registry.presets import settings_for

DISCOUNTS = {"tabular-mdp": 0.9, "grid-navigation": 0.95, "chain": 0.95, "cart-pole": 0.97}


@pytest.mark.parametrize("name", [*TRAINABLE, *FROM_SCRATCH])
def test_an_entry_is_a_class_with_the_fields_of_its_settings(name):
    entry = {**TRAINABLE, **FROM_SCRATCH}[name]
    fields = [[(f.name, f.type) for f in dataclasses.fields(kind)] for kind in (entry.load(), entry.settings)]
    assert fields[0] == fields[1]
    assert entry.settings().check_problem(BanditSettings(num_pulls=1000)) is None
    assert hasattr(entry.settings, "num_updates") == (name in TRAINABLE)


def test_one_of_them_is_told_the_task():
    assert {name for name, entry in TRAINABLE.items() if entry.view} == {"oracle-ppo"}
    ours, told = TRAINABLE["multitask-ppo"], TRAINABLE["oracle-ppo"]
    assert (ours.target, ours.settings) == (told.target, told.settings)
    assert TRAINABLE["finetuned-ppo"].settings().fine_tuning_rate > 0 == ours.settings().fine_tuning_rate


@pytest.mark.parametrize(("problem", "discount"), DISCOUNTS.items())
def test_who_looks_ahead_looks_as_far_as_the_problem_asks_for(problem, discount):
    assert {settings_for(name, problem)[0].discount for name in ("a2c", "ppo", "reinforce")} == {discount}
    if problem != "cart-pole":  # whose states cannot be counted
        assert settings_for("q-learning", problem)[0].discount == discount
    assert settings_for("dqn", problem)[0].discount == discount


def test_tables_on_bandits_average_and_explore_for_fifty_pulls():
    for problem in ("bandit", "gaussian-bandit", "correlated-bandit"):
        table, network = (settings_for(name, problem)[0] for name in ("q-learning", "dqn"))
        assert (table.epsilon_episodes, table.rate_decay, network.epsilon_episodes) == (50, 1.0, 50)


def test_on_cart_poles_trials_are_long_and_networks_learn_now_and_then():
    settings, problem = settings_for("dqn", "cart-pole")
    assert (problem.num_episodes, problem.horizon) == (600, 200)
    assert (settings.learning_rate, settings.train_every, settings.buffer_size) == (5e-4, 4, 50_000)
    settings, problem = settings_for("a2c", "cart-pole")
    assert settings.num_steps == 40
    settings.check_problem(problem)
    assert settings_for("a2c", "chain")[1].num_episodes == 1000


@pytest.mark.parametrize(
    ("horizon", "tasks"),
    # 200,000 steps by 10 episodes at a time; a multiple of 5, no more than 160, no fewer than 20.
    [(1, 160), (125, 160), (126, 155), (130, 150), (500, 40), (1000, 20), (10_000, 20)],
)
def test_as_many_tasks_as_fit_into_an_update(horizon, tasks):
    problem = CartPoleSettings(horizon=horizon)
    for name in ("multitask-ppo", "oracle-ppo", "finetuned-ppo"):
        assert settings_for(name, "cart-pole", of=problem)[0].num_tasks == tasks
