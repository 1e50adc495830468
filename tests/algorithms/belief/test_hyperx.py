"""Where exploring costs at first, a learner that follows its returns never finds out what it is good for."""

import numpy as np
import pytest

from adaptax.algorithms.belief.varibad import VariBAD
from adaptax.core.algorithm import init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.optimization.moments import no_moments
from adaptax.problems import treasure_mountain
from adaptax.registry.presets import settings_for
from adaptax.training.loop import train
from tests.algorithms.belief.test_varibad import case


@pytest.mark.learning
@pytest.mark.nightly
@pytest.mark.parametrize(("bonus", "least", "most"), [(0.0, -0.1, 0.1), (3.0, 0.8, 1.01)])
def test_without_bonuses_the_treasure_mountain_is_left_alone_and_with_them_it_is_climbed(bonus, least, most):
    """Of the exact optimum, where 0 is what nobody exceeds who never looks."""
    problem, settings = treasure_mountain(), settings_for("varibad", "treasure-mountain")[0]
    algorithm = VariBAD(**{**vars(settings), "novelty_bonus": bonus})
    state = train(algorithm, problem, init(algorithm, problem, seed=1), num_updates=algorithm.num_updates)
    earned = evaluate(TrainedAgent(algorithm, problem, state.meta), num_tasks=1000, seed=0).scores
    assert least < np.mean(earned) / sum(problem.optimum) < most


@pytest.mark.compiles
def test_novelty_is_in_units_of_the_last_update():
    """However often, and however well, all was known before."""
    _, state, experience = case(novelty_bonus=1.0)
    seen = experience.trajectory.aux["hidden"].squeeze(2)
    novelty = state.opt_state.novelty
    past = replace(novelty, errors=no_moments().observe(1000 + seen[..., 0].ravel()))
    first, other = (x.learn(seen, None, num_minibatches=1) for x in (novelty, past))
    error = np.mean((np.asarray(novelty.target(seen)) - np.asarray(novelty.learned(seen))) ** 2, -1)
    assert float(first.errors.mean) == pytest.approx(error.mean(), rel=1e-5)
    assert float(other.errors.mean) == float(first.errors.mean)
    after = np.mean((np.asarray(first.target(seen)) - np.asarray(first.learned(seen))) ** 2, -1)
    np.testing.assert_allclose(first.bonus(seen), after / error.mean(), rtol=1e-4)
