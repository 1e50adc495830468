"""Trap E41: what is no agent, or makes none, is refused when it is made."""

import dataclasses

import numpy as np
import pytest

from adaptax.algorithms import DQN, MAML, RL2, QLearning, ThompsonSampling
from adaptax.core.errors import UseError
from adaptax.core.spaces import Box
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent
from adaptax.problems import bernoulli_bandit, cart_pole, point_robot, tabular_mdp
from tests.deployment.refused import MDP, SMALL, Hostile


@pytest.mark.parametrize("seed", [None, -1, 2**32, 1.0, True, "1", [0], np.zeros(2, int), Hostile()])
def test_a_seed_that_is_none_is_refused(seed):
    trained = TrainedAgent.initial(ThompsonSampling(), bernoulli_bandit(num_arms=2, num_pulls=5))
    with pytest.raises(UseError, match=r"^Agent\(seed\): expected an integer, 0 to 4294967295, found .*"):
        Agent(trained, seed=seed)


@pytest.mark.parametrize("trained", [None, "runs/rl2-bandit-1", TrainedAgent, RL2()])
def test_what_is_no_agent_is_refused(trained):
    with pytest.raises(UseError, match=r"^Agent\(trained\): expected a TrainedAgent, found .*Agent.load"):
        Agent(trained)


@pytest.mark.parametrize(
    ("episodes", "horizon", "trajectories", "fitting"), [(5, 4, 2, 2), (1, 4, 3, 3), (7, 1, 7 * 3, 21)]
)
def test_E41_an_agent_whose_windows_do_not_fill_a_trial_is_refused(episodes, horizon, trajectories, fitting):
    def agent(num_episodes):
        maml = MAML(hidden_size=3, num_tasks=2, trajectories=trajectories)
        return TrainedAgent.initial(maml, point_robot(num_episodes=num_episodes, horizon=horizon))

    with pytest.raises(UseError) as refused:
        Agent(agent(episodes))
    assert str(refused.value) == (
        f"MAML.window: expected windows that divide a trial, which has {episodes} episodes × {horizon} steps; found "
        f"{trajectories} environments × {horizon} steps. Choose a multiple of {fitting} episodes"
    )
    assert "MAML" in repr(Agent(agent(fitting)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: TrainedAgent.initial(QLearning(), cart_pole(4, horizon=4)),
        lambda: TrainedAgent.initial(DQN(), point_robot(num_episodes=2, horizon=4)),
        lambda: TrainedAgent.initial(ThompsonSampling(), point_robot(num_episodes=2, horizon=4)),
        lambda: TrainedAgent.initial(
            dataclasses.replace(SMALL, memory="symmetric"), point_robot(num_episodes=2, horizon=4)
        ),
        lambda: TrainedAgent.initial(QLearning(), tabular_mdp(**MDP), num_seeds=2).of_seed(2),
        lambda: bernoulli_bandit(num_arms=2, num_pulls=0),
        lambda: bernoulli_bandit(num_arms=0, num_pulls=5),
        lambda: cart_pole(4, horizon=4, variation=2.0),
        lambda: Box((2,), 1.0, -1.0),
    ],
)
def test_E41_what_does_not_go_together_is_refused_by_an_error_of_the_house(make):
    with pytest.raises(UseError, match=r"expected .*(found|got)") as refused:
        make()
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("directory", [None, 3, ["runs"]])
def test_what_is_no_directory_is_refused(directory):
    with pytest.raises(UseError, match=r"^Agent.load\(directory\): expected a path, found"):
        Agent.load(directory)


@pytest.mark.parametrize("wrong", [2, -1, 0.5, "left", [0], np.nan, Hostile(), True])
def test_E41_a_safe_action_is_one_of_the_space(wrong):
    with pytest.raises(UseError, match=r"^Agent\(safe_action\): expected an integer from 0 to 1, found"):
        Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**MDP)), safe_action=wrong)


def test_E41_what_a_safe_action_brings_is_not_learned_from():
    agent = Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**MDP)), safe_action=1)
    agent.act(0)
    agent.observe(1.0)
    assert agent.act(None) == 1
    agent.observe(5.0)
    agent.act(2)  # where the step before the gap led, nobody has seen
    agent.observe(1.0, episode_over=True, observation=0)
    assert agent.adaptations == 1
    assert agent._batch.state.reward[0] == 1.0
    assert agent.act(np.nan) == 1
    agent.observe(0.0, episode_over=True)
    with pytest.raises(UseError, match="expected an act"):
        agent.observe(0.0)
    with pytest.raises(UseError, match=r"^observe\(reward\)"):
        agent.observe(np.nan)
