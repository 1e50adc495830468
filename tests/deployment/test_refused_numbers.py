"""Trap E41: what an agent puts out, learns or consists of that is no number leaves it nowhere."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import MAML, QLearning
from adaptax.core.errors import CheckpointError, DivergenceError, UseError
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment.agent import Agent
from adaptax.problems import point_robot, tabular_mdp
from adaptax.runs import checkpoints
from tests.claims.tiny_run import UPDATES, TinyRun
from tests.deployment.refused import KINDS, MDP, known


@dataclasses.dataclass(frozen=True)
class Faulty(QLearning):
    """Puts out a number, remembers one, and learns one: in each case the last reward, which finite ones all are."""

    def begin(self, meta, key):
        agent = super().begin(meta, key)
        return dataclasses.replace(agent, memory=(agent.memory, jnp.zeros(())))

    def act(self, meta, agent, timestep, key, *, explore):
        clock, number = agent.memory
        agent = dataclasses.replace(agent, memory=clock)
        _, clock, aux = super().act(meta, agent, timestep, key, explore=explore)
        action = jnp.where(timestep.reward == 1.0, -1, jnp.where(timestep.reward == 2.0, 2, 1))
        return action.astype(jnp.int32), (clock, jnp.where(timestep.reward == 3.0, jnp.nan, number)), aux

    def adapt(self, meta, agent, trajectory, key):
        poison = jnp.where(trajectory.reward[0, 0] == 4.0, jnp.inf, 0.0)
        adapted = dataclasses.replace(agent.adapted, quality=agent.adapted.quality + poison)
        return dataclasses.replace(agent, adapted=adapted)


@pytest.fixture(scope="module")
def faulty():
    return Agent(TrainedAgent.initial(Faulty(), tabular_mdp(**MDP)))


@pytest.mark.parametrize(("reward", "said"), [(1.0, "-1"), (2.0, "2"), (3.0, "NaN or infinite")])
def test_E41_an_action_that_is_none_does_not_leave(faulty, reward, said):
    faulty.begin()
    faulty.act(0)
    faulty.observe(reward)
    was = known(faulty)
    for _ in range(2):
        with pytest.raises(DivergenceError, match=rf"^act\(\): .*{said}.*expected .*\. The agent is as it was"):
            faulty.act(1)
        assert known(faulty) == was
    faulty.begin()
    assert faulty.act(0) == 1


def test_E41_what_would_be_learned_for_good_is_not_if_it_is_infinite(faulty):
    faulty.begin()
    faulty.act(0)
    was = known(faulty)
    with pytest.raises(DivergenceError, match=r"^observe\(\): what Faulty learned"):
        faulty.observe(4.0, observation=1)
    assert known(faulty) == was
    faulty.observe(4.0)  # where it led, the next call tells
    was = known(faulty)
    with pytest.raises(DivergenceError, match=r"^act\(\): what Faulty learned"):
        faulty.act(1)
    assert known(faulty) == was


@pytest.mark.parametrize("reward", [-1.0, 2.0])
def test_E41_a_posterior_that_cannot_be_ends_in_an_error_and_not_in_an_endless_loop(reward):
    agent = Agent(TrainedAgent.initial(*KINDS["thompson"]()))
    agent.act([])
    agent.observe(reward, episode_over=True)  # finite, but a Bernoulli arm pays 0 or 1
    with pytest.raises(DivergenceError, match=r"ThompsonSampling put out -1, expected an integer from 0 to 1"):
        agent.act([])


@dataclasses.dataclass(frozen=True)
class Straight(MAML):
    """Goes where it sees itself."""

    def act(self, meta, agent, timestep, key, *, explore):
        _, memory, aux = super().act(meta, agent, timestep, key, explore=explore)
        return jnp.where(timestep.observation == 7.0, jnp.nan, timestep.observation), memory, aux


def test_E41_an_action_beyond_the_bounds_is_clipped_as_it_leaves_and_learned_from_as_it_was_chosen():
    problem = point_robot(num_episodes=6, horizon=4)
    agent = Agent(TrainedAgent.initial(Straight(hidden_size=3, num_tasks=2, trajectories=2), problem))
    bound = np.float32(problem.env.action_space.high)
    np.testing.assert_array_equal(agent.act([5.0, bound / 2]), np.array([bound, bound / 2]))
    np.testing.assert_array_equal(agent._batch.state.action[0], np.array([bound, bound / 2], np.float32))
    np.testing.assert_array_equal(agent._batch.state.notes[0].acted[1], np.array([5.0, bound / 2], np.float32))
    agent.observe(0.0)
    with pytest.raises(DivergenceError, match=r"^act\(\): Straight put out nan at index \[1\], expected finite"):
        agent.act([0.0, 7.0])


def test_E41_an_action_that_would_be_none_is_the_safe_one_in_its_session_alone():
    sessions = Agent(TrainedAgent.initial(Faulty(), tabular_mdp(**MDP)), safe_action=0).sessions(4)
    assert sessions.act([0, 0, 3, 0]).tolist() == [1, 1, 0, 1]
    assert "expected an integer from 0 to 2, found 3" in sessions.refused
    sessions.observe([0.5, 1.0, 9.0, 3.0])
    assert sessions.steps.tolist() == [1, 1, 0, 1]
    assert sessions.act([1, 1, 1, 1]).tolist() == [1, 0, 1, 0]
    assert sessions.steps.tolist() == [2, 1, 1, 1]
    clock = np.concatenate([np.asarray(x) for x in sessions._batch.state.memory[0][-1:]])
    assert np.isfinite(clock).all()


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_E41_parameters_that_are_not_finite_make_no_agent(number):
    trained = TrainedAgent.initial(*KINDS["rl2, nothing to see"]())
    leaves, structure = jax.tree.flatten(trained.meta)
    leaves[0] = leaves[0].at[0, 0].set(number)
    with pytest.raises(DivergenceError, match=r"^Agent\(trained\): leaf \.network\S* of θ is NaN or infinite"):
        Agent(dataclasses.replace(trained, meta=jax.tree.unflatten(structure, leaves)))


def test_E41_a_checkpoint_that_is_not_finite_is_not_loaded(tmp_path):
    run = TinyRun(tmp_path, 0)
    run.restore()
    leaves, structure = jax.tree.flatten(run.states[UPDATES[-1]])
    leaves[0] = jnp.full_like(leaves[0], jnp.nan)
    checkpoints.save(tmp_path, jax.tree.unflatten(structure, leaves), update=UPDATES[-1] + 1, about=run.about)
    with pytest.raises(CheckpointError, match=r"expected finite numbers in checkpoint 31, found .* leaf \.network"):
        Agent.load(tmp_path)
    with pytest.raises(UseError, match=r"^load_agent\(checkpoint\): expected one of auto, last, best, found 'newest'"):
        Agent.load(tmp_path, checkpoint="newest")
