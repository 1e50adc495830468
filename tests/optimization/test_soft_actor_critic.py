import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.errors import UseError
from adaptax.core.spaces import Box, Discrete, MultiDiscrete
from adaptax.optimization import soft_actor_critic as sac

HALF = jnp.asarray(0.5)


def _pair(first, second):
    return jnp.asarray(first), jnp.asarray(second)


def test_the_value_of_a_draw_by_hand():
    # The least of (3, 2) is 2; α = 1/2, log π = −4: 2 + 2 = 4. Of (1, 5): 1 − 1/2 · 2 = 0.
    values = sac.soft_value(_pair([3.0, 1.0], [2.0, 5.0]), jnp.asarray([-4.0, 2.0]), HALF)
    np.testing.assert_array_equal(values, [4.0, 0.0])


def test_the_value_of_all_actions_by_hand():
    # π = (1/4, 3/4), least of both critics (2, −1): 1/4 · 2 − 3/4 = −1/4; H = ¼ log 4 + ¾ log(4/3); α = 1/2.
    log_probs = jnp.log(jnp.asarray([0.25, 0.75]))
    entropy = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    value = sac.soft_value_of_all(_pair([2.0, 7.0], [3.0, -1.0]), log_probs, HALF)
    np.testing.assert_allclose(value, -0.25 + 0.5 * entropy, rtol=1e-6)


def test_illegal_actions_do_not_count():
    log_probs = jnp.asarray([0.0, -1e9])
    value = sac.soft_value_of_all(_pair([2.0, 1e6], [2.0, 1e6]), log_probs, HALF)
    np.testing.assert_array_equal(value, 2.0)
    gradient = jax.grad(lambda x: sac.actor_loss_of_all(_pair([2.0, 1e6], [2.0, 1e6]), x, HALF))(log_probs)
    assert np.isfinite(gradient).all()


def test_E11_targets_end_at_terminations_only():
    targets = sac.soft_targets(
        jnp.asarray([1.0, 1.0]), jnp.asarray([8.0, 8.0]), jnp.asarray([False, True]), discount=0.5
    )
    np.testing.assert_array_equal(targets, [5.0, 1.0])


def test_no_gradient_goes_through_targets():
    def target(value):
        return sac.soft_targets(jnp.ones(()), value, jnp.asarray(False), 0.9)

    assert jax.grad(target)(jnp.asarray(3.0)) == 0.0


def test_the_critics_loss_by_hand():
    # ½ (3 − 1)² + ½ (0 − 1)² = 2.5
    np.testing.assert_array_equal(sac.twin_critic_loss(_pair([3.0], [0.0]), jnp.asarray([1.0])), [2.5])


def test_the_actors_loss_is_less_the_value_and_moves_no_temperature():
    qualities, log_prob = _pair([3.0], [2.0]), jnp.asarray([-4.0])
    np.testing.assert_array_equal(sac.actor_loss(qualities, log_prob, HALF), [-4.0])
    assert jax.grad(lambda alpha: sac.actor_loss(qualities, log_prob, alpha)[0])(HALF) == 0.0
    # dQ/da reaches the actor through the least critic only.
    slopes = jax.grad(lambda q: sac.actor_loss(q, log_prob, HALF)[0])(qualities)
    np.testing.assert_array_equal(slopes, ([0.0], [-1.0]))


def test_discrete_actors_descend_to_the_boltzmann_policy():
    # The minimum of Σ π (α log π − Q) is π = softmax(Q / α), and its value −α log Σ exp(Q / α).
    least = jnp.asarray([1.0, 0.0, -0.5])
    qualities = (least, least + jnp.asarray([2.0, 0.0, 1.0]))

    def loss(logits):
        return sac.actor_loss_of_all(qualities, jax.nn.log_softmax(logits), HALF)

    best = least / 0.5
    np.testing.assert_allclose(jax.grad(loss)(best), jnp.zeros(3), atol=1e-6)
    np.testing.assert_allclose(loss(best), -0.5 * jax.nn.logsumexp(best), rtol=1e-6)
    assert loss(best + jnp.asarray([0.3, 0.0, -0.2])) > loss(best)


def test_the_temperature_follows_the_entropy():
    slope = jax.grad(lambda x: jnp.mean(sac.temperature_loss(x, jnp.asarray([1.0, 3.0]), 1.5)))
    assert slope(jnp.asarray(-2.0)) == 0.5  # above what is wanted by ½: descending makes α smaller
    assert slope(jnp.asarray(4.0)) == 0.5
    assert jax.grad(lambda h: sac.temperature_loss(jnp.asarray(1.0), h, 1.5))(jnp.asarray(2.0)) == 0.0


@pytest.mark.parametrize(
    ("space", "wanted"),
    [
        (Box((3,), -2.0, 2.0), -3.0),
        (Discrete(4), 0.5 * math.log(4)),
        (MultiDiscrete((2, 3)), 0.5 * (math.log(2) + math.log(3))),
    ],
)
def test_entropies_that_are_wanted(space, wanted):
    assert math.isclose(sac.target_entropy(space, 0.5), wanted)


def test_averages_over_time_by_hand():
    averaged = sac.polyak(
        {"w": jnp.asarray([0.0, 4.0]), "n": jnp.asarray(1)}, {"w": jnp.asarray([4.0, 0.0]), "n": jnp.asarray(2)}, 0.25
    )
    np.testing.assert_array_equal(averaged["w"], [1.0, 3.0])
    assert averaged["n"] == 2


def test_the_entropy_that_is_wanted_is_a_share_of_that_of_what_is_legal():
    legal = jnp.asarray([[True, True, True, False, False], [False, False, True, False, True], [True] * 5])
    wanted = sac.target_entropy(MultiDiscrete((2, 3)), 0.5, legal)
    # The second row's first choice has nothing legal, so it is free.
    by_hand = [0.5 * (math.log(2) + math.log(1)), 0.5 * (math.log(2) + math.log(2)), 0.5 * (math.log(2) + math.log(3))]
    np.testing.assert_allclose(wanted, by_hand, rtol=1e-6)


def test_more_combinations_than_values_are_refused():
    sac.check_combinations(MultiDiscrete((2,) * 10), "PEARL")
    sac.check_combinations(Discrete(5000), "PEARL")
    sac.check_combinations(Box((3,)), "PEARL")
    with pytest.raises(UseError, match=r"PEARL: expected at most 1024 combinations .* found 2048.*Try rl2"):
        sac.check_combinations(MultiDiscrete((2,) * 11), "PEARL")
