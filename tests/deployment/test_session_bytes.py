"""A session as bytes goes on where it was saved, to the last bit, or is refused."""

import copy
import dataclasses
import pickle

import jax
import numpy as np
import pytest

from adaptax.core.errors import CheckpointError, UseError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent
from tests.deployment.test_refusals import known
from tests.deployment.test_sessions import KINDS, shown


@pytest.fixture(scope="module", params=KINDS)
def agent(request):
    return Agent(TrainedAgent.initial(*KINDS[request.param]()), seed=7)


def live(agent, begin, end):
    """Steps of an agent in a world of its own; its actions."""
    horizon, actions = agent._env.horizon, []
    for step in range(begin, end):
        seen = shown(agent._env.observation_space, 40)[step]
        actions.append(agent.act(seen).tobytes())
        over = step % horizon == horizon - 1
        after = seen if agent.algorithm.needs_last_observation else None
        agent.observe(step % 2, episode_over=over, observation=after)
    return actions


def restored(agent):
    other = Agent(agent._batch.programs.trained, seed=1)
    other.load_state(agent.save_state())
    return other


@pytest.mark.compiles
@pytest.mark.parametrize("again", [restored, copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_what_is_restored_goes_on_bitwise(agent, again):
    agent.begin()
    live(agent, 0, 11)
    other = again(agent)
    assert known(other) == known(agent)
    assert live(other, 11, 18) == live(agent, 11, 18)
    assert known(other) == known(agent)
    agent.act(shown(agent._env.observation_space, 40)[18])  # and between an action and what it brings
    other = again(agent)
    for one in (agent, other):
        one.observe(1.0)
    assert live(other, 19, 21) == live(agent, 19, 21)
    assert known(other) == known(agent)


@pytest.mark.compiles
def test_sessions_of_a_batch_go_on_bitwise_in_another_place(agent):
    sessions, space, horizon = agent.sessions(6), agent._env.observation_space, agent._env.horizon
    needs = agent.algorithm.needs_last_observation

    def steps(batch, at, begin, end):
        actions = []
        for step in range(begin, end):
            seen = shown(space, 40)[[step] * len(at)]
            actions.append(batch.act(seen, at=at).tobytes())
            over = step % horizon == horizon - 1
            batch.observe([step % 2] * len(at), at=at, episode_over=over, observations=seen if needs else None)
        return actions

    steps(sessions, [1, 4], 0, 9)
    saved = sessions.save_state(at=[1, 4])
    other = agent.sessions(3)
    other.load_state(saved, at=[2, 0])
    again = pickle.loads(pickle.dumps(sessions))
    twin = copy.deepcopy(sessions)
    assert steps(other, [2, 0], 9, 14) == (went := steps(sessions, [1, 4], 9, 14))
    assert steps(again, [1, 4], 9, 14) == went == steps(twin, [1, 4], 9, 14)
    assert other.adaptations[[2, 0]].tolist() == sessions.adaptations[[1, 4]].tolist()
    with pytest.raises(UseError, match=r"^load_state\(data\): expected a list of 2 saved sessions, found"):
        other.load_state(saved[0], at=[0, 1])
    before = other._batch.state
    with pytest.raises(CheckpointError, match="checksum"):
        other.load_state([saved[0], saved[1][:-1]], at=[0, 1])
    assert other._batch.state is before


def test_every_flipped_byte_is_refused(agent):
    agent.begin()
    live(agent, 0, 5)
    data, was = agent.save_state(), known(agent)
    step = max(1, len(data) // 600)
    for place in [*range(60), *range(60, len(data), step), len(data) - 1]:
        for bit in (1, 128):
            wrong = bytearray(data)
            wrong[place] ^= bit
            with pytest.raises(
                CheckpointError, match=r"^load_state\(data\): expected .* found .* The agent is as it was"
            ):
                agent.load_state(bytes(wrong))
    assert known(agent) == was


@pytest.mark.parametrize(
    "data", [b"", b"x" * 100, None, "text", 3, pickle.dumps({}), b"adaptax session \x02\x00" + b"0" * 99]
)
def test_what_is_no_session_is_refused(data):
    agent = Agent(TrainedAgent.initial(*KINDS["q-learning"]()))
    for wrong in (data, agent.save_state()[:-3], agent.save_state() + b"0"):
        with pytest.raises(
            CheckpointError, match=r"^load_state\(data\): expected .*, found .*\. The agent is as it was; "
        ):
            agent.load_state(wrong)


def test_a_session_of_another_agent_is_refused():
    algorithm, problem = KINDS["gru, nothing to see"]()
    agent = Agent(TrainedAgent.initial(algorithm, problem))
    data = agent.save_state()
    leaves, structure = jax.tree.flatten(agent.meta)
    leaves[0] = leaves[0].at[(0,) * leaves[0].ndim].add(1e-3)
    other = dataclasses.replace(agent._batch.programs.trained, meta=jax.tree.unflatten(structure, leaves))
    same = Agent(TrainedAgent.initial(algorithm, problem), seed=3)
    same.load_state(data)
    for foreign in (Agent(other), Agent(TrainedAgent.initial(*KINDS["q-learning"]()))):
        with pytest.raises(CheckpointError, match="expected a session of this agent, found one of another"):
            foreign.load_state(data)


def test_nothing_that_is_saved_is_a_pickle():
    agent = Agent(TrainedAgent.initial(*KINDS["q-learning"]()))
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(agent.save_state())
    assert np.frombuffer(agent.save_state()[:16], np.uint8).tobytes() == b"adaptax session "
