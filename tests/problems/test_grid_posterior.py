"""The exact posterior over goals of grid navigation, against Bayes' rule over all goals one by one."""

import numpy as np

from adaptax.problems.exact import GRID_MOVES, GRID_STEP_REWARD, grid_goals, grid_posterior


def walks(goals, size, steps, seed):
    """Random walks `[time, task]`, with what they bring."""
    draw, cells, rewards = np.random.default_rng(seed), [], []
    for goal in goals:
        place, ended = np.zeros(2, int), []
        for _ in range(steps):
            place = np.clip(place + np.array(GRID_MOVES[draw.integers(5)]), 0, size - 1)
            ended.append(int(place[0] * size + place[1]))
        cells.append(ended)
        rewards.append([1.0 if cell == goal else GRID_STEP_REWARD for cell in ended])
    return np.array(cells).T, np.array(rewards).T


def test_a_posterior_is_prior_times_likelihood():
    size, steps = 4, 30
    goals = np.array(grid_goals(size))
    cells, rewards = walks(goals, size, steps, 0)
    found = grid_posterior(cells, rewards, size)
    assert found.shape == (steps + 1, len(goals), size * size)
    for task in range(len(goals)):
        for t in range(steps + 1):
            # Likelihood of what was seen so far, if the goal were each of the cells.
            would = np.where(cells[:t, task, None] == goals[None], 1.0, GRID_STEP_REWARD)
            likelihood = (would == rewards[:t, task, None]).all(0).astype(float)
            expected = np.zeros(size * size)
            expected[goals] = likelihood / likelihood.sum()
            np.testing.assert_allclose(found[t, task], expected)
    assert (found[-1].max(-1) == 1).any()  # some walks have found the goal
    assert (found[-1].max(-1) < 1).any()
