import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import PPO, PSRL, RL2, UCB1, QLearning, Random
from adaptax.core.algorithm import FromScratch, init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, Window
from adaptax.evaluation.encounters import sample_tasks
from adaptax.evaluation.evaluator import evaluate
from adaptax.evaluation.exploration import (
    ACTS_BY_MODE,
    CONTINUOUS,
    NO_CHOICE,
    expected_rewards,
    heeds_explore,
    is_bandit,
    off_best_mean,
    pulls_by_rank,
    watch,
    why_undefined,
)
from adaptax.problems import bernoulli_bandit, gaussian_bandit, point_robot, tabular_mdp
from tests.sample_problems import clockwork, odd_bandit

BANDIT = gaussian_bandit(num_arms=5, num_pulls=20)


@dataclasses.dataclass(frozen=True)
class Wavering(FromScratch):
    """Pulls arm 2; while it explores, with probability ε any arm. It learns from single steps, and learns nothing."""

    epsilon: float = 0.3
    streams: int = 1

    def describe(self, problem):
        return jnp.zeros(0)

    def begin(self, meta, key):
        return AgentState(jnp.asarray(0), None)

    def act(self, meta, agent, timestep, key, *, explore):
        best = jnp.asarray(2, jnp.int32)
        if not explore:
            return best, None, None
        draw_key, arm_key = jax.random.split(key)
        arm = jax.random.randint(arm_key, (), 0, 5)
        return jnp.where(jax.random.uniform(draw_key) < self.epsilon, arm, best), None, None

    def adapt(self, meta, agent, trajectory, key):
        return AgentState(agent.adapted + 1, agent.memory)

    def window(self, problem):
        return Window(self.streams, 1)


@dataclasses.dataclass(frozen=True)
class Script(FromScratch):
    """Pulls arms in a given order."""

    arms: tuple[int, ...] = ()

    def describe(self, problem):
        return jnp.asarray(self.arms, jnp.int32)

    def begin(self, meta, key):
        return AgentState(None, jnp.asarray(0))

    def act(self, meta, agent, timestep, key, *, explore):
        return meta[agent.memory], agent.memory + 1, None


@dataclasses.dataclass(frozen=True)
class EmpiricallyGreedy(FromScratch):
    """Pulls the arm with the best mean so far; with probability ε any."""

    epsilon: float = 0.2

    def describe(self, problem):
        return jnp.zeros(2 * problem.env.num_arms)

    def begin(self, meta, key):
        return AgentState(None, meta.reshape(2, -1))

    def act(self, meta, agent, timestep, key, *, explore):
        pulls, total = agent.memory
        last = jax.nn.one_hot(timestep.action, pulls.shape[0])
        pulls, total = pulls + last, total + last * timestep.reward
        best = jnp.argmax(jnp.where(pulls > 0, total / jnp.maximum(pulls, 1), -jnp.inf))
        draw_key, arm_key = jax.random.split(key)
        arm = jax.random.randint(arm_key, (), 0, pulls.shape[0])
        action = jnp.where(jax.random.uniform(draw_key) < self.epsilon, arm, best).astype(jnp.int32)
        return action, jnp.stack([pulls, total]), None


def watched(agent: Any, problem: Any = BANDIT, num_tasks: int = 400, **options: Any) -> Any:
    return watch(TrainedAgent.initial(agent, problem, seed=0), num_tasks=num_tasks, pulls=True, **options)


@pytest.mark.compiles
@pytest.mark.parametrize("streams", [1, 4])
def test_an_epsilon_greedy_agent_explores_in_epsilon_times_the_share_of_other_arms(streams):
    behaviour = watched(Wavering(epsilon=0.3, streams=streams))
    expected = 0.3 * (1 - 1 / 5)
    assert behaviour.exploring.shape == (1, 400, 20)
    error = math.sqrt(expected * (1 - expected) / 8000)
    assert abs(behaviour.exploring.mean() - expected) < 4 * error
    np.testing.assert_array_equal(behaviour.exploring, behaviour.actions != 2)


@pytest.mark.compiles
def test_against_the_best_mean_too():
    behaviour = watched(EmpiricallyGreedy(0.2))
    assert behaviour.exploring is None
    assert behaviour.reason == NO_CHOICE
    explores = off_best_mean(behaviour.actions, behaviour.rewards, 5)
    # Rewards are normal, so that the best arm is one; a random pull misses it in 4 of 5.
    expected = 0.2 * 4 / 5
    assert explores.shape == (1, 400, 19)
    assert abs(explores.mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / explores.size)


def test_what_explores_by_hand():
    #             first  better  new arm  worse  tie: 1 and 1  both best
    actions = np.array([[[0, 0, 1, 0, 1, 0]]])
    rewards = np.array([[[1.0, 1, 0, 1, 5, 1]]])
    # After three pulls arm 0 has 1, arm 1 has 0; after pull 5 arm 1 has 2.5, so that pull 6, of arm 0, explores.
    assert off_best_mean(actions, rewards, 3)[0, 0].tolist() == [0, 1, 0, 1, 1]
    tie = off_best_mean(np.array([[[0, 1, 0, 1]]]), np.array([[[1.0, 1, 1, 1]]]), 2)
    assert tie[0, 0].tolist() == [1, 0, 0]


def test_pulls_by_rank_of_a_scripted_agent_on_two_arms():
    problem = bernoulli_bandit(num_arms=2, num_pulls=5)
    behaviour = watched(Script((0, 1, 1, 1, 0)), problem, num_tasks=6)
    tasks = sample_tasks(problem.test, 6, jax.random.split(jax.random.key(0))[0])
    means = np.asarray(tasks.probabilities, np.float64)
    found = pulls_by_rank(behaviour.actions, means)
    # Arm 1 was pulled three times.
    expected = [[2, 3] if first > second else [3, 2] for first, second in means]
    assert found[0].tolist() == expected
    assert len({tuple(row) for row in expected}) == 2  # of six tasks, both kinds are there


def test_ranks_by_hand():
    found = pulls_by_rank(np.array([[[2, 2, 0, 1]], [[1, 1, 1, 1]]]), np.array([[0.2, 0.1, 0.9]]))
    assert found.tolist() == [[[2, 1, 1]], [[0, 0, 4]]]
    # Of equal arms the first counts as better.
    assert pulls_by_rank(np.array([[[1, 1]]]), np.array([[0.5, 0.5]])).tolist() == [[[0, 2]]]


@pytest.mark.compiles
@pytest.mark.parametrize("streams", [1, 2])
def test_what_is_watched_is_what_is_evaluated(streams):
    agent = PPO(streams=streams, hidden_size=4, num_minibatches=1) if streams > 1 else QLearning()
    problem = bernoulli_bandit(num_arms=3, num_pulls=8)
    meta = init(agent, problem, seed=0).meta
    evaluation = evaluate(TrainedAgent(agent, problem, meta), num_tasks=12, seed=7)
    behaviour = watched(agent, problem, num_tasks=5, seed=7)
    np.testing.assert_array_equal(behaviour.rewards, evaluation.returns[:, :5])


@pytest.mark.compiles
def test_tasks_are_watched_in_several_parts_and_with_several_seeds(monkeypatch):
    agent = RL2(memory_size=4, critic_size=4, num_tasks=4, num_minibatches=2)
    several = TrainedAgent.initial(agent, BANDIT, num_seeds=2)
    whole = watch(several, num_tasks=10, pulls=True)
    monkeypatch.setattr("adaptax.evaluation.trials.CHUNK", 2)  # on each of two devices
    done = []
    parts = watch(several, num_tasks=10, pulls=True, on_progress=done.append)
    assert whole.actions.shape == (2, 10, 20)
    np.testing.assert_array_equal(whole.actions, parts.actions)
    assert done == [4, 8, 10]
    assert whole.reason == ACTS_BY_MODE
    assert (whole.actions[0] != whole.actions[1]).any()


@pytest.mark.compiles
def test_an_action_that_never_happened_does_not_explore():
    # Episodes of 1 to 4 steps in slots of 4; the agent always wavers from its best action.
    problem = clockwork(horizon=4, episodes=3, num_actions=5)
    behaviour = watch(TrainedAgent(Wavering(1.0), problem, jnp.zeros(0)), num_tasks=200)
    steps = evaluate(TrainedAgent(Wavering(1.0), problem, jnp.zeros(0)), num_tasks=200).steps
    counts = behaviour.exploring * steps
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-5)
    assert abs(behaviour.exploring.mean() - 0.8) < 4 * math.sqrt(0.16 / 600)
    assert behaviour.actions is None


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("agent", "problem", "reason"),
    [
        (QLearning(), BANDIT, ""),
        (UCB1(), BANDIT, NO_CHOICE),
        (Random(), BANDIT, NO_CHOICE),
        (PSRL(), tabular_mdp(num_states=2, num_actions=2, horizon=2, num_episodes=2), NO_CHOICE),
        (RL2(memory_size=4, critic_size=4), BANDIT, ACTS_BY_MODE),
        (PPO(streams=1, hidden_size=4, num_minibatches=1), point_robot(num_episodes=2, horizon=2), CONTINUOUS),
    ],
)
def test_who_has_actions_that_explore(agent, problem, reason):
    who = TrainedAgent.initial(agent, problem)
    assert why_undefined(who) == reason
    assert heeds_explore(who) == (reason != NO_CHOICE)
    if reason and not is_bandit(problem):
        assert watch(who, num_tasks=2).exploring is None


def test_what_a_bandit_is():
    assert is_bandit(BANDIT)
    assert not is_bandit(tabular_mdp(num_states=2, num_actions=2, horizon=1, num_episodes=2))
    assert not is_bandit(point_robot(num_episodes=1, horizon=1))


def test_expected_rewards_are_the_tasks_own_where_it_has_them():
    tasks = sample_tasks(BANDIT.test, 30, jax.random.key(1))
    np.testing.assert_array_equal(expected_rewards(BANDIT, tasks, jax.random.key(2)), np.asarray(tasks.means))


def test_expected_rewards_are_measured_where_the_task_says_something_else():
    problem = odd_bandit(3, 5, scale=2.0)
    tasks = sample_tasks(problem.test, 30, jax.random.key(1))
    found, truth = expected_rewards(problem, tasks, jax.random.key(2)), 2 * np.asarray(tasks.probabilities, np.float64)
    assert (found != truth).any()
    error = 2 * np.sqrt(truth / 2 * (1 - truth / 2) / 256)
    assert (np.abs(found - truth) < 5 * error + 1e-9).all()
