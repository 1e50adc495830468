import dataclasses

import numpy as np
import pytest

from adaptax.algorithms import EMAML, MAML
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.algorithms.standard_rl.bandit_by_hand import BARE, START

ALGORITHM = EMAML(**BARE, outer="gradient")


@pytest.fixture(scope="module")
def case():
    state = by_hand.begin(ALGORITHM)
    return state.meta, by_hand.gather(ALGORITHM, state)


@pytest.mark.compiles
def test_standing_is_the_adapted_return_less_that_of_the_other_tasks(case):
    _, batch = case
    last = by_hand.pulls(batch.trajectories).rewards[:, 1]
    outcomes = last.mean(-1)
    expected = [(outcomes[i] - np.delete(outcomes, i).mean()) / last.std() for i in range(4)]
    np.testing.assert_allclose(batch.outcome_advantage[:, 0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(batch.outcome_advantage[:, 1], 0, atol=1e-6)  # nothing comes after the last window
    np.testing.assert_allclose(np.sum(batch.outcome_advantage), 0, atol=1e-5)
    assert np.abs(batch.outcome_advantage).max() > 0.1


def test_E1_score_term_by_hand(case):
    # E-MAML's gradient is MAML's, with the data held fixed, plus what the data are worth times their score.
    meta, batch = case
    actions = by_hand.pulls(batch.trajectories).actions[:, 0]
    scores = np.asarray([by_hand.scores(START, a).sum(0) for a in actions])
    expected = (np.asarray(batch.outcome_advantage)[:, :1] * scores).mean(0)
    _, found = by_hand.gain(ALGORITHM, meta, batch)
    _, fixed_data = by_hand.gain(MAML(**BARE, outer="gradient", estimator="policy-gradient"), meta, batch)
    difference = by_hand.bias(found) - by_hand.bias(fixed_data)
    np.testing.assert_allclose(difference, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected).max() > 0.1


@pytest.mark.compiles
def test_a_window_is_worth_what_all_judged_windows_after_it_earn():
    algorithm = dataclasses.replace(ALGORITHM, inner_steps=2, objective="every-step")
    batch = by_hand.gather(algorithm, by_hand.begin(algorithm))
    rewards = by_hand.pulls(batch.trajectories).rewards
    _, first, second = rewards.mean(-1).T
    worth = np.stack([(first + second) / 2, second / 2, 0 * second], -1)
    expected = [(worth[i] - np.delete(worth, i, 0).mean(0)) / rewards[:, 1:].std() for i in range(4)]
    np.testing.assert_allclose(batch.outcome_advantage, expected, rtol=1e-4, atol=1e-6)


def test_score_weight_is_the_share_of_the_score(case):
    meta, batch = case
    gradients = []
    for weight in (0.0, 0.5, 1.0):
        algorithm = dataclasses.replace(ALGORITHM, score_weight=weight)
        gradients.append(np.asarray(by_hand.bias(by_hand.gain(algorithm, meta, batch)[1])))
    np.testing.assert_allclose(gradients[1], (gradients[0] + gradients[2]) / 2, rtol=1e-4, atol=1e-6)
    assert np.abs(gradients[2] - gradients[0]).max() > 0.1
