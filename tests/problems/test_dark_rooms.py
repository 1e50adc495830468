"""Dark rooms: by hand, by scripted walks, and by what nobody can exceed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.errors import UseError
from adaptax.core.rollout import collect
from adaptax.core.types import AgentState
from adaptax.problems import dark_key_door, dark_room
from adaptax.problems.dark_rooms import DarkKeyDoor, DarkRoom, KeyAndDoor
from adaptax.problems.grid_worlds import GridGoal
from tests.sample_problems import program

STAY, UP, RIGHT, DOWN, LEFT = range(5)
SIZE, HORIZON = 10, 100
KEY = jax.random.key(0)


def walk(env, task, actions):
    """Observations, the first one included, and rewards."""
    state, seen = env.reset(task, KEY)
    cells, rewards = [int(seen)], []
    for action in actions:
        step = env.step(state, jnp.asarray(action), task, KEY)
        state = step.state
        cells.append(int(step.observation))
        rewards.append(float(step.reward))
        assert not step.terminated
    return cells, rewards


def test_a_step_is_paid_by_where_it_begins():
    env = DarkRoom(3, 6)
    cells, rewards = walk(env, GridGoal(jnp.asarray(4)), [UP, RIGHT, STAY, DOWN, DOWN, LEFT])
    assert cells == [0, 3, 4, 4, 1, 1, 0]  # there is nothing below the first row
    assert rewards == [0, 0, 1, 1, 0, 0]
    assert walk(env, GridGoal(jnp.asarray(0)), [LEFT, DOWN])[1] == [1, 1]


def test_a_door_opens_once_and_only_with_the_key():
    env, task = DarkKeyDoor(3, 9), KeyAndDoor(jnp.asarray(1), jnp.asarray(3))
    cells, rewards = walk(env, task, [UP, DOWN, RIGHT, STAY, LEFT, UP, STAY, DOWN, RIGHT])
    assert cells == [0, 3, 0, 1, 1, 0, 3, 3, 0, 1]
    assert rewards == [0, 0, 0, 1, 0, 0, 1, 0, 0]  # at the door without a key; the key; the door; neither again
    here = KeyAndDoor(jnp.asarray(0), jnp.asarray(0))
    assert walk(env, here, [STAY] * 4)[1] == [1, 1, 0, 0]


def test_whoever_knows_the_goal_earns_91():
    family = dark_room().test
    cells = jnp.arange(SIZE**2)
    known = np.asarray(jax.vmap(family.oracle)(GridGoal(cells)))
    assert known.mean() == 91.0
    assert known.max() == 100
    assert known.min() == 82
    assert float(dark_room(horizon=5).test.oracle(GridGoal(jnp.asarray(99)))) == 0


def test_whoever_knows_key_and_door_earns_2_where_both_are_within_reach():
    oracle = dark_key_door(size=3, horizon=4).test.oracle
    for key, door, expected in [(0, 0, 2), (1, 3, 2), (8, 0, 0), (2, 0, 1), (5, 5, 1), (2, 2, 2)]:
        task = KeyAndDoor(jnp.asarray(key), jnp.asarray(door))
        assert float(oracle(task)) == expected
        best = max(
            sum(walk(DarkKeyDoor(3, 4), task, actions)[1])
            for actions in np.ndindex(5, 5, 5, 5)
            if len(set(actions)) <= 3
        )
        assert best == expected


@dataclasses.dataclass(frozen=True)
class Sweep(FromScratch):
    """Goes through all cells, row by row and back; where a step was paid it goes back, and stays; it remembers that."""

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, (jnp.asarray(-1), jnp.asarray(-1)))  # the goal, and the last cell

    def act(self, meta, agent, timestep, key, *, explore):
        goal, last = agent.memory
        cell = timestep.observation
        goal = jnp.where((goal < 0) & (timestep.reward > 0), last, goal)
        row, column = jnp.divmod(cell, SIZE)
        along = jnp.where(row % 2 == 0, RIGHT, LEFT)
        sweep = jnp.where(column == jnp.where(row % 2 == 0, SIZE - 1, 0), UP, along)
        goal_row, goal_column = jnp.divmod(goal, SIZE)
        vertical = jnp.where(goal_row > row, UP, DOWN)
        horizontal = jnp.where(goal_column > column, RIGHT, LEFT)
        straight = jnp.where(goal_row != row, vertical, jnp.where(goal_column != column, horizontal, STAY))
        return jnp.where(goal < 0, sweep, straight), (goal, cell), None


def test_a_sweep_earns_nearly_the_most_in_the_first_episode_and_all_in_each_later_one():
    problem = dark_room(num_episodes=3)
    tasks = GridGoal(jnp.arange(SIZE**2, dtype=jnp.int32))
    keys = jax.random.split(KEY, SIZE**2)
    rewards = np.asarray(program(collect)(Sweep(), problem, None, tasks, keys).reward)[..., 0]
    returns = rewards.reshape(3, HORIZON, SIZE**2).sum(1)
    # The goal with number k is seen to be it after step k + 1, on the next cell; two steps later it is paid again.
    expected = [99 - k if k < 98 else 1 for k in range(100)]
    order = [row * SIZE + (i if row % 2 == 0 else SIZE - 1 - i) for row in range(SIZE) for i in range(SIZE)]
    np.testing.assert_array_equal(returns[0][order], expected)
    assert returns[0].mean() == pytest.approx(49.51)
    found = returns[0] > 0
    assert found.all()
    later = returns[1:].mean(1)
    np.testing.assert_array_equal(later, [91.0, 91.0])


def test_a_random_walk_earns_1_on_average_wherever_it_goes():
    """Of all goals exactly one is under each step."""
    env = DarkRoom(4, 20)
    actions = np.random.default_rng(0).integers(0, 5, 20)
    assert sum(sum(walk(env, GridGoal(jnp.asarray(goal)), actions)[1]) for goal in range(16)) == 20


def test_goals_that_are_held_out_are_dealt_once():
    problem = dark_room(held_out=True)
    dealt = [problem.train.goals, problem.validation.goals, problem.test.goals]
    assert [len(x) for x in dealt] == [62, 19, 19]
    assert sorted(sum(dealt, ())) == list(range(100))
    assert dark_room(held_out=True) == problem
    assert dark_room().test.finite == 100
    assert dark_key_door().test.finite is None


def test_in_shifted_rooms_key_and_door_are_far_from_the_start():
    problem = dark_key_door()
    tasks = jax.vmap(problem.shifted.sample)(jax.random.split(KEY, 200))
    far = np.concatenate([np.asarray(tasks.key_cell), np.asarray(tasks.door)])
    assert (far // SIZE + far % SIZE).min() >= SIZE
    assert len(set(far.tolist())) > 30
    assert "farther from the start" in problem.shift


@pytest.mark.parametrize("room", [DarkRoom, DarkKeyDoor])
def test_a_room_has_cells(room):
    with pytest.raises(UseError, match="expected at least 3, to have room for a goal, got 1"):
        room(1, 5)
