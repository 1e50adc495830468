import jax
import numpy as np
import pytest

from adaptax.agent import Agent
from adaptax.algorithms import MAML
from adaptax.algorithms.rl2 import RL2
from adaptax.envs import bernoulli_bandit, point_robot
from adaptax.rollout import collect, live
from adaptax.training import init
from adaptax.types import Window

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


def test_an_agent_that_learns_from_windows_takes_the_inner_steps_of_a_rollout():
    problem = point_robot(num_episodes=6, horizon=4)
    maml = MAML(hidden_size=4, num_tasks=2, trajectories=2)
    meta = init(maml, problem, seed=0).meta
    task = problem.test.sample(jax.random.key(1))
    lives = jax.jit(lambda: live(maml, problem, meta, task, jax.random.key(2)))()
    agent = Agent(maml, meta, problem.env.action_space, window=maml.window(problem), horizon=4)
    agents = [maml.begin(meta, jax.random.key(0))]
    for window in range(2):
        trajectory = jax.tree.map(lambda x, w=window: x[4 * w : 4 * w + 4], lives)
        agents.append(maml.adapt(meta, agents[-1], trajectory, jax.random.key(0)))
    for window in range(2):
        assert agent.adaptations == window
        for stream in range(2):
            for step in range(4):
                t = 4 * window + step
                if not lives.valid[t, stream]:
                    continue
                agent.act(lives.timestep.observation[t, stream])
                # What it acted is replaced by what was done in the rollout, so that both learn from the same.
                part = jax.tree.map(lambda x, t=t, s=stream: x[t, s], lives)
                agent._acted = part.timestep, part.action, part.aux
                over = bool(part.terminated | part.truncated)
                agent.observe(float(part.reward), episode_over=over, terminated=bool(part.terminated))
        for a, b in zip(jax.tree.leaves(agent._agent), jax.tree.leaves(agents[window + 1]), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    agent.begin()
    assert agent.adaptations == 0
    for _ in range(4):
        agent.act(np.zeros(2))
        agent.observe(0.0)
    agent.act(np.zeros(2))
    with pytest.raises(ValueError, match="this episode has 5 steps, but the agent was trained for at most 4"):
        agent.observe(0.0)


def test_by_default_it_explores_only_if_it_learns_from_windows(agent):
    problem = point_robot(num_episodes=6, horizon=4)
    maml = MAML(hidden_size=4, num_tasks=2, trajectories=2)
    learner = Agent(maml, init(maml, problem, seed=0).meta, problem.env.action_space, window=Window(2, 4), horizon=4)
    assert not np.array_equal(learner.act(np.zeros(2)), learner.act(np.zeros(2)))
    np.testing.assert_array_equal(learner.act(np.zeros(2), explore=False), learner.act(np.zeros(2), explore=False))
