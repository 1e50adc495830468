import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.spaces import Box, Discrete
from adaptax.networks import Critic, Linear, PolicyHead, Readout, SoftPolicyHead
from adaptax.networks.distributions import Categorical, Normal, SquashedNormal
from adaptax.networks.heads import LOG_STD_BOUNDS, orthogonal
from tests.sample_problems import quick_jit

RNG = np.random.default_rng(0)


def _draw(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
def test_linear_is_a_matrix_product(batch, key):
    layer = Linear(3, 2, 1.0, key)
    layer = jax.tree.map(lambda x: x + 1.0, layer)
    x = _draw(*batch, 3)
    np.testing.assert_allclose(layer(x), np.asarray(x) @ np.asarray(layer.weight) + np.asarray(layer.bias), rtol=1e-5)


def test_linear_starts_orthogonal_and_without_bias(key):
    layer = Linear(6, 4, 0.5, key)
    np.testing.assert_allclose(layer.weight.T @ layer.weight, 0.25 * np.eye(4), atol=1e-6)
    np.testing.assert_array_equal(layer.bias, 0)


@pytest.mark.compiles
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (64, 4), (4, 64), (128, 128)])
def test_orthogonal_weights_are_those_of_jax(shape, key):
    # JAX's come from LAPACK's QR decomposition of the same normal numbers.
    matrix = quick_jit(lambda key: orthogonal(key, shape))(key)
    np.testing.assert_allclose(matrix, jax.nn.initializers.orthogonal()(key, shape), atol=1e-5)
    tall = matrix if shape[0] >= shape[1] else matrix.T
    np.testing.assert_allclose(tall.T @ tall, np.eye(min(shape)), atol=1e-6)


def test_orthogonal_weights_of_many_learners_at_once(key):
    keys = jax.random.split(key, 3)
    together = quick_jit(jax.vmap(lambda key: orthogonal(key, (6, 4))))(keys)
    for matrix, own in zip(together, keys, strict=True):
        np.testing.assert_allclose(matrix, orthogonal(own, (6, 4)), atol=1e-6)
    assert len(np.unique(together)) == together.size


def test_linear_of_nothing_is_its_bias(key):
    layer = Linear(0, 2, 1.0, key)
    np.testing.assert_array_equal(layer(jnp.zeros((5, 0))), np.zeros((5, 2)))


def test_discrete_policy_starts_nearly_uniform(key):
    policy = PolicyHead(8, Discrete(5), 0.5, key)(_draw(3, 4, 8))
    assert isinstance(policy, Categorical)
    assert policy.logits.shape == (3, 4, 5)
    np.testing.assert_allclose(jnp.exp(policy.log_probs()), 0.2, atol=0.02)


@pytest.mark.compiles
@pytest.mark.parametrize(("shape", "size"), [((), 1), ((2,), 2), ((2, 3), 6)])
def test_continuous_policy_starts_at_zero_with_its_deviation(shape, size, key):
    head = PolicyHead(8, Box(shape), 0.3, key)
    policy = head(_draw(4, 8))
    assert isinstance(policy, Normal)
    assert policy.mean.shape == policy.log_std.shape == (4, size)
    np.testing.assert_allclose(policy.mean, 0, atol=0.1)
    np.testing.assert_allclose(jnp.exp(policy.log_std), 0.3, rtol=1e-6)
    gradient = jax.grad(lambda head: head(_draw(4, 8)).log_std.sum())(head)
    np.testing.assert_array_equal(gradient.log_std, np.full(size, 4))


@functools.cache
def _fresh_critic(task_size):
    return quick_jit(lambda key: Critic(5, task_size, 6, key))(jax.random.key(0))


def _critic(task_size):
    return jax.tree.map(lambda x: x + _draw(*x.shape), _fresh_critic(task_size))


def test_critic_starts_at_the_average_reward():
    values = _fresh_critic(2)(_draw(3, 4, 5), _draw(4, 2))
    np.testing.assert_array_equal(values, np.zeros((3, 4)))


def test_critic_against_numpy():
    critic = _critic(2)
    memory, task = _draw(3, 4, 5), _draw(4, 2)
    layer = lambda linear, x: np.asarray(x) @ np.asarray(linear.weight) + np.asarray(linear.bias)  # noqa: E731
    expected = np.zeros((3, 4))
    for t in range(3):
        first = layer(critic.from_memory, memory[t]) + layer(critic.from_task, task)
        first = first + layer(critic.from_time, np.asarray([t / 2]))
        expected[t] = layer(critic.out, np.tanh(layer(critic.hidden, np.tanh(first))))[:, 0]
    np.testing.assert_allclose(critic(memory, task), expected, rtol=1e-4, atol=1e-5)


def test_uninformed_critic_does_not_see_the_task():
    critic = _critic(0)
    assert critic.from_task is None
    memory = _draw(3, 4, 5)
    np.testing.assert_array_equal(critic(memory, _draw(4, 2)), critic(memory, _draw(4, 2)))


def test_critic_keeps_tasks_apart():
    critic = _critic(2)
    slope = jax.jacobian(lambda task: critic(_draw(3, 4, 5), task)[0])(_draw(4, 2))  # [task, task, feature]
    own = np.abs(np.asarray(slope)).sum(-1)
    assert (np.diag(own) > 0).all()
    assert (own[~np.eye(4, dtype=bool)] == 0).all()


def test_trial_of_one_step():
    assert jnp.isfinite(_critic(2)(_draw(1, 4, 5), _draw(4, 2))).all()


@pytest.mark.parametrize("batch", [(), (4,), (3, 4)])
def test_readout_against_numpy(batch, key):
    readout = jax.tree.map(lambda x: x + _draw(*x.shape), Readout(5, 3, 6, key))
    memory, observation = _draw(*batch, 5), _draw(*batch, 3)
    layer = lambda linear, x: np.asarray(x) @ np.asarray(linear.weight) + np.asarray(linear.bias)  # noqa: E731
    before = layer(readout.from_memory, memory) + layer(readout.from_observation, observation)
    np.testing.assert_allclose(readout(memory, observation), np.maximum(before, 0), rtol=1e-4, atol=1e-5)


def test_readout_selects_from_memory_by_observation():
    # Unit i lets m_i through where observation i is seen, and nothing elsewhere: what no linear layer can do.
    readout = Readout(3, 3, 3, jax.random.key(0))
    weights = (jnp.eye(3), jnp.zeros(3), 10 * jnp.eye(3), jnp.full(3, -10.0))
    readout = jax.tree.unflatten(jax.tree.structure(readout), weights)
    memory = jnp.asarray([0.3, 0.5, 0.7])
    found = readout(jnp.broadcast_to(memory, (3, 3)), jnp.eye(3))
    np.testing.assert_allclose(found, np.diag(memory), atol=1e-5)


def test_readout_of_no_observation(key):
    readout = Readout(5, 0, 6, key)
    memory = _draw(4, 5)
    expected = np.maximum(np.asarray(memory) @ np.asarray(readout.from_memory.weight), 0)
    np.testing.assert_allclose(readout(memory, jnp.zeros((4, 0))), expected, rtol=1e-4, atol=1e-5)


def test_soft_policies_are_squashed_where_there_are_bounds(key):
    features = _draw(4, 5)
    policy = SoftPolicyHead(5, Box((2,), (-1.0, -math.inf), (3.0, math.inf)), key)(features)
    assert isinstance(policy, SquashedNormal)
    assert policy.squashed == (True, False)
    assert policy.mean.shape == policy.log_std.shape == (4, 2)
    everywhere = SoftPolicyHead(5, Box((2,), -1.0, 1.0), key)(1e6 * features)
    assert everywhere.squashed is None
    assert float(jnp.max(everywhere.log_std)) == LOG_STD_BOUNDS[1]
    assert isinstance(SoftPolicyHead(5, Discrete(3), key)(features), Categorical)
