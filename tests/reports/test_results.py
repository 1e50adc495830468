import jax
import numpy as np
import pytest

from adaptax.problems import bernoulli_bandit, grid_navigation, point_robot, point_robot_sparse
from adaptax.reports.results import goals_of


@pytest.mark.parametrize("problem", [point_robot, point_robot_sparse])
def test_goals_of_tasks_in_a_plane_are_their_positions(problem):
    tasks = jax.vmap(problem().train.sample)(jax.random.split(jax.random.key(0), 3))
    goals = goals_of(tasks)
    assert goals.shape == (3, 2)
    np.testing.assert_array_equal(goals, tasks.position)


@pytest.mark.parametrize("problem", [bernoulli_bandit, grid_navigation])
def test_other_tasks_have_none(problem):
    assert goals_of(jax.vmap(problem().train.sample)(jax.random.split(jax.random.key(0), 3))) is None
