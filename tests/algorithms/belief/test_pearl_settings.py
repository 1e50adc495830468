"""Where PEARL starts on a problem, and what it refuses."""

import pytest

from adaptax.algorithms.belief.pearl_settings import LONGEST_CONTEXT, TRAINABLE, PEARLSettings
from adaptax.core.errors import ConfigError
from adaptax.problems.settings import BanditSettings, CartPoleSettings, PointRobotSettings, TwoStepSettings
from adaptax.registry.presets import settings_for


def test_its_entry_leads_to_it():
    assert TRAINABLE["pearl"].settings is PEARLSettings
    assert TRAINABLE["pearl"].target.endswith("pearl:PEARL")


def test_settings_that_do_not_fit():
    with pytest.raises(ConfigError, match="num_tasks: expected at most num_train_tasks=6"):
        PEARLSettings(num_train_tasks=6, num_tasks=7)
    with pytest.raises(ConfigError, match="buffer_size: expected at least 300 steps"):
        PEARLSettings(buffer_size=299).check_problem(PointRobotSettings())
    with pytest.raises(ConfigError, match=r"2 episodes or more are expected.*rl2"):
        PEARLSettings().check_problem(TwoStepSettings())
    with pytest.raises(ConfigError, match="entropy_share: has an effect on discrete actions only"):
        PEARLSettings(entropy_share=0.5, buffer_size=300).check_problem(PointRobotSettings())
    PEARLSettings(entropy_share=0.5).check_problem(BanditSettings())
    assert PEARLSettings(num_tasks=10, batch_tasks=16).tasks_per_minibatch == 2


@pytest.mark.parametrize(
    ("problem", "num_tasks", "buffer_size", "context_size"),
    [
        (BanditSettings(num_pulls=10), 10, 100, 9),  # ten trials; the last pull is no context
        (CartPoleSettings(num_episodes=3, horizon=500), 10, 5000, LONGEST_CONTEXT),  # no more than 5,000 steps
        (CartPoleSettings(num_episodes=10, horizon=1000), 2, 10_000, LONGEST_CONTEXT),  # a trial at least
    ],
)
def test_where_it_starts_follows_from_the_length_of_a_trial(problem, num_tasks, buffer_size, context_size):
    name = "bandit" if isinstance(problem, BanditSettings) else "cart-pole"
    settings = settings_for("pearl", name, of=problem)[0]
    assert (settings.num_tasks, settings.buffer_size, settings.context_size) == (num_tasks, buffer_size, context_size)
    assert settings.normalize_observations == (name == "cart-pole")
    settings.check_problem(problem)
