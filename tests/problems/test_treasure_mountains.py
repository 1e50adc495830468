"""The treasure mountain: by hand, and its optimum against Bellman's equation over beliefs as sets of tasks."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.problems import treasure_mountain
from adaptax.problems.exact_mountains import from_the_top, known_returns, marsh_cells, mountain_plan, solvable
from adaptax.problems.grid_worlds import GridGoal

STAY, UP, RIGHT, DOWN, LEFT = range(5)
KEY = jax.random.key(0)
MARSH = (9, 14, 19, 21, 22, 23)


def walk(env, cell, actions):
    """Observations, the first one included, and rewards with the treasure in a cell."""
    task = GridGoal(jnp.asarray(cell, jnp.int32))
    state, seen = env.reset(task, KEY)
    observations, rewards = [int(seen)], []
    for action in actions:
        step = env.step(state, jnp.asarray(action, jnp.int32), task, KEY)
        state = step.state
        observations.append(int(step.observation))
        rewards.append(float(step.reward))
        assert not step.terminated
    return observations, rewards


def test_where_things_are():
    assert marsh_cells(5) == MARSH
    assert from_the_top(5).reshape(5, 5).tolist() == [
        [2, 2, 2, 2, 2], [2, 1, 1, 1, 2], [2, 1, 0, 1, 2], [2, 1, 1, 1, 2], [2, 2, 2, 2, 2],
    ]  # fmt: skip
    family = treasure_mountain().train
    assert family.finite == 6
    assert family.goals == MARSH


def test_climbing_costs_and_the_top_tells():
    env = treasure_mountain().env
    seen, rewards = walk(env, 22, [RIGHT, UP, RIGHT, UP, STAY, UP, UP, STAY, RIGHT])
    assert seen == [0, 1, 6, 7, 29, 29, 17, 22, 22, 23]  # on the top: 25 + 4, the fifth cell of the marsh
    assert rewards == [0, -0.5, -0.5, -0.5, -0.5, -0.5, 1, 1, -4]
    others = [walk(env, cell, [RIGHT, UP, RIGHT, UP])[0][-1] for cell in MARSH]
    assert others == [25, 26, 27, 28, 29, 30]


def test_off_the_top_nothing_tells_but_the_treasure_itself():
    env = treasure_mountain().env
    around = [RIGHT] * 4 + [LEFT, UP, LEFT, LEFT, UP]  # over the slopes, not over the top
    assert all(walk(env, cell, around) == walk(env, 9, around) for cell in MARSH)


def outcomes(problem, *, looks=True):
    """What a step from each cell by each action leads to with each treasure: cell, observation, reward."""
    env, cells = problem.env, jnp.arange(problem.env.size**2, dtype=jnp.int32)
    places = jnp.asarray(marsh_cells(env.size), jnp.int32)
    step = lambda cell, action, place: env.step(cell, action, GridGoal(place), KEY)  # noqa: E731
    for axes in ((None, None, 0), (None, 0, None), (0, None, None)):
        step = jax.vmap(step, axes)
    found = jax.jit(step)(cells, jnp.arange(5, dtype=jnp.int32), places)
    seen = found.observation if looks else found.state
    return np.asarray(found.state).tolist(), np.asarray(seen).tolist(), np.asarray(found.reward, np.float64).tolist()


def bayes_value(problem, *, looks=True):
    """The best expected return of a trial: every action, every outcome, the treasures that it leaves possible."""
    cells, seen, rewards = outcomes(problem, looks=looks)
    horizon, places = problem.env.horizon, range(len(marsh_cells(problem.env.size)))

    @functools.cache
    def value(time, cell, possible):
        if time == problem.trial_steps:
            return 0.0
        worths = []
        for action in range(5):
            told = {}
            for place in possible:
                told.setdefault((seen[cell][action][place], rewards[cell][action][place]), []).append(place)
            after = 0 if (time + 1) % horizon == 0 else cells[cell][action][0]
            worths.append(
                sum(len(left) * (reward + value(time + 1, after, tuple(left))) for (_, reward), left in told.items())
            )
        return max(worths) / len(possible)

    return value(0, 0, tuple(places))


def plan_of(problem):
    env = problem.env
    return mountain_plan(env.size, env.horizon, problem.episodes, env.climb_cost, env.marsh_cost)


def test_the_optimum_is_that_of_bellmans_equation_over_beliefs_and_who_never_looks_has_nothing():
    problem = treasure_mountain()
    assert problem.optimum == (7.5,)
    assert bayes_value(problem) == pytest.approx(7.5, abs=1e-9)
    assert plan_of(problem).blind == (0.0,)
    assert bayes_value(problem, looks=False) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {"horizon": 9, "num_episodes": 3, "marsh_cost": 1.0},
        {"horizon": 7, "num_episodes": 2, "climb_cost": 0.125, "marsh_cost": 0.25},
        {"horizon": 15, "num_episodes": 2},
        {"horizon": 8, "climb_cost": 3.0, "marsh_cost": 0.5},
    ],
)
def test_other_settings_too(settings):
    problem = treasure_mountain(**settings)
    assert sum(problem.optimum) == pytest.approx(bayes_value(problem), abs=1e-9)
    assert sum(plan_of(problem).blind) == pytest.approx(bayes_value(problem, looks=False), abs=1e-9)
    assert len(problem.optimum) == problem.episodes


def test_the_best_walks_earn_the_optimum():
    env, climb = treasure_mountain().env, [RIGHT, RIGHT, UP, UP]
    fetch = {9: [DOWN, RIGHT, RIGHT], 14: [RIGHT] * 2, 19: [UP, RIGHT, RIGHT]}
    fetch |= {21: [LEFT, UP, UP], 22: [UP] * 2, 23: [RIGHT, UP, UP]}
    earned = []
    for cell, way in fetch.items():
        actions = climb + way
        earned.append(sum(walk(env, cell, actions + [STAY] * (15 - len(actions)))[1]))
    assert np.mean(earned) == 7.5


def test_whoever_knows_goes_there_by_the_cheapest_way():
    problem = treasure_mountain()
    env = problem.env
    cells, _, rewards = outcomes(problem)
    for place, cell in enumerate(MARSH):
        best = np.zeros(25)
        for _ in range(env.horizon):
            best = np.asarray([
                max(rewards[at][action][place] + best[cells[at][action][place]] for action in range(5))
                for at in range(25)
            ])  # fmt: skip
        assert float(problem.test.oracle(GridGoal(jnp.asarray(cell)))) == best[0]
    assert known_returns(5, 15, 0.5, 4.0) == (11.0, 9.0, 7.5, 11.0, 9.0, 7.5)


def test_random_actions_earn_what_the_documentation_says():
    cells, _, rewards = outcomes(treasure_mountain())
    earned, where = 0.0, np.eye(25)[0]
    for _ in range(15):
        after = np.zeros(25)
        for cell, action in itertools.product(range(25), range(5)):
            earned += where[cell] / 5 * np.mean(rewards[cell][action])
            after[cells[cell][action][0]] += where[cell] / 5
        where = after
    assert earned == pytest.approx(-3.8, abs=0.05)


def test_of_large_grids_no_optimum_is_computed():
    assert solvable(5, 1000)
    assert solvable(7, 79)
    assert not solvable(7, 80)
    assert not solvable(8, 16)
    assert treasure_mountain(size=8, horizon=30).optimum is None
    assert treasure_mountain(size=7, horizon=20).optimum == pytest.approx((9.3,))
