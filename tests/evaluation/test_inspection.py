import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import RL2, Greedy, ThompsonSampling
from adaptax.algorithms.classical.bandit_agents import BanditAgent, count, no_statistics
from adaptax.core.algorithm import FromScratch, init
from adaptax.core.errors import ConfigError
from adaptax.core.problem import make_problem
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState
from adaptax.evaluation import inspection
from adaptax.evaluation.inspection import (
    analyse,
    features_of,
    inspect_memory,
    names_of,
)
from adaptax.evaluation.linear_probes import r_squared
from adaptax.evaluation.memory_recording import (
    record_memories,
)
from adaptax.problems import (
    bernoulli_bandit,
    cart_pole,
    correlated_bandit,
    grid_navigation,
    tabular_mdp,
)
from adaptax.problems.bandit import UniformBernoulliArms
from adaptax.problems.cues import cue
from adaptax.problems.grid_worlds import UniformGoals
from tests.evaluation.memories import Diary, tasks_and_keys
from tests.sample_problems import TINY, random_state


def r2(targets, decoded):
    return r_squared(targets, decoded, np.ones((len(targets), 1)), [list(range(targets.shape[1]))])[0, 0]


@pytest.mark.compiles
def test_features_have_the_names_of_the_tasks_parts_and_constants_are_left_out():
    problem = tabular_mdp(num_states=2, num_actions=2)
    train, test = (
        jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 30)) for family in (problem.train, problem.test)
    )
    features = features_of(train, test)
    assert features.names[:4] == ["rewards[0,0]", "rewards[0,1]", "rewards[1,0]", "rewards[1,1]"]
    assert features.names[-1] == "transitions[1,1,1]"
    np.testing.assert_allclose(features.test[:, 3], np.asarray(test.rewards)[:, 1, 1], rtol=1e-6)
    assert list(features.parts()) == features.names
    constant = dataclasses.replace(train, rewards=train.rewards.at[:, 0, 1].set(2.0))
    assert "rewards[0,1]" not in features_of(constant, test).names

    large = tabular_mdp(num_states=4, num_actions=2)
    train, test = (
        jax.vmap(family.sample)(jax.random.split(jax.random.key(0), 30)) for family in (large.train, large.test)
    )
    assert {name: len(columns) for name, columns in features_of(train, test).parts().items()} == {
        "rewards": 8,
        "transitions": 32,
    }


@pytest.mark.compiles
def test_tasks_of_a_finite_family_are_the_same_in_all_splits():
    keys = jax.random.split(jax.random.key(1), 50)
    arms = correlated_bandit("easy")
    features = features_of(jax.vmap(arms.train.sample)(keys), jax.vmap(arms.test.sample)(keys))
    names = names_of(features)
    assert names.labels == ("0.1, 0.9", "0.9, 0.1")
    assert set(names.train) == set(names.test) == {0, 1}
    arms = bernoulli_bandit(2)
    tasks = jax.vmap(arms.test.sample)(keys), jax.vmap(arms.train.sample)(keys)
    for found, drawn in zip((features_of(*tasks).train, features_of(*tasks).test), tasks, strict=True):
        np.testing.assert_array_equal(found, drawn.probabilities)


@dataclasses.dataclass(frozen=True)
class RoundRobin(BanditAgent):
    """Pulls the arms in turn, and remembers the number of pulls and of successes of each."""

    def score(self, statistics, key):
        return -statistics.pulls


@pytest.mark.compiles
def test_decodability_of_the_successes_of_n_pulls_of_each_arm_is_that_of_the_posterior_mean():
    # p ~ U[0, 1]: the posterior mean (s + 1) / (n + 2) is linear in s, and the posterior variance is on average
    # E[(s + 1) (n − s + 1)] / ((n + 2)² (n + 3)) = 1 / (6 (n + 2)) out of 1 / 12: R² = n / (n + 2).
    problem, agent = bernoulli_bandit(2, 12), RoundRobin()
    found = inspect_memory(TrainedAgent.initial(agent, problem, seed=0), num_tasks=2000)
    assert found.episodes == tuple(range(13))
    for arm in range(2):
        curve = found.parts[f"probabilities[{arm}]"]
        pulls = (np.arange(13) + 1 - arm) // 2
        # Fitting on n tasks costs 1/n for each number fitted, which the held-out tasks' error does not know.
        assert (np.abs(curve.value - pulls / (pulls + 2)) < 4 * curve.stderr + 4 / 2000).all()
    pooled = np.mean([curve.value for curve in found.parts.values()], 0)
    np.testing.assert_allclose(found.pooled.value, pooled, atol=0.01)  # the arms' variances are nearly equal
    assert (found.pooled.stderr[1:] < 0.02).all()
    assert found.accuracy is None
    assert found.labels is None
    assert found.shown in found.parts
    # Distances of memories order tasks the better, the more is known.
    assert np.isnan(found.similarity.value[0])
    assert found.similarity.value[1] + 3 * found.similarity.stderr[1] < found.similarity.value[12]


@pytest.mark.compiles
@pytest.mark.parametrize("agent", [Greedy(random_ties=True), ThompsonSampling()])
def test_no_linear_decoder_of_counts_knows_more_than_the_posterior_and_more_pulls_tell_more(agent, monkeypatch):
    monkeypatch.setattr(inspection, "MOST_COMPARED", 50)  # pairs take time, and are not asked about here
    problem, num_tasks = bernoulli_bandit(3, 40), 1500
    meta = init(agent, problem, seed=0).meta
    found = inspect_memory(TrainedAgent(agent, problem, meta), num_tasks=num_tasks)
    tasks, keys = tasks_and_keys(problem, num_tasks)
    # The same agent in the same tasks: the bound is that of its own pulls, which differ by luck only.
    states = record_memories(TrainedAgent(agent, problem, meta), tasks, keys, episodes=found.episodes).astype(
        np.float64
    )
    p = np.asarray(tasks.probabilities, np.float64)
    bounds = np.array([r2(p, (state[:, 3:] + 1) / (state[:, :3] + 2)) for state in states])
    assert (found.pooled.value < bounds + 3 * found.pooled.stderr).all()
    assert found.pooled.value[-1] > 0.7 * bounds[-1]
    value, error = found.pooled.value, found.pooled.stderr
    assert (np.diff(value) > -2 * error[1:]).all()
    assert value[-1] > value[len(value) // 2] + 3 * error[-1] > value[1] + 6 * error[-1]


@dataclasses.dataclass(frozen=True)
class Witnessed(FromScratch):
    """An agent that acts as `inner` does, and beside whose memory the arms' statistics are kept."""

    inner: Any
    num_arms: int

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, (no_statistics(self.num_arms), self.inner.begin(meta, key).memory))

    def act(self, meta, agent, timestep, key, *, explore):
        statistics, memory = agent.memory
        action, memory, _ = self.inner.act(meta, AgentState(None, memory), timestep, key, explore=explore)
        return action, (count(statistics, timestep), memory), None


@pytest.mark.compiles
def test_a_recurrent_memory_knows_no_more_than_the_posterior_of_the_same_trial():
    problem, num_tasks, k = bernoulli_bandit(3, 12), 1000, 3
    inner = RL2(**{**TINY, "memory_size": 16})
    meta, agent = random_state(inner, problem, seed=1).meta, Witnessed(inner, k)
    tasks, keys = tasks_and_keys(problem, 2 * num_tasks)
    episodes = (0, 3, 12)
    states = record_memories(TrainedAgent(agent, problem, meta), tasks, keys, episodes=episodes, explore=True).astype(
        np.float64
    )
    p = np.asarray(tasks.probabilities, np.float64)
    halves = features_of(
        *(jax.tree.map(lambda x, part=part: x[part], tasks) for part in np.split(np.arange(2 * num_tasks), 2))
    )
    found = analyse(episodes, halves, None, *np.split(states[:, :, 2 * k :], 2, 1))
    bounds = [r2(p[num_tasks:], (s[num_tasks:, k : 2 * k] + 1) / (s[num_tasks:, :k] + 2)) for s in states]
    assert (found.pooled.value < bounds + 3 * found.pooled.stderr).all()
    assert found.pooled.value[-1] > 0.1 * bounds[-1] > 0.02


@pytest.mark.compiles
def test_held_out_tasks_never_enter_the_fit(monkeypatch):
    fitted = []
    fit = inspection.fit_decoder

    def watched(states, targets, **options):
        fitted.append(fit(states, targets, **options))
        return fitted[-1]

    monkeypatch.setattr(inspection, "fit_decoder", watched)
    problem, agent = bernoulli_bandit(2, 5), ThompsonSampling()
    meta = init(agent, problem, seed=0).meta
    found = inspect_memory(TrainedAgent(agent, problem, meta), num_tasks=100)
    poor = dataclasses.replace(problem, test=UniformBernoulliArms(2, "test", highest=0.3))
    other = inspect_memory(TrainedAgent(agent, poor, meta), num_tasks=100)
    first, second = fitted[:6], fitted[6:]
    assert len(second) == 6
    for a, b in zip(first, second, strict=True):
        for field in dataclasses.fields(a):
            assert np.asarray(getattr(a, field.name)).tobytes() == np.asarray(getattr(b, field.name)).tobytes()
    assert (found.pooled.value[1:] != other.pooled.value[1:]).all()


@dataclasses.dataclass(frozen=True)
class Notebook(FromScratch):
    """Writes down the cue when it sees it (`honest`), or nothing."""

    num_cues: int
    honest: bool = True

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, jnp.zeros(self.num_cues))

    def act(self, meta, agent, timestep, key, *, explore):
        seen = jax.nn.one_hot(timestep.observation, self.num_cues)  # zeros if there is nothing to see
        note = jnp.where(jnp.any(seen > 0), seen, agent.memory) if self.honest else agent.memory
        return jnp.asarray(0), note, None


@pytest.mark.compiles
def test_tasks_of_a_finite_family_are_named():
    problem = cue(num_cues=5, num_episodes=2)
    found = inspect_memory(TrainedAgent(Notebook(5), problem, None), num_tasks=200)
    assert found.labels == ("0", "1", "2", "3", "4")
    assert found.accuracy.value[0] == found.chance
    assert abs(found.chance - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 200)
    np.testing.assert_array_equal(found.accuracy.value[1:], 1)
    np.testing.assert_array_equal(found.accuracy.stderr[1:], 0)
    np.testing.assert_allclose(found.pooled.value[1:], 1, atol=1e-6)
    assert found.shown == "task"

    nothing = inspect_memory(TrainedAgent(Notebook(5, honest=False), problem, None), num_tasks=200)
    np.testing.assert_array_equal(nothing.accuracy.value, nothing.chance)
    assert (nothing.pooled.value <= 0).all()
    assert np.isnan(nothing.similarity.value).all()
    content = json.loads(json.dumps(nothing.to_json(), allow_nan=False))
    assert content["episodes"] == [0, 1, 2]
    assert content["accuracy"]["chance"] == nothing.chance
    assert content["distance_correlation"]["value"] == [None] * 3
    assert set(content["r2"]) == {"pooled", "cue"}


@pytest.mark.compiles
def test_tasks_that_never_occur_in_training_cannot_be_named():
    goals = {"train": (2, 4, 6), "validation": (7,), "test": (5, 8)}
    env = grid_navigation(size=3, horizon=2).env
    problem, agent = make_problem(env, lambda split: UniformGoals(goals[split], 3, 2, split), 1), Diary()
    found = inspect_memory(TrainedAgent.initial(agent, problem, seed=0), num_tasks=30)
    assert found.accuracy is None
    assert found.chance is None
    assert found.to_json()["accuracy"] is None


def test_tasks_that_are_all_alike_are_refused():
    problem, agent = cart_pole(num_episodes=1, horizon=2), Diary()
    with pytest.raises(ConfigError, match="all tasks of this run are alike"):
        inspect_memory(TrainedAgent.initial(agent, problem, seed=0), num_tasks=20)
