"""`predict` is `act` as a function, `freeze`, `rollback` and `reset` do what they say, and threads are kept apart."""

import threading

import numpy as np
import pytest

from adaptax.algorithms import MAML, MultiTaskPPO
from adaptax.core.errors import UseError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent
from adaptax.problems import point_robot
from tests.deployment.test_refusals import known
from tests.deployment.test_session_bytes import live
from tests.deployment.test_sessions import KINDS, shown


def made(name):
    return Agent(TrainedAgent.initial(*KINDS[name]()), seed=7)


@pytest.fixture(scope="module", params=["lstm", "gru, nothing to see", "thompson"])
def agent(request):
    return made(request.param)


@pytest.fixture(scope="module")
def maml():
    return made("maml")


@pytest.mark.compiles
@pytest.mark.parametrize("deterministic", [True, False])
def test_with_a_state_it_does_what_an_agent_does_and_leaves_it_alone(agent, deterministic):
    fresh, horizon = Agent(agent._batch.programs.trained, seed=7), agent._env.horizon
    was, state, reward, start = known(agent), None, None, None
    for step in range(2 * horizon + 1):
        seen = shown(agent._env.observation_space, 20)[step]
        before = state
        action, state = agent.predict(seen, state, start, deterministic, reward=reward)
        again, _ = agent.predict(seen, before, start, deterministic, reward=reward)
        if before is not None or deterministic:
            assert again.tobytes() == action.tobytes()
        if step or deterministic:  # the first without a state has a noise of its own each time
            assert fresh.act(seen, explore=not deterministic).tobytes() == action.tobytes() or not deterministic
        else:
            fresh.act(seen, explore=True)
        reward, start = step % 2, step % horizon == horizon - 1
        fresh.observe(reward, episode_over=start)
    assert known(agent) == was


@pytest.mark.compiles
def test_of_several_environments_each_is_a_session(agent):
    sessions, space = agent.sessions(5), agent._env.observation_space
    state = reward = start = None
    for step in range(6):
        seen = shown(space, 20, 5)[step]
        actions, state = agent.predict(seen, state, start, reward=reward)
        assert actions.tobytes() == sessions.act(seen, explore=False).tobytes()
        assert actions.shape == (5, *agent._env.action_space.shape)
        reward, start = np.arange(5) % 2, np.arange(5) == step
        sessions.observe(reward, episode_over=start)


def test_what_it_must_hear_of_and_what_it_cannot_use(agent):
    space = agent._env.observation_space
    seen = shown(space, 3)
    _, state = agent.predict(seen)
    for call, said in (
        (lambda: agent.predict(seen, state), r"^predict\(reward\): expected what the last action brought"),
        (lambda: agent.predict(seen, state, reward=[1.0, np.nan, 0.0]), r"^predict\(reward\) 1: expected a finite"),
        (lambda: agent.predict(seen, state, reward=1.0), r"^predict\(reward\): expected 3 finite numbers, found 1.0"),
        (lambda: agent.predict(seen[:2], state, reward=[0, 0]), r"^predict\(state\): expected what the last"),
        (lambda: agent.predict(seen, (1, 2), reward=[0] * 3), r"^predict\(state\): .* found a tuple"),
        (lambda: agent.predict(seen, state, [1, 0, 0], reward=[0] * 3), r"^predict\(episode_start\): expected True"),
        (lambda: agent.predict(seen, deterministic=1), r"^predict\(deterministic\): expected True or False"),
        (lambda: agent.predict(None), r"^predict\(observation\)"),
    ):  # fmt: skip
        with pytest.raises(UseError, match=said):
            call()


@pytest.mark.compiles
def test_an_agent_that_learns_from_windows_acts_by_what_it_has_adapted_to(maml):
    space = maml._env.observation_space
    seen = shown(space, 4)
    maml.begin()
    before, state = maml.predict(seen)
    assert state is None
    live(maml, 0, 8)
    assert maml.adaptations == 1
    was = known(maml)
    after, _ = maml.predict(seen)
    assert np.abs(after - before).max() > 1e-6
    one, _ = maml.predict(seen[2])
    np.testing.assert_allclose(one, after[2], atol=1e-5)
    np.testing.assert_allclose(one, maml.act(seen[2], explore=False), atol=1e-5)
    maml.observe(0.0)
    noise = [maml.predict(seen[2], deterministic=False)[0].tobytes() for _ in range(3)]
    assert len(set(noise)) == 3
    maml.begin()
    assert known(maml) != was
    np.testing.assert_array_equal(maml.predict(seen)[0], before)


@pytest.mark.compiles
def test_stable_baselines_loop_without_rewards_works_for_a_policy_without_memory():
    ppo = MultiTaskPPO(hidden_size=4, num_tasks=4, num_minibatches=2)
    agent = Agent(TrainedAgent.initial(ppo, point_robot(num_episodes=2, horizon=4)))
    state, start = None, np.ones(3, bool)
    for _ in range(5):
        actions, state = agent.predict(np.zeros((3, 2), np.float32), state=state, episode_start=start)
        start = np.zeros(3, bool)
    assert actions.shape == (3, 2)


def test_a_frozen_agent_stops_learning_until_it_begins_anew(agent):
    agent.begin()
    live(agent, 0, 3)
    agent.freeze()
    assert agent.frozen
    memory = [np.asarray(x).tobytes() for x in agent._batch.state.memory[0]]
    reward, action = agent._batch.state.reward[0], agent._batch.state.action[0].tobytes()
    live(agent, 3, 7)
    state = agent._batch.state
    assert [np.asarray(x).tobytes() for x in state.memory[0]] == memory
    assert (state.reward[0], state.action[0].tobytes(), state.steps[0]) == (reward, action, 7)
    agent.begin()
    assert not agent.frozen
    live(agent, 0, 2)
    assert agent._batch.state.reward[0] == 1


@pytest.mark.compiles
def test_a_frozen_learner_neither_collects_nor_learns_nor_explores(maml):
    maml.begin()
    live(maml, 0, 9)
    maml.freeze()
    live(maml, 9, 24)
    assert maml.adaptations == 1
    notes = maml._batch.state.notes[0]
    assert (notes.episode, notes.episodes, notes.length) == ((), (), 0)
    seen = shown(maml._env.observation_space, 1)[0]
    assert maml.act(seen).tobytes() == maml.predict(seen)[0].tobytes()


@pytest.mark.compiles
def test_the_last_adaptation_can_be_undone_and_no_other(maml):
    maml.begin()
    for adaptations in (0, 1, 2):
        assert maml.adaptations == adaptations
        before = [np.asarray(x).tobytes() for x in maml._batch.state.adapted[0]]
        if adaptations < 2:
            live(maml, 8 * adaptations, 8 * adaptations + 8)
    live(maml, 16, 17)
    learned = maml.save_state()
    maml.rollback()
    assert maml.adaptations == 1
    assert [np.asarray(x).tobytes() for x in maml._batch.state.adapted[0]] != before
    was = known(maml)
    with pytest.raises(UseError, match=r"^rollback\(\): expected an adaptation that can be undone, found none"):
        maml.rollback()
    assert known(maml) == was
    maml.load_state(learned)
    maml.rollback()
    assert known(maml) == was


def test_of_an_agent_with_a_memory_the_last_step_can_be_undone(agent):
    agent.begin()
    live(agent, 0, 3)
    state = agent._batch.state
    agent.act(shown(agent._env.observation_space, 1)[0])
    agent.observe(1.0)
    agent.rollback()
    after = agent._batch.state
    for a, b in zip(
        (*state.memory[0], state.reward, state.action), (*after.memory[0], after.reward, after.action), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    agent.act(shown(agent._env.observation_space, 1)[0])
    agent.rollback()
    assert not agent._batch.state.waiting[0]


def test_reset_is_begin_and_with_a_seed_a_new_agent():
    agent = made("thompson")
    first = live(agent, 0, 9)
    agent.reset()
    assert agent._batch.state.tasks[0] == 2
    agent.reset(seed=7)
    assert live(agent, 0, 9) == first
    agent.reset(seed=8)
    assert live(agent, 0, 9) != first
    with pytest.raises(UseError, match=r"^reset\(seed\)"):
        agent.reset(seed=-1)


def test_two_threads_at_once_are_refused_and_nothing_is_lost():
    agent, inside, go = made("thompson"), threading.Event(), threading.Event()
    programs, act = agent._batch.programs, agent._batch.programs.act

    def slow(*given, **named):
        inside.set()
        assert go.wait(60)
        return act(*given, **named)

    programs.act = slow
    acted = []
    thread = threading.Thread(target=lambda: acted.append(agent.act([])))
    thread.start()
    assert inside.wait(60)
    for name, call in {
        "act": lambda: agent.act([]), "observe": lambda: agent.observe(1.0), "begin": agent.begin,
        "freeze": agent.freeze, "save_state": agent.save_state, "rollback": agent.rollback,
    }.items():  # fmt: skip
        with pytest.raises(UseError, match=rf"^{name}\(\): expected one call at a time, found another"):
            call()
    go.set()
    thread.join()
    programs.act = act
    assert len(acted) == 1
    agent.observe(1.0)
    twin = made("thompson")
    assert twin.act([]).tobytes() == acted[0].tobytes()
    twin.observe(1.0)
    assert known(twin) == known(agent)


def test_what_is_predicted_is_checked(maml):
    with pytest.raises(UseError, match=r"^predict\(observation\)"):
        maml.predict([np.nan, 0.0])
    assert isinstance(maml.algorithm, MAML)
