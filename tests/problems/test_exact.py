"""Dynamic programs over beliefs, against full expectimax and enumeration."""

import functools
import itertools

import numpy as np
import pytest

from adaptax.problems.exact import (
    GRID_MOVES,
    bernoulli_bayes_value,
    bernoulli_plan,
    grid_goals,
    grid_plan,
    two_step_bayes_value,
)
from tests.claims.oracles import expectimax


@pytest.mark.parametrize("num_pulls", [1, 2, 3, 5, 8])
def test_the_two_armed_value_is_that_of_expectimax(num_pulls):
    assert bernoulli_bayes_value(num_pulls) == pytest.approx(expectimax(1, 1, 1, 1, num_pulls), abs=1e-12)


def test_the_two_armed_values_as_published():
    values = [bernoulli_bayes_value(num_pulls) for num_pulls in (2, 5, 20)]
    np.testing.assert_allclose(values, [13 / 12, 2.888889, 12.431265], atol=5e-7)


def test_after_a_success_one_stays_and_after_a_failure_one_switches():
    second_arm = bernoulli_plan(5).second_arm
    assert not second_arm[0][0, 0, 0]
    assert not second_arm[1][1, 1, 0]
    assert second_arm[1][1, 0, 0]


def test_rewards_of_single_pulls_by_hand():
    # First pull 1/2. Then stay with 2/3 after a success, or try the other arm with 1/2: 7/12.
    np.testing.assert_allclose(bernoulli_plan(2).rewards, [1 / 2, 7 / 12], atol=1e-12)


def every_walk(size, horizon, num_episodes):
    """Best total return over all sequences of actions that are followed until the goal is found."""
    goals = grid_goals(size)
    distances = [sum(divmod(goal, size)) for goal in goals]
    known = [horizon - d + 1 - 0.1 * (d - 1) if d <= horizon else -0.1 * horizon for d in distances]
    best = -np.inf
    for actions in itertools.product(range(1, 5), repeat=horizon * num_episodes):
        total, met = 0.0, {}
        for time, action in enumerate(actions):
            if time % horizon == 0:
                row = column = 0
            row = min(max(row + GRID_MOVES[action][0], 0), size - 1)
            column = min(max(column + GRID_MOVES[action][1], 0), size - 1)
            met.setdefault(row * size + column, time)
        for goal, known_return in zip(goals, known, strict=True):
            if goal not in met:
                total += -0.1 * horizon * num_episodes
                continue
            episode, step = divmod(met[goal], horizon)
            total += -0.1 * horizon * episode - 0.1 * step + (horizon - step)
            total += known_return * (num_episodes - 1 - episode)
        best = max(best, total / len(goals))
    return best


@pytest.mark.parametrize(("size", "horizon", "num_episodes"), [(3, 6, 1), (3, 3, 2), (3, 2, 3), (4, 3, 2)])
def test_the_grid_plan_is_the_best_of_all_walks(size, horizon, num_episodes):
    returns = grid_plan(size, horizon, num_episodes).returns
    assert sum(returns) == pytest.approx(every_walk(size, horizon, num_episodes), abs=1e-9)


def test_the_grid_value_as_published():
    returns = grid_plan(5, 15, 4).returns
    np.testing.assert_allclose(returns, [4, 155 / 14, 155 / 14, 155 / 14], atol=1e-9)


def test_searching_for_one_episode_alone_may_be_greedier():
    # With short episodes it pays to search at the expense of the first episode.
    alone, first_of_three = grid_plan(4, 5, 1).returns[0], grid_plan(4, 5, 3).returns
    assert first_of_three[0] <= alone
    assert sum(first_of_three) > 3 * alone


def test_the_plan_walks_as_its_actions_say():
    plan = grid_plan(4, 8, 2)
    row = column = 0
    for time, (action, cell) in enumerate(zip(plan.actions, plan.cells, strict=True)):
        if time % 8 == 0:
            row = column = 0
        row = min(max(row + GRID_MOVES[action][0], 0), 3)
        column = min(max(column + GRID_MOVES[action][1], 0), 3)
        assert cell == row * 4 + column


@functools.cache
def two_step_expectimax(belief, left):
    """Exact value of `left` rounds with probability `belief` that state 1 is good."""
    if left == 0:
        return 0.0
    best = -1.0
    for action in range(2):
        total = 0.0
        for state, reach in ((0, 0.8 if action == 0 else 0.2), (1, 0.2 if action == 0 else 0.8)):
            for reward in range(2):
                if_good, if_bad = (0.9, 0.1) if reward else (0.1, 0.9)
                first, second = (if_good, if_bad) if state == 0 else (if_bad, if_good)
                mass = belief * first + (1 - belief) * second
                posterior = belief * first / mass
                after = 0.975 * posterior + 0.025 * (1 - posterior)
                total += reach * mass * (reward + two_step_expectimax(after, left - 1))
        best = max(best, total)
    return best


@pytest.mark.parametrize("num_rounds", [1, 2, 5])
def test_the_two_step_value_is_that_of_expectimax(num_rounds):
    value = two_step_bayes_value(num_rounds, common=0.8, reward_good=0.9, reward_bad=0.1, reversal=0.025)
    exact = two_step_expectimax(0.5, num_rounds)
    assert exact - 1e-12 <= value <= exact + 1e-7
