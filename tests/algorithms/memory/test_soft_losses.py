"""What steps are worth, what was said of them and what the policy is to minimise, against sums over all actions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.algorithms.memory.soft_losses import CriticScale, Reading, judge
from adaptax.networks.distributions import Categorical, MultiCategorical
from adaptax.optimization.value_categories import ValueCategories

RNG = np.random.default_rng(0)
NUMS, ALPHA = (2, 3), 0.3
REMAINING = np.asarray([[1.5], [1.0]], np.float32)


def _numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def _said(outputs):
    """Critics that say so, whatever they are asked."""
    return lambda hidden, task, time, action=None: tuple(map(jnp.asarray, outputs))


def _reading(policy, action):
    nothing = jnp.zeros((2, 1, 1))
    time, keys = jnp.zeros((2, 1)), jax.random.split(jax.random.key(0), 1)
    where = jnp.asarray(REMAINING), time
    return Reading(policy, nothing, nothing, jnp.zeros((1, 0)), action, *where, jnp.asarray(ALPHA), keys)


def _probabilities(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_several_choices_at_once_are_expectations_over_all_their_combinations():
    logits, now, old = _numbers(2, 1, 5), _numbers(2, 2, 1, 6), _numbers(2, 2, 1, 6)
    logits[0, 0, 3] = -1e9  # one that is not legal
    action = jnp.asarray([[4], [1]], jnp.int32)
    reading = _reading(MultiCategorical.of(jnp.asarray(logits), NUMS), action)
    judged = judge(reading, _said(now), _said(old), CriticScale(None))
    for t in range(2):
        first, second = _probabilities(logits[t, 0, :2]), _probabilities(logits[t, 0, 2:])
        value = entropy = loss = 0.0
        for index, (i, j) in enumerate(itertools.product(range(2), range(3))):
            p = first[i] * second[j]
            if p == 0:
                continue
            value += p * (REMAINING[t, 0] * old[:, t, 0, index].min() - ALPHA * np.log(p))
            loss += p * (ALPHA * np.log(p) - REMAINING[t, 0] * now[:, t, 0, index].min())
            entropy -= p * np.log(p)
        found = [np.asarray(x)[t, 0] for x in (judged.values, judged.actor_loss, judged.entropy)]
        np.testing.assert_allclose(found, [value, loss, entropy], rtol=1e-5)
        for said, outputs in zip(judged.outputs, now, strict=True):
            np.testing.assert_array_equal(said[t, 0], outputs[t, 0, [4, 1][t]][None])


def test_one_choice_of_many_is_the_same_as_several_of_one():
    logits, now, old = _numbers(2, 1, 4), _numbers(2, 2, 1, 4), _numbers(2, 2, 1, 4)
    action = jnp.asarray([[3], [0]], jnp.int32)
    policies = Categorical(jnp.asarray(logits)), MultiCategorical.of(jnp.asarray(logits), (4,))
    one, several = (judge(_reading(policy, action), _said(now), _said(old), CriticScale(None)) for policy in policies)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(several), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_scale_reads_averages_and_categories():
    plain, classes = CriticScale(None), CriticScale(ValueCategories(3, 10.0))
    assert (plain.width, classes.width) == (1, 3)
    outputs = jnp.asarray([[[0.5, 2.0]]])
    np.testing.assert_allclose(plain.values(outputs, jnp.asarray([[3.0]])), [[[1.5, 6.0]]])
    np.testing.assert_allclose(plain.loss(outputs[..., 1:], jnp.asarray([[1.0]])), [[0.5]])
    certain = jnp.asarray([[[-99.0, 99.0, -99.0, -99.0, -99.0, 99.0]]])  # 0, and 10
    np.testing.assert_allclose(classes.values(certain, jnp.asarray([[3.0]])), [[[0.0, 30.0]]], atol=1e-4)
    np.testing.assert_array_equal(classes.of_action(certain, jnp.asarray([[1]])), certain[..., 3:])
    np.testing.assert_allclose(classes.loss(certain[..., 3:], jnp.asarray([[10.0]])), 0, atol=1e-6)
