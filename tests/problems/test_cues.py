"""The cue: solved by memory over episodes, and by nothing else."""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import collect
from adaptax.core.types import AgentState
from adaptax.problems import cue
from adaptax.problems.cues import PENALTY, CueTask
from tests.sample_problems import program


@dataclasses.dataclass(frozen=True)
class Remember(FromScratch):
    """Answers with the last cue seen, with 0 before the first; forgets at episode starts if `forgetful`."""

    num_cues: int
    forgetful: bool = False

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, jnp.asarray(0, jnp.int32))

    def act(self, meta, agent, timestep, key, *, explore):
        seen = timestep.observation < self.num_cues
        remembered = jnp.where(timestep.first & self.forgetful, 0, agent.memory)
        return jnp.where(seen, 0, remembered), jnp.where(seen, timestep.observation, remembered), None


def returns(agent, num_cues, num_episodes):
    """Return of every episode `[cue, episode]`, one trial for each cue."""
    problem = cue(num_cues, num_episodes)
    keys = jax.random.split(jax.random.key(0), num_cues)
    tasks = CueTask(jnp.arange(num_cues, dtype=jnp.int32))
    rewards = np.asarray(program(collect)(agent, problem, None, tasks, keys).reward)[..., 0]
    return rewards.reshape(num_episodes, 2, num_cues).sum(1).T


@pytest.mark.parametrize("num_cues", [2, 5])
def test_E8_memory_over_episodes_attains_the_optimum(num_cues):
    mean = returns(Remember(num_cues), num_cues, 3).mean(0)
    np.testing.assert_allclose(mean, cue(num_cues, 3).optimum, rtol=1e-6)
    np.testing.assert_allclose(mean, [1 / num_cues, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("num_cues", [2, 5])
def test_E8_memory_reset_between_episodes_is_exactly_chance(num_cues):
    mean = returns(Remember(num_cues, forgetful=True), num_cues, 3).mean(0)
    np.testing.assert_allclose(mean, [1 / num_cues] * 3, rtol=1e-6)


def test_E8_the_cue_of_the_previous_trial_is_of_no_use():
    problem = cue(2)
    cues = np.asarray(jax.vmap(program(problem.train.sample))(jax.random.split(jax.random.key(0), 4097)).cue)
    assert abs((cues[1:] == cues[:-1]).mean() - 0.5) < 4 * 0.5 / 4096**0.5


def test_E8_nothing_in_the_first_timestep_of_an_episode_depends_on_the_cue():
    problem = cue(3, 2)
    keys = jnp.stack([jax.random.key(0)] * 3)
    trial = program(collect)(Remember(3), problem, None, CueTask(jnp.arange(3, dtype=jnp.int32)), keys)
    for leaf in jax.tree.leaves(trial.timestep):
        assert len(np.unique(np.asarray(leaf)[0])) == len(np.unique(np.asarray(leaf)[2])) == 1


@pytest.mark.parametrize("num_cues", [2, 3, 4])
def test_E8_a_note_in_the_last_action_costs_more_than_it_saves(num_cues):
    """All memoryless strategies: note[c] after cue c, then answer[note] in the next episode."""
    best = max(
        Fraction(sum((answer[note[c]] == c) - (note[c] != 0) * int(PENALTY) for c in range(num_cues)), num_cues)
        for note in np.ndindex(*[num_cues] * num_cues)
        for answer in np.ndindex(*[num_cues] * num_cues)
    )
    assert best == Fraction(1, num_cues)


def test_what_an_episode_shows():
    env = cue(3).env
    reset, step = program(env.reset), program(env.step)
    task = CueTask(jnp.asarray(1, jnp.int32))
    key = jax.random.key(0)
    state, observation = reset(task, key)
    assert observation == 3
    right, wrong = step(state, jnp.asarray(1), task, key), step(state, jnp.asarray(2), task, key)
    assert (float(right.reward), float(wrong.reward)) == (1, 0)
    assert right.observation == wrong.observation == 1
    assert not bool(right.terminated)
    end, noted = (
        step(right.state, jnp.asarray(0), task, key),
        step(right.state, jnp.asarray(1), task, key),
    )
    assert (float(end.reward), float(noted.reward)) == (0, -PENALTY)
    assert end.observation == 3
    assert bool(end.terminated)


def test_one_cue_is_no_test():
    with pytest.raises(ValueError, match="at least 2"):
        cue(1)
