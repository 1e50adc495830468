"""RL²: what enters the network, what acting and learning agree on, and what an update does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.recurrent_agent import REWARD_BOUND, previous_observations
from adaptax.algorithms.memory.rl2 import RL2, task_features
from adaptax.core.problem import Step
from adaptax.core.rollout import collect, rollout, run_trial, start
from adaptax.core.spaces import Discrete
from adaptax.core.types import TimeStep, replace
from adaptax.optimization.moments import Moments
from adaptax.problems import bernoulli_bandit, point_robot
from tests.sample_problems import TINY, Clockwork, clockwork, quick_jit, random_state

CELLS = ("lstm", "gru", "symmetric", "counting", "lru", "transformer")
NUM_TASKS = 4
NOTHING = jnp.zeros(0)
YES, NO = jnp.asarray(True), jnp.asarray(False)
"""The observation of a bandit, now and before."""


def _first_tasks(problem, num_tasks=NUM_TASKS, seed=1):
    return jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(seed), num_tasks))


# ---------------------------------------------------------------- what enters the network


def _meta(problem, *, reward_std=2.0, reward_center=0.0, **settings):
    meta = random_state(RL2(**TINY | settings), problem).meta
    moments = Moments(jnp.ones(()), jnp.asarray(7.0), jnp.asarray(reward_std**2))
    return replace(meta, reward=moments, reward_center=jnp.asarray(reward_center))


def test_E12_inputs_of_a_bandit():
    meta = _meta(bernoulli_bandit(2, 3))
    start_of_trial = TimeStep(jnp.zeros(0), jnp.asarray(-1), jnp.zeros(()), jnp.asarray(True))
    # action (2), action × reward (2), reward, first
    np.testing.assert_array_equal(meta.inputs(start_of_trial, NOTHING, NO), [0, 0, 0, 0, 0, 1])
    after_a_pull = TimeStep(jnp.zeros(0), jnp.asarray(1), jnp.asarray(1.0), jnp.asarray(True))
    np.testing.assert_array_equal(meta.inputs(after_a_pull, NOTHING, YES), [0, 1, 0, 0.5, 0.5, 1])


@pytest.mark.compiles
def test_E12_inputs_over_the_end_of_an_episode():
    problem = clockwork(horizon=2, episodes=2, ends_early=False, num_actions=2)
    algorithm, meta = RL2(**TINY), _meta(problem, reward_std=50.0)
    task = jax.tree.map(lambda x: x[0], _first_tasks(problem))
    trajectory = quick_jit(lambda key: run_trial(algorithm, problem, meta, task, key))(jax.random.key(0))
    features = np.asarray(
        meta.inputs(trajectory.timestep, trajectory.timestep.observation, jnp.arange(4)[:, None] > 0)[:, 0]
    )
    action, reward = np.asarray(trajectory.action[:, 0]), np.asarray(trajectory.reward[:, 0]) / 50
    one_hot = np.eye(2)[action]
    np.testing.assert_array_equal(features[0], [0, 0, 0, 0, 0, 0, 1])
    for t, (step, first) in enumerate([(1, 0), (0, 1), (1, 0)]):
        expected = [step, *one_hot[t], *(one_hot[t] * reward[t]), reward[t], first]
        np.testing.assert_allclose(features[t + 1], expected, rtol=1e-6)


def test_E32_a_reward_is_read_by_how_far_it_is_from_the_usual():
    meta = _meta(bernoulli_bandit(2, 3), reward_center=100.0)
    for reward, seen in ((100.0, 0.0), (101.0, 0.5), (98.0, -1.0)):
        timestep = TimeStep(jnp.zeros(0), jnp.asarray(1), jnp.asarray(reward), jnp.asarray(True))
        np.testing.assert_array_equal(meta.inputs(timestep, NOTHING, YES), [0, 1, 0, seen, seen, 1])
        np.testing.assert_array_equal(meta.inputs(timestep, NOTHING, NO)[2:5], [0, 0, 0])


def test_rewards_far_from_the_usual_are_clipped():
    meta = _meta(bernoulli_bandit(2, 3), reward_center=-3.0)
    for reward, seen in ((1e6, REWARD_BOUND), (-1e6, -REWARD_BOUND), (16.0, 9.5)):
        timestep = TimeStep(jnp.zeros(0), jnp.asarray(0), jnp.asarray(reward), jnp.asarray(False))
        assert meta.inputs(timestep, NOTHING, YES)[-2] == seen


def test_without_memory_only_the_observation_enters():
    problem = clockwork(horizon=2, episodes=2, num_actions=2)
    timestep = TimeStep(jnp.asarray([3.0]), jnp.asarray(0), jnp.asarray(1.0), jnp.asarray(True))
    np.testing.assert_array_equal(_meta(problem, memory="none").inputs(timestep, jnp.asarray([2.0]), YES), [3.0])


class Numbered(Clockwork):
    """Shows the step of the episode as a number of a state."""

    def __init__(self, horizon, num_actions):
        super().__init__(horizon, True, num_actions)
        self.observation_space = Discrete(horizon + 1)

    def reset(self, task, key):
        return jnp.asarray(0), jnp.asarray(0)

    def step(self, state, action, task, key):
        step = super().step(state, action, task, key)
        return Step(step.state, step.state, step.reward, step.terminated)


def _numbered(horizon, episodes, num_actions):
    problem = clockwork(horizon, episodes)
    return replace(problem, env=Numbered(horizon, num_actions))


def test_previous_observations_skip_what_did_not_happen():
    observations = jnp.arange(1.0, 7.0)[:, None, None]
    valid = jnp.asarray([True, True, False, True, False, True])[:, None]
    np.testing.assert_array_equal(previous_observations(observations, valid)[:, 0, 0], [0, 1, 2, 2, 4, 4])
    both = previous_observations(jnp.concatenate([observations, -observations], 1), jnp.concatenate([valid, ~valid], 1))
    np.testing.assert_array_equal(both[:, 1, 0], [0, 0, 0, -3, -3, -5])


@pytest.mark.compiles
def test_E12_the_pair_that_a_reward_was_for_enters_where_both_are_discrete():
    problem = _numbered(horizon=3, episodes=2, num_actions=2)
    algorithm, meta = RL2(**TINY), _meta(problem, reward_std=100.0)
    assert meta.counts_pairs
    task = jax.tree.map(lambda x: jnp.asarray(2), _first_tasks(problem))  # every episode ends after 2 of its 3 steps
    trajectory = quick_jit(lambda key: run_trial(algorithm, problem, meta, task, key))(jax.random.key(0))
    np.testing.assert_array_equal(trajectory.valid[:, 0], [True, True, False, True, True, False])
    encoded = jnp.eye(4)[trajectory.timestep.observation]
    previous = previous_observations(encoded, trajectory.valid)
    features = np.asarray(meta.inputs(trajectory.timestep, previous, jnp.arange(6)[:, None] > 0))[:, 0]
    pairs = features[:, -16:].reshape(6, 2, 4, 2)  # the pair, and the pair times the reward
    np.testing.assert_array_equal(pairs[0], 0)
    action, reward = np.asarray(trajectory.action[:, 0]), np.asarray(trajectory.reward[:, 0]) / 100
    for t, (before, state) in {1: (0, 0), 3: (1, 1), 4: (3, 0)}.items():  # the step before each, and its state
        expected = np.zeros((4, 2))
        expected[state, action[before]] = 1
        np.testing.assert_array_equal(pairs[t, 0], expected)
        np.testing.assert_allclose(pairs[t, 1], expected * reward[before], rtol=1e-6)


def test_pairs_are_not_counted_where_something_is_continuous_or_not_remembered():
    assert not _meta(bernoulli_bandit(2, 3)).counts_pairs
    assert not _meta(clockwork(horizon=2, episodes=2)).counts_pairs
    assert not _meta(_numbered(3, 2, 2), memory="none").counts_pairs


# ---------------------------------------------------------------- acting and learning see the same


@functools.cache
def _recompute(horizon, ends_early):
    """Recomputation of up to 49 steps for all memories in one program; what comes after a trial cannot matter to it."""

    def recompute(metas, trajectories):
        out = []
        for cell, meta, trajectory in zip(CELLS, metas, trajectories, strict=True):
            hidden, policy = RL2(cell, **TINY).recompute(meta, trajectory)
            out.append((hidden, policy.log_prob(trajectory.action)))
        return out

    return quick_jit(recompute)


@functools.cache
def _pieces(horizon, steps, *, ends_early, explore):
    """A program that goes on for `steps` steps in a few tasks, for all memories; and a fresh trial for each."""
    problem = clockwork(horizon, episodes=7, ends_early=ends_early, num_actions=3)
    algorithms = [RL2(cell, **TINY) for cell in CELLS]
    metas = [random_state(algorithm, problem).meta for algorithm in algorithms]
    metas = [replace(meta, reward=replace(meta.reward, variance=jnp.asarray(1e4))) for meta in metas]
    tasks = jax.tree.map(lambda x: jnp.asarray([1, 2, horizon, horizon + 1]), _first_tasks(problem))

    def begin(key):
        return [
            jax.vmap(lambda task, a=a, m=m: start(a, problem, m, task, key))(tasks)
            for a, m in zip(algorithms, metas, strict=True)
        ]

    @quick_jit
    def go_on(states, clock, key):
        keys = jax.random.split(jax.random.fold_in(key, clock), NUM_TASKS)

        def one(algorithm, meta, task, state, key):
            return rollout(algorithm, problem, meta, task, state, key, clock=clock, steps=steps, explore=explore)

        both = [
            jax.vmap(functools.partial(one, a, m), out_axes=(0, 1))(tasks, state, keys)
            for a, m, state in zip(algorithms, metas, states, strict=True)
        ]
        return [state for state, _ in both], [jax.tree.map(lambda x: x.squeeze(2), t) for _, t in both]

    return metas, begin, go_on


def _join(parts):
    """Join pieces in time, filled up with zeros to 49 steps."""

    def join(*x):
        x = np.concatenate([np.asarray(y) for y in x])
        return np.pad(x, [(0, 49 - len(x))] + [(0, 0)] * (x.ndim - 1))

    return jax.tree.map(join, *parts)


def _assert_recomputed(metas, trajectories, steps, horizon, ends_early):
    recomputed = _recompute(horizon, ends_early)(metas, trajectories)
    for (hidden, log_prob), trajectory in zip(recomputed, trajectories, strict=True):
        valid = trajectory.valid[:steps]
        assert valid[0].all()
        difference = np.abs(np.asarray(hidden) - trajectory.aux["hidden"])[:steps][valid]
        assert difference.max() <= 1e-5
        assert np.abs(np.asarray(log_prob) - trajectory.aux["log_prob"])[:steps][valid].max() <= 1e-5
        ratio = np.exp(np.asarray(log_prob) - trajectory.aux["log_prob"])[:steps][valid]
        np.testing.assert_allclose(ratio, 1, atol=2e-5)
        assert np.abs(trajectory.aux["hidden"]).max() > 0.05  # there is something to compare


@pytest.mark.compiles
@pytest.mark.parametrize(("horizon", "ends_early"), [*((h, True) for h in range(1, 8)), (1, False), (3, False)])
def test_E9_recomputation_is_what_acting_was_for_every_horizon_and_number_of_episodes(horizon, ends_early):
    metas, begin, go_on = _pieces(horizon, horizon, ends_early=ends_early, explore=True)
    states, parts = begin(jax.random.key(2)), []
    for episode in range(7):
        states, trajectories = go_on(states, jnp.asarray(episode * horizon), jax.random.key(3))
        parts.append(trajectories)
        joined = [_join([part[cell] for part in parts]) for cell in range(len(CELLS))]
        _assert_recomputed(metas, joined, (episode + 1) * horizon, horizon, ends_early)


@pytest.mark.compiles
@pytest.mark.parametrize("steps", range(1, 8))
def test_E9_recomputation_is_what_acting_was_for_every_rollout_and_trial_length(steps):
    horizon = 3
    for trial in range(1, 8):
        parts = []
        done = 0
        metas, begin, whole = _pieces(horizon, trial, ends_early=True, explore=False)
        states = begin(jax.random.key(2))
        _, at_once = whole(states, jnp.asarray(0), jax.random.key(3))
        while done < trial:
            length = min(steps, trial - done)
            _, _, go_on = _pieces(horizon, length, ends_early=True, explore=False)
            states, trajectories = go_on(states, jnp.asarray(done), jax.random.key(3))
            parts.append(trajectories)
            done += length
        joined = [_join([part[cell] for part in parts]) for cell in range(len(CELLS))]
        for pieces, together in zip(joined, at_once, strict=True):
            for a, b in zip(jax.tree.leaves(pieces), jax.tree.leaves(together), strict=True):
                np.testing.assert_allclose(a[:trial], b, rtol=0, atol=1e-5)
        _assert_recomputed(metas, joined, trial, horizon, True)


@pytest.mark.compiles
def test_E9_continuous_actions_are_recomputed():
    problem = point_robot(num_episodes=1, horizon=6)
    algorithm = RL2(**TINY)
    meta = random_state(algorithm, problem).meta
    tasks, keys = _first_tasks(problem), jax.random.split(jax.random.key(0), NUM_TASKS)
    trajectory = quick_jit(lambda keys: collect(algorithm, problem, meta, tasks, keys))(keys)
    trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
    assert trajectory.action.shape == (6, NUM_TASKS, 2)
    hidden, policy = algorithm.recompute(meta, trajectory)
    valid = np.asarray(trajectory.valid)
    np.testing.assert_allclose(hidden[valid], trajectory.aux["hidden"][valid], rtol=0, atol=1e-5)
    log_prob = policy.log_prob(problem.env.action_space.policy_action(trajectory.action))[valid]
    np.testing.assert_allclose(log_prob, trajectory.aux["log_prob"][valid], rtol=1e-5, atol=1e-5)


@pytest.mark.compiles
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("policy_size", [0, 5])
def test_E9_pairs_and_readout_are_recomputed_over_early_ends(policy_size, cell):
    problem = _numbered(horizon=4, episodes=3, num_actions=3)
    algorithm = RL2(**TINY, memory=cell, policy_size=policy_size)
    meta = random_state(algorithm, problem).meta
    meta = replace(meta, reward=replace(meta.reward, variance=jnp.asarray(1e4)))
    assert (meta.network.readout is not None) == (policy_size > 0 and cell not in ("symmetric", "counting"))
    tasks = jax.tree.map(lambda x: jnp.asarray([1, 2, 3, 5]), _first_tasks(problem))

    @quick_jit
    def both(keys):
        trajectory = collect(algorithm, problem, meta, tasks, keys)
        trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
        hidden, policy = algorithm.recompute(meta, trajectory)
        careless = replace(trajectory, valid=jnp.ones_like(trajectory.valid))
        return trajectory, hidden, policy.log_prob(trajectory.action), algorithm.recompute(meta, careless)[0]

    trajectory, hidden, log_prob, careless = both(jax.random.split(jax.random.key(0), NUM_TASKS))
    valid = np.asarray(trajectory.valid)
    assert valid.sum(0).tolist() == [3, 6, 9, 12]
    np.testing.assert_allclose(hidden[valid], trajectory.aux["hidden"][valid], rtol=0, atol=1e-5)
    np.testing.assert_allclose(log_prob[valid], trajectory.aux["log_prob"][valid], rtol=0, atol=1e-5)
    assert np.abs(careless[valid] - trajectory.aux["hidden"][valid]).max() > 1e-2  # idle steps matter here


def test_a_memory_of_pairs_asks_for_discrete_actions():
    with pytest.raises(ValueError, match=r"memory='symmetric'.*discrete actions"):
        RL2(**TINY, memory="symmetric").init(point_robot(1, 2), jax.random.key(0))


def test_mode_is_taken_when_not_exploring():
    problem = bernoulli_bandit(3, 4)
    algorithm = RL2(**TINY)
    meta = random_state(algorithm, problem).meta
    agent = algorithm.begin(meta, jax.random.key(0))
    timestep = TimeStep(jnp.zeros(0), jnp.asarray(-1), jnp.zeros(()), jnp.asarray(True))
    act = lambda key, explore: algorithm.act(meta, agent, timestep, key, explore=explore)  # noqa: E731
    best = {int(act(jax.random.key(i), False)[0]) for i in range(8)}
    inputs = meta.inputs(timestep, agent.memory.previous, agent.memory.begun)
    _, hidden = meta.network.memory.step(agent.memory.cell, inputs)
    logits = meta.network.policy(hidden).logits
    assert best == {int(jnp.argmax(logits))}
    drawn = jax.vmap(lambda key: act(key, True)[0])(jax.random.split(jax.random.key(0), 500))
    assert len(np.unique(drawn)) == 3


# ---------------------------------------------------------------- the critic


def test_policy_never_sees_the_task_and_the_critic_does():
    problem = bernoulli_bandit(3, 4)
    algorithm = RL2(**TINY)
    meta = random_state(algorithm, problem).meta
    tasks, keys = _first_tasks(problem), jax.random.split(jax.random.key(0), NUM_TASKS)

    @quick_jit
    def sums(tasks):
        def outputs(tasks):
            trajectory = collect(algorithm, problem, meta, tasks, keys)
            hidden, policy = algorithm.recompute(meta, jax.tree.map(lambda x: x.squeeze(2), trajectory))
            values = algorithm.values(meta, hidden, tasks)
            return jnp.sum(policy.logits[..., 0]), jnp.sum(values), jnp.sum(trajectory.aux["log_prob"])

        return jax.jacrev(outputs)(tasks)

    logits, values, log_probs = sums(tasks)
    np.testing.assert_array_equal(logits.probabilities, 0)
    np.testing.assert_array_equal(log_probs.probabilities, 0)
    assert (values.probabilities != 0).all()


def test_values_are_normalised_by_the_moments_of_tasks():
    problem = bernoulli_bandit(3, 4)
    algorithm = RL2(**TINY)
    meta = random_state(algorithm, problem).meta
    tasks = _first_tasks(problem)
    hidden = jnp.zeros((4, NUM_TASKS, 4))
    features = (np.asarray(tasks.probabilities) - np.asarray(meta.task.mean)) / np.asarray(meta.task.std)
    expected = meta.network.critic(hidden, jnp.asarray(features))
    np.testing.assert_allclose(algorithm.values(meta, hidden, tasks), expected, rtol=1e-5)


def test_task_features_are_all_of_the_task():
    task = {"a": jnp.arange(4.0).reshape(2, 2), "b": jnp.asarray(7)}
    np.testing.assert_array_equal(task_features(task), [0, 1, 2, 3, 7])
