"""RL²: what enters the network, what acting and learning agree on, and what an update does."""

import dataclasses
import functools
from typing import get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import parallel
from adaptax.algorithms.rl2 import REWARD_BOUND, RL2, task_features
from adaptax.envs import bernoulli_bandit, point_robot
from adaptax.envs.bandit import UniformBernoulliArms
from adaptax.envs.base import make_problem
from adaptax.losses import masked_mean
from adaptax.moments import Moments
from adaptax.rollout import collect, live, rollout, start
from adaptax.settings import RL2Settings
from adaptax.types import TimeStep, replace
from tests.problems import OddBandit, clockwork, odd_bandit, quick_jit, random_state, same

TINY = {
    "memory_size": 4, "critic_size": 4, "num_tasks": 8, "num_updates": 100, "num_epochs": 2, "num_minibatches": 2,
    "learning_rate": 1e-2, "entropy_cost": 0.05,
}  # fmt: skip
CELLS = ("lstm", "gru")
NUM_TASKS = 4


def _first_tasks(problem, num_tasks=NUM_TASKS, seed=1):
    return jax.vmap(problem.train.sample)(jax.random.split(jax.random.key(seed), num_tasks))


# ---------------------------------------------------------------- what enters the network


def _meta(problem, *, reward_std=2.0, **settings):
    meta = random_state(RL2(**TINY | settings), problem).meta
    return replace(meta, reward=Moments(jnp.ones(()), jnp.asarray(7.0), jnp.asarray(reward_std**2)))


def test_E12_inputs_of_a_bandit():
    meta = _meta(bernoulli_bandit(2, 3))
    start_of_trial = TimeStep(jnp.zeros(0), jnp.asarray(-1), jnp.zeros(()), jnp.asarray(True))
    # action (2), action × reward (2), reward, first
    np.testing.assert_array_equal(meta.inputs(start_of_trial), [0, 0, 0, 0, 0, 1])
    after_a_pull = TimeStep(jnp.zeros(0), jnp.asarray(1), jnp.asarray(1.0), jnp.asarray(True))
    np.testing.assert_array_equal(meta.inputs(after_a_pull), [0, 1, 0, 0.5, 0.5, 1])


def test_E12_inputs_over_the_end_of_an_episode():
    problem = clockwork(horizon=2, episodes=2, ends_early=False, num_actions=2)
    algorithm, meta = RL2(**TINY), _meta(problem, reward_std=50.0)
    task = jax.tree.map(lambda x: x[0], _first_tasks(problem))
    trajectory = quick_jit(lambda key: live(algorithm, problem, meta, task, key))(jax.random.key(0))
    features = np.asarray(meta.inputs(trajectory.timestep)[:, 0])
    action, reward = np.asarray(trajectory.action[:, 0]), np.asarray(trajectory.reward[:, 0]) / 50
    one_hot = np.eye(2)[action]
    np.testing.assert_array_equal(features[0], [0, 0, 0, 0, 0, 0, 1])
    for t, (step, first) in enumerate([(1, 0), (0, 1), (1, 0)]):
        expected = [step, *one_hot[t], *(one_hot[t] * reward[t]), reward[t], first]
        np.testing.assert_allclose(features[t + 1], expected, rtol=1e-6)


def test_rewards_far_from_the_usual_are_clipped():
    meta = _meta(bernoulli_bandit(2, 3))
    timestep = TimeStep(jnp.zeros(0), jnp.asarray(0), jnp.asarray(1e6), jnp.asarray(False))
    assert meta.inputs(timestep)[-2] == REWARD_BOUND


def test_without_memory_only_the_observation_enters():
    problem = clockwork(horizon=2, episodes=2, num_actions=2)
    timestep = TimeStep(jnp.asarray([3.0]), jnp.asarray(0), jnp.asarray(1.0), jnp.asarray(True))
    np.testing.assert_array_equal(_meta(problem, memory="none").inputs(timestep), [3.0])


# ---------------------------------------------------------------- acting and learning see the same


@functools.cache
def _replay(horizon, ends_early):
    """Replay of up to 49 steps for both cells in one program; what comes after a trial cannot matter to it."""

    def replay(metas, trajectories):
        out = []
        for cell, meta, trajectory in zip(CELLS, metas, trajectories, strict=True):
            hidden, policy = RL2(cell, **TINY).replay(meta, trajectory)
            out.append((hidden, policy.log_prob(trajectory.action)))
        return out

    return quick_jit(replay)


@functools.cache
def _pieces(horizon, steps, *, ends_early, explore):
    """A program that lives on for `steps` steps in a few tasks, for both cells; and a fresh life for each."""
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
    def live_on(lives, clock, key):
        keys = jax.random.split(jax.random.fold_in(key, clock), NUM_TASKS)

        def one(algorithm, meta, task, life, key):
            return rollout(algorithm, problem, meta, task, life, key, clock=clock, steps=steps, explore=explore)

        both = [
            jax.vmap(functools.partial(one, a, m), out_axes=(0, 1))(tasks, life, keys)
            for a, m, life in zip(algorithms, metas, lives, strict=True)
        ]
        return [life for life, _ in both], [jax.tree.map(lambda x: x.squeeze(2), t) for _, t in both]

    return metas, begin, live_on


def _join(parts):
    """Join pieces in time, filled up with zeros to 49 steps."""

    def join(*x):
        x = np.concatenate([np.asarray(y) for y in x])
        return np.pad(x, [(0, 49 - len(x))] + [(0, 0)] * (x.ndim - 1))

    return jax.tree.map(join, *parts)


def _assert_replayed(metas, trajectories, steps, horizon, ends_early):
    replayed = _replay(horizon, ends_early)(metas, trajectories)
    for (hidden, log_prob), trajectory in zip(replayed, trajectories, strict=True):
        valid = trajectory.valid[:steps]
        assert valid[0].all()
        difference = np.abs(np.asarray(hidden) - trajectory.aux["hidden"])[:steps][valid]
        assert difference.max() <= 1e-5
        assert np.abs(np.asarray(log_prob) - trajectory.aux["log_prob"])[:steps][valid].max() <= 1e-5
        ratio = np.exp(np.asarray(log_prob) - trajectory.aux["log_prob"])[:steps][valid]
        np.testing.assert_allclose(ratio, 1, atol=2e-5)
        assert np.abs(trajectory.aux["hidden"]).max() > 0.05  # there is something to compare


@pytest.mark.parametrize(("horizon", "ends_early"), [*((h, True) for h in range(1, 8)), (1, False), (3, False)])
def test_E9_replay_is_what_acting_was_for_every_horizon_and_number_of_episodes(horizon, ends_early):
    metas, begin, live_on = _pieces(horizon, horizon, ends_early=ends_early, explore=True)
    lives, parts = begin(jax.random.key(2)), []
    for episode in range(7):
        lives, trajectories = live_on(lives, jnp.asarray(episode * horizon), jax.random.key(3))
        parts.append(trajectories)
        joined = [_join([part[cell] for part in parts]) for cell in range(2)]
        _assert_replayed(metas, joined, (episode + 1) * horizon, horizon, ends_early)


@pytest.mark.parametrize("steps", range(1, 8))
def test_E9_replay_is_what_acting_was_for_every_rollout_and_trial_length(steps):
    horizon = 3
    for trial in range(1, 8):
        parts = []
        done = 0
        metas, begin, whole = _pieces(horizon, trial, ends_early=True, explore=False)
        lives = begin(jax.random.key(2))
        _, at_once = whole(lives, jnp.asarray(0), jax.random.key(3))
        while done < trial:
            length = min(steps, trial - done)
            _, _, live_on = _pieces(horizon, length, ends_early=True, explore=False)
            lives, trajectories = live_on(lives, jnp.asarray(done), jax.random.key(3))
            parts.append(trajectories)
            done += length
        joined = [_join([part[cell] for part in parts]) for cell in range(2)]
        for pieces, together in zip(joined, at_once, strict=True):
            for a, b in zip(jax.tree.leaves(pieces), jax.tree.leaves(together), strict=True):
                np.testing.assert_allclose(a[:trial], b, rtol=0, atol=1e-5)
        _assert_replayed(metas, joined, trial, horizon, True)


def test_E9_continuous_actions_are_replayed():
    problem = point_robot(num_episodes=1, horizon=6)
    algorithm = RL2(**TINY)
    meta = random_state(algorithm, problem).meta
    tasks, keys = _first_tasks(problem), jax.random.split(jax.random.key(0), NUM_TASKS)
    trajectory = quick_jit(lambda keys: collect(algorithm, problem, meta, tasks, keys))(keys)
    trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
    assert trajectory.action.shape == (6, NUM_TASKS, 2)
    hidden, policy = algorithm.replay(meta, trajectory)
    valid = np.asarray(trajectory.valid)
    np.testing.assert_allclose(hidden[valid], trajectory.aux["hidden"][valid], rtol=0, atol=1e-5)
    log_prob = policy.log_prob(problem.env.action_space.policy_action(trajectory.action))[valid]
    np.testing.assert_allclose(log_prob, trajectory.aux["log_prob"][valid], rtol=1e-5, atol=1e-5)


def test_mode_is_taken_when_not_exploring():
    problem = bernoulli_bandit(3, 4)
    algorithm = RL2(**TINY)
    meta = random_state(algorithm, problem).meta
    agent = algorithm.begin(meta, jax.random.key(0))
    timestep = TimeStep(jnp.zeros(0), jnp.asarray(-1), jnp.zeros(()), jnp.asarray(True))
    act = lambda key, explore: algorithm.act(meta, agent, timestep, key, explore=explore)  # noqa: E731
    best = {int(act(jax.random.key(i), False)[0]) for i in range(8)}
    _, hidden = meta.network.memory.step(agent.memory, meta.inputs(timestep))
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
            hidden, policy = algorithm.replay(meta, jax.tree.map(lambda x: x.squeeze(2), trajectory))
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


# ---------------------------------------------------------------- one update, computed again


def _numpy_gae(rewards, values, valid, discount, gae_lambda):
    advantages = np.zeros_like(rewards)
    for task in range(rewards.shape[1]):
        after = next_value = 0.0
        for t in reversed(np.flatnonzero(valid[:, task])):
            after = rewards[t, task] + discount * next_value - values[t, task] + discount * gae_lambda * after
            advantages[t, task], next_value = after, values[t, task]
    return advantages


def _update_again(algorithm, problem, state):
    """The loss of the first gradient step, from the definitions: advantages and targets are plain numbers."""
    meta = state.meta
    keys = jax.random.split(jax.random.fold_in(state.key, state.step), (algorithm.num_tasks, 2))
    tasks = jax.vmap(problem.train.sample)(keys[:, 0])
    trajectory = quick_jit(lambda keys: collect(algorithm, problem, meta, tasks, keys))(keys[:, 1])
    trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
    valid = np.asarray(trajectory.valid)
    to_go = np.cumsum(algorithm.discount ** np.arange(problem.trial_steps))[::-1, None]
    center, spread = float(meta.reward.mean), float(meta.reward.std)
    average = np.asarray(algorithm.values(meta, trajectory.aux["hidden"], tasks), np.float64)
    values = to_go * (center + spread * average)
    rewards = np.asarray(trajectory.reward, np.float64)
    raw = _numpy_gae(rewards, values, valid, algorithm.discount, algorithm.gae_lambda)
    targets = jnp.asarray(((raw + values) / to_go - center) / spread, jnp.float32)
    advantages = jnp.asarray((raw - raw[valid].mean()) / raw[valid].std(), jnp.float32)

    def loss(network):
        new = replace(meta, network=network)
        hidden, policy = algorithm.replay(new, trajectory)
        log_prob = policy.log_prob(trajectory.action)
        ratio = jnp.exp(log_prob - trajectory.aux["log_prob"])
        gain = masked_mean(ratio * advantages, trajectory.valid)
        error = masked_mean((algorithm.values(new, hidden, tasks) - targets) ** 2, trajectory.valid)
        entropy = masked_mean(policy.entropy(), trajectory.valid)
        entropy_cost = algorithm.entropy_cost * (1 - int(state.step) / algorithm.num_updates)  # falls to 0
        return algorithm.value_cost * error - gain - entropy_cost * entropy, (error, entropy)

    (_, (error, entropy)), gradient = quick_jit(jax.value_and_grad(loss, has_aux=True))(meta.network)
    norm = np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(gradient)))
    return {"value_loss": error, "entropy": entropy, "gradient_norm": norm, "return": rewards.sum(0).mean()}


ONE_STEP = RL2(**TINY | {"num_minibatches": 1, "num_epochs": 1, "entropy_cost": 0.8}, discount=0.9)


@functools.cache
def _update(problem_name, algorithm):
    problem = {
        "bandit": bernoulli_bandit(2, 3),
        "early ends": clockwork(2, 3, num_actions=3),
        "no early ends": clockwork(2, 3, ends_early=False, num_actions=3),
    }[problem_name]
    return problem, quick_jit(lambda state: algorithm.update(problem, state))


def _with_rewards(state, mean, variance):
    moments = Moments(jnp.asarray(100.0), jnp.asarray(mean), jnp.asarray(variance))
    return replace(state, meta=replace(state.meta, reward=moments))


@pytest.mark.parametrize("problem_name", ["early ends", "no early ends"])
def test_E6_E10_first_gradient_is_that_of_the_definitions(problem_name):
    # Nothing flows through advantages, targets and old log-probabilities, and episodes do not cut returns.
    problem, update = _update(problem_name, ONE_STEP)
    state = replace(_with_rewards(random_state(ONE_STEP, problem), 50.0, 1e3), step=jnp.asarray(25))
    _, metrics = update(state)
    for name, expected in _update_again(ONE_STEP, problem, state).items():
        np.testing.assert_allclose(metrics[name], expected, rtol=1e-3, err_msg=name)


def _updated(algorithm, num_updates=2, seed=0):
    problem, update = _update("bandit", algorithm)
    state = random_state(algorithm, problem, seed)
    for _ in range(num_updates):
        state, _ = update(state)
    return state


def test_step_counts_updates_and_the_key_stays():
    state = _updated(RL2(**TINY))
    assert state.step == 2
    assert same(state.key, jax.random.key(0))


def test_reward_moments_take_in_every_trial():
    algorithm = RL2(**TINY)
    before = random_state(algorithm, bernoulli_bandit(2, 3)).meta
    after = _updated(algorithm).meta
    assert after.reward.count == before.reward.count + 2 * 8 * 3
    assert same(after.task, before.task)


STATIC = {
    "num_tasks": 4, "num_updates": 20, "num_epochs": 1, "num_minibatches": 4, "learning_rate": 1e-3, "discount": 0.5,
    "gae_lambda": 0.2, "clip": 1e-3,
}  # fmt: skip
TRACED = {"entropy_cost": 0.3, "value_cost": 0.1, "max_gradient_norm": 0.01, "adam_b2": 0.5}
"""Settings that may be arrays, so that one program serves all their values."""
SHAPES = {"memory": "gru", "memory_size": 5, "critic_size": 5, "informed_critic": False}


def test_E1d_every_setting_is_in_the_tests_of_settings():
    names = {field.name for field in dataclasses.fields(RL2Settings)}
    assert names == {*STATIC, *TRACED, *SHAPES, "initial_std"}
    for field in dataclasses.fields(RL2Settings):
        if get_origin(field.type) is not None:
            assert SHAPES[field.name] in get_args(field.type)


@pytest.mark.parametrize("name", STATIC)
def test_E1d_every_setting_changes_what_is_learned(name):
    base = RL2("none", **TINY)
    changed = dataclasses.replace(base, **{name: STATIC[name]})
    networks = [_updated(algorithm).meta.network for algorithm in (base, changed)]
    assert not same(*networks)


@functools.cache
def _traced_update():
    problem = bernoulli_bandit(2, 3)

    @quick_jit
    def update(state, settings):
        return dataclasses.replace(RL2("none", **TINY), **settings).update(problem, state)[0]

    return update


def _updated_with(**changes):
    state = random_state(RL2("none", **TINY), bernoulli_bandit(2, 3))
    settings = {name: getattr(RL2("none", **TINY), name) for name in TRACED} | changes
    for _ in range(2):
        state = _traced_update()(state, jax.tree.map(jnp.asarray, settings))
    return state.meta.network


@pytest.mark.parametrize("name", TRACED)
def test_E1d_every_number_changes_what_is_learned(name):
    assert not same(_updated_with(), _updated_with(**{name: TRACED[name]}))


def test_settings_are_swept_by_vmap():
    problem = bernoulli_bandit(2, 3)
    state = random_state(RL2("none", **TINY), problem)

    def update(entropy_cost):
        return (
            dataclasses.replace(RL2("none", **TINY), entropy_cost=entropy_cost).update(problem, state)[0].meta.network
        )

    swept = quick_jit(jax.vmap(update))(jnp.asarray([0.0, 0.3]))
    for index, entropy_cost in enumerate([0.0, 0.3]):
        alone = quick_jit(update)(jnp.asarray(entropy_cost))
        for a, b in zip(jax.tree.leaves(swept), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[index], b, rtol=1e-4, atol=1e-6)
    assert not same(*(jax.tree.map(lambda x, i=i: x[i], swept) for i in (0, 1)))


def test_without_value_cost_the_critic_stays():
    # Policy and critic share nothing here, so nothing else may move the critic, and only the critic.
    before = random_state(RL2("none", **TINY), bernoulli_bandit(2, 3)).meta.network
    with_cost, without_cost = _updated_with(), _updated_with(value_cost=0.0)
    assert same(without_cost.critic, before.critic)
    assert not same(with_cost.critic, before.critic)
    assert not same(without_cost.policy, before.policy)


@pytest.mark.parametrize("name", SHAPES)
def test_E1d_every_setting_of_the_network_changes_it(name):
    problem = bernoulli_bandit(2, 3)
    shapes = [
        jax.eval_shape(lambda key, a=a: a.init(problem, key).meta.network, jax.random.key(0))
        for a in (RL2(**TINY), RL2(**TINY | {name: SHAPES[name]}))
    ]
    described = [[x.shape for x in jax.tree.leaves(s)] for s in shapes]
    assert described[0] != described[1]


def test_E1d_initial_std_reaches_the_policy():
    problem = point_robot(num_episodes=1, horizon=2)
    programs = [
        str(jax.make_jaxpr(lambda key, std=std: RL2(**TINY, initial_std=std).init(problem, key))(jax.random.key(0)))
        for std in (0.25, 0.5)
    ]
    assert ["-1.386294" in program for program in programs] == [True, False]  # log ¼


def test_init_looks_at_tasks_and_rewards():
    problem = bernoulli_bandit(2, 3)
    state = quick_jit(lambda key: RL2(**TINY).init(problem, key))(jax.random.key(0))
    assert state.step == 0
    assert (state.meta.task.count, state.meta.reward.count) == (1024, 64 * 3)
    # p ~ U[0, 1]: mean 1/2 and variance 1/12; a uniform policy's rewards: mean 1/2.
    np.testing.assert_array_less(np.abs(state.meta.task.mean - 0.5), 4 / np.sqrt(12 * 1024))
    assert abs(state.meta.reward.mean - 0.5) < 4 * np.sqrt((1 / 12 * 3 + 1 / 6) / (64 * 3))
    assert (state.meta.network.critic.out.weight == 0).all()


# ---------------------------------------------------------------- scale, seeds, devices


def test_E13_scale_of_rewards_changes_nothing():
    # A power of two is exact in floating point, so nothing may differ but the rewards' moments.
    algorithm = RL2(**TINY)
    scaled = odd_bandit(2, 3, scale=1024.0)
    updates = {
        1.0: _update("bandit", algorithm)[1],
        1024.0: quick_jit(lambda state: algorithm.update(scaled, state)),
    }
    states, returns = {}, {}
    for scale, update in updates.items():
        state = _with_rewards(random_state(algorithm, scaled), 0.5 * scale, 0.2 * scale**2)
        returns[scale] = []
        for _ in range(5):
            state, metrics = update(state)
            returns[scale].append(float(metrics["return"]) / scale)
        states[scale] = state.meta
    assert returns[1.0] == returns[1024.0]
    for a, b in zip(*(jax.tree.leaves(meta.network) for meta in states.values()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(states[1024.0].reward.mean, 1024 * states[1.0].reward.mean, rtol=1e-6)
    np.testing.assert_allclose(states[1024.0].reward.std, 1024 * states[1.0].reward.std, rtol=1e-6)


def test_same_seed_gives_the_same_parameters_and_another_does_not():
    algorithm = RL2(**TINY)
    state = _updated(algorithm, 3)
    assert same(state, _updated(algorithm, 3))
    problem, update = _update("bandit", algorithm)
    other = replace(random_state(algorithm, problem), key=jax.random.key(1))
    for _ in range(3):
        other, _ = update(other)
    assert not same(state.meta.network, other.meta.network)


class Recorded(UniformBernoulliArms):
    """Tells the host every task that is drawn from it."""

    def sample(self, key):
        task = super().sample(key)
        jax.debug.callback(lambda x: RECORD.append(np.asarray(x).tobytes()), task.probabilities)
        return task


RECORD: list[bytes] = []


def _on_two_devices(algorithm, problem, state, one_device_update):
    """Do 3 updates on one device and on two; both must come to the same."""
    both = quick_jit(parallel.over_devices(lambda state: algorithm.update(problem, state), 2))
    one = two = state
    for _ in range(3):
        one, one_metrics = one_device_update(one)
        two, two_metrics = both(two)
    jax.effects_barrier()
    # Parameters are of order one. Sums in another order differ by 1e-7 or so, and Adam divides by small numbers.
    for a, b in zip(jax.tree.leaves(one.meta), jax.tree.leaves(two.meta), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    assert one_metrics.keys() == two_metrics.keys()
    for name, value in one_metrics.items():
        np.testing.assert_allclose(value, two_metrics[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_E20_E21_tasks_of_all_updates_and_devices_are_distinct_and_not_held_out():
    problem = make_problem(OddBandit(2), lambda split: Recorded(2, split), 3)
    algorithm = RL2(**TINY)
    RECORD.clear()
    _on_two_devices(algorithm, problem, random_state(algorithm, problem), _update("bandit", algorithm)[1])
    assert len(RECORD) == 3 * 8
    assert len(set(RECORD)) == 3 * 8
    marks = {int(bits) & 3 for task in RECORD for bits in np.frombuffer(task, np.int32)}
    assert marks == {0, 1}  # validation and test tasks are marked 2 and 3


def test_E20_devices_whose_episodes_differ_in_length_agree_with_one():
    problem, update = _update("early ends", ONE_STEP)
    state = _with_rewards(random_state(ONE_STEP, problem), 50.0, 1e3)
    _on_two_devices(ONE_STEP, problem, state, update)
