"""Trap E41: what an agent in use cannot use is refused in one line, and the agent is as if nobody had asked."""

import copy
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import MAML, QLearning
from adaptax.core.composite_spaces import ActionMask, Dict
from adaptax.core.errors import AdaptaxError, UseError
from adaptax.core.spaces import Box, Discrete, MultiDiscrete
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment import checks
from adaptax.deployment.agent import Agent
from adaptax.problems import point_robot, tabular_mdp
from tests.deployment.refused import (
    KINDS,
    MDP,
    assert_refused,
    known,
    mask_of,
    observations,
    wrong_calls,
    wrong_observations,
)


@pytest.fixture(params=KINDS, scope="module")
def twins(request):
    trained = TrainedAgent.initial(*KINDS[request.param]())
    return Agent(trained, seed=3), Agent(trained, seed=3)


@pytest.mark.compiles
def test_E41_what_an_agent_cannot_use_is_refused_and_leaves_no_trace(twins):
    agent, undisturbed = twins
    env = agent._env
    seen = observations(env.observation_space)
    for step in range(1, env.horizon * 3 + 1):
        now, over = next(seen), step % env.horizon == 0
        before, after = wrong_calls(agent, now)
        assert len(before) + len(after) >= 60
        assert_refused(agent, before)
        action = agent.act(now)
        assert action.tobytes() == undisturbed.act(now).tobytes()
        assert bool(env.action_space.contains(jnp.asarray(action)))
        if (mask := mask_of(env.observation_space)) is not None:
            taken = np.asarray(env.action_space.encode(jnp.asarray(action))) > 0
            assert (now[mask][taken] == 1).all()
        assert_refused(agent, after)
        told = {"episode_over": over, "observation": next(seen) if over else None}
        for one in (agent, undisturbed):
            one.observe(float(step % 2), **told)
        assert_refused(agent, {"end twice": lambda told=told: agent.observe(1.0, **told)})
    assert known(agent) == known(undisturbed)


@pytest.mark.compiles
def test_E41_where_a_safe_action_was_chosen_it_is_done_instead_and_leaves_no_trace(twins):
    agent, undisturbed = (copy.deepcopy(one) for one in twins)
    space, env = agent._env.action_space, agent._env
    agent._batch.safe = safe = np.asarray(space.sample(jax.random.key(9)))
    agent.begin()
    undisturbed.begin()
    seen = observations(env.observation_space)
    for step in range(1, env.horizon * 2 + 1):
        now, over = next(seen), step % env.horizon == 0
        wrong = wrong_observations(env.observation_space)
        for name, x in wrong.items():
            was = known(agent)
            assert agent.act(x).tobytes() == safe.tobytes(), name
            assert agent.refused.startswith("act(observation): expected "), name
            agent._batch.state = agent._batch.state._replace(excused=np.array([False]))  # whose action it was
            assert known(agent) == was, name
        assert agent.act(now).tobytes() == undisturbed.act(now).tobytes()
        told = {"episode_over": over, "observation": next(seen) if over else None}
        for one in (agent, undisturbed):
            one.observe(float(step % 2), **told)
    assert known(agent) == known(undisturbed)


def test_E41_what_is_seen_is_kept_as_it_was_seen():
    agent = Agent(TrainedAgent.initial(MAML(hidden_size=3, num_tasks=2, trajectories=2), point_robot(6, horizon=4)))
    seen = np.ones(2, np.float32)
    agent.act(seen)
    seen[:] = 2.0  # environments that write into one array
    agent.observe(0.0, observation=seen)
    seen[:] = 3.0
    assert agent._batch.state.notes[0].episode[0].timestep.observation.tolist() == [1.0, 1.0]
    assert agent._batch.state.notes[0].episode[0].next_observation.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("space", "does", "seen", "refused"),
    [
        (ActionMask(3), Discrete(3), [[1, 0, 0], [0, 0, 0], [0, 1, 1]], [1]),
        (ActionMask(4), MultiDiscrete((2, 2)), [[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]], [1, 2]),
        (Dict({"a": Box((2,)), "m": ActionMask(2)}), Discrete(2), [[0, 0, 0, 0], [0, 0, 0, 1]], [0]),
        (Dict({"z": Dict({"m": ActionMask(2)}), "a": Discrete(2)}), Discrete(2), [[1, 0, 0, 0], [0, 0, 1, 0]], [0]),
        (Box((3,)), Discrete(3), [[0, 0, 0]], []),
    ],
)
def test_E41_a_mask_that_allows_nothing_is_refused(space, does, seen, refused):
    found = checks.legal("act(observation)", space, does, np.float32(seen))
    assert list(found) == refused
    for error in found.values():
        assert re.search(r"^act\(observation\): expected a mask that allows an action, found .* as it was", str(error))


def test_an_agent_says_what_it_is_and_has_done():
    agent = Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**MDP)))
    agent.begin()
    for _ in range(2):
        agent.act(0)
        agent.observe(1.0)
    assert repr(agent) == (
        "Agent(QLearning on TabularMDP: sees Discrete(num=3), does Discrete(num=2); task 2: 2 steps, 1 adaptation)"
    )


def test_E41_errors_are_those_of_the_house():
    assert issubclass(UseError, AdaptaxError)
    assert issubclass(UseError, ValueError)  # which it was
