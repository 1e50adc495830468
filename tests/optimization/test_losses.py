import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.rollout import run_trial
from adaptax.optimization.losses import clipped_surrogate, generalized_advantages, masked_mean
from tests.sample_problems import Counter, Length, clockwork


def _gae(rewards, values, ended, **options):
    column = lambda x: jnp.asarray(x)[:, None]  # noqa: E731
    arrays = {name: column(x) if isinstance(x, list) else x for name, x in options.items()}
    return np.asarray(generalized_advantages(column(rewards), column(values), ended=column(ended), **arrays)[:, 0])


def test_E10_two_episode_trial_computed_by_hand():
    # Two episodes of two steps, γ = 1/2, λ = 1/2. Only the trial's end is an end: the value of the second
    # episode's first step counts in the first episode, and nothing is bootstrapped after the last step.
    #   δ₃ = 8 − 4 = 4                  A₃ = 4
    #   δ₂ = 4 + 4/2 − 2 = 4            A₂ = 4 + 4/4 = 5
    #   δ₁ = 2 + 2/2 − 1 = 2            A₁ = 2 + 5/4 = 3.25
    #   δ₀ = 1 + 1/2 − 3 = −1.5         A₀ = −1.5 + 3.25/4 = −0.6875
    advantages = _gae(
        [1.0, 2.0, 4.0, 8.0], [3.0, 1.0, 2.0, 4.0], [False, False, False, True], discount=0.5, gae_lambda=0.5
    )
    np.testing.assert_array_equal(advantages, [-0.6875, 3.25, 5.0, 4.0])


def test_E10_nothing_comes_after_the_end_of_the_trial():
    # A huge reward after an end must not be seen before it.
    advantages = _gae([1.0, 1e6], [0.0, 1e6], [True, True], discount=1.0, gae_lambda=1.0)
    np.testing.assert_array_equal(advantages, [1.0, 0.0])
    # The scan itself ends with nothing: no bootstrap even if nobody says `ended`.
    np.testing.assert_array_equal(_gae([1.0], [5.0], [False], discount=1.0, gae_lambda=1.0), [-4.0])


def test_E10_an_end_within_the_window_stops_the_advantage_too():
    # γ = λ = 1 and no values: what a second trial brings is no merit of the first.
    advantages = _gae([1.0, 2.0, 4.0], [0.0] * 3, [False, True, True], discount=1.0, gae_lambda=1.0)
    np.testing.assert_array_equal(advantages, [3.0, 2.0, 4.0])


def test_lambda_one_without_values_gives_returns_to_go():
    rewards = [1.0, 2.0, 3.0]
    advantages = _gae(rewards, [0.0] * 3, [False, False, True], discount=0.5, gae_lambda=1.0)
    np.testing.assert_array_equal(advantages, [1 + 1 + 0.75, 2 + 1.5, 3])


def test_cut_bootstraps_and_stops_the_sequence():
    # γ = 1/2, λ = 1. Cut after step 0 with V = 10 there; step 1 is the end.
    options = {"discount": 0.5, "gae_lambda": 1.0, "cut": [True, False], "bootstraps": [10.0, 99.0]}
    advantages = _gae([1.0, 7.0], [2.0, 3.0], [False, True], **options)
    np.testing.assert_array_equal(advantages, [1 + 5 - 2, 7 - 3])


def test_end_wins_over_cut():
    options = {"discount": 0.5, "gae_lambda": 1.0, "cut": [True], "bootstraps": [10.0]}
    np.testing.assert_array_equal(_gae([1.0], [2.0], [True], **options), [-1.0])


def test_idle_steps_are_as_if_they_were_not_there():
    options = {"discount": 0.5, "gae_lambda": 0.5}
    expected = _gae([1.0, 2.0, 4.0], [3.0, 1.0, 2.0], [False, False, False], **options)
    valid = [True, False, True, True, False]
    advantages = _gae(
        [1.0, 99.0, 2.0, 4.0, 99.0], [3.0, 99.0, 1.0, 2.0, 99.0], [False] * 4 + [True], valid=valid, **options
    )
    np.testing.assert_array_equal(advantages[valid], expected)
    np.testing.assert_array_equal(advantages[~np.asarray(valid)], 0)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_importance_weights_of_one_change_nothing(gae_lambda):
    rng = np.random.default_rng(0)
    rewards, values, bootstraps = (jnp.asarray(rng.normal(size=(7, 3)), jnp.float32) for _ in range(3))
    ended, cut, idle = (jnp.asarray(rng.random((7, 3)) < 0.3) for _ in range(3))
    options = {"discount": 0.9, "gae_lambda": gae_lambda, "ended": ended, "cut": cut, "bootstraps": bootstraps}
    plain = generalized_advantages(rewards, values, valid=~idle, **options)
    weighted = generalized_advantages(rewards, values, valid=~idle, weights=jnp.ones((7, 3)), **options)
    assert np.asarray(plain).tobytes() == np.asarray(weighted).tobytes()


def test_importance_weights_by_hand():
    # γ = ½, λ = 1, ρ = 2, ½, 3:  A₂ = 3 (4 − 2) = 6;  A₁ = ½ (2 + ½ · 2 − 1 + ½ · 6) = 2.5;
    # A₀ = 2 (1 + ½ · 1 − 3 + ½ · 2.5) = −0.5.
    options = {"discount": 0.5, "gae_lambda": 1.0, "weights": [2.0, 0.5, 3.0]}
    advantages = _gae([1.0, 2.0, 4.0], [3.0, 1.0, 2.0], [False, False, True], **options)
    np.testing.assert_array_equal(advantages, [-0.5, 2.5, 6.0])


def test_with_importance_weights_it_is_v_trace():
    # Espeholt et al. 2018, equation 1, as it is written there, with ρ̄ = c̄ and c_i = min(c̄, π/μ):
    #   v_s = V(x_s) + Σ_{t=s}^{s+n−1} γ^{t−s} (Π_{i=s}^{t−1} c_i) δ_t V,   δ_t V = ρ_t (r_t + γ V(x_{t+1}) − V(x_t)).
    rng = np.random.default_rng(0)
    rewards, ratios = rng.normal(size=8), np.asarray([0.5, 2.0, 1.2, 0.3, 4.0, 0.9, 1.7, 0.1])
    values, after, discount = rng.normal(size=9), np.zeros(8), 0.9
    for largest in (1.0, 1.5):
        rho = c = np.minimum(largest, ratios)
        delta = rho * (rewards + discount * values[1:] - values[:-1])
        for s in range(8):
            after[s] = sum(discount ** (t - s) * np.prod(c[s:t]) * delta[t] for t in range(s, 8))
        as_list = lambda x: np.asarray(x, np.float32).tolist()  # noqa: E731
        advantages = _gae(
            as_list(rewards),
            as_list(values[:-1]),
            [False] * 8,
            cut=[False] * 7 + [True],
            bootstraps=as_list(values[1:]),
            discount=discount,
            gae_lambda=1.0,
            weights=as_list(rho),
        )
        np.testing.assert_allclose(advantages, after, rtol=1e-4, atol=1e-5)
        # And the weight of ∇ log π is ρ_s (r_s + γ v_{s+1} − V(x_s)), their section 4.2.
        v = np.append(values[:-1] + after, values[-1])
        np.testing.assert_allclose(advantages, rho * (rewards + discount * v[1:] - values[:-1]), rtol=1e-4, atol=1e-5)


def test_discounts_and_lambdas_of_each_step_by_hand():
    # A₁ = 4 − 2 = 2;  A₀ = 1 + γ₀ · 2 − 3 + γ₀ λ₀ A₁ = 1 + ½ − 3 + ¼ · ½ · 2 = −1.25, with γ₀ = ¼ and λ₀ = ½.
    options = {"discount": jnp.asarray([[0.25], [0.9]]), "gae_lambda": jnp.asarray([[0.5], [0.9]])}
    np.testing.assert_array_equal(_gae([1.0, 4.0], [3.0, 2.0], [False, True], **options), [-1.25, 2.0])


def test_batch_axes_are_independent():
    rng = np.random.default_rng(0)
    rewards, values = (jnp.asarray(rng.normal(size=(5, 2, 3)), jnp.float32) for _ in range(2))
    ended = jnp.asarray(rng.random((5, 2, 3)) < 0.3)
    options = {"discount": 0.9, "gae_lambda": 0.8}
    batched = generalized_advantages(rewards, values, ended=ended, **options)
    alone = generalized_advantages(rewards[:, 1, 2], values[:, 1, 2], ended=ended[:, 1, 2], **options)
    np.testing.assert_allclose(batched[:, 1, 2], alone, rtol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("gae_lambda", [0.0, 0.9])
def test_E11_a_time_limit_is_not_termination(gae_lambda):
    # Reward 1 at every step, a time limit of 4 steps and γ = 0.9. The task goes on after the limit, so the value
    # of every state is 1/(1 − γ) = 10; taken for a termination, the limit would leave the finite sums.
    problem = clockwork(horizon=4, episodes=3, ends_early=False)
    trajectory = run_trial(Counter(), problem, jnp.zeros(0), Length(jnp.asarray(9)), jax.random.key(0))
    assert trajectory.truncated.any()
    assert not trajectory.terminated.any()
    state = trajectory.timestep.observation[:, 0, 0].astype(jnp.int32)
    next_state = trajectory.next_observation[:, 0, 0].astype(jnp.int32)
    rewards = jnp.ones(len(state))
    options = {"discount": 0.9, "gae_lambda": gae_lambda}

    def fixed_point(use_bootstraps):
        value = jnp.zeros(5)
        stop = trajectory.truncated[:, 0]
        cut, ended = (stop, jnp.zeros_like(stop)) if use_bootstraps else (None, stop)

        def sweep(_, value):
            # The state at the limit is like any other of this endless task.
            value = value.at[4].set(value[0])
            bootstraps = value[next_state] if use_bootstraps else None
            advantages = generalized_advantages(
                rewards, value[state], ended=ended, cut=cut, bootstraps=bootstraps, **options
            )
            return value.at[state[:4]].add(advantages[:4])

        return np.asarray(jax.lax.fori_loop(0, 300, sweep, value))[:4]

    np.testing.assert_allclose(fixed_point(True), 10.0, rtol=1e-5)
    np.testing.assert_allclose(fixed_point(False), [3.439, 2.71, 1.9, 1.0], rtol=1e-5)


def test_masked_mean_leaves_out_what_never_happened():
    x = jnp.asarray([[1.0, 2.0], [jnp.nan, 6.0]])
    assert masked_mean(x, jnp.asarray([[True, True], [False, True]])) == 3.0
    assert masked_mean(jnp.ones(3), jnp.zeros(3, bool)) == 0.0
    assert masked_mean(jnp.asarray([1.0, 2.0]), None) == 1.5


def test_masked_mean_has_no_gradient_where_masked():
    gradient = jax.grad(lambda x: masked_mean(x**2, jnp.asarray([True, False])))(jnp.asarray([3.0, 5.0]))
    np.testing.assert_array_equal(gradient, [6.0, 0.0])


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "slope"),
    [
        (1.0, 2.0, 2.0, 2.0),  # at the old policy: the policy gradient
        (1.5, 2.0, 2.5, 0.0),  # far enough up: no more to gain
        (0.5, 2.0, 1.0, 1.0),  # went the wrong way: pulled back
        (1.5, -2.0, -3.0, -3.0),
        (0.5, -2.0, -1.5, 0.0),
    ],
)
def test_clipped_surrogate_by_hand(ratio, advantage, objective, slope):
    f = lambda log_prob: clipped_surrogate(log_prob, jnp.asarray(0.3), jnp.asarray(advantage), 0.25)  # noqa: E731
    value, gradient = jax.value_and_grad(f)(jnp.log(jnp.asarray(ratio)) + 0.3)
    np.testing.assert_allclose(value, objective, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5)
