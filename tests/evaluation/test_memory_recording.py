import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import MAML, RL2, Random, ThompsonSampling
from adaptax.core.algorithm import init
from adaptax.core.errors import ConfigError
from adaptax.core.rollout import collect
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation import trials
from adaptax.evaluation.memory_recording import (
    check_remembers,
    memory_vector,
    record_memories,
    recorded_episodes,
)
from adaptax.problems import bernoulli_bandit, grid_navigation, point_robot
from tests.evaluation.memories import Diary, tasks_and_keys
from tests.sample_problems import TINY, clockwork, random_state


def test_episodes_are_all_or_ever_sparser():
    assert recorded_episodes(1) == (0, 1)
    assert recorded_episodes(20) == tuple(range(21))
    for total in (21, 100, 500):
        recorded = recorded_episodes(total)
        assert recorded[:3] == (0, 1, 2)
        assert recorded[-1] == total
        assert 12 < len(recorded) <= 21
        assert (np.diff(recorded) > 0).all()
        assert (np.diff(np.diff(recorded)) >= -1).all()  # but for rounding, steps get no shorter


def test_a_memory_is_its_floats():
    memory = {"a": jnp.arange(3), "b": jnp.ones((2, 2)), "c": jnp.asarray(5.0), "k": jax.random.key(0)}
    np.testing.assert_array_equal(memory_vector(memory), [1, 1, 1, 1, 5])
    assert memory_vector(None).shape == (0,)


def test_memory_is_read_with_the_last_reward_taken_in_and_the_trial_is_not_changed():
    problem, agent = clockwork(horizon=3, episodes=4, ends_early=False), Diary()
    meta = init(agent, problem, seed=0).meta
    states = record_memories(TrainedAgent(agent, problem, meta), *tasks_and_keys(problem, 5), episodes=(0, 1, 2, 3, 4))
    # Episode e pays 100 × (0 + 1 + 2) and the actions 3e + (0 + 1 + 2), if nobody else acted in between.
    paid = np.cumsum([0, *(300 + 9 * e + 3 for e in range(4))])
    acts = 3 * np.arange(5) + 1  # reading is the one act more, and is forgotten again
    for task in range(5):
        np.testing.assert_array_equal(states[:, task], np.stack([acts, paid], 1))


def test_an_episode_that_ends_early_is_read_in_the_same_way():
    problem, agent = clockwork(horizon=3, episodes=2), Diary()
    tasks, keys = tasks_and_keys(problem, 40)
    states = record_memories(TrainedAgent.initial(agent, problem), tasks, keys, episodes=(0, 1, 2))
    for task, length in enumerate(np.minimum(np.asarray(tasks.length), 3)):
        actions = np.arange(2 * length).reshape(2, length)
        paid = (100 * np.arange(length) + actions).sum(1)
        np.testing.assert_array_equal(states[:, task, 0], 1 + length * np.arange(3))
        np.testing.assert_array_equal(states[:, task, 1], [0, paid[0], paid.sum()])


@pytest.mark.compiles
def test_reading_at_fewer_times_or_in_chunks_changes_nothing(monkeypatch):
    problem, agent = bernoulli_bandit(3, 30), ThompsonSampling()
    meta = init(agent, problem, seed=0).meta
    arguments = TrainedAgent(agent, problem, meta), *tasks_and_keys(problem, 21)
    everything = record_memories(*arguments, episodes=tuple(range(31)))
    some = (0, 1, 4, 9, 17, 30)
    np.testing.assert_array_equal(record_memories(*arguments, episodes=some), everything[list(some)])
    monkeypatch.setattr(trials, "CHUNK", 4)  # on each of two devices
    done = []
    np.testing.assert_array_equal(
        record_memories(*arguments, episodes=some, on_progress=done.append), everything[list(some)]
    )
    assert done == [8, 16, 21]
    np.testing.assert_array_equal(everything[:, :, :3].sum(-1), np.arange(31)[:, None] * np.ones(21))


@pytest.mark.compiles
def test_in_deployment_the_mode_is_taken_and_to_sample_is_another_trial():
    problem, agent = bernoulli_bandit(3, 6), RL2(**TINY)
    meta = random_state(agent, problem).meta
    arguments = TrainedAgent(agent, problem, meta), *tasks_and_keys(problem, 30)
    mode, sample = (record_memories(*arguments, episodes=(0, 6), explore=explore) for explore in (False, True))
    np.testing.assert_array_equal(mode[0], sample[0])
    assert (mode[1] != sample[1]).any()


def test_an_agent_without_memory_is_told_what_to_do_instead():
    bandit = bernoulli_bandit(2, 4)
    with pytest.raises(ConfigError, match=r"found Random, which has no memory .*`adaptax evaluate`"):
        check_remembers(TrainedAgent.initial(Random(), bandit, seed=0))
    robot, maml = point_robot(4, 5), MAML(trajectories=2, hidden_size=4)
    with pytest.raises(ConfigError, match=r"rl2 with --memory .*found MAML, which learns by changing parameters"):
        check_remembers(TrainedAgent(maml, robot, None))
    nothing = RL2(**TINY, memory="none")
    with pytest.raises(ConfigError, match="found RL2, which has no memory of floating-point numbers"):
        check_remembers(TrainedAgent(nothing, bandit, random_state(nothing, bandit).meta))
    check_remembers(TrainedAgent(RL2(**TINY), bandit, random_state(RL2(**TINY), bandit).meta))


@pytest.mark.compiles
def test_rl2s_memory_is_what_acting_carries_on_with():
    # After one episode, reading is the first step of the next one: its memory puts out what the trial's next step does.
    problem, agent = grid_navigation(num_episodes=2, size=3, horizon=3), RL2(**TINY, memory="gru")
    meta = random_state(agent, problem).meta
    tasks, keys = tasks_and_keys(problem, 3)
    states = record_memories(TrainedAgent(agent, problem, meta), tasks, keys, episodes=(0, 2))
    hidden = collect(agent, problem, meta, tasks, keys).aux["hidden"]
    np.testing.assert_allclose(states[0, :, :4], hidden[0, :, 0], atol=1e-6)  # a GRU puts out its state
    np.testing.assert_array_equal(states[0, :, 4:], np.eye(9)[:1].repeat(3, 0))  # and it knows where it is
