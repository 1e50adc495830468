import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.spaces import Box, Discrete
from adaptax.networks import MLP, Policy
from adaptax.networks.distributions import Categorical, Normal

RNG = np.random.default_rng(0)
ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


def _draw(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def _shaken(module):
    return jax.tree.map(lambda x: x + _draw(*x.shape), module)


def _dense(layer, x):
    return np.asarray(x) @ np.asarray(layer.weight) + np.asarray(layer.bias)


@pytest.mark.compiles
@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_layers_against_numpy(activation, batch, key):
    network = _shaken(MLP(3, (5, 2), activation, key))
    x = _draw(*batch, 3)
    hidden = ACTIVATIONS[activation](_dense(network.layers[0], x))
    expected = ACTIVATIONS[activation](_dense(network.layers[1], hidden))
    np.testing.assert_allclose(network(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("activation", "square"), [("tanh", 1.0), ("relu", 2.0)])
def test_layers_start_orthogonal_with_the_gain_of_their_activation(activation, square, key):
    network = MLP(6, (4, 4), activation, key)
    for layer in network.layers:
        np.testing.assert_allclose(layer.weight.T @ layer.weight, square * np.eye(4), atol=1e-5)
    assert not np.allclose(network.layers[0].weight[:4], network.layers[1].weight)


def test_no_layers_at_all(key):
    x = _draw(4, 3)
    np.testing.assert_array_equal(MLP(3, (), "tanh", key)(x), x)
    policy = _shaken(Policy(Box((3,)), Discrete(2), (), key))
    np.testing.assert_allclose(policy(x).logits, _dense(policy.head.layer, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
def test_discrete_observations_and_actions(batch, key):
    policy = _shaken(Policy(Discrete(3), Discrete(2), (5,), key))
    observation = jnp.asarray(RNG.integers(3, size=batch), jnp.int32)
    action = jnp.asarray(RNG.integers(2, size=batch), jnp.int32)
    logits = _dense(policy.head.layer, np.tanh(_dense(policy.body.layers[0], np.eye(3)[observation])))
    out = policy(observation)
    assert isinstance(out, Categorical)
    np.testing.assert_allclose(out.logits, logits, rtol=1e-5, atol=1e-6)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = np.take_along_axis(log_probs, np.asarray(action)[..., None], -1)[..., 0]
    np.testing.assert_allclose(policy.log_prob(observation, action), expected, rtol=1e-4, atol=1e-5)


def test_continuous_actions_are_in_units_of_half_their_range(key):
    space = Box((2,), -0.1, 0.1)
    policy = Policy(Box((3,)), space, (5,), key, initial_std=0.5)
    x = _draw(4, 3)
    out = policy(x)
    assert isinstance(out, Normal)
    np.testing.assert_allclose(jnp.exp(out.log_std), 0.5, rtol=1e-6)
    np.testing.assert_allclose(out.mean, 0, atol=0.1)
    action = 0.1 * _draw(4, 2)
    np.testing.assert_allclose(policy.log_prob(x, action), out.log_prob(action / 0.1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sizes", [(), (5,)])
def test_a_context_is_appended_to_every_observation(sizes, key):
    policy = _shaken(Policy(Box((3,)), Discrete(2), sizes, key, context_size=2))
    plain = Policy(Box((5,)), Discrete(2), sizes, key)
    same_weights = jax.tree.unflatten(jax.tree.structure(plain), jax.tree.leaves(policy))
    x, context = _draw(4, 6, 3), _draw(2)
    together = jnp.concatenate([x, jnp.broadcast_to(context, (4, 6, 2))], -1)
    np.testing.assert_array_equal(policy(x, context).logits, same_weights(together).logits)
    action = jnp.zeros((4, 6), jnp.int32)
    np.testing.assert_array_equal(policy.log_prob(x, action, context), same_weights.log_prob(together, action))


def test_a_policy_that_sees_nothing(key):
    policy = _shaken(Policy(Box((0,)), Discrete(3), (4,), key))
    logits = policy(jnp.zeros((5, 0))).logits
    assert logits.shape == (5, 3)
    np.testing.assert_array_equal(logits, jnp.broadcast_to(logits[0], (5, 3)))


def test_body_and_head_start_differently_for_each_key():
    one, other = (Policy(Box((3,)), Discrete(2), (3,), jax.random.key(i)) for i in range(2))
    assert not np.allclose(one.body.layers[0].weight, other.body.layers[0].weight)
    assert not np.allclose(one.head.layer.weight, other.head.layer.weight)
