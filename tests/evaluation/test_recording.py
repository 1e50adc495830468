"""What is recorded is what the evaluator sees, with the same tasks and the same randomness."""

import numpy as np
import pytest

from adaptax.algorithms import Random
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import evaluator, recording
from adaptax.evaluation.encounters import encounters
from adaptax.evaluation.recording import Episode, Recorder, shown_episodes
from adaptax.problems import bernoulli_bandit, point_robot
from adaptax.reports.films import films


@pytest.fixture(scope="module")
def agent():
    return TrainedAgent.initial(Random(), bernoulli_bandit(3, 4))


@pytest.mark.compiles
def test_a_recorded_trial_is_that_of_the_evaluation(agent):
    met = encounters(agent.problem.test, 7, 5)
    evaluated = evaluator.evaluate(agent, num_tasks=7, seed=5, met=met)
    recorder = Recorder(agent, num_tasks=7, seed=5, met=met)
    earned, shown = recorder.record(num_shown=3)
    np.testing.assert_array_equal(shown.rewards[:, :, 0], evaluated.returns[0, :3])
    np.testing.assert_array_equal(shown.tasks.probabilities, np.asarray(met.tasks.probabilities)[:3])
    assert shown.valid.all()
    assert earned.first == pytest.approx(evaluated.returns[0, :, 0].mean())
    assert earned.last == pytest.approx(evaluated.returns[0, :, -1].mean())
    assert earned.oracle == pytest.approx(np.asarray(met.tasks.probabilities).max(1).mean())
    made = films(shown)
    last = made[0]["moments"][-1]
    assert sum(arm["pulls"] for arm in last["arms"]) == 4
    poor, none = recorder.record("shifted")
    assert none is None
    assert poor.oracle <= 0.3
    with pytest.raises(ValueError, match="family: expected one of held-out"):
        recorder.record("other")


def test_all_pulls_are_shown_and_of_many_episodes_a_few(agent, monkeypatch):
    assert shown_episodes(agent) == tuple(Episode(number, 0, False) for number in range(4))
    problem = point_robot(100, horizon=2)
    shown = shown_episodes(TrainedAgent.initial(Random(), problem))
    numbers = [episode.number for episode in shown]
    assert numbers[0] == 0
    assert numbers[-1] == 99
    assert len(numbers) <= recording.MOST_EPISODES
    assert (np.diff(numbers) > 0).all()
    monkeypatch.setattr(recording, "MOST_NUMBERS", 100)
    assert Recorder(agent, num_tasks=50).num_tasks == 100 // (4 + 4 * 3)
