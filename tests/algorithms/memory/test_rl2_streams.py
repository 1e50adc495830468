"""RL² where episodes end early: what it learns from trials that follow each other is what it learns from whole ones."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.problem import make_problem
from adaptax.core.spaces import Discrete
from adaptax.core.streams import first_trials
from adaptax.core.types import replace
from adaptax.problems import bernoulli_bandit
from tests.sample_problems import TINY, Clockwork, Lengths, clockwork, quick_jit, random_state

HORIZON, EPISODES = 4, 3
MEMORIES = ("lstm", "gru", "symmetric", "counting", "lru", "transformer", "none")


class Numbered(Clockwork):
    """A clock with a number on its face, so that pairs of state and action are counted; it stops by chance."""

    def __init__(self):
        super().__init__(HORIZON, True, 3)
        self.observation_space = Discrete(HORIZON + 1)

    def reset(self, task, key):
        return jnp.asarray(0), jnp.asarray(0)

    def step(self, state, action, task, key):
        step = super().step(state, action, task, key)
        stops = (step.state >= task.length) | jax.random.bernoulli(key, 0.3)
        return replace(step, observation=step.state, terminated=stops)


def _problem(training_steps=None):
    family = functools.partial(Lengths, HORIZON)
    problem = make_problem(Numbered(), family, EPISODES)
    return replace(problem, training_steps=training_steps)


@functools.cache
def _collected(memory, training_steps=None):
    algorithm, problem = RL2(**TINY | {"memory": memory}), _problem(training_steps)
    state = random_state(algorithm, problem)
    meta = replace(state.meta, reward=replace(state.meta.reward, variance=jnp.asarray(1e4)))
    state = replace(state, meta=meta)
    collect = quick_jit(lambda state: algorithm.collect(problem, state))
    return algorithm, problem, state, collect(state)


def _without_environments(trajectory):
    return jax.tree.map(lambda x: x.squeeze(2), trajectory)


@pytest.mark.parametrize("training_steps", [None, 7])
@pytest.mark.parametrize("memory", MEMORIES)
def test_E9_E51_recomputation_is_what_acting_was_over_the_ends_of_trials(memory, training_steps):
    algorithm, _, state, experience = _collected(memory, training_steps)
    trajectory = _without_environments(experience.trajectory)
    hidden, policy = algorithm.recompute(state.meta, replace(trajectory, valid=None))
    np.testing.assert_allclose(hidden, trajectory.aux["hidden"], atol=1e-5)
    np.testing.assert_allclose(policy.log_prob(trajectory.action), trajectory.aux["log_prob"], atol=1e-5)
    assert len({tuple(clock) for clock in np.asarray(trajectory.clock).T}) > (1 if training_steps is None else 0)
    # What is put aside for the critic is the output at the step that would come next.
    if training_steps is None and memory != "none":
        assert np.abs(experience.extra[:, 0] - hidden[-1]).max() > 1e-3


def _by_definition(rewards, values, after, ends, discount, gae_lambda):
    """Advantages of one task, trial by trial, from `ends`, the steps after which nothing comes."""
    advantages, begin = np.zeros(len(rewards)), 0
    for end in [*ends, len(rewards) - 1]:
        following, next_value = 0.0, 0.0 if end in ends else after
        for t in range(end, begin - 1, -1):
            following = rewards[t] + discount * next_value - values[t] + discount * gae_lambda * following
            advantages[t], next_value = following, values[t]
        begin = end + 1
    return advantages


@pytest.mark.parametrize("training_steps", [None, 7])
@pytest.mark.parametrize("discount", [1.0, 0.8])
def test_E10_E51_advantages_end_with_trials_and_not_with_episodes(training_steps, discount):
    algorithm, problem, state, experience = _collected("gru", training_steps)
    algorithm = dataclasses.replace(algorithm, discount=discount)
    trajectory, after = _without_environments(experience.trajectory), experience.extra[:, 0]
    meta, hidden = state.meta, trajectory.aux["hidden"]
    advantages, targets = algorithm._advantages(problem, meta, trajectory, hidden, experience.tasks, after)
    center, spread = float(meta.reward.mean), float(meta.reward.std)
    units = np.asarray(algorithm.values(meta, hidden, experience.tasks), np.float64)
    last = np.asarray(algorithm.values(meta, after[None], experience.tasks), np.float64)[0]
    total = training_steps or EPISODES * HORIZON
    raw = np.zeros(units.shape)
    to_go = np.zeros(units.shape)
    for task in range(raw.shape[1]):
        ends, clock = [], 0
        for t in range(len(raw)):
            assert trajectory.clock[t, task] == clock
            to_go[t, task] = sum(discount**i for i in range(total - clock))
            if training_steps is None and trajectory.terminated[t, task]:
                clock += HORIZON - 1 - clock % HORIZON
            clock += 1
            if clock == total:
                ends, clock = [*ends, t], 0
        values = to_go[:, task] * (center + spread * units[:, task])
        next_value = sum(discount**i for i in range(total - clock)) * (center + spread * last[task])
        rewards = np.asarray(trajectory.reward[:, task], np.float64)
        raw[:, task] = _by_definition(rewards, values, next_value, ends, discount, algorithm.gae_lambda)
        np.testing.assert_allclose(
            targets[:, task], ((raw[:, task] + values) / to_go[:, task] - center) / spread, rtol=2e-4, atol=2e-4
        )
    np.testing.assert_allclose(advantages, (raw - raw.mean()) / raw.std(), atol=1e-3)


@pytest.mark.parametrize("training_steps", [None, 7])
def test_E51_return_and_steps_are_those_of_trials_that_were_whole(training_steps):
    algorithm, problem, state, experience = _collected("gru", training_steps)
    _, metrics = quick_jit(lambda state: algorithm.update(problem, state))(state)
    steps = training_steps or EPISODES * HORIZON
    assert metrics["env_steps"] == algorithm.update_steps(problem) == algorithm.num_tasks * steps
    trajectory = _without_environments(experience.trajectory)
    returns = [
        sum(r for r, counts in zip(rewards, first, strict=True) if counts)
        for rewards, first in zip(trajectory.reward.T, first_trials(trajectory.clock).T, strict=True)
    ]
    np.testing.assert_allclose(metrics["return"], np.mean(returns), rtol=1e-5)
    assert np.all(trajectory.valid)
    if training_steps is None:
        assert not first_trials(trajectory.clock).all()


def test_E51_slots_stay_where_episodes_have_one_length():
    for problem in (bernoulli_bandit(2, 3), clockwork(2, 3, ends_early=False, num_actions=3)):
        algorithm = RL2(**TINY)
        shapes = jax.eval_shape(lambda p=problem, a=algorithm: a.collect(p, random_state(a, p)))
        assert shapes.trajectory.clock is None
        assert shapes.extra is None
