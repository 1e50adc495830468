"""What is known of Meta-World's benchmarks without the package."""

import pytest

from adaptax.core.errors import ConfigError
from adaptax.problems.metaworld.settings import METAWORLD, TASKS, ML1Settings
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import PROBLEMS


def test_there_are_fifty_things_to_do_and_four_benchmarks():
    assert len(set(TASKS)) == len(TASKS) == 50
    assert list(METAWORLD) == ["metaworld-ml1", "metaworld-ml10", "metaworld-ml25", "metaworld-ml45"]
    assert set(METAWORLD) <= set(PROBLEMS)


@pytest.mark.parametrize(("typed", "meant"), [("reach", "reach-v3"), ("pick-plce-v3", "pick-place-v3")])
def test_a_task_that_there_is_not_is_refused_with_the_nearest(typed, meant):
    with pytest.raises(ConfigError, match=rf"ML1Settings\.task: expected one of .*did you mean '{meant}"):
        ML1Settings(task=typed)


def test_an_episode_is_no_longer_than_meta_worlds():
    with pytest.raises(ConfigError, match=r"horizon: expected an integer between 1 and 500"):
        ML1Settings(horizon=501)


@pytest.mark.parametrize("name", METAWORLD)
def test_maml_learns_from_the_protocols_ten_episodes_at_once(name):
    settings, of_problem = settings_for("maml", name)
    assert (settings.trajectories, settings.inner_steps, settings.num_tasks) == (10, 1, 20)
    assert of_problem.num_episodes == 20
