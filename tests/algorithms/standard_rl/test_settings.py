"""Settings of the learners from scratch: what is refused, and that the message says what to do."""

import subprocess
import sys

import pytest

from adaptax.algorithms.memory import settings as memory
from adaptax.algorithms.standard_rl import settings as scratch
from adaptax.core.errors import ConfigError
from adaptax.problems import settings as problems

CART_POLE = problems.CartPoleSettings(num_episodes=40, horizon=200)
MDP = problems.TabularMDPSettings(num_episodes=20, horizon=10)


def test_they_are_checked_without_jax():
    code = "import sys, adaptax.algorithms.standard_rl.settings; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("settings", [scratch.QLearningSettings(), scratch.SARSASettings()])
def test_tables_need_states_and_actions_that_can_be_counted(settings):
    settings.check_problem(MDP)
    settings.check_problem(problems.BanditSettings())
    settings.check_problem(problems.TwoStepSettings())
    for problem in (CART_POLE, problems.PointRobotSettings()):
        message = (
            rf"{type(settings).__name__}: expects a problem with discrete states.*{type(problem).__name__}.*Try dqn"
        )
        with pytest.raises(ConfigError, match=message):
            settings.check_problem(problem)


def test_dqn_needs_discrete_actions_and_whole_windows():
    scratch.DQNSettings(train_every=4).check_problem(CART_POLE)
    scratch.DQNSettings(train_every=400).check_problem(CART_POLE)
    with pytest.raises(ConfigError, match=r"DQNSettings: expects discrete actions.*Try ppo or a2c"):
        scratch.DQNSettings().check_problem(problems.PointRobotSettings())
    message = r"DQNSettings\.train_every: expected a divisor of the 8000 steps.*=40 × horizon=200 / streams=1.*found 7"
    with pytest.raises(ConfigError, match=message):
        scratch.DQNSettings(train_every=7).check_problem(CART_POLE)


def test_a_memory_too_small_to_learn_from_is_refused():
    scratch.DQNSettings(buffer_size=500, learning_starts=500)
    with pytest.raises(ConfigError, match=r"buffer_size: expected at least learning_starts=500.*found 499"):
        scratch.DQNSettings(buffer_size=499, learning_starts=500)
    # A window that does not fit would overwrite itself, in no particular order.
    scratch.DQNSettings(buffer_size=8, learning_starts=1, train_every=8)
    with pytest.raises(ConfigError, match=r"buffer_size: expected at least train_every=8.*found 7"):
        scratch.DQNSettings(buffer_size=7, learning_starts=1, train_every=8)


@pytest.mark.parametrize("settings", [scratch.ReinforceSettings, scratch.A2CSettings, scratch.PPOLearnerSettings])
def test_streams_divide_the_episodes_of_a_trial(settings):
    settings(streams=8).check_problem(CART_POLE)
    with pytest.raises(ConfigError, match=r"num_episodes: expected a multiple of streams=6.*found 40"):
        settings(streams=6).check_problem(CART_POLE)
    with pytest.raises(ConfigError, match="TwoStepSettings"):
        settings(streams=2).check_problem(problems.TwoStepSettings())


def test_windows_of_a2c_divide_a_trial():
    # 40 episodes of 200 steps in 8 streams: 1000 steps in each.
    scratch.A2CSettings(streams=8, num_steps=250).check_problem(CART_POLE)
    message = r"A2CSettings\.num_steps: expected a divisor of the 1000 steps.*=40 × horizon=200 / streams=8.*found 300"
    with pytest.raises(ConfigError, match=message):
        scratch.A2CSettings(streams=8, num_steps=300).check_problem(CART_POLE)
    # What learns from whole episodes has no such field, and no such limit.
    scratch.ReinforceSettings(streams=8).check_problem(CART_POLE)


def test_minibatches_of_ppo_divide_a_window():
    scratch.PPOLearnerSettings(streams=8, num_minibatches=5).check_problem(CART_POLE)
    message = r"PPOLearnerSettings\.num_minibatches: expected a divisor of the 1600 steps.*=8 × horizon=200.*found 7"
    with pytest.raises(ConfigError, match=message):
        scratch.PPOLearnerSettings(streams=8, num_minibatches=7).check_problem(CART_POLE)


def test_training_on_all_tasks_needs_windows_only_to_go_on_in_one():
    scratch.MultiTaskPPOSettings(streams=6, num_minibatches=5).check_problem(CART_POLE)
    for settings in (scratch.MultiTaskPPOSettings, scratch.FineTunedPPOSettings):
        with pytest.raises(ConfigError, match="multiple of streams=6"):
            settings(streams=6, fine_tuning_rate=1e-3).check_problem(CART_POLE)
        with pytest.raises(ConfigError, match=r"num_tasks: expected a multiple of num_minibatches=5; found 161"):
            settings(num_tasks=161)
    with pytest.raises(ConfigError, match=r"fine_tuning_rate: expected a number"):
        scratch.FineTunedPPOSettings(fine_tuning_rate=0.0)


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        (scratch.QLearningSettings, "learning_rate", 0.0),
        (scratch.QLearningSettings, "rate_decay", 1.5),
        (scratch.SARSASettings, "epsilon", -0.1),
        (scratch.SARSASettings, "epsilon_episodes", 0),
        (scratch.DQNSettings, "target_every", 0),
        (scratch.DQNSettings, "discount", 1.1),
        (scratch.A2CSettings, "max_ratio", 0.0),
        (scratch.A2CSettings, "gae_lambda", 2.0),
        (scratch.ReinforceSettings, "time_limits", "bootstraps"),
        (scratch.PPOLearnerSettings, "clip", 0.0),
        (scratch.PPOLearnerSettings, "num_epochs", 0),
    ],
)
def test_values_out_of_range_are_refused_by_name(settings, field, value):
    with pytest.raises(ConfigError, match=rf"{settings.__name__}\.{field}: expected .*; found {value!r}"):
        settings(**{field: value})


def test_a_table_for_every_step_is_not_too_large():
    settings = scratch.QLearningSettings(knows_time=True)
    settings.check_problem(problems.TabularMDPSettings(num_states=100, num_actions=10, horizon=10_000))
    with pytest.raises(ConfigError, match=r"knows_time: expected at most 10000000 values.*20000000 with horizon=10000"):
        settings.check_problem(problems.TabularMDPSettings(num_states=100, num_actions=20, horizon=10_000))


def test_a_meta_policy_that_does_not_explore_has_no_settings():
    memory.MetaPolicyGradientSettings(explorer="base", base_steps=3)
    with pytest.raises(ConfigError, match=r"memory_size: has an effect only if explorer is 'learned'"):
        memory.MetaPolicyGradientSettings(explorer="base", memory_size=8)
