"""The shared inner loop: one step by hand, fresh data for each, and what must not leak."""

import dataclasses
import functools
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import MAML, MetaLSTM, MetaSGD
from adaptax.algorithms.gradient.inner_loop import GradientParams, Theta, normalized
from adaptax.core.types import AgentState, TrainState, replace
from adaptax.networks.distributions import Categorical, Normal
from adaptax.problems import point_robot, tabular_mdp
from tests.algorithms.standard_rl.bandit_by_hand import windows
from tests.claims.enumeration import noise_like
from tests.sample_problems import quick_jit, same

KEY = jax.random.key(0)
MDP = tabular_mdp(num_states=3, num_actions=2, horizon=3, num_episodes=6)
PLAIN = MAML(
    num_layers=0, num_tasks=3, trajectories=4, inner_steps=2, inner_learning_rate=0.5, baseline="none",
    normalize_advantages=False, discount=1.0,
)  # fmt: skip

pytestmark = pytest.mark.compiles


@functools.cache
def collected(algorithm, problem=MDP):
    """θ of order 1, and what was collected with it: leaves `[task, window, time, env, ...]`."""

    def run(key):
        shapes = jax.eval_shape(lambda key: algorithm.begin_meta(problem, key)[0], key)
        meta = noise_like(shapes, 0.5, key)
        return meta, windows(algorithm, problem, TrainState(meta, None, jnp.asarray(0), key))

    return quick_jit(run)(jax.random.key(1))


@functools.cache
def adapt(algorithm):
    """`adapt` in one task from φ_0, for as many windows as there are; φ_0, …, φ_K stacked."""

    def run(meta, windows):
        step = lambda agent, window: (algorithm.adapt(meta, agent, window, KEY), agent.adapted.parameters)  # noqa: E731
        agent, before = jax.lax.scan(step, algorithm.begin(meta, KEY), windows)
        return jax.tree.map(lambda b, a: jnp.concatenate([b, a[None]]), before, agent.adapted.parameters)

    return quick_jit(run)


def task(trajectories, index, windows=slice(None)):
    return jax.tree.map(lambda x: x[index, windows], trajectories)


def by_hand(policy, window, rate):
    """θ + α ∇ mean_t,i [log π(a|s) R_to_go] for a softmax of logits W[s] + b, in NumPy."""
    weight, bias = (np.asarray(x, np.float64) for x in (policy.head.layer.weight, policy.head.layer.bias))
    states, actions = np.asarray(window.timestep.observation), np.asarray(window.action)
    to_go = np.cumsum(np.asarray(window.reward, np.float64)[::-1], 0)[::-1]
    slope = np.zeros_like(weight)
    for time, env in np.ndindex(states.shape):
        p = np.exp(weight[states[time, env]] + bias)
        slope[states[time, env]] += to_go[time, env] * (np.eye(2)[actions[time, env]] - p / p.sum())
    return weight + rate * slope / states.size, bias + rate * slope.sum(0) / states.size


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_E1d_adapted_parameters_are_theta_minus_alpha_times_the_gradient(decay):
    algorithm = dataclasses.replace(PLAIN, inner_decay=decay)
    meta, trajectories = collected(PLAIN)
    path = adapt(algorithm)(meta, task(trajectories, 0))
    for step, rate in [(0, 0.5), (1, 0.5 * decay)]:
        weight, bias = by_hand(jax.tree.map(lambda x, k=step: x[k], path), task(trajectories, 0, step), rate)
        np.testing.assert_allclose(path.head.layer.weight[step + 1], weight, atol=1e-6)
        np.testing.assert_allclose(path.head.layer.bias[step + 1], bias, atol=1e-6)


def test_E3_tasks_in_either_order_and_nothing_in_place():
    meta, trajectories = collected(PLAIN)
    copy = jax.tree.map(np.array, meta)
    first = [adapt(PLAIN)(meta, task(trajectories, i)) for i in (0, 1)]
    second = [adapt(PLAIN)(meta, task(trajectories, i)) for i in (1, 0)]
    assert same(first, second[::-1])
    assert not same(first[0], first[1])
    assert same(jax.tree.map(np.asarray, meta), copy)
    agent = PLAIN.begin(meta, KEY)
    before = jax.tree.map(np.array, agent)
    PLAIN.adapt(meta, agent, task(trajectories, 0, 0), KEY)
    assert same(jax.tree.map(np.asarray, agent), before)


def test_E4_each_step_has_data_of_the_policy_as_it_then_is():
    meta, trajectories = collected(PLAIN)
    path = adapt(PLAIN)(meta, task(trajectories, 0))
    for step in range(3):
        now = jax.tree.map(lambda x, k=step: x[k], path)
        log_probs, _ = PLAIN.log_probs(meta.theta, now, task(trajectories, 0, step), step)
        np.testing.assert_allclose(log_probs, task(trajectories, 0, step).aux["log_prob"], atol=1e-5)
        if step:
            at_first, _ = PLAIN.log_probs(meta.theta, meta.theta.policy, task(trajectories, 0, step), step)
            assert np.abs(at_first - log_probs).max() > 1e-2
    assert not np.array_equal(trajectories.action[0, 0], trajectories.action[0, 1])


@pytest.mark.parametrize("problem", [MDP, point_robot(num_episodes=12, horizon=4)], ids=["discrete", "continuous"])
def test_E5_replaying_gives_the_log_probabilities_of_acting(problem):
    algorithm = MAML(hidden_size=4, num_layers=1, num_tasks=2, trajectories=3, inner_steps=2)
    meta, trajectories = collected(algorithm, problem)
    recomputed = quick_jit(jax.vmap(lambda trajectories: algorithm.recompute(meta, trajectories, KEY)))(trajectories)
    acted = jnp.where(trajectories.valid, trajectories.aux["log_prob"], 0.0)
    np.testing.assert_allclose(recomputed.log_probs, acted, atol=2e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), recomputed.policies, trajectories.aux["policy"]
    )


@pytest.mark.parametrize("baseline", ["linear", "value", "none"])
def test_E6_advantages_are_constants(baseline):
    algorithm = MAML(hidden_size=4, num_layers=1, num_tasks=2, trajectories=3, baseline=baseline)
    meta, trajectories = collected(algorithm)
    window = task(trajectories, 0, 0)
    slopes = jax.grad(lambda meta: jnp.sum(algorithm.advantages(meta, window, jnp.asarray(0)) ** 2))(meta)
    assert all((slope == 0).all() for slope in jax.tree.leaves(slopes))


def test_E6_the_scale_of_rewards_does_not_matter():
    algorithm = dataclasses.replace(PLAIN, normalize_advantages=True, baseline="linear")
    meta, trajectories = collected(PLAIN)
    window = task(trajectories, 0, slice(0, 1))
    larger = replace(window, reward=1000 * window.reward)
    one, other = adapt(algorithm)(meta, window), adapt(algorithm)(meta, larger)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), one, other)
    raw, raw_larger = adapt(PLAIN)(meta, window), adapt(PLAIN)(meta, larger)
    assert np.abs(raw.head.layer.weight - raw_larger.head.layer.weight).max() > 1


def test_E6_a_constant_return_teaches_nothing():
    # Shift invariance: what all episodes have in common cancels, for whatever is left of it is normalised.
    x = jnp.asarray([[1.0, 2.0], [4.0, 9.0]])
    valid = jnp.asarray([[True, True], [True, False]])
    np.testing.assert_allclose(normalized(x + 5, valid), normalized(x, valid), atol=1e-6)
    np.testing.assert_allclose(normalized(7 * x, valid), normalized(x, valid), atol=1e-6)
    mean, std = 7 / 3, np.std([1, 2, 4])
    np.testing.assert_allclose(normalized(x, valid), (np.where(valid, x, mean) - mean) / std, atol=1e-6)
    np.testing.assert_array_equal(normalized(jnp.full((2, 2), 3.0), valid), np.zeros((2, 2)))


def test_advantages_by_hand_with_an_early_end():
    # γ = 1/2, λ = 1, no baseline: discounted rewards to go. The second stream's episode ended in its second step.
    algorithm = dataclasses.replace(PLAIN, discount=0.5)
    meta, trajectories = collected(PLAIN)
    window = task(trajectories, 0, 0)
    cut = lambda x: x[:, :2]  # noqa: E731
    window = replace(
        jax.tree.map(cut, window),
        reward=jnp.asarray([[1.0, 4.0], [2.0, 2.0], [4.0, 0.0]]),
        valid=jnp.asarray([[True, True], [True, True], [True, False]]),
        terminated=jnp.asarray([[False, False], [False, True], [False, False]]),
    )
    found = algorithm.advantages(meta, window, jnp.asarray(0))
    np.testing.assert_allclose(found, [[3.0, 5.0], [4.0, 2.0], [4.0, 0.0]], rtol=1e-6)
    log_probs, _ = algorithm.log_probs(meta.theta, meta.theta.policy, window, 0)
    assert log_probs[2, 1] == 0
    assert (log_probs[:2] < 0).all()


def test_recomputing_inner_steps_changes_nothing():
    meta, trajectories = collected(PLAIN)

    def slope(algorithm):
        def total(theta):
            return jnp.sum(algorithm.recompute(GradientParams(theta), task(trajectories, 0), KEY).log_probs[-1])

        return quick_jit(jax.grad(total))(meta.theta)

    plain, checkpointed = slope(PLAIN), slope(dataclasses.replace(PLAIN, checkpoint=True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), plain, checkpointed)


def test_the_optimizers_memory_starts_anew_in_each_task():
    algorithm = MetaSGD(hidden_size=4, num_layers=0, num_tasks=2, trajectories=2)
    meta, _ = collected(algorithm)
    one, other = algorithm.begin(meta, KEY), algorithm.begin(meta, jax.random.key(9))
    assert isinstance(one, AgentState)
    assert same(one, other)
    assert one.adapted.steps == 0
    assert isinstance(meta.theta, Theta)
    assert jax.tree.structure(meta.theta.learned) == jax.tree.structure(meta.theta.policy)


EXPLORING = MAML(
    num_layers=0, num_tasks=2, trajectories=3, inner_steps=2, initial_std=0.5, exploration_std=2.0,
    exploration_decay=0.2,
)  # fmt: skip


@pytest.mark.parametrize(("steps", "std"), [(0, 2.0), (1, 0.5), (2, 0.5)])
def test_explorers_are_as_wide_as_asked_for(steps, std):
    policy = EXPLORING.exploring(Normal(jnp.ones((3, 2)), jnp.full((3, 2), jnp.log(0.5))), jnp.asarray(steps))
    np.testing.assert_allclose(jnp.exp(policy.log_std), std, rtol=1e-6)
    np.testing.assert_array_equal(policy.mean, 1.0)
    discrete = Categorical(jnp.zeros(3))
    assert EXPLORING.exploring(discrete, jnp.asarray(steps)) is discrete


def test_E5_what_explorers_did_is_replayed_as_they_did_it():
    problem = point_robot(num_episodes=6, horizon=4)
    meta, trajectories = collected(EXPLORING, problem)
    narrow = jnp.full(2, jnp.log(0.1))
    meta = eqx.tree_at(lambda meta: meta.theta.policy.head.log_std, meta, narrow)
    trajectories = quick_jit(lambda key: windows(EXPLORING, problem, TrainState(meta, None, jnp.asarray(0), key)))(KEY)
    recomputed = EXPLORING.recompute(meta, task(trajectories, 0), KEY)
    np.testing.assert_allclose(np.exp(recomputed.policies.log_std[0]), 2.0, rtol=1e-6)
    np.testing.assert_allclose(np.exp(recomputed.policies.log_std[1]), 0.4, rtol=1e-6)
    # Adapted means agree to 1e-6; three deviations of .08 away, that is 4e-5 of a log-density.
    np.testing.assert_allclose(recomputed.log_probs, task(trajectories, 0).aux["log_prob"], rtol=1e-5, atol=4e-5)
    # A deviation that is not the policy's own says nothing about it.
    path = adapt(EXPLORING)(meta, task(trajectories, 0, slice(0, 1)))
    np.testing.assert_array_equal(path.head.log_std[1], path.head.log_std[0])
    assert np.abs(path.head.layer.bias[1] - path.head.layer.bias[0]).max() > 0


@pytest.mark.parametrize("algorithm", [MAML(num_layers=2), MetaLSTM(num_layers=2)])
def test_a_replay_evaluates_the_policy_once_in_each_window(algorithm):
    # The inner gradient and the recomputed policies need the same forward pass; two would be kept for derivatives.
    meta, trajectories = collected(algorithm)
    jaxpr = jax.make_jaxpr(lambda meta: algorithm.recompute(meta, task(trajectories, 0), KEY))(meta)
    (loop,) = (e for e in jaxpr.eqns if e.primitive.name == "scan" and e.params["length"] == algorithm.inner_steps)
    evaluated = re.findall(rf"f32\[{MDP.env.horizon},\d+,{algorithm.hidden_size}\] = tanh", str(loop.params["jaxpr"]))
    assert len(evaluated) == algorithm.num_layers


def padded(trajectories, idle):
    """The same windows with `idle` slots after each, in which nothing happened; leaves `[task, window, time, ...]`."""

    def pad(x):
        return jnp.concatenate([x, jnp.repeat(x[:, :, -1:], idle, 2)], 2)

    longer = jax.tree.map(pad, trajectories)
    happened = jnp.arange(longer.reward.shape[2])[None, None, :, None] < trajectories.reward.shape[2]
    return replace(longer, valid=longer.valid & happened, reward=jnp.where(happened, longer.reward, 0.0))


@pytest.mark.parametrize("idle", [1, 27])
@pytest.mark.parametrize(
    "changes", [{}, {"baseline": "linear", "normalize_advantages": True}], ids=["plain", "default"]
)
def test_E35_slots_in_which_nothing_happened_do_not_make_the_inner_step_smaller(idle, changes):
    algorithm = dataclasses.replace(PLAIN, **changes)
    meta, trajectories = collected(PLAIN)
    lived, longer = (adapt(algorithm)(meta, task(x, 0)) for x in (trajectories, padded(trajectories, idle)))
    moved = max(float(jnp.abs(x[-1] - x[0]).max()) for x in jax.tree.leaves(lived))
    assert moved > 0.05
    for one, other in zip(jax.tree.leaves(lived), jax.tree.leaves(longer), strict=True):
        np.testing.assert_allclose(one, other, atol=0.02 * moved if changes else 1e-6)
