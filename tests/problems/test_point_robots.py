"""Point robots."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import evaluate_trial
from adaptax.core.types import AgentState
from adaptax.problems import point_robot, point_robot_sparse
from adaptax.problems.point_robots import PointGoal


class Position(FromScratch):
    """An agent that sees its position only, or (as θ) the goal as well."""

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, None)


@dataclasses.dataclass(frozen=True)
class Stay(Position):
    def act(self, meta, agent, timestep, key, *, explore):
        return jnp.zeros(2), None, None


@dataclasses.dataclass(frozen=True)
class WalkToGoal(Position):
    def act(self, meta, agent, timestep, key, *, explore):
        return meta - timestep.observation, None, None


def run(agent, problem, goals):
    """Episode returns and steps `[task, episode]`, and the oracle `[task]`."""

    def one_task(goal):
        task = PointGoal(goal)
        result = evaluate_trial(agent, problem, goal, task, jax.random.key(0))
        return result.returns, result.steps, problem.test.oracle(task)

    return [np.asarray(x) for x in jax.jit(jax.vmap(one_task))(goals)]


def sample(problem, num_tasks=2048, split="test"):
    keys = jax.random.split(jax.random.key(0), num_tasks)
    return jax.jit(jax.vmap(getattr(problem, split).sample))(keys).position


def square(num):
    """Midpoints of a num × num grid over [−.5, .5]²: exact means up to 1 / num²."""
    line = (np.arange(num, dtype=np.float32) + 0.5) / num - 0.5
    return jnp.asarray(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2))


def test_goals_are_uniform_in_the_square():
    goals = np.asarray(sample(point_robot()))
    assert goals.min() >= -0.5
    assert goals.max() <= 0.5
    assert np.all(np.abs(goals.mean(0)) < 4 * (1 / 12 / 2048) ** 0.5)
    assert np.all(np.abs(goals.var(0) - 1 / 12) < 4 * (1 / 180 / 2048) ** 0.5)


def test_shifted_goals_are_uniform_on_the_ring_around_the_square():
    goals = np.asarray(sample(point_robot(), split="shifted"), float)
    size = np.abs(goals).max(1)
    assert 0.5 <= size.min() < size.max() < 1 + 1e-6
    # The square of side 2 has 16 cells of side ½. The ring is the 12 outer ones, with the same chance each.
    cells = np.histogram2d(*goals.T, bins=(-1, -0.5, 0, 0.5, 1.000001), range=None)[0]
    ring = cells[np.pad(np.zeros((2, 2)), 1, constant_values=1) == 1]
    assert (len(ring), ring.sum()) == (12, 2048)
    # Chi-square with 11 degrees of freedom: mean 11, variance 22.
    assert ((ring - 2048 / 12) ** 2 / (2048 / 12)).sum() < 11 + 4 * 22**0.5
    # Within the area, too: r² ~ U[.25, 1].
    assert stats.kstest((size**2 - 0.25) / 0.75, "uniform").pvalue > 6e-5  # four standard errors


@pytest.mark.compiles
def test_walking_straight_attains_the_oracle_of_shifted_goals():
    problem = point_robot(num_episodes=2)
    goals = sample(problem, 64, "shifted")
    returns, steps, oracle = run(WalkToGoal(), problem, goals)
    np.testing.assert_allclose(returns, np.stack([oracle, oracle], 1), atol=1e-4)
    np.testing.assert_array_equal(oracle, jax.vmap(problem.shifted.oracle)(PointGoal(goals)))
    assert steps.max() <= 11


def test_staying_at_the_start_costs_38_2_and_the_oracle_a_half():
    problem = point_robot(num_episodes=1)
    goals = square(40)
    stay, steps, oracle = run(Stay(), problem, goals)
    # 100 E‖goal‖, and the mean distance to the centre of a unit square is (√2 + asinh 1) / 6.
    assert stay.mean() == pytest.approx(-100 * (2**0.5 + np.arcsinh(1)) / 6, abs=0.03)
    assert stay.mean() == pytest.approx(-38.2, abs=0.1)
    assert steps.min() == 100
    assert oracle.mean() == pytest.approx(-0.50, abs=0.02)


def test_walking_straight_attains_the_oracle_and_ends_early():
    returns, steps, oracle = run(WalkToGoal(), point_robot(num_episodes=2), square(10))
    np.testing.assert_allclose(returns, np.stack([oracle, oracle], 1), atol=2e-5)
    # From (−.45, .25) five moves of .1 in x are needed; the goal at (.05, .05) is one move away.
    assert (steps[0, 0], steps[-1, 0], steps.min()) == (5, 5, 1)


def test_the_oracle_by_hand():
    problem = point_robot()
    task = PointGoal(jnp.asarray([0.3, -0.15]))
    # Left after each move: (.2, .05), (.1, 0), (0, 0).
    assert float(problem.test.oracle(task)) == pytest.approx(-((0.2**2 + 0.05**2) ** 0.5) - 0.1, abs=1e-6)


def test_actions_are_clipped_in_each_coordinate_and_rewards_come_after_the_move():
    env = point_robot().env
    task = PointGoal(jnp.asarray([0.1, 0.4]))
    step = env.step(jnp.zeros(2), jnp.asarray([3.0, 0.05]), task, jax.random.key(0))
    np.testing.assert_allclose(step.observation, [0.1, 0.05], atol=1e-7)
    assert float(step.reward) == pytest.approx(-0.35)


@pytest.mark.parametrize(("left", "over"), [((0.009, -0.009), True), ((0.011, 0.0), False), ((0.0, 0.011), False)])
def test_an_episode_ends_within_a_hundredth_of_the_goal(left, over):
    env = point_robot().env
    step = env.step(jnp.asarray(left), jnp.zeros(2), PointGoal(jnp.zeros(2)), jax.random.key(0))
    assert bool(step.terminated) == over


def test_sparse_goals_lie_on_the_upper_half_circle():
    goals = np.asarray(sample(point_robot_sparse()))
    np.testing.assert_allclose(np.hypot(*goals.T), 1, atol=1e-6)
    assert goals[:, 1].min() > -1e-6
    # cos of a uniform angle has mean 0 and variance 1/2; sin has mean 2/π.
    assert abs(goals[:, 0].mean()) < 4 * (0.5 / 2048) ** 0.5
    assert abs(goals[:, 1].mean() - 2 / np.pi) < 4 * (0.5 / 2048) ** 0.5


def test_shifted_sparse_goals_lie_on_the_lower_half_circle():
    problem = point_robot_sparse(num_episodes=2)
    goals = sample(problem, split="shifted")
    x, y = np.asarray(goals, float).T
    np.testing.assert_allclose(np.hypot(x, y), 1, atol=1e-6)
    assert y.max() < 1e-6
    assert stats.kstest(np.arccos(np.clip(x, -1, 1)) / np.pi, "uniform").pvalue > 6e-5  # four standard errors
    returns, _, oracle = run(WalkToGoal(), problem, goals[:64])
    np.testing.assert_allclose(returns, np.stack([oracle, oracle], 1), atol=1e-3)
    np.testing.assert_allclose(oracle, jax.vmap(problem.shifted.oracle)(PointGoal(goals[:64])), rtol=1e-6)


@pytest.mark.parametrize(("distance", "reward"), [(0.0, 1.0), (0.15, 0.85), (0.21, 0.0), (1.0, 0.0)])
def test_the_sparse_reward_is_given_within_the_radius_only(distance, reward):
    env = point_robot_sparse().env
    position = jnp.asarray([1.0 - distance, 0.0])
    step = env.step(position, jnp.zeros(2), PointGoal(jnp.asarray([1.0, 0.0])), jax.random.key(0))
    assert float(step.reward) == pytest.approx(reward, abs=1e-6)
    assert not bool(step.terminated)


def test_walking_straight_attains_the_sparse_oracle():
    angles = (np.arange(50, dtype=np.float32) + 0.5) * np.float32(np.pi / 50)
    goals = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], 1))
    returns, steps, oracle = run(WalkToGoal(), point_robot_sparse(num_episodes=2), goals)
    np.testing.assert_allclose(returns, np.stack([oracle, oracle], 1), atol=1e-3)
    assert steps.min() == 100
    assert np.all(run(Stay(), point_robot_sparse(num_episodes=1), goals)[0] == 0)


def test_the_sparse_oracle_by_hand():
    # Ten moves to (1, 0): within .2 after moves 8 to 10 (.2 itself is left out of the test's radius of .15).
    family = point_robot_sparse(horizon=12, goal_radius=0.15).test
    assert float(family.oracle(PointGoal(jnp.asarray([1.0, 0.0])))) == pytest.approx(0.9 + 3 * 1.0, abs=1e-5)


def test_the_radius_must_be_positive():
    with pytest.raises(ValueError, match="positive distance"):
        point_robot_sparse(goal_radius=0.0)
