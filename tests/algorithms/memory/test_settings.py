"""What settings of learners with a memory refuse, and where they start; how far RL² looks: `test_presets.py`."""

import pytest

from adaptax.algorithms.memory.settings import EXPLORERS, TRAINABLE, MetaPolicyGradientSettings, RL2Settings
from adaptax.core.errors import ConfigError
from adaptax.problems.settings import BanditSettings, CartPoleSettings, ChainSettings, PointRobotSettings
from adaptax.registry.presets import settings_for


@pytest.mark.parametrize("entry", [*TRAINABLE.values(), *EXPLORERS.values()], ids=[*TRAINABLE, *EXPLORERS])
def test_an_entry_is_a_class_that_derives_from_its_settings(entry):
    assert issubclass(entry.load(), entry.settings)


@pytest.mark.parametrize(
    ("pulls", "tasks"),
    # 2¹⁷ = 131,072 steps; a multiple of 16, no more than 512, no fewer than 64.
    [(10, 512), (256, 512), (257, 496), (1000, 128), (1820, 64), (5000, 64)],
)
def test_as_many_trials_as_fit_into_an_update_of_rl2(pulls, tasks):
    assert settings_for("rl2", "bandit", of=BanditSettings(num_pulls=pulls))[0].num_tasks == tasks
    robots = PointRobotSettings(num_episodes=pulls, horizon=1)
    assert settings_for("rl2", "point-robot", of=robots)[0].num_tasks == tasks


def test_rl2_on_random_mdps_has_a_memory_of_each_action_and_state():
    settings = settings_for("rl2", "tabular-mdp")[0]
    assert (settings.memory, settings.memory_size, settings.policy_size) == ("symmetric", 24, 32)
    assert settings_for("rl2", "chain")[0].memory == RL2Settings().memory


@pytest.mark.parametrize("memory", ["symmetric", "counting"])
def test_a_memory_of_each_action_needs_actions_that_can_be_counted(memory):
    RL2Settings(memory=memory).check_problem(CartPoleSettings())
    with pytest.raises(ConfigError, match=rf"memory: '{memory}' has a memory for each action, .* found PointRobot"):
        RL2Settings(memory=memory).check_problem(PointRobotSettings())


@pytest.mark.parametrize(("episodes", "explored"), [(2, 1), (4, 2), (5, 2), (40, 20), (100, 20)])
def test_half_of_a_trial_is_explored_but_not_more_than_twenty_episodes(episodes, explored):
    settings = settings_for("meta-policy-gradient", "chain", of=ChainSettings(num_episodes=episodes))[0]
    assert (settings.exploration_episodes, settings.base, settings.num_updates) == (explored, "q-learning", 100)


def test_where_states_cannot_be_counted_another_learner_is_explored_for():
    for problem in ("point-robot", "point-robot-sparse", "cart-pole"):
        settings, of_problem = settings_for("meta-policy-gradient", problem)
        assert (settings.base, settings.replicas, settings.num_updates) == ("reinforce", 8, 80)
        assert (settings.exploration_episodes, of_problem.num_episodes) == (1, 2)
        settings.check_problem(of_problem)


def test_deviations_have_an_effect_on_continuous_actions_only():
    robots, cart = PointRobotSettings(num_episodes=4), CartPoleSettings(num_episodes=4)
    for field in ("initial_std", "base_std"):
        settings = MetaPolicyGradientSettings(base="a2c", **{field: 0.5})
        settings.check_problem(robots)
        with pytest.raises(ConfigError, match=rf"^MetaPolicyGradientSettings\.{field}: has an effect on continuous"):
            settings.check_problem(cart)


def test_an_update_has_its_tasks_its_replicas_and_two_windows_more_than_are_explored():
    chain = ChainSettings(num_episodes=3, length=10, horizon=250)
    most = {"exploration_episodes": 3, "num_tasks": 100_000, "replicas": 8}  # × (3 + 2) episodes × 250 steps
    MetaPolicyGradientSettings(**most).check_problem(chain)
    with pytest.raises(ConfigError, match=r"num_tasks: expected at most 1000000000 .* 5 \(exploration_episodes \+ 2\)"):
        MetaPolicyGradientSettings(**{**most, "num_tasks": 100_001}).check_problem(chain)
