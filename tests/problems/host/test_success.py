"""What a Gymnasium environment calls success arrives in evaluations, from this process and from workers."""

import numpy as np
import pytest

from adaptax.algorithms.classical.random import Random
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems import gymnasium_problem
from adaptax.problems.host.simulations import Maker, Simulations
from tests.problems.host.walks import HORIZON, Walk


class Timed(Walk):
    """It has succeeded from some step on, for two steps, and says so."""

    def step(self, action):
        *outcome, _ = super().step(action)
        return *outcome, {"is_success": self.task["goal"] <= self.steps < self.task["goal"] + 2}


class Silent(Timed):
    """It says so in another word."""

    def step(self, action):
        *outcome, told = super().step(action)
        return *outcome, {"solved": told["is_success"]}


@pytest.mark.compiles
@pytest.mark.parametrize("workers", [0, 2])
def test_success_is_counted_in_any_step_and_in_the_last(workers):
    tasks = {"goal": [2.0, float(HORIZON), 20.0], "drift": [0.0]}
    problem = gymnasium_problem(Timed, tasks, horizon=HORIZON, episodes=1, workers=workers, success="is_success")
    found = evaluate(TrainedAgent.initial(Random(), problem), num_tasks=12)
    from adaptax.evaluation.encounters import encounters

    goal = np.asarray(encounters(problem.test, 12, 0).tasks["goal"])
    assert set(goal.tolist()) == {0, 1, 2}
    ended = found.steps[0, :, 0]  # beyond the edge it is over
    at = np.asarray(tasks["goal"])[goal]
    np.testing.assert_array_equal(found.successes.ever[0, :, 0], at <= ended)
    np.testing.assert_array_equal(found.successes.last[0, :, 0], (at <= ended) & (ended < at + 2))


def test_what_does_not_say_it_is_lost_with_what_it_says_instead():
    row = Simulations(Maker(Silent, None, success="is_success"))
    row.reset([0], [{"goal": 1.0, "drift": 0.0}], [1])
    lost = row.step([0], np.zeros((1, 1), np.float32)).lost
    assert "expected 'is_success' in what `step` tells besides; found solved" in lost[0]


def test_who_is_not_asked_says_nothing():
    problem = gymnasium_problem(Timed, {"goal": (0.0, 1.0), "drift": [0.0]}, horizon=HORIZON, episodes=1)
    assert not problem.env.simulators.says_success
