"""RL² in training: what it must learn, and what no training may teach it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.rollout import collect, evaluate_trial, rollout, start
from adaptax.core.types import AgentState, replace
from adaptax.problems import bernoulli_bandit, cue
from tests.sample_problems import odd_bandit, quick_jit, same, train

SMALL = {
    "memory_size": 16, "critic_size": 16, "num_tasks": 64, "num_updates": 100, "num_epochs": 2, "num_minibatches": 2,
    "learning_rate": 6e-3, "entropy_cost": 0.03,
}  # fmt: skip
PATIENT = {**SMALL, "num_updates": 150, "num_epochs": 4, "learning_rate": 2e-2}
"""For the cue: no agent is any better until it both keeps the cue and uses it, so the start is a plateau."""
ARMS, PULLS = 5, 10
pytestmark = pytest.mark.learning
HELD_OUT = 2048


def _tasks_and_keys(problem):
    keys = jax.random.split(jax.random.key(123), (HELD_OUT, 2))
    return jax.vmap(problem.test.sample)(keys[:, 0]), keys[:, 1]


def _returns(algorithm, problem, meta):
    """Returns in held-out tasks, `[task, episode]`."""
    one = lambda task, key: evaluate_trial(algorithm, problem, meta, task, key).returns  # noqa: E731
    return np.asarray(quick_jit(jax.vmap(one))(*_tasks_and_keys(problem)), np.float64)


def _assert_mean(samples, expected):
    """Within 4 standard errors."""
    stderr = samples.std(ddof=1) / np.sqrt(len(samples))
    assert abs(samples.mean() - expected) <= 4 * stderr


@functools.cache
def _trained(problem_name, memory, **settings):
    problem = {
        "cue": cue(num_cues=2, num_episodes=2),
        "bandit": bernoulli_bandit(ARMS, PULLS),
        "shuffled": odd_bandit(ARMS, PULLS, shuffled=True),
    }[problem_name]
    algorithm = RL2(memory, **(PATIENT if problem_name == "cue" else SMALL), **settings)
    state, _ = train(algorithm, problem, algorithm.num_updates)
    return algorithm, problem, state.meta


# ---------------------------------------------------------------- E8: the cue of episode 1 decides episode 2


def test_E8_memory_lasts_over_the_episodes_of_a_trial():
    returns = _returns(*_trained("cue", "lstm"))
    _assert_mean(returns[:, 0], 0.5)  # the cue of the previous trial is of no use
    assert returns[:, 1].mean() > 0.97
    assert returns.mean(0).sum() <= 1.5 + 3 * returns.sum(1).std() / np.sqrt(HELD_OUT)


def test_E18_a_hypernetwork_learns_a_policy_for_each_cue():
    returns = _returns(*_trained("cue", "lstm", policy_network="hypernetwork", policy_size=8))
    _assert_mean(returns[:, 0], 0.5)
    assert returns[:, 1].mean() > 0.97


@pytest.mark.nightly
def test_E8_without_memory_the_second_episode_is_chance():
    returns = _returns(*_trained("cue", "none"))
    _assert_mean(returns[:, 0], 0.5)
    _assert_mean(returns[:, 1], 0.5)


@dataclasses.dataclass(frozen=True)
class Forgetful(RL2):
    """RL² with the bug that E8 is about: its memory is reset at the start of every episode."""

    def act(self, meta, agent, timestep, key, *, explore):
        fresh = self.begin(meta, key).memory
        memory = jax.tree.map(lambda new, old: jnp.where(timestep.first, new, old), fresh, agent.memory)
        return super().act(meta, AgentState(agent.adapted, memory), timestep, key, explore=explore)


@pytest.mark.nightly
def test_E8_memory_that_is_reset_between_episodes_is_chance():
    _, problem, meta = _trained("cue", "lstm")
    returns = _returns(Forgetful("lstm", **PATIENT), problem, meta)
    assert abs(returns[:, 1].mean() - 0.5) <= 4 * 0.5 / np.sqrt(HELD_OUT)


@pytest.mark.nightly
def test_E8_memory_of_the_previous_trial_is_of_no_use():
    algorithm, problem, meta = _trained("cue", "lstm")
    tasks, keys = _tasks_and_keys(problem)
    other_tasks = jax.tree.map(lambda x: jnp.roll(x, 1, 0), tasks)

    def two_trials(task, other_task, key):
        first_key, second_key = jax.random.split(key)
        trial = start(algorithm, problem, meta, other_task, first_key)
        trial, _ = rollout(algorithm, problem, meta, other_task, trial, first_key, clock=0, steps=problem.trial_steps)
        fresh = start(algorithm, problem, meta, task, second_key)
        kept = replace(fresh, memory=trial.memory)
        answer = lambda trial: rollout(  # noqa: E731
            algorithm, problem, meta, task, trial, second_key, clock=0, steps=1
        )[1].reward[0, 0]
        return answer(fresh), answer(kept), fresh.memory

    fresh, kept, memory = quick_jit(jax.vmap(two_trials))(tasks, other_tasks, keys)
    for reward in (fresh, kept):
        assert abs(float(reward.mean()) - 0.5) <= 4 * 0.5 / np.sqrt(HELD_OUT)
    assert all((x == 0).all() for x in jax.tree.leaves(memory))


# ---------------------------------------------------------------- bandits


@pytest.mark.parametrize("memory", ["lstm", pytest.param("symmetric", marks=pytest.mark.nightly)])
def test_memory_learns_to_learn_about_arms(memory):
    # The control of the negative controls: with the same settings there is something to learn.
    returns = _returns(*_trained("bandit", memory)).sum(1)
    assert returns.mean() > PULLS / 2 + 8 * returns.std() / np.sqrt(HELD_OUT)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("problem_name", "memory"),
    [("bandit", "none"), *(pytest.param("shuffled", x, marks=pytest.mark.nightly) for x in ("lstm", "symmetric"))],
)
def test_no_memory_or_rewards_that_tell_nothing_leave_chance(problem_name, memory):
    returns = _returns(*_trained(problem_name, memory))
    _assert_mean(returns.sum(1), PULLS / 2)
    _assert_mean(returns[:, -1], 0.5)


@pytest.mark.nightly
def test_E12_permuted_rewards_change_the_policy():
    algorithm, problem, meta = _trained("bandit", "lstm")
    tasks, keys = _tasks_and_keys(problem)
    few = jax.tree.map(lambda x: x[:64], tasks)
    trajectory = quick_jit(lambda keys: collect(algorithm, problem, meta, few, keys))(keys[:64])
    trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
    timestep = replace(trajectory.timestep, reward=jnp.roll(trajectory.timestep.reward, 1, axis=1))

    def probabilities(trajectory):
        return np.exp(algorithm.recompute(meta, trajectory)[1].log_probs())

    change = np.abs(probabilities(trajectory) - probabilities(replace(trajectory, timestep=timestep))).sum(-1) / 2
    assert change[0].max() == 0  # before the first reward there is nothing to permute
    assert change[1:].mean() > 0.05


def test_E26_evaluation_leaves_theta_as_it_is():
    algorithm, problem, meta = _trained("bandit", "lstm")
    before = jax.tree.map(np.array, meta)
    tasks, keys = _tasks_and_keys(problem)
    run = quick_jit(lambda meta: evaluate_trial(algorithm, problem, meta, jax.tree.map(lambda x: x[0], tasks), keys[0]))
    assert run(meta).steps.sum() == PULLS
    assert same(before, meta)
