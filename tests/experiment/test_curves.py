"""What a training is drawn beside, from an evaluation of which all is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from adaptax.evaluation.evaluator import Evaluation
from adaptax.experiment.curves import CURVE, draw_training, references_of
from adaptax.reports.results import BAYES_OPTIMAL, KNOWS


def evaluated(*episodes):
    """One seed, two tasks, in both the same episodes."""
    returns = np.broadcast_to(np.asarray(episodes, np.float64), (1, 2, len(episodes)))
    return Evaluation(returns, np.ones_like(returns))


def assessment(oracle=math.nan, optimum=None):
    results = {"mine": evaluated(9, 9), "random": evaluated(1, 2), "poor": evaluated(2, 2), "good": evaluated(3, 6)}
    return SimpleNamespace(results=results, oracle=oracle, optimum=optimum, protocol={"episodes": 2})


def test_whole_trials_are_beside_whole_trials_and_episodes_beside_the_last_one():
    found = assessment(oracle=8.0, optimum=(4.0, 7.0))
    assert references_of(found, adapted=False) == {"random": 3, "good": 9, KNOWS: 16, BAYES_OPTIMAL: 11}
    assert references_of(found, adapted=True) == {"random": 2, "good": 6, KNOWS: 8, BAYES_OPTIMAL: 7}


def test_what_is_unknown_is_left_out():
    assert references_of(None, adapted=True) == {}
    assert set(references_of(assessment(), adapted=False)) == {"random", "good"}


@pytest.mark.parametrize("lacks", ["metrics", "directory"])
def test_without_metrics_or_a_place_nothing_is_drawn(lacks, tmp_path):
    run = SimpleNamespace(metrics=[{"return": 1.0}], directory=tmp_path)
    setattr(run, lacks, None if lacks == "directory" else [])
    draw_training(run, pytest.fail)
    assert not (tmp_path / CURVE).exists()
