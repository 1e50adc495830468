"""RL²: one update computed again, what every setting does to it, and what scale, seeds and devices do not."""

import dataclasses
import functools
from typing import get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.rl2 import RL2
from adaptax.algorithms.memory.settings import RL2Settings
from adaptax.core import parallel
from adaptax.core.problem import make_problem
from adaptax.core.rollout import run_trial
from adaptax.core.splits import fold_in_name, is_in_split
from adaptax.core.streams import stream, trial_returns
from adaptax.core.types import TimeStep, replace
from adaptax.optimization.losses import masked_mean
from adaptax.optimization.moments import Moments
from adaptax.problems import bernoulli_bandit, point_robot
from adaptax.problems.bandit import UniformBernoulliArms
from tests.sample_problems import TINY, OddBandit, clockwork, odd_bandit, quick_jit, random_state, same

# ---------------------------------------------------------------- one update, computed again


def _numpy_gae(rewards, values, last_values, ended, discount, gae_lambda):
    advantages = np.zeros_like(rewards)
    for task in range(rewards.shape[1]):
        after, next_value = 0.0, last_values[task]
        for t in reversed(range(len(rewards))):
            if ended[t, task]:
                after = next_value = 0.0
            after = rewards[t, task] + discount * next_value - values[t, task] + discount * gae_lambda * after
            advantages[t, task], next_value = after, values[t, task]
    return advantages


def _update_again(algorithm, problem, state):
    """The loss of the first gradient step, from the definitions: advantages and targets are plain numbers."""
    meta = state.meta
    experience = quick_jit(lambda state: algorithm.collect(problem, state))(state)
    update_key = jax.random.fold_in(fold_in_name(state.key, "update"), state.step)
    keys = jax.random.split(update_key, (algorithm.num_tasks, 2))
    tasks = jax.vmap(problem.train.sample)(keys[:, 0])

    def trial(task, key):
        if problem.env.ends_early:
            return stream(algorithm, problem, meta, task, key)[1]
        return run_trial(algorithm, problem, meta, task, key)

    trajectory = quick_jit(jax.vmap(trial, out_axes=1))(tasks, keys[:, 1])
    trajectory = jax.tree.map(lambda x: x.squeeze(2), trajectory)
    assert trajectory.valid.all()
    steps, shape = problem.trial_steps, trajectory.reward.shape
    clock = np.broadcast_to(np.arange(steps)[:, None], shape) if trajectory.clock is None else trajectory.clock
    following = np.asarray(problem.next_clock(clock, trajectory.terminated))
    worth = np.cumsum(algorithm.discount ** np.arange(steps))[::-1]
    to_go = worth[clock]
    center, spread = float(meta.reward.mean), float(meta.reward.std)
    average = np.asarray(algorithm.values(meta, trajectory.aux["hidden"], tasks), np.float64)
    values = to_go * (center + spread * average)
    rewards = np.asarray(trajectory.reward, np.float64)
    last_values = np.zeros(shape[1])
    if experience.extra is not None:
        last = np.asarray(algorithm.values(meta, experience.extra[None, :, 0], tasks), np.float64)[0]
        last_values = worth[following[-1]] * (center + spread * last)
    raw = _numpy_gae(rewards, values, last_values, following == 0, algorithm.discount, algorithm.gae_lambda)
    targets = jnp.asarray(((raw + values) / to_go - center) / spread, jnp.float32)
    advantages = jnp.asarray((raw - raw.mean()) / raw.std(), jnp.float32)

    def loss(network):
        new = replace(meta, network=network)
        hidden, policy = algorithm.recompute(new, trajectory)
        log_prob = policy.log_prob(trajectory.action)
        ratio = jnp.exp(log_prob - trajectory.aux["log_prob"])
        gain = masked_mean(ratio * advantages, trajectory.valid)
        error = masked_mean((algorithm.values(new, hidden, tasks) - targets) ** 2, trajectory.valid)
        entropy = masked_mean(policy.entropy(), trajectory.valid)
        entropy_cost = algorithm.entropy_cost * (1 - int(state.step) / algorithm.num_updates)  # falls to 0
        return algorithm.value_cost * error - gain - entropy_cost * entropy, (error, entropy)

    (_, (error, entropy)), gradient = quick_jit(jax.value_and_grad(loss, has_aux=True))(meta.network)
    norm = np.sqrt(sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(gradient)))
    return {"value_loss": error, "entropy": entropy, "gradient_norm": norm, "return": trial_returns(trajectory).mean()}


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


@pytest.mark.compiles
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


@pytest.mark.compiles
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
SHAPES = {"memory": "gru", "memory_size": 5, "policy_size": 5, "critic_size": 5, "informed_critic": False}

ATTENTIVE = {"memory": "transformer", "memory_size": 4, "memory_heads": 1}
OF_OTHERS = {
    "memory_layers": (2, {"memory": "lru"}),
    "memory_heads": (2, ATTENTIVE),
    "memory_window": (2, ATTENTIVE),
    "policy_network": ("hypernetwork", {}),
    "hyper_init": ("kaiming", {"policy_network": "hypernetwork"}),
    "context_size": (3, {"policy_network": "hypernetwork"}),
}
"""Settings that have an effect only beside others, with those."""


def test_E1d_every_setting_is_in_the_tests_of_settings():
    names = {field.name for field in dataclasses.fields(RL2Settings)}
    elsewhere = {"initial_std", "normalize_observations", "encoder"}  # below; test_normalization.py; test_encoders.py
    assert names == {*STATIC, *TRACED, *SHAPES, *OF_OTHERS, *elsewhere}
    changed = SHAPES | {name: value for name, (value, _) in OF_OTHERS.items()}
    for field in dataclasses.fields(RL2Settings):
        if get_origin(field.type) is not None:
            assert changed[field.name] in get_args(field.type)


@pytest.mark.compiles
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


@pytest.mark.compiles
@pytest.mark.parametrize("name", TRACED)
def test_E1d_every_number_changes_what_is_learned(name):
    assert not same(_updated_with(), _updated_with(**{name: TRACED[name]}))


@pytest.mark.compiles
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


@pytest.mark.parametrize("name", OF_OTHERS)
def test_E1d_every_setting_that_goes_with_others_changes_what_acts(name):
    problem = bernoulli_bandit(2, 3)
    value, beside = OF_OTHERS[name]

    def act(algorithm, key):
        meta = algorithm.init(problem, key).meta
        nothing = TimeStep(jnp.zeros(0), jnp.asarray(-1), jnp.zeros(()), jnp.asarray(True))
        return algorithm.act(meta, algorithm.begin(meta, key), nothing, key, explore=False)

    agents = RL2(**TINY | beside), RL2(**TINY | beside | {name: value})
    programs = [str(jax.make_jaxpr(lambda key, a=a: act(a, key))(jax.random.key(0))) for a in agents]
    assert programs[0] != programs[1]


def test_E1d_initial_std_reaches_the_policy():
    problem = point_robot(num_episodes=1, horizon=2)
    programs = [
        str(jax.make_jaxpr(lambda key, std=std: RL2(**TINY, initial_std=std).init(problem, key))(jax.random.key(0)))
        for std in (0.25, 0.5)
    ]
    assert ["-1.386294" in program for program in programs] == [True, False]  # log ¼


@pytest.mark.compiles
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


@pytest.mark.compiles
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


@pytest.mark.compiles
def test_E20_E21_tasks_of_all_updates_and_devices_are_distinct_and_not_held_out():
    problem = make_problem(OddBandit(2), lambda split: Recorded(2, split), 3)
    algorithm = RL2(**TINY)
    RECORD.clear()
    _on_two_devices(algorithm, problem, random_state(algorithm, problem), _update("bandit", algorithm)[1])
    assert len(RECORD) == 3 * 8
    assert len(set(RECORD)) == 3 * 8
    assert all(is_in_split(jnp.frombuffer(task, jnp.float32), "train") for task in RECORD)


@pytest.mark.compiles
def test_E20_devices_whose_episodes_differ_in_length_agree_with_one():
    problem, update = _update("early ends", ONE_STEP)
    state = _with_rewards(random_state(ONE_STEP, problem), 50.0, 1e3)
    _on_two_devices(ONE_STEP, problem, state, update)
