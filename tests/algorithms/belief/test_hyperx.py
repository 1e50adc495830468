"""HyperX where exploring costs: it finds out what the same learner without bonuses never does."""

import dataclasses

import numpy as np
import pytest

from adaptax.algorithms.belief.varibad import VariBAD
from adaptax.core.algorithm import init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems import treasure_mountain
from adaptax.registry.presets import settings_for
from adaptax.training.loop import train


@pytest.mark.learning
@pytest.mark.nightly
@pytest.mark.parametrize(("bonus", "least", "most"), [(0.0, -0.1, 0.1), (5.0, 0.8, 1.01)])
def test_on_the_treasure_mountain_bonuses_are_what_it_takes(bonus, least, most):
    """Of the exact optimum, where 0 is what nobody exceeds who never looks; the same steps with and without bonus."""
    problem = treasure_mountain()
    algorithm = VariBAD(**dataclasses.asdict(settings_for("varibad", "treasure-mountain")[0]))
    algorithm = dataclasses.replace(algorithm, novelty_bonus=bonus)
    state = train(algorithm, problem, init(algorithm, problem, seed=0), num_updates=algorithm.num_updates)
    earned = evaluate(TrainedAgent(algorithm, problem, state.meta), num_tasks=1000, seed=0).scores
    assert least < np.mean(earned) / sum(problem.optimum) < most
