"""Every case is computed by hand from the clockwork problem, whose numbers tell where in the trial they were."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.classical.random import Random
from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Step
from adaptax.core.rollout import (
    MANY_WINDOWS,
    collect,
    evaluate_trial,
    rollout,
    run_trial,
    start,
)
from adaptax.core.spaces import Box
from adaptax.problems import bernoulli_bandit, gaussian_bandit
from tests.sample_problems import Clockwork, Counter, Length, clockwork, quick_jit, same

NO_META, KEY = jnp.zeros(0), jax.random.key(0)


@functools.cache
def _run(ends_early):
    problem = clockwork(horizon=3, episodes=2, ends_early=ends_early)
    return quick_jit(lambda length, key: run_trial(Counter(), problem, NO_META, Length(length), key))


def _trajectory(length, *, ends_early=True):
    trajectory = _run(ends_early)(jnp.asarray(length), jax.random.key(0))
    assert jax.tree.leaves(trajectory)[0].shape[:2] == (6, 1)
    return jax.tree.map(lambda x: np.asarray(x[:, 0]), trajectory)


def test_episode_that_terminates_early_leaves_idle_slots():
    trajectory = _trajectory(length=2)
    np.testing.assert_array_equal(trajectory.valid, [True, True, False, True, True, False])
    np.testing.assert_array_equal(trajectory.terminated, [False, True, False, False, True, False])
    np.testing.assert_array_equal(trajectory.truncated, [False] * 6)
    # The counter's memory stands still in idle slots: it says 2 twice.
    np.testing.assert_array_equal(trajectory.action, [0, 1, 2, 2, 3, 4])
    np.testing.assert_array_equal(trajectory.reward, [0, 101, 0, 2, 103, 0])
    np.testing.assert_array_equal(trajectory.next_observation[[0, 1, 3, 4], 0], [1, 2, 1, 2])


def test_previous_action_and_reward_carry_over_episodes_and_idle_slots():
    timestep = _trajectory(length=2).timestep
    np.testing.assert_array_equal(timestep.observation[:, 0], [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(timestep.first, [True, False, False, True, False, False])
    np.testing.assert_array_equal(timestep.action, [-1, 0, 1, 1, 2, 3])
    np.testing.assert_array_equal(timestep.reward, [0, 0, 101, 101, 2, 103])


@pytest.mark.parametrize("ends_early", [True, False])
def test_termination_in_the_last_slot_is_not_truncation(ends_early):
    trajectory = _trajectory(length=3, ends_early=ends_early)
    np.testing.assert_array_equal(trajectory.valid, [True] * 6)
    np.testing.assert_array_equal(trajectory.terminated, [False, False, True] * 2)
    np.testing.assert_array_equal(trajectory.truncated, [False] * 6)


@pytest.mark.parametrize("ends_early", [True, False])
def test_time_limit_truncates_and_next_observation_is_before_the_reset(ends_early):
    trajectory = _trajectory(length=4, ends_early=ends_early)
    np.testing.assert_array_equal(trajectory.terminated, [False] * 6)
    np.testing.assert_array_equal(trajectory.truncated, [False, False, True] * 2)
    np.testing.assert_array_equal(trajectory.next_observation[:, 0], [1, 2, 3, 1, 2, 3])
    np.testing.assert_array_equal(trajectory.timestep.observation[:, 0], [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(trajectory.timestep.first, [True, False, False] * 2)
    np.testing.assert_array_equal(trajectory.timestep.action, [-1, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(trajectory.timestep.reward, [0, 0, 101, 202, 3, 104])
    np.testing.assert_array_equal(trajectory.reward, [0, 101, 202, 3, 104, 205])


def test_environment_that_says_it_never_ends_early_is_taken_at_its_word():
    trajectory = _trajectory(length=2, ends_early=False)
    np.testing.assert_array_equal(trajectory.valid, [True] * 6)
    np.testing.assert_array_equal(trajectory.terminated, [False, False, True] * 2)


def test_a_trial_starts_with_nothing():
    problem = clockwork(horizon=3, episodes=2)
    state = start(Counter(), problem, NO_META, Length(jnp.asarray(9)), jax.random.key(0), num_envs=2)
    np.testing.assert_array_equal(state.timestep.action, [-1, -1])
    np.testing.assert_array_equal(state.timestep.reward, [0, 0])
    np.testing.assert_array_equal(state.timestep.first, [True, True])
    np.testing.assert_array_equal(state.active, [True, True])
    np.testing.assert_array_equal(state.memory, [0, 0])
    assert state.adapted[0].shape == ()  # shared by the environments


@pytest.mark.parametrize(
    ("length", "returns", "steps"),
    [(1, [0, 1, 2], [1, 1, 1]), (2, [101, 105, 109], [2, 2, 2]), (4, [303, 312, 321], [3, 3, 3])],
)
def test_evaluate_trial_has_the_return_and_steps_of_each_episode(length, returns, steps):
    problem = clockwork(horizon=3, episodes=3)
    run = quick_jit(lambda length, key: evaluate_trial(Counter(), problem, NO_META, Length(length), key))
    result = run(jnp.asarray(length), jax.random.key(0))
    np.testing.assert_array_equal(result.returns, returns)
    np.testing.assert_array_equal(result.steps, steps)
    assert result.steps.dtype == jnp.int32


@pytest.mark.parametrize("episodes", [1, 3])
def test_episodes_of_one_step(episodes):
    problem = clockwork(horizon=1, episodes=episodes, ends_early=False)
    run = quick_jit(lambda key: run_trial(Counter(), problem, NO_META, Length(jnp.asarray(1)), key))
    trajectory = jax.tree.map(lambda x: x[:, 0], run(jax.random.key(0)))
    assert trajectory.timestep.first.all()
    assert trajectory.terminated.all()
    np.testing.assert_array_equal(trajectory.timestep.action, np.arange(episodes) - 1)
    np.testing.assert_array_equal(trajectory.reward, np.arange(episodes))


@pytest.mark.compiles
@pytest.mark.parametrize("steps", range(1, 8))
def test_trial_in_pieces_equals_trial_at_once(steps):
    # A length of 2 and a horizon of 3, so that pieces begin in every phase: first, last, idle.
    problem = clockwork(horizon=3, episodes=4)
    task, key = Length(jnp.asarray(2)), jax.random.key(0)
    whole = quick_jit(lambda key: run_trial(Counter(), problem, NO_META, task, key))(key)
    piece = quick_jit(
        lambda state, clock: rollout(Counter(), problem, NO_META, task, state, key, clock=clock, steps=steps)
    )
    state = start(Counter(), problem, NO_META, task, key)
    pieces = []
    for clock in range(0, problem.trial_steps, steps):
        state, trajectory = piece(state, jnp.asarray(clock))
        pieces.append(trajectory)
    joined = jax.tree.map(lambda *x: jnp.concatenate(x)[: problem.trial_steps], *pieces)
    assert same(joined, whole)


def test_run_trial_adapts_after_every_window_and_shows_it_exactly_its_own():
    problem = clockwork(horizon=2, episodes=3, ends_early=False)
    algorithm = Counter(window_steps=2)
    run = quick_jit(lambda key: run_trial(algorithm, problem, NO_META, Length(jnp.asarray(9)), key))
    trajectory = run(jax.random.key(0))
    windows, last = jax.tree.map(lambda x: x[:, 0], trajectory.aux["adapted"])
    np.testing.assert_array_equal(windows, [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(last[::2, :, 0], [[-1, -1], [0, 1], [2, 3]])
    np.testing.assert_array_equal(trajectory.action[:, 0], range(6))  # memory and clock go on
    np.testing.assert_array_equal(trajectory.timestep.first[:, 0], [True, False] * 3)


def _adaptations(episodes):
    """How often a trial of as many windows as episodes adapts; and those of three tasks, run together."""
    adapted = []

    class Teller(Counter):
        def adapt(self, meta, agent, trajectory, key):
            luck = jax.random.bits(key)  # differs between tasks, so that each of them calls
            jax.debug.callback(lambda *x: adapted.append(tuple(map(int, x))), luck, agent.adapted[0], agent.memory[0])
            return super().adapt(meta, agent, trajectory, key)

    problem = clockwork(horizon=2, episodes=episodes, ends_early=False)
    algorithm = Teller(window_steps=2)
    jax.block_until_ready(run_trial(algorithm, problem, NO_META, Length(jnp.asarray(9)), jax.random.key(0)))
    jax.effects_barrier()
    alone = [x[1:] for x in adapted]
    adapted.clear()
    keys = jax.random.split(jax.random.key(0), 3)
    jax.block_until_ready(collect(algorithm, problem, NO_META, Length(jnp.full(3, 9)), keys))
    jax.effects_barrier()
    return alone, len(adapted)


@pytest.mark.compiles
@pytest.mark.parametrize("episodes", [1, 2, 4])
def test_nothing_is_learned_after_the_last_window_and_something_after_every_other(episodes):
    alone, together = _adaptations(episodes)
    assert alone == [(window, 2 * window + 2) for window in range(episodes - 1)]
    # It is a branch and not a select for many tasks, too.
    assert together == 3 * (episodes - 1)


@pytest.mark.compiles
def test_of_many_windows_the_last_is_learned_from_like_the_others():
    assert len(_adaptations(MANY_WINDOWS)[0]) == MANY_WINDOWS - 1
    alone, together = _adaptations(MANY_WINDOWS + 1)
    assert alone == [(window, 2 * window + 2) for window in range(MANY_WINDOWS + 1)]
    assert together == 3 * (MANY_WINDOWS + 1)


def test_no_observation_at_all():
    problem = bernoulli_bandit(num_arms=2, num_pulls=4)
    task = problem.train.sample(jax.random.key(0))
    trajectory = run_trial(Random(), problem, Random().describe(problem), task, jax.random.key(0))
    assert trajectory.timestep.observation.shape == (4, 1, 0)


def test_windows_may_be_shorter_than_episodes():
    problem = clockwork(horizon=4, episodes=2, ends_early=False)
    run = quick_jit(lambda key: run_trial(Counter(window_steps=2), problem, NO_META, Length(jnp.asarray(9)), key))
    trajectory = run(jax.random.key(0))
    np.testing.assert_array_equal(trajectory.aux["adapted"][0][:, 0], [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(trajectory.timestep.first[:, 0], [True, False, False, False] * 2)
    np.testing.assert_array_equal(trajectory.timestep.observation[:, 0, 0], [0, 1, 2, 3] * 2)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], [False, False, False, True] * 2)


def test_streams_share_what_adapts_and_not_what_remembers():
    problem = clockwork(horizon=2, episodes=4, ends_early=False)
    algorithm = Counter(streams=2, window_steps=2)
    task, key = Length(jnp.asarray(9)), jax.random.key(0)
    trajectory = quick_jit(lambda key: run_trial(algorithm, problem, NO_META, task, key))(key)
    np.testing.assert_array_equal(trajectory.action, [[0, 0], [1, 1], [2, 2], [3, 3]])
    np.testing.assert_array_equal(trajectory.aux["adapted"][0], [[0, 0], [0, 0], [1, 1], [1, 1]])
    np.testing.assert_array_equal(trajectory.aux["adapted"][1][2, 0], [[0, 0], [1, 1]])
    result = quick_jit(lambda key: evaluate_trial(algorithm, problem, NO_META, task, key))(key)
    np.testing.assert_array_equal(result.returns, [101, 101, 105, 105])  # in the order of experience


@pytest.mark.parametrize("window", [{"window_steps": 4}, {"streams": 2, "window_steps": 1}, {"streams": 4}])
def test_trial_that_does_not_divide_into_windows_is_refused(window):
    problem = clockwork(horizon=2, episodes=3)
    with pytest.raises(UseError, match=r"Counter\.window: expected windows .* 3 episodes × 2 steps; found"):
        run_trial(Counter(**window), problem, NO_META, Length(jnp.asarray(9)), jax.random.key(0))


class RandomStart(Clockwork):
    """Shows a random number at the beginning of an episode."""

    def reset(self, task, key):
        return jnp.asarray(0), jax.random.uniform(key, (1,))


def test_E20_every_reset_of_every_stream_of_every_task_has_its_own_randomness():
    problem = clockwork(horizon=2, episodes=8)
    problem = dataclasses.replace(problem, env=RandomStart(2, True, 1000))
    algorithm = Counter(streams=2, window_steps=4)  # two windows of two episodes in each stream
    keys = jax.random.split(jax.random.key(0), 3)
    tasks = Length(jnp.full(3, 9))
    trajectory = quick_jit(lambda keys: collect(algorithm, problem, NO_META, tasks, keys))(keys)
    shown = np.asarray(trajectory.timestep.observation)[np.asarray(trajectory.timestep.first)]
    assert shown.size == 4 * 3 * 2
    assert len(np.unique(shown)) == shown.size


def test_E20_every_step_of_every_task_has_its_own_randomness():
    problem = gaussian_bandit(num_arms=5, num_pulls=20)
    task = problem.train.sample(jax.random.key(1))
    tasks = jax.tree.map(lambda x: jnp.stack([x] * 6), task)
    meta = Random().describe(problem)
    trajectory = quick_jit(lambda keys: collect(Random(), problem, meta, tasks, keys))(
        jax.random.split(jax.random.key(0), 6)
    )
    assert trajectory.reward.shape == (20, 6, 1)
    assert len(np.unique(trajectory.reward)) == 120
    # If a draw of the agent were repeated over tasks or time, a column or row would be constant.
    assert all(len(np.unique(x)) > 1 for x in np.asarray(trajectory.action[..., 0]))
    assert all(len(np.unique(x)) > 1 for x in np.asarray(trajectory.action[..., 0]).T)


class RandomReward(Clockwork):
    """Pays a random number."""

    def step(self, state, action, task, key):
        return dataclasses.replace(super().step(state, action, task, key), reward=jax.random.uniform(key))


class RandomCounter(Counter):
    """Shows a random number that an action might have been drawn by."""

    def act(self, meta, agent, timestep, key, *, explore):
        return agent.memory, agent.memory + 1, jax.random.uniform(key)


def test_E20_what_an_agent_draws_is_not_what_its_environment_draws():
    problem = dataclasses.replace(clockwork(horizon=2, episodes=8), env=RandomReward(2, False, 1000))
    algorithm = RandomCounter(streams=2, window_steps=4)  # two windows of two episodes in each stream
    trajectory = quick_jit(lambda key: run_trial(algorithm, problem, NO_META, Length(jnp.asarray(9)), key))(KEY)
    drawn = np.concatenate([np.ravel(trajectory.aux), np.ravel(trajectory.reward)])
    assert drawn.size == 2 * 16
    assert len(np.unique(drawn)) == drawn.size


def test_E19_task_is_the_same_for_a_whole_trial():
    problem = clockwork(horizon=3, episodes=5)
    tasks = Length(jnp.asarray([1, 2, 3, 4]))
    run = quick_jit(lambda keys: collect(Counter(), problem, NO_META, tasks, keys))
    trajectory = run(jax.random.split(jax.random.key(0), 4))
    steps = np.asarray(trajectory.valid[..., 0]).reshape(5, 3, 4).sum(1)
    np.testing.assert_array_equal(steps, [[1, 2, 3, 3]] * 5)


def test_a_reset_is_a_branch_even_for_many_tasks():
    problem = clockwork(horizon=3, episodes=2)
    tasks, keys = Length(jnp.full(4, 9)), jax.random.split(jax.random.key(0), 4)
    jaxpr = jax.make_jaxpr(lambda keys: collect(Counter(), problem, NO_META, tasks, keys))(keys)
    # A condition that is batched becomes a select, and then every step pays for a reset.
    assert " cond[" in str(jaxpr)


def test_collect_is_run_trial_for_each_task():
    problem = clockwork(horizon=3, episodes=2)
    keys = jax.random.split(jax.random.key(0), 3)
    run = quick_jit(lambda lengths, keys: collect(Counter(), problem, NO_META, Length(lengths), keys))
    trajectory = run(jnp.asarray([1, 2, 4]), keys)
    for i, length in enumerate([1, 2, 4]):
        alone = _run(True)(jnp.asarray(length), keys[i])
        assert same(jax.tree.map(lambda x, i=i: x[:, i], trajectory), alone)


def test_explore_reaches_the_agent():
    class Teller(Counter):
        def act(self, meta, agent, timestep, key, *, explore):
            return jnp.asarray(int(explore)), agent.memory, None

    problem = clockwork(horizon=1, episodes=1)
    for explore in (True, False):
        result = evaluate_trial(Teller(), problem, NO_META, Length(jnp.asarray(1)), jax.random.key(0), explore=explore)
        assert float(result.returns[0]) == explore


def test_types_are_kept(key):
    trajectory = _run(True)(jnp.asarray(2), key)
    assert trajectory.reward.dtype == jnp.float32
    assert all(x.dtype == bool for x in (trajectory.terminated, trajectory.truncated, trajectory.valid))
    assert isinstance(trajectory, eqx.Module)


class Reaching(Counter):
    """Chooses 3, −3, 3, …, whatever it may do."""

    def act(self, meta, agent, timestep, key, *, explore):
        _, memory, aux = super().act(meta, agent, timestep, key, explore=explore)
        return jnp.where(agent.memory % 2 == 0, 3.0, -3.0)[None], memory, aux


class Strict(Environment):
    """Knows actions from 0 to 1 only: the root of anything else is NaN."""

    observation_space: Box = eqx.field(static=True, default=Box((1,)))
    action_space: Box = eqx.field(static=True, default=Box((1,), 0.0, 1.0))
    horizon: int = eqx.field(static=True, default=4)
    ends_early: bool = eqx.field(static=True, default=False)

    def reset(self, task, key):
        return jnp.zeros(1), jnp.zeros(1)

    def step(self, state, action, task, key):
        reward = jnp.sqrt(action[0] * (1 - action[0])) + action[0]
        return Step(action, action, reward, jnp.asarray(False))


def test_E36_what_reaches_an_environment_lies_in_its_space():
    problem = dataclasses.replace(clockwork(horizon=4, episodes=1), env=Strict())
    run = quick_jit(lambda key: run_trial(Reaching(), problem, NO_META, Length(jnp.asarray(9)), key))
    trajectory = jax.tree.map(lambda x: x[:, 0], run(KEY))
    np.testing.assert_array_equal(trajectory.action[:, 0], [3, -3, 3, -3])  # what was chosen: its probability is known
    np.testing.assert_array_equal(trajectory.timestep.action[:, 0], [0.5, 1, 0, 1])  # what was done before
    np.testing.assert_array_equal(trajectory.next_observation[:, 0], [1, 0, 1, 0])
    np.testing.assert_array_equal(trajectory.reward, [1, 0, 1, 0])
