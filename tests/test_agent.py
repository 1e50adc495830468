import jax
import numpy as np
import pytest

from adaptax.agent import Agent
from adaptax.algorithms.rl2 import RL2
from adaptax.envs import bernoulli_bandit
from adaptax.rollout import collect
from adaptax.training import init

PROBLEM = bernoulli_bandit(num_arms=3, num_pulls=6)
ALGORITHM = RL2(memory_size=4, critic_size=4, num_tasks=4, num_minibatches=2)


@pytest.fixture(scope="module")
def agent():
    return Agent(ALGORITHM, init(ALGORITHM, PROBLEM, seed=0).meta, PROBLEM.env.action_space)


def test_E30_in_use_it_acts_as_in_a_rollout(agent):
    tasks = jax.vmap(PROBLEM.test.sample)(jax.random.split(jax.random.key(1), 5))
    keys = jax.random.split(jax.random.key(2), 5)
    trials = collect(ALGORITHM, PROBLEM, agent.meta, tasks, keys, explore=False)
    for task in range(5):
        agent.begin()
        for step in range(6):
            assert int(agent.act(np.zeros(0))) == int(trials.action[step, task, 0])
            agent.observe(float(trials.reward[step, task, 0]), episode_over=True)


def test_begin_forgets(agent):
    def live(rewards):
        agent.begin()
        hidden = []
        for reward in rewards:
            agent.act(np.zeros(0))
            hidden.append(np.asarray(agent._agent.memory.cell[0]))
            agent.observe(reward, episode_over=True)
        return hidden

    first = live([1.0, 0.0, 1.0])
    other = live([0.0, 0.0, 1.0])
    np.testing.assert_array_equal(first[0], other[0])
    assert np.abs(first[1] - other[1]).max() > 1e-6  # it heard of the first reward
    np.testing.assert_array_equal(live([1.0, 0.0, 1.0]), first)


def test_lists_will_do_for_observations(agent):
    agent.begin()
    first = agent.act(np.zeros(0))
    agent.begin()
    assert agent.act([]) == first


def test_a_reward_that_is_no_number_is_refused(agent):
    agent.begin()
    agent.act(np.zeros(0))
    with pytest.raises(ValueError, match="finite"):
        agent.observe(float("nan"))
