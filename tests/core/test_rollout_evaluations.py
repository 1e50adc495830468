"""A trial's evaluations on the way: episodes that it does not learn from, between those that it does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.standard_rl.temporal_difference import QLearning
from adaptax.core.rollout import evaluate_trial, evaluation_episodes, num_evaluations, num_windows
from adaptax.problems import tabular_mdp
from tests.sample_problems import Counter, Length, clockwork, quick_jit, same

NO_META = jnp.zeros(0)


class Tally(Counter):
    """Its action is the number of windows that it has learned from, so that every reward tells it."""

    def act(self, meta, agent, timestep, key, *, explore):
        return agent.adapted[0], agent.memory + 1, {"memory": agent.memory, "explore": jnp.asarray(explore)}


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("episodes", "window", "known"),
    [
        (6, {"window_steps": 4}, [0, 1, 2, 3, 4, 5]),  # before each of six windows
        (40, {"window_steps": 4}, range(0, 40, 2)),  # twenty times at most, and evenly
        (70, {"window_steps": 4}, range(0, 70, 5)),  # more than 64 windows
        (23, {"window_steps": 4}, [0]),  # a prime number of windows cannot be divided
        (3, {"window_steps": 2}, [0, 2, 4]),  # windows shorter than episodes: where episodes begin
        (4, {"window_steps": 1}, [0, 4, 8, 12]),
        (6, {"window_steps": 8}, [0, 1, 2]),  # windows of two episodes
        (12, {"window_steps": 4, "streams": 3}, [0, 1, 2, 3]),  # windows of three episodes
        (12, {"window_steps": 2, "streams": 3}, [0, 2, 4, 6]),  # halves of three episodes
    ],
)
def test_evaluations_are_spread_evenly_over_a_trial(episodes, window, known):
    problem = clockwork(horizon=4, episodes=episodes, ends_early=False)
    algorithm, task = Tally(**window), Length(jnp.asarray(9))
    assert num_evaluations(algorithm, problem) == len(known)
    trial = functools.partial(evaluate_trial, algorithm, problem, NO_META, task, with_evaluation=True)
    result = quick_jit(trial)(jax.random.key(0))
    # An evaluation is an episode of four steps, which pay 0 to 300 and the action.
    np.testing.assert_array_equal(result.evaluation_episodes, 600 + 4 * np.asarray(known))
    assert result.returns.shape == (episodes,)
    # Between two evaluations there are as many episodes as there are windows for.
    learned = (np.asarray(result.returns).reshape(len(known), -1) - 600) / 4
    assert (learned >= np.asarray(known)[:, None]).all()
    assert (learned[:-1] <= np.asarray(known)[1:, None]).all()


def test_evaluations_of_several_environments_come_between_episodes():
    # Two slots of two environments: four windows, but only two times at which episodes begin.
    problem = clockwork(horizon=4, episodes=4, ends_early=False)
    assert num_evaluations(Tally(streams=2, window_steps=2), problem) == 2


def test_a_trial_of_one_window_is_not_evaluated_on_the_way():
    problem = clockwork(horizon=4, episodes=2, ends_early=False)
    assert num_windows(Tally(), problem) == num_evaluations(Tally(), problem) == 1
    task, key = Length(jnp.asarray(9)), jax.random.key(0)
    assert evaluate_trial(Tally(), problem, NO_META, task, key, with_evaluation=True).evaluation_episodes is None
    assert (
        evaluate_trial(Tally(window_steps=4), problem, NO_META, task, key, with_evaluation=False).evaluation_episodes
        is None
    )


@pytest.mark.parametrize("explore", [False, True])
def test_evaluation_episodes_have_fresh_memory_and_many_fresh_environments(explore):
    problem = clockwork(horizon=4, episodes=12, ends_early=False)
    algorithm, task = Tally(streams=3, window_steps=4), Length(jnp.asarray(9))
    seen = quick_jit(lambda key: evaluation_episodes(algorithm, problem, NO_META, task, key, explore=explore))(
        jax.random.key(0)
    )
    assert seen.reward.shape == (4, 4, 3)
    np.testing.assert_array_equal(seen.aux["memory"], np.broadcast_to(np.arange(4)[:, None], (4, 4, 3)))
    np.testing.assert_array_equal(seen.timestep.first, seen.aux["memory"] == 0)
    np.testing.assert_array_equal(seen.action, np.broadcast_to(np.arange(4)[:, None, None], (4, 4, 3)))
    assert (seen.aux["explore"] == explore).all()


@pytest.mark.compiles
@pytest.mark.parametrize("episodes", [12, 24])
def test_evaluation_episodes_leave_the_trial_as_it_is(episodes):
    # Q-learning draws actions, rewards and transitions, and learns 36 or 72 times.
    problem = tabular_mdp(num_states=3, num_actions=2, horizon=3, num_episodes=episodes)
    agent = QLearning(epsilon_episodes=4)
    meta, task = agent.describe(problem), problem.test.sample(jax.random.key(1))
    trial = functools.partial(evaluate_trial, agent, problem, meta, task, jax.random.key(2))
    evaluated, alone = (quick_jit(functools.partial(trial, with_evaluation=yes))() for yes in (True, False))
    assert evaluated.evaluation_episodes.shape == (12,)
    assert len(np.unique(evaluated.evaluation_episodes)) > 6
    assert same((evaluated.returns, evaluated.steps), (alone.returns, alone.steps))
