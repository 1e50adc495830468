"""Outer optimisers on toys whose steps are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from adaptax.networks.distributions import Categorical, Normal, kl_divergence
from adaptax.optimization.outer_optimizers import (
    TRPO,
    Ascent,
    Outcome,
    PPOStep,
    conjugate_gradient,
    importance_weighted,
)
from tests.sample_problems import quick_jit

ONES = jnp.ones((4, 1))
START = {"logits": jnp.asarray([0.5, -0.2, 0.1])}
VALUES = jnp.asarray([1.0, 0.0, -2.0])


def policies(parameters, batch):
    return Categorical(batch * parameters["logits"][None]), batch[:, 0] > 0


def objective(loss):
    def outcome(parameters, batch):
        value, metrics = loss(parameters, batch)
        return Outcome(value, *policies(parameters, batch), metrics)

    return outcome


def regret(parameters, batch):
    """Minus the expected value of a softmax bandit: what a surrogate's expectation is."""
    return -jnp.mean(batch) * (jax.nn.softmax(parameters["logits"]) @ VALUES), {"seen": jnp.sum(batch)}


def test_E5_log_probabilities_are_sums_and_ratios_are_1_where_the_policy_acted():
    for size in (1, 2, 6):
        keys = jax.random.split(jax.random.key(size), 3)
        mean, log_std, action = (jax.random.normal(k, (5, size)) for k in keys)
        log_prob = Normal(mean, log_std).log_prob(action)
        density = stats.norm(np.asarray(mean), np.exp(log_std)).logpdf(np.asarray(action)).sum(-1)
        np.testing.assert_allclose(log_prob, density, rtol=1e-4)
        np.testing.assert_array_equal(importance_weighted(log_prob, log_prob, log_prob), log_prob)
        further = Normal(mean + jnp.exp(log_std), log_std)
        np.testing.assert_allclose(kl_divergence(Normal(mean, log_std), further), np.full(5, size / 2), rtol=1e-4)


def test_ascent_is_one_step_of_the_optimizer():
    ascent = Ascent(optax.sgd(0.1))
    stepped, _, metrics = ascent.improve(objective(regret), START, ascent.init(START), ONES)
    slope = jax.grad(lambda p: regret(p, ONES)[0])(START)["logits"]
    np.testing.assert_allclose(stepped["logits"], START["logits"] - 0.1 * slope, rtol=1e-6)
    np.testing.assert_allclose(metrics["gradient_norm"], np.linalg.norm(slope), rtol=1e-6)
    assert metrics["seen"] == 4


def test_ppo_takes_as_many_steps_as_epochs_and_minibatches_say():
    ppo = PPOStep(optax.sgd(0.1), clip=0.2, num_epochs=3, num_minibatches=2)
    loss = lambda p, batch: (jnp.mean(batch) * p["x"], {})  # noqa: E731
    batch = jnp.asarray([[1.0], [1.0], [3.0], [3.0]])
    start = {"logits": START["logits"], "x": jnp.asarray(0.0)}
    stepped, _, _ = ppo.improve(objective(loss), start, ppo.init(start), batch)
    np.testing.assert_allclose(stepped["x"], -0.1 * 3 * (1 + 3), rtol=1e-6)


def test_ppo_clips():
    ratio = jnp.asarray([0.5, 1.0, 1.5])
    gain = lambda advantage: PPOStep(optax.sgd(0.1), clip=0.2).surrogate(jnp.log(ratio), jnp.zeros(3), advantage)  # noqa: E731
    np.testing.assert_allclose(gain(jnp.ones(3)), [0.5, 1.0, 1.2], rtol=1e-6)
    np.testing.assert_allclose(gain(-jnp.ones(3)), [-0.8, -1.0, -1.5], rtol=1e-6)


def _improve(trust, loss, batch=ONES):
    return quick_jit(lambda p: trust.improve(objective(loss), p, (), batch))(START)


@pytest.mark.compiles
@pytest.mark.parametrize("max_kl", [1e-3, 0.05, 1.0])
def test_E7_the_accepted_step_keeps_the_kl_and_the_loss_falls(max_kl):
    stepped, _, metrics = _improve(TRPO(max_kl), regret)
    kl = kl_divergence(Categorical(START["logits"]), Categorical(stepped["logits"]))
    np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-3, atol=1e-7)
    assert 0.3 * max_kl < kl <= max_kl * (1 + 1e-5)
    fall = regret(START, ONES)[0] - regret(stepped, ONES)[0]
    assert fall > 0
    assert metrics["accepted"] == 1
    np.testing.assert_allclose(metrics["improvement"], fall, rtol=1e-3)


def test_E7_a_small_step_is_the_natural_one():
    # F = diag(p) − ppᵀ, and F A is the gradient of pᵀA: the natural direction of a softmax is its advantages.
    stepped, _, _ = _improve(TRPO(1e-5), regret)
    moved = stepped["logits"] - START["logits"]
    p = jax.nn.softmax(START["logits"])
    natural = VALUES - VALUES @ p
    natural = natural - natural.mean()  # a softmax does not see a constant
    moved = moved - moved.mean()
    np.testing.assert_allclose(moved / jnp.linalg.norm(moved), natural / jnp.linalg.norm(natural), atol=1e-3)
    kl = 0.5 * jnp.sum(p * (moved - p @ moved) ** 2)
    assert 0.6e-5 < kl < 1.02e-5  # the whole way, or shortened once to 0.8 of it


def test_E7_a_step_whose_true_kl_is_too_large_is_shortened_though_the_loss_falls():
    # Where a policy is nearly certain, the quadratic model does not see what a change of mind costs.
    certain = {"logits": jnp.asarray([5.0, 0.0, 0.0])}
    loss = lambda p, batch: (-jnp.mean(batch) * jnp.sum(jax.nn.softmax(p["logits"])[1:]), {})  # noqa: E731
    kl = {}
    for backtracks in (0, 15):
        trust = TRPO(0.5, backtracks=backtracks)
        stepped, _, metrics = quick_jit(lambda p, trust=trust: trust.improve(objective(loss), p, (), ONES))(certain)
        kl[backtracks] = kl_divergence(Categorical(certain["logits"]), Categorical(stepped["logits"]))
        assert bool(metrics["accepted"]) == (backtracks > 0)
    assert kl[0] == 0
    assert 0.1 < kl[15] <= 0.5


def test_E7_nothing_is_accepted_where_the_loss_cannot_fall():
    def rising(parameters, batch):
        # Its value is the distance from the start; its derivative, that of the last logit.
        p = parameters["logits"]
        distance = jnp.sum((p - START["logits"]) ** 2)
        return jnp.mean(batch) * (jax.lax.stop_gradient(distance - p[2]) + p[2]), {}

    stepped, _, metrics = _improve(TRPO(0.01), rising)
    np.testing.assert_array_equal(stepped["logits"], START["logits"])
    assert metrics["accepted"] == 0
    assert metrics["kl"] == 0


def test_E7_nothing_is_accepted_if_anything_is_not_a_number():
    broken = lambda p, batch: (jnp.mean(batch) * jnp.sum(p["logits"]) / 0.0 * 0.0, {})  # noqa: E731
    stepped, _, metrics = _improve(TRPO(0.01), broken)
    np.testing.assert_array_equal(stepped["logits"], START["logits"])
    assert metrics["accepted"] == 0


def test_the_kl_is_a_mean_over_what_counts():
    half = jnp.asarray([[1.0], [1.0], [0.0], [0.0]])  # invalid rows show a policy that never moves
    whole, _, _ = _improve(TRPO(0.01), lambda p, b: regret(p, ONES), half)
    alone, _, _ = _improve(TRPO(0.01), lambda p, b: regret(p, ONES), half[:2])
    np.testing.assert_allclose(whole["logits"], alone["logits"], rtol=1e-5)


def test_conjugate_gradient_solves_in_as_many_steps_as_there_are_dimensions():
    factor = jax.random.normal(jax.random.key(0), (4, 4))
    matrix = factor @ factor.T + jnp.eye(4)
    target = jnp.arange(1.0, 5.0)
    solved, _ = conjugate_gradient(lambda x: matrix @ x, target, 4)
    np.testing.assert_allclose(matrix @ solved, target, rtol=1e-3)
    early, residual = conjugate_gradient(lambda x: matrix @ x, target, 1)
    np.testing.assert_allclose(residual, target - matrix @ early, rtol=1e-4, atol=1e-5)
    assert np.abs(matrix @ early - target).max() > 0.01
    np.testing.assert_allclose(early, target * (target @ target) / (target @ matrix @ target), rtol=1e-5)
    np.testing.assert_array_equal(conjugate_gradient(lambda x: matrix @ x, jnp.zeros(4), 4), np.zeros((2, 4)))


def test_E1d_more_steps_of_conjugate_gradients_change_the_direction():
    one, _, _ = _improve(TRPO(0.01, cg_steps=1), regret)
    two, _, _ = _improve(TRPO(0.01, cg_steps=2), regret)
    assert np.abs(one["logits"] - two["logits"]).max() > 1e-4
