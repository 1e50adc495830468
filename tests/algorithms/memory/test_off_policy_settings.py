"""What settings of off-policy RL² refuse, and where they start."""

import pytest

from adaptax.algorithms.memory.off_policy_settings import TRAINABLE, OffPolicyRL2Settings
from adaptax.core.errors import ConfigError
from adaptax.problems.settings import BanditSettings, CartPoleSettings, PointRobotSettings
from adaptax.registry.presets import settings_for


def test_the_entry_is_a_class_that_derives_from_its_settings():
    entry = TRAINABLE["off-policy-rl2"]
    assert issubclass(entry.load(), entry.settings)


@pytest.mark.parametrize("field", ["memory", "critic_memory"])
def test_a_memory_of_each_action_needs_actions_that_can_be_counted(field):
    settings = OffPolicyRL2Settings(**{field: "symmetric"})
    settings.check_problem(CartPoleSettings())
    with pytest.raises(ConfigError, match=rf"{field}: 'symmetric' has a memory for each action, .* found PointRobot"):
        settings.check_problem(PointRobotSettings())


def test_the_entropy_that_is_wanted_is_of_discrete_actions():
    OffPolicyRL2Settings(target_entropy=0.1).check_problem(BanditSettings())
    with pytest.raises(ConfigError, match=r"target_entropy: has an effect on discrete actions only; found 0.1 for"):
        OffPolicyRL2Settings(target_entropy=0.1).check_problem(PointRobotSettings())


def test_one_category_is_0():
    with pytest.raises(ConfigError, match=r"num_categories: expected an odd number.*found 100. Try 101"):
        OffPolicyRL2Settings(critic_loss="two-hot", num_categories=100)


def test_a_buffer_that_nothing_could_hold_is_refused():
    with pytest.raises(ConfigError, match=r"buffer_size: expected at most 1000000000 steps"):
        OffPolicyRL2Settings(buffer_size=1_000_000).check_problem(BanditSettings(num_pulls=1001))


@pytest.mark.parametrize(
    ("pulls", "sizes", "discount"),
    # 512 steps of an update, 8 to 32 trials; 1,024 of a gradient step, 16 to 64; 2¹⁹ kept, 512 to 16,384; 1 − 2/T.
    [
        (5, (32, 64, 16_384), 0.9),
        (40, (8, 24, 13_107), 0.95),
        (100, (8, 16, 5242), 0.98),
        (1000, (8, 16, 524), 0.99),
        (5000, (8, 16, 512), 0.99),
    ],
)
def test_sizes_follow_from_the_length_of_a_trial(pulls, sizes, discount):
    settings = settings_for("off-policy-rl2", "bandit", of=BanditSettings(num_pulls=pulls))[0]
    assert (settings.num_tasks, settings.batch_size, settings.buffer_size) == sizes
    assert settings.discount == discount


def test_observations_that_are_numbers_may_be_of_any_scale():
    assert settings_for("off-policy-rl2", "point-robot")[0].normalize_observations
    assert not settings_for("off-policy-rl2", "bandit")[0].normalize_observations


def test_q_learning_has_a_value_for_each_action_and_no_critics():
    greedy = OffPolicyRL2Settings(learner="q-learning")
    greedy.check_problem(BanditSettings())
    with pytest.raises(ConfigError, match=r"learner: 'q-learning' has a value for each action.*PointRobotSettings"):
        greedy.check_problem(PointRobotSettings())
    for changes in ({"critic_size": 3}, {"informed_critic": False}, {"target_entropy": 0.1}):
        with pytest.raises(ConfigError, match="has an effect only if learner is 'soft-actor-critic'"):
            OffPolicyRL2Settings(learner="q-learning", **changes)
    with pytest.raises(ConfigError, match="exploration: has an effect only if learner is 'q-learning'"):
        OffPolicyRL2Settings(exploration=0.5)
    scores = OffPolicyRL2Settings(learner="q-learning", memory="counting", critic_loss="two-hot")
    with pytest.raises(ConfigError, match=r"critic_loss: what memory='counting'.*expects 'squared'; found 'two-hot'"):
        scores.check_problem(BanditSettings())


def test_layers_heads_and_window_are_of_memories_that_have_some():
    OffPolicyRL2Settings(memory="transformer", memory_layers=2, memory_heads=2, memory_window=5)
    for name in ("memory_layers", "memory_heads", "memory_window"):
        with pytest.raises(ConfigError, match=f"{name}: has an effect only if memory is"):
            OffPolicyRL2Settings(**{name: 2})
