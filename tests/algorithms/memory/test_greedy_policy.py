"""ε-greedy policies and double Q-learning's values, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.greedy_policy import GreedyHead, judge_greedily
from adaptax.algorithms.memory.soft_losses import CriticScale
from adaptax.core.spaces import Discrete, MultiDiscrete
from adaptax.optimization.value_categories import ValueCategories

NO, YES = False, True


def _head(space, epsilon):
    return GreedyHead(None, jnp.asarray(epsilon), space, CriticScale(None))


def test_the_best_legal_action_or_any():
    policy = _head(Discrete(4), 0.3)(jnp.asarray([1.0, 5.0, 3.0, 2.0]), jnp.asarray([YES, NO, YES, YES]))
    np.testing.assert_allclose(jnp.exp(policy.log_probs()), [0.1, 0, 0.8, 0.1], atol=1e-5)
    assert policy.mode() == 2
    uniform = _head(Discrete(4), 1.0)(jnp.asarray([1.0, 5.0, 3.0, 2.0]))
    np.testing.assert_allclose(jnp.exp(uniform.log_probs()), 0.25, atol=1e-5)
    assert uniform.mode() == 1


def test_without_chance_it_is_the_best():
    policy = _head(Discrete(3), 0.0)(jnp.asarray([[1.0, 0.0, 2.0], [0.0, -1.0, -2.0]]))
    np.testing.assert_array_equal(jnp.exp(policy.log_probs()), [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_none_make_actions_that_are_none(bad):
    for space, none in ((Discrete(3), -1), (MultiDiscrete((3,)), [-1])):
        policy = _head(space, 0.3)(jnp.asarray([1.0, bad, 0.0]))
        np.testing.assert_array_equal(policy.mode(), none)
        np.testing.assert_array_equal(policy.sample(jax.random.key(0)), none)


def test_several_choices_are_chosen_together():
    scale = CriticScale(None)
    head = GreedyHead.build(2, MultiDiscrete((2, 3)), scale, jax.random.key(0))
    assert head.layer.weight.shape == (2, 6)
    assert (
        GreedyHead.build(2, Discrete(5), CriticScale(ValueCategories(3, 1.0)), jax.random.key(0)).layer.bias.size == 15
    )
    # Best of all is (1, 1), which is not legal, as the second choice's 1 is not; then (0, 2).
    head = GreedyHead(head.layer, jnp.asarray(0.4), head.space, scale)
    bias = jnp.asarray([0.0, 1.0, 4.0, 2.0, 9.0, 3.0])
    object.__setattr__(head.layer, "bias", bias)
    policy = head(jnp.zeros(2), jnp.asarray([YES, YES, YES, NO, YES]))
    np.testing.assert_array_equal(policy.mode(), [0, 2])
    chances = [float(jnp.exp(policy.log_prob(jnp.asarray([i, j])))) for i in range(2) for j in range(3)]
    np.testing.assert_allclose(chances, [0.1, 0, 0.7, 0.1, 0, 0.1], atol=1e-5)
    drawn = jax.vmap(policy.sample)(jax.random.split(jax.random.key(1), 500))
    assert {tuple(x) for x in np.asarray(drawn).tolist()} == {(0, 0), (0, 2), (1, 0), (1, 2)}


def test_a_choice_of_which_nothing_is_legal_is_free():
    legal = _head(MultiDiscrete((2, 2)), 0.0).legal(jnp.asarray([NO, NO, YES, NO]))
    np.testing.assert_array_equal(legal, [YES, NO, YES, NO])


def test_double_q_learning_asks_one_what_is_best_and_the_other_what_it_is_worth():
    now, old = (
        jnp.asarray([[[1.0, 2.0, 9.0]], [[5.0, 0.0, 0.0]]]),
        jnp.asarray([[[10.0, 20.0, 30.0]], [[7.0, 8.0, 9.0]]]),
    )
    action, legal = jnp.asarray([[0], [2]]), jnp.asarray([[[YES, YES, NO]], [[YES, YES, YES]]])
    remaining = jnp.asarray([[2.0], [1.0]])
    judged = judge_greedily(_head(Discrete(3), 0.5), (now, old), action, legal, remaining)
    np.testing.assert_allclose(judged.values[:, 0], [2 * 20, 7])
    np.testing.assert_allclose(judged.outputs[0][:, 0, 0], [1, 0])
    assert not judged.entropy.any()
    assert not judged.actor_loss.any()
