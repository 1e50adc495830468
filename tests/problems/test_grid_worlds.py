"""Grid navigation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.problems import grid_navigation
from adaptax.problems.grid_worlds import GridGoal


def goal(cell):
    return GridGoal(jnp.asarray(cell, jnp.int32))


@pytest.mark.parametrize(
    ("cell", "after"),
    [(0, [0, 5, 1, 0, 0]), (12, [12, 17, 13, 7, 11]), (24, [24, 24, 24, 19, 23]), (4, [4, 9, 4, 4, 3])],
)
def test_actions_move_one_cell_and_the_walls_hold(cell, after):
    env = grid_navigation().env
    move = jax.vmap(lambda action: env.step(jnp.asarray(cell, jnp.int32), action, goal(8), jax.random.key(0)))
    step = move(jnp.arange(5, dtype=jnp.int32))
    assert step.observation.tolist() == after


def test_only_steps_that_end_on_the_goal_are_rewarded():
    env = grid_navigation().env
    at = lambda cell, action: env.step(  # noqa: E731
        jnp.asarray(cell, jnp.int32), jnp.asarray(action, jnp.int32), goal(12), jax.random.key(0)
    )
    assert [float(at(cell, action).reward) for cell, action in ((7, 1), (12, 0))] == [1, 1]
    off = [float(at(cell, action).reward) for cell, action in ((12, 1), (7, 0), (0, 3))]
    np.testing.assert_allclose(off, -0.1, rtol=1e-6)
    assert not bool(at(7, 1).terminated)


def test_the_goal_is_one_of_the_21_cells_away_from_the_start():
    family = grid_navigation().train
    assert family.finite == len(family.goals) == 21
    assert set(range(25)) - set(family.goals) == {0, 1, 5, 6}
    cells = jax.jit(jax.vmap(family.sample))(jax.random.split(jax.random.key(0), 4096)).cell
    counts = np.bincount(np.asarray(cells), minlength=25)
    assert set(np.flatnonzero(counts)) == set(family.goals)
    # Chi-square with 20 degrees of freedom: mean 20, variance 40.
    assert ((counts[list(family.goals)] - 4096 / 21) ** 2 / (4096 / 21)).sum() < 20 + 4 * 40**0.5


def test_the_informed_oracle_gets_44_29_in_four_episodes():
    family = grid_navigation().test
    returns = jax.vmap(family.oracle)(GridGoal(jnp.asarray(family.goals, jnp.int32)))
    assert float(returns.mean() * 4) == pytest.approx(44.29, abs=0.005)
    # Two steps away: −0.1, then 14 rewards of 1. Out of reach: −0.1 throughout.
    assert float(family.oracle(goal(2))) == pytest.approx(13.9)
    assert float(grid_navigation(horizon=5, size=4).test.oracle(goal(15))) == pytest.approx(-0.5)


def test_the_optimum_is_the_published_one():
    optimum = grid_navigation().optimum
    np.testing.assert_allclose(optimum, [4.0, 11.0714, 11.0714, 11.0714], atol=5e-5)
    assert sum(optimum) == pytest.approx(37.21, abs=0.005)
    assert grid_navigation(size=6).optimum is None
    assert grid_navigation(horizon=14).optimum is None


def test_E21_held_out_goals_are_dealt_out_without_overlap():
    problem = grid_navigation(held_out=True)
    dealt = [problem.train.goals, problem.validation.goals, problem.test.goals]
    assert [len(goals) for goals in dealt] == [13, 4, 4]
    assert [getattr(problem, split).finite for split in ("train", "validation", "test")] == [13, 4, 4]
    assert sorted(sum(dealt, ())) == sorted(grid_navigation().train.goals)
    assert problem.optimum is None
    assert grid_navigation(held_out=True) == problem
    cells = jax.jit(jax.vmap(problem.test.sample))(jax.random.split(jax.random.key(0), 256)).cell
    assert set(np.asarray(cells).tolist()) == set(problem.test.goals)


def test_a_grid_without_room_for_a_goal_is_refused():
    with pytest.raises(ValueError, match="at least 3"):
        grid_navigation(size=2)
