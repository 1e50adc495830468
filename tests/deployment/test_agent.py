import dataclasses

import jax
import numpy as np
import pytest

from adaptax.algorithms import A2C, DQN, MAML, QLearning
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.algorithm import init
from adaptax.core.rollout import collect, run_trial
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import Window
from adaptax.deployment.agent import Agent
from adaptax.problems import bernoulli_bandit, point_robot, tabular_mdp
from tests.sample_problems import clockwork

PROBLEM = bernoulli_bandit(num_arms=3, num_pulls=6)
ALGORITHM = RL2(memory_size=4, critic_size=4, num_tasks=4, num_minibatches=2)


@pytest.fixture(scope="module")
def agent():
    return Agent(TrainedAgent.initial(ALGORITHM, PROBLEM))


@pytest.mark.compiles
def test_E30_in_use_it_acts_as_in_a_rollout(agent):
    tasks = jax.vmap(PROBLEM.test.sample)(jax.random.split(jax.random.key(1), 5))
    keys = jax.random.split(jax.random.key(2), 5)
    trials = collect(ALGORITHM, PROBLEM, agent.meta, tasks, keys, explore=False)
    for task in range(5):
        agent.begin()
        for step in range(6):
            assert int(agent.act(np.zeros(0))) == int(trials.action[step, task, 0])
            agent.observe(float(trials.reward[step, task, 0]), episode_over=True)


def instead(agent, step):
    """Have it have seen, done and noted what a step of a rollout has."""
    state = agent._batch.state
    notes = state.notes[0]._replace(acted=(step.timestep, step.action, step.aux))
    agent._batch.state = state._replace(notes=(notes,))


def test_begin_forgets(agent):
    def run_trial(rewards):
        agent.begin()
        hidden = []
        for reward in rewards:
            agent.act(np.zeros(0))
            hidden.append(np.asarray(agent._agent.memory.cell[0]))
            agent.observe(reward, episode_over=True)
        return hidden

    first = run_trial([1.0, 0.0, 1.0])
    other = run_trial([0.0, 0.0, 1.0])
    np.testing.assert_array_equal(first[0], other[0])
    assert np.abs(first[1] - other[1]).max() > 1e-6  # it heard of the first reward
    np.testing.assert_array_equal(run_trial([1.0, 0.0, 1.0]), first)


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


@pytest.mark.compiles
def test_an_agent_that_learns_from_windows_takes_the_inner_steps_of_a_rollout():
    problem = point_robot(num_episodes=6, horizon=4)
    # Two programs round differently, and a regression on four steps makes a hundred times as much of it.
    maml = MAML(hidden_size=4, num_tasks=2, trajectories=2, baseline="none")
    meta = init(maml, problem, seed=0).meta
    task = problem.test.sample(jax.random.key(1))
    whole = jax.jit(lambda: run_trial(maml, problem, meta, task, jax.random.key(2)))()
    agent = Agent(TrainedAgent(maml, problem, meta))
    agents = [maml.begin(meta, jax.random.key(0))]
    for window in range(2):
        trajectory = jax.tree.map(lambda x, w=window: x[4 * w : 4 * w + 4], whole)
        agents.append(maml.adapt(meta, agents[-1], trajectory, jax.random.key(0)))
    for window in range(2):
        assert agent.adaptations == window
        for stream in range(2):
            for step in range(4):
                t = 4 * window + step
                if not whole.valid[t, stream]:
                    continue
                agent.act(whole.timestep.observation[t, stream])
                # What it acted is replaced by what was done in the rollout, so that both learn from the same.
                part = jax.tree.map(lambda x, t=t, s=stream: x[t, s], whole)
                instead(agent, part)
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
    learner = Agent(TrainedAgent.initial(maml, problem))

    def first_action(**options):
        learner.begin()
        return learner.act(np.zeros(2), **options)

    assert not np.array_equal(first_action(), first_action())
    np.testing.assert_array_equal(first_action(explore=False), first_action(explore=False))


@dataclasses.dataclass(frozen=True)
class Diary(QLearning):
    """Writes down what it knew when it acted."""

    def act(self, meta, agent, timestep, key, *, explore):
        action, memory, _ = super().act(meta, agent, timestep, key, explore=explore)
        return action, memory, agent.adapted.quality


@pytest.mark.compiles
def test_q_learning_in_a_loop_learns_what_it_learns_in_a_rollout():
    problem = tabular_mdp(num_states=3, num_actions=2, horizon=3, num_episodes=4)
    learner = Diary(knows_time=True)
    meta, task = learner.describe(problem), problem.test.sample(jax.random.key(1))
    whole = jax.jit(lambda: run_trial(learner, problem, meta, task, jax.random.key(2)))()
    window = learner.window(problem)
    assert window == Window(1, 1)
    agent = Agent(TrainedAgent(learner, problem, meta))
    for t in range(problem.trial_steps):
        step = jax.tree.map(lambda x, t=t: x[t, 0], whole)
        agent.act(step.timestep.observation)
        np.testing.assert_allclose(agent._agent.adapted.quality, step.aux, atol=1e-6)
        assert agent.adaptations == t
        # What it acted is replaced by what was done in the rollout, so that both learn from the same.
        instead(agent, step)
        over = bool(step.truncated)
        agent.observe(float(step.reward), episode_over=over, observation=int(step.next_observation) if over else None)
    assert agent.adaptations == problem.trial_steps
    assert (agent._agent.adapted.visits.sum(), agent._agent.adapted.episodes) == (problem.trial_steps, 4)
    assert len(np.unique(whole.aux[-1])) > 4  # it has learned


def recorded(agent):
    """The windows that an agent learns from, in a list that grows."""
    programs = agent._batch.programs
    windows, adapt = [], programs.adapt

    def record(meta, adapted, memory, window, *numbers):
        windows.append(jax.tree.map(np.asarray, (window.reward, window.next_observation, window.valid)))
        windows[-1] += (np.asarray(window.terminated), np.asarray(window.truncated))
        return adapt(meta, adapted, memory, window, *numbers)

    programs.adapt = record
    return windows


@pytest.mark.compiles
def test_with_one_stream_it_learns_when_a_window_is_full_or_the_episode_over():
    problem = clockwork(horizon=5, episodes=4, num_actions=3)
    learner = DQN(hidden_size=4, train_every=2, buffer_size=8, batch_size=4, learning_starts=2)
    agent = Agent(TrainedAgent(learner, problem, learner.describe(problem)))
    windows = recorded(agent)
    for reward in (10.0, 20.0):
        agent.act([reward])
        agent.observe(reward)
    assert not windows  # where the second step has led, nobody has said
    agent.act([30.0])
    assert len(windows) == 1
    agent.observe(30.0, episode_over=True)  # shorter than the horizon: it has terminated
    reward, after, valid, terminated, truncated = (np.concatenate(x)[:, 0] for x in zip(*windows, strict=True))
    np.testing.assert_array_equal(reward, [10, 20, 30, 0])
    np.testing.assert_array_equal(valid, [True, True, True, False])
    np.testing.assert_array_equal(after[:2, 0], [20, 30])
    np.testing.assert_array_equal(terminated, [False, False, True, False])
    assert not truncated.any()
    # If it is told where the step has led, it need not wait. A time limit leaves something to be expected.
    for reward in range(5):
        agent.act([float(reward)])
        agent.observe(reward, observation=[reward + 0.5], episode_over=reward == 4)
        assert len(windows) == 2 + [0, 1, 1, 2, 3][reward]
    reward, after, valid, terminated, truncated = (np.concatenate(x)[4:, 0] for x in zip(*windows, strict=True))
    np.testing.assert_array_equal(reward, [0, 1, 2, 3, 4, 0])
    np.testing.assert_array_equal(after[:5, 0], np.arange(5) + 0.5)
    np.testing.assert_array_equal(truncated, [False] * 4 + [True, False])
    assert not terminated.any()
    learned = agent._agent.adapted
    assert (learned.memory.count, learned.episodes, learned.steps) == (8, 2, agent.adaptations)
    assert agent.adaptations == 5


@pytest.mark.compiles
def test_with_several_streams_it_learns_from_pieces_of_as_many_episodes():
    problem = clockwork(horizon=5, episodes=4, num_actions=3)
    learner = A2C(hidden_size=4, streams=2, num_steps=2)
    agent = Agent(TrainedAgent(learner, problem, learner.describe(problem)))
    windows = recorded(agent)
    for length in (5, 2):
        assert not windows
        for step in range(length):
            agent.act([float(step)])
            over = step == length - 1
            agent.observe(10 * length + step, episode_over=over, observation=[99.0] if over else None)
    # An episode of five steps and one of two, in pieces of two steps; the rest is idle.
    assert agent.adaptations == len(windows) == 3
    reward, after, valid, terminated, truncated = (np.concatenate(x) for x in zip(*windows, strict=True))
    np.testing.assert_array_equal(reward.T, [[50, 51, 52, 53, 54, 0], [20, 21, 0, 0, 0, 0]])
    np.testing.assert_array_equal(valid.T, [[True] * 5 + [False], [True] * 2 + [False] * 4])
    np.testing.assert_array_equal(after[:5, 0, 0], [1, 2, 3, 4, 99])
    np.testing.assert_array_equal(np.argwhere(truncated), [[4, 0]])
    np.testing.assert_array_equal(np.argwhere(terminated), [[1, 1]])
    assert agent._agent.adapted.returns.count == 7


def test_a_learner_from_scratch_asks_what_is_seen_after_a_time_limit():
    problem = tabular_mdp(num_states=3, num_actions=2, horizon=2, num_episodes=4)
    learner = QLearning()
    agent = Agent(TrainedAgent(learner, problem, learner.describe(problem)))
    agent.act(0)
    agent.observe(1.0)
    agent.act(1)
    with pytest.raises(ValueError, match=r"after 2 steps, and QLearning estimates.*pass observation=.*not recorded"):
        agent.observe(1.0, episode_over=True)
    assert agent.adaptations == 1
    agent.observe(1.0, episode_over=True, observation=2)
    assert agent.adaptations == 2
    agent.act(0)
    agent.observe(1.0, episode_over=True)
    assert agent.adaptations == 3


def test_an_agent_is_a_small_table_in_a_notebook():
    trained = TrainedAgent.initial(QLearning(), tabular_mdp(num_states=3, num_actions=2), name="<i>mine</i>")
    agent = Agent(trained)
    agent.act(0)
    before = repr(agent)
    page = agent._repr_html_()
    assert "<i>" not in page
    assert "Agent: &lt;i&gt;mine&lt;/i&gt; on TabularMDP" in page
    assert "sees</th><td>Discrete(num=3)</td>" in page
    assert "this task</th><td>number 1: 1 step</td>" in page
    assert "learned</th><td>from 0 windows of this task</td>" in page
    assert repr(agent) == before
