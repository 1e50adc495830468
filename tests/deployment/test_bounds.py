"""Adaptation within bounds: what costs too much is taken back, what is not finite is not done."""

import copy
import dataclasses
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, Window
from adaptax.deployment import bounds
from adaptax.deployment.agent import Agent
from adaptax.deployment.bounds import Unadapted
from adaptax.deployment.windows import timestep_of, transition_of
from tests.deployment.test_refusals import known
from tests.sample_problems import clockwork


@dataclasses.dataclass(frozen=True)
class Climber(FromScratch):
    """Its action is how often it has adapted; a window with a reward above 10⁶ makes it infinite."""

    needs_last_observation = False

    def describe(self, problem):
        return jnp.zeros(1)

    def begin(self, meta, key):
        return AgentState(jnp.zeros(()), None)

    def act(self, meta, agent, timestep, key, *, explore):
        return agent.adapted.astype(jnp.int32), None, None

    def adapt(self, meta, agent, trajectory, key):
        return AgentState(agent.adapted + jnp.where(trajectory.reward.max() > 1e6, jnp.inf, 1.0), None)

    def window(self, problem):
        return Window(2, problem.env.horizon)


PROBLEM = clockwork(horizon=5, episodes=20, num_actions=9)


@pytest.fixture(scope="module")
def programs():
    return Agent(TrainedAgent.initial(Climber(), PROBLEM), margin=0.05)._batch.programs


def made(programs, margin):
    agent = Agent(programs.trained, margin=margin)
    agent._batch.programs = programs
    return agent


def window(agent, reward, actions):
    """Two episodes; what an action is paid, and the actions that were done."""
    for step in range(10):
        actions.append(int(agent.act([0.0])))
        agent.observe(reward(actions[-1], step), episode_over=step % 5 == 4)


def test_what_costs_more_than_the_margin_is_taken_back_after_a_window(programs):
    for margin, expected in ((0.05, [0, 1, 0, 0]), (0.5, [0, 1, 2, 3]), (None, [0, 1, 2, 3])):
        agent, actions = made(programs, margin), []
        for _ in range(4):
            window(agent, lambda action, step: (10.0 + step % 5) * (0.8 if action else 1.0), actions)
        assert actions[::10] == expected, margin
        assert len(set(zip(actions[::10], actions[9::10], strict=True))) == len(set(expected))
        assert agent.taken_back == (margin == 0.05)
        assert agent.frozen == (margin == 0.05)
        agent.begin()
        assert (agent.taken_back, agent.frozen) == (0, False)


def test_what_gains_is_kept(programs):
    agent, actions = made(programs, 0.05), []
    for _ in range(4):
        window(agent, lambda action, step: step % 5 + action, actions)
    assert actions[::10] == [0, 1, 2, 3]
    assert (agent.taken_back, agent.adaptations) == (0, 4)


def test_a_tenth_of_huge_rewards_decides_nothing(programs):
    rng = np.random.default_rng(0)
    for huge in (1e9, -1e9):
        agent, actions = made(programs, 0.05), []

        def reward(action, step, huge=huge):
            return huge if step == 7 else (10.0 + rng.normal()) * (0.7 if action else 1.0)

        for _ in range(4):
            window(agent, reward, actions)
        assert actions[::10] == [0, 1, 0, 0]
        assert agent.taken_back == 1


def test_a_step_that_is_not_finite_is_not_done_and_said(programs):
    def reward(action, step):
        return 1e9 if step < 7 else 0.0  # far too many to be cut

    bounded, unbounded = made(programs, 0.05), made(programs, None)
    actions = []
    window(bounded, reward, actions)
    assert int(bounded.act([0.0])) == 0
    assert (bounded.taken_back, bounded.adaptations, bounded.frozen) == (1, 0, False)
    with pytest.raises(DivergenceError, match="became NaN or infinite"):
        window(unbounded, reward, actions)


def test_what_is_compared_goes_on_with_what_is_saved(programs):
    agent = made(programs, 0.05)
    reward = lambda action, step: (10.0 + step % 5) * (0.8 if action else 1.0)  # noqa: E731
    window(agent, reward, [])
    other = made(programs, 0.05)
    other.load_state(agent.save_state())
    for again in (agent, other, copy.deepcopy(other), pickle.loads(pickle.dumps(other))):
        actions = []
        window(again, reward, actions)
        window(again, reward, actions)
        assert actions[::10] == [1, 0]
    assert known(agent) == known(other)


def test_sessions_are_bounded_each_by_itself(programs):
    sessions = made(programs, 0.05).sessions(3)
    for step in range(20):
        action = sessions.act(np.zeros((3, 1)))
        pay = (10.0 + step % 5) * np.where(action > 0, [0.5, 1.0, 2.0], 1.0)
        sessions.observe(pay, episode_over=step % 5 == 4)
    assert sessions.taken_back.tolist() == [1, 0, 0]
    assert sessions.act(np.zeros((3, 1))).tolist() == [0, 2, 2]


@pytest.mark.parametrize("margin", [-0.1, np.nan, "5 %", [0.1], None])
def test_a_margin_is_a_part(margin):
    trained = TrainedAgent.initial(Climber(), PROBLEM)
    if margin is None:
        assert Agent(trained, margin=margin).taken_back == 0
        return
    with pytest.raises(UseError, match=r"^Agent\(margin\): expected a finite number.*, found"):
        Agent(trained, margin=margin)


def steps_of(rewards, valid=None):
    one = transition_of(timestep_of(np.zeros(1), 0, 0.0, False), 0, None, 0.0, False, False)
    rewards = np.asarray(rewards, np.float32)
    valid = np.ones(rewards.shape, bool) if valid is None else np.asarray(valid)
    return dataclasses.replace(one, reward=rewards, valid=valid)


def test_rewards_far_from_all_others_are_cut_and_no_others():
    rewards = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(bounds.cut(steps_of(rewards)).reward, rewards)
    rewards[0, 0] = -1e9
    cut = bounds.cut(steps_of(rewards)).reward
    np.testing.assert_array_equal(cut.ravel()[1:], rewards.ravel()[1:])
    assert cut[0, 0] == 1 - 3 * 6  # of -1e9, 1, ..., 9 the middle three fifths reach from 1 to 7
    sparse = [[0.0], [0.0], [0.0], [0.0], [1.0]]
    np.testing.assert_array_equal(bounds.cut(steps_of(sparse)).reward, sparse)


def test_what_is_earned_by_whom_and_what_is_worse():
    window = steps_of([[1.0, 4.0, 9.0], [3.0, 0.0, 9.0]], [[1, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(bounds.earned(window), [2.0, 4.0])
    before = bounds.of_unadapted(bounds.of_unadapted(Unadapted(), np.array([1.0, 2.0])), np.array([6.0]))
    np.testing.assert_allclose(before, [3, 3, 14])
    assert bounds.of_unadapted(before, np.zeros(0)) is before
    certain = Unadapted(10, 10.0, 0.0)
    assert bounds.is_worse(np.full(3, 9.4), certain, 0.05)
    assert not bounds.is_worse(np.full(3, 9.6), certain, 0.05)
    assert not bounds.is_worse(np.array([0.0, 18.0]), certain, 0.05)  # by chance, it may be
    assert bounds.is_worse(np.full(3, -11.0), Unadapted(10, -10.0, 0.0), 0.05)
    assert not bounds.is_worse(np.zeros(3), Unadapted(), 0.05)
