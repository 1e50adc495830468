import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.core.spaces import Discrete, MultiDiscrete
from adaptax.networks.distributions import (
    Categorical,
    JointCategorical,
    MultiCategorical,
    Normal,
    SquashedNormal,
    categorical,
    kl_divergence,
)

RNG = np.random.default_rng(0)


def _parameters(size, batch=(4,)):
    mean, log_std = RNG.normal(size=(2, *batch, size))
    return jnp.asarray(mean, jnp.float32), jnp.asarray(0.5 * log_std, jnp.float32)


def test_categorical_against_numpy():
    logits = RNG.normal(size=(3, 5)) * 3
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    policy = Categorical(jnp.asarray(logits, jnp.float32))
    action = np.asarray([0, 4, 2])
    np.testing.assert_allclose(policy.log_probs(), np.log(p), rtol=1e-5)
    np.testing.assert_allclose(policy.log_prob(jnp.asarray(action)), np.log(p[range(3), action]), rtol=1e-5)
    np.testing.assert_allclose(policy.entropy(), -(p * np.log(p)).sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(policy.mode(), p.argmax(-1))
    assert policy.mode().dtype == jnp.int32


def test_categorical_with_impossible_actions():
    policy = Categorical(jnp.asarray([0.0, -1e30, 0.0]))
    np.testing.assert_allclose(policy.entropy(), np.log(2), rtol=1e-6)
    actions = jax.jit(jax.vmap(policy.sample))(jax.random.split(jax.random.key(0), 1000))
    assert set(np.unique(actions)) == {0, 2}


@pytest.mark.parametrize("logits", [[0.0], [0.3, -1.0], [2.0, 0.0, -2.0, 1.0, 1.0, -4.0]])
def test_categorical_samples_have_its_frequencies(logits):
    policy = Categorical(jnp.asarray(logits))
    actions = jax.jit(jax.vmap(policy.sample))(jax.random.split(jax.random.key(0), 100_000))
    assert actions.dtype == jnp.int32
    counts = np.bincount(np.asarray(actions), minlength=len(logits))
    assert len(counts) == len(logits)
    p = np.exp(logits) / np.exp(logits).sum()
    if len(logits) > 1:
        assert scipy.stats.chisquare(counts, 100_000 * p).pvalue > 1e-4


@pytest.mark.compiles
@pytest.mark.parametrize("size", [1, 2, 6])
def test_E5_normal_log_density_is_the_sum_over_dimensions(size):
    mean, log_std = _parameters(size)
    action = jnp.asarray(RNG.normal(size=(4, size)), jnp.float32)
    policy = Normal(mean, log_std)
    expected = [
        scipy.stats.multivariate_normal(np.asarray(m), np.diag(np.exp(2 * np.asarray(s)))).logpdf(np.asarray(a))
        for m, s, a in zip(mean, log_std, action, strict=True)
    ]
    np.testing.assert_allclose(policy.log_prob(action), expected, rtol=1e-4, atol=1e-5)
    entropy = [scipy.stats.norm(scale=np.exp(np.asarray(s, np.float64))).entropy().sum() for s in log_std]
    np.testing.assert_allclose(policy.entropy(), entropy, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(policy.mode(), mean)


def test_normal_samples_have_its_moments():
    policy = Normal(jnp.asarray([1.0, -2.0]), jnp.log(jnp.asarray([0.5, 3.0])))
    samples = np.asarray(jax.jit(jax.vmap(policy.sample))(jax.random.split(jax.random.key(0), 40_000)))
    std = np.asarray([0.5, 3.0])
    np.testing.assert_array_less(np.abs(samples.mean(0) - [1, -2]), 4 * std / 200)
    np.testing.assert_array_less(np.abs(samples.std(0) / std - 1), 4 / np.sqrt(2 * 40_000))
    assert abs(np.corrcoef(samples.T)[0, 1]) < 4 / 200


def test_ratio_is_one_at_the_old_policy():
    mean, log_std = _parameters(6)
    action = jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32)
    policy = Normal(mean, log_std)
    np.testing.assert_array_equal(jnp.exp(policy.log_prob(action) - policy.log_prob(action)), 1)


@pytest.mark.parametrize("size", [1, 2, 6])
def test_E5_kl_of_normals_is_that_of_multivariate_normals(size):
    p, q = (Normal(*_parameters(size)) for _ in range(2))
    expected = []
    for i in range(4):
        means = [np.asarray(x.mean[i], np.float64) for x in (p, q)]
        covariances = [np.diag(np.exp(2 * np.asarray(x.log_std[i], np.float64))) for x in (p, q)]
        inverse, gap = np.linalg.inv(covariances[1]), means[1] - means[0]
        logs = [np.linalg.slogdet(c)[1] for c in covariances]
        expected.append((np.trace(inverse @ covariances[0]) + gap @ inverse @ gap - size + logs[1] - logs[0]) / 2)
    np.testing.assert_allclose(kl_divergence(p, q), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 6])
def test_kl_of_categoricals_against_scipy(size):
    logits = RNG.normal(size=(2, 3, 4, size)) * 2
    p, q = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    found = kl_divergence(*(Categorical(jnp.asarray(x, jnp.float32)) for x in logits))
    np.testing.assert_allclose(found, scipy.stats.entropy(p, q, axis=-1), rtol=1e-4, atol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("size", [1, 2, 6])
@pytest.mark.parametrize("kind", [Categorical, Normal])
def test_kl_is_the_mean_log_ratio_of_samples(kind, size):
    def draw():
        return kind(_parameters(size, ())[0]) if kind is Categorical else kind(*_parameters(size, ()))

    p, q = draw(), draw()
    samples = jax.vmap(p.sample)(jax.random.split(jax.random.key(0), 20_000))
    ratios = np.asarray(jax.vmap(lambda x: p.log_prob(x) - q.log_prob(x))(samples))
    assert abs(ratios.mean() - kl_divergence(p, q)) <= 4 * ratios.std() / np.sqrt(20_000) + 1e-5


@pytest.mark.parametrize("kind", [Categorical, Normal])
def test_kl_is_zero_and_flat_where_policies_agree(kind):
    mean, log_std = _parameters(3)
    leaves = (mean,) if kind is Categorical else (mean, log_std)
    value, gradient = jax.value_and_grad(lambda x: kl_divergence(kind(*leaves), kind(*x)).sum())(leaves)
    np.testing.assert_allclose(value, 0, atol=1e-5)
    for x in gradient:
        np.testing.assert_allclose(x, 0, atol=1e-5)


def _masked(nums, count=10_000):
    """Logits and masks that leave at least one action of each choice, `[state, action]`."""
    size, rng = sum(nums), np.random.default_rng(0)
    legal = rng.random((count, size)) < 0.4
    start = 0
    for num in nums:
        legal[np.arange(count), start + rng.integers(0, num, count)] = True
        start += num
    space = Discrete(nums[0]) if len(nums) == 1 else MultiDiscrete(nums)
    return space, jnp.asarray(3 * rng.standard_normal((count, size)), jnp.float32), jnp.asarray(legal)


@pytest.mark.parametrize("nums", [(6,), (2, 4)])
def test_what_is_illegal_is_never_done_and_changes_nothing(nums):
    space, logits, legal = _masked(nums)
    keys = jax.random.split(jax.random.key(1), len(logits))
    drawn = jax.vmap(lambda x, m, key: categorical(space, x, m).sample(key))(logits, legal, keys)
    best = categorical(space, logits, legal).mode()
    for action in (drawn, best):
        assert bool(space.contains(action).all())
        assert bool(jnp.all(legal | (space.encode(action) == 0)))
    # Probabilities of what is legal are those of the legal ones alone.
    start = 0
    found = categorical(space, logits, legal)
    parts = [found] if len(nums) == 1 else [Categorical(found.choices.logits[:, k, :n]) for k, n in enumerate(nums)]
    for part, num in zip(parts, nums, strict=True):
        weights = (
            np.exp(np.asarray(logits, np.float64)[:, start : start + num]) * np.asarray(legal)[:, start : start + num]
        )
        np.testing.assert_allclose(np.exp(part.log_probs()), weights / weights.sum(1, keepdims=True), atol=1e-6)
        assert (np.exp(np.asarray(part.log_probs()))[~np.asarray(legal)[:, start : start + num]] == 0).all()
        start += num

    def everything(x):
        now = categorical(space, x, legal)
        kl = kl_divergence(now, categorical(space, 0.5 * x, legal))
        return jnp.sum(now.log_prob(drawn) + now.entropy() + kl)

    value, gradient = jax.value_and_grad(everything)(logits)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~np.asarray(legal)] == 0).all()


def test_several_choices_are_independent():
    logits = jnp.asarray([[0.5, -1.0, 2.0, 0.0, 1.0]])
    found = MultiCategorical.of(logits, (2, 3))
    one, other = Categorical(logits[:, :2]), Categorical(logits[:, 2:])
    action = jnp.asarray([[1, 2]])
    np.testing.assert_allclose(
        found.log_prob(action), one.log_prob(action[:, 0]) + other.log_prob(action[:, 1]), rtol=1e-6
    )
    np.testing.assert_allclose(found.entropy(), one.entropy() + other.entropy(), rtol=1e-6)
    np.testing.assert_array_equal(found.mode(), [[0, 0]])
    flat = MultiCategorical.of(0 * logits, (2, 3))
    np.testing.assert_allclose(
        kl_divergence(found, flat),
        kl_divergence(one, Categorical(0 * logits[:, :2])) + kl_divergence(other, Categorical(0 * logits[:, 2:])),
        rtol=1e-5,
    )
    draws = np.asarray(
        jax.vmap(MultiCategorical.of(logits[0], (2, 3)).sample)(jax.random.split(jax.random.key(0), 20_000))
    )
    for k, part in enumerate((one, other)):
        share = np.bincount(draws[:, k], minlength=part.logits.shape[1]) / len(draws)
        np.testing.assert_allclose(share, np.exp(part.log_probs())[0], atol=0.015)
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03


def test_a_squashed_normal_has_the_density_of_what_it_draws():
    # p(a) da = p(u) du: the density at a = tanh u is that of u over 1 − tanh² u, here in double precision.
    mean, log_std = np.asarray([0.3, -0.2]), np.asarray([-0.5, 0.4])
    policy = SquashedNormal(jnp.asarray(mean, jnp.float32), jnp.asarray(log_std, jnp.float32))
    action, log_prob = policy.draw(jax.random.key(0))
    raw = np.arctanh(np.asarray(action, np.float64))
    normal = -0.5 * ((raw - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
    exact = np.sum(normal - np.log1p(-(np.tanh(raw) ** 2)))
    np.testing.assert_allclose(log_prob, exact, rtol=1e-4)
    np.testing.assert_allclose(policy.log_prob(action), exact, rtol=1e-4)


def test_the_density_of_a_squashed_normal_integrates_to_one():
    policy = SquashedNormal(jnp.full((1,), 0.4), jnp.full((1,), -0.3))
    actions = jnp.linspace(-0.99999, 0.99999, 20001)
    density = jnp.exp(jax.vmap(policy.log_prob)(actions[:, None]))
    assert abs(float(jnp.trapezoid(density, actions)) - 1) < 1e-3


def test_densities_are_finite_where_tanh_rounds_to_one():
    policy = SquashedNormal(jnp.full((1,), 30.0), jnp.full((1,), -2.0))
    action, log_prob = policy.draw(jax.random.key(0))
    assert action[0] == 1.0
    assert np.isfinite(log_prob)
    assert np.isfinite(policy.log_prob(action))
    slope = jax.grad(lambda mean: SquashedNormal(mean, policy.log_std).draw(jax.random.key(0))[1])(policy.mean)
    assert np.isfinite(slope).all()


def test_entries_without_bounds_are_not_squashed():
    mean, log_std = jnp.asarray([0.3, 5.0]), jnp.asarray([0.0, 0.0])
    both = SquashedNormal(mean, log_std, (True, False))
    action, log_prob = both.draw(jax.random.key(1))
    assert both.mode()[1] == 5.0
    assert abs(both.mode()[0] - np.tanh(0.3)) < 1e-6
    parts = SquashedNormal(mean[:1], log_std[:1]).log_prob(action[:1]) + Normal(mean[1:], log_std[1:]).log_prob(
        action[1:]
    )
    np.testing.assert_allclose(log_prob, parts, rtol=1e-5)


def test_draws_have_derivatives_by_mean_and_deviation():
    def mean_action(mean, log_std):
        return jnp.sum(SquashedNormal(mean, log_std).draw(jax.random.key(3))[0])

    mean, log_std = jnp.asarray([0.1]), jnp.asarray([-1.0])
    noise = np.asarray(jax.random.normal(jax.random.key(3), (1,)))
    slope = 1 - np.tanh(0.1 + np.exp(-1.0) * noise) ** 2
    by_mean, by_log_std = jax.grad(mean_action, (0, 1))(mean, log_std)
    np.testing.assert_allclose(by_mean, slope, rtol=1e-5)
    np.testing.assert_allclose(by_log_std, slope * noise * np.exp(-1.0), rtol=1e-5)


def test_several_choices_have_a_log_probability_for_each_combination():
    logits = np.asarray(RNG.normal(size=(4, 5)), np.float32)
    policy = MultiCategorical.of(jnp.asarray(logits), (2, 3))
    actions = [jnp.asarray([i, j]) for i in range(2) for j in range(3)]
    each = np.stack([policy.log_prob(jnp.broadcast_to(action, (4, 2))) for action in actions], -1)
    np.testing.assert_allclose(policy.log_probs(), each, rtol=1e-5)


def test_choices_that_depend_on_each_other():
    p = np.asarray([0.1, 0.2, 0.3, 0.05, 0.25, 0.1])
    policy = JointCategorical(Categorical(jnp.log(jnp.asarray(p, jnp.float32))), MultiDiscrete((2, 3)))
    np.testing.assert_array_equal(policy.mode(), [0, 2])
    np.testing.assert_allclose(policy.log_prob(jnp.asarray([1, 1])), np.log(0.25), rtol=1e-5)
    np.testing.assert_allclose(policy.entropy(), -(p * np.log(p)).sum(), rtol=1e-5)
    drawn = np.asarray(jax.jit(jax.vmap(policy.sample))(jax.random.split(jax.random.key(0), 10_000)))
    counts = np.bincount(3 * drawn[:, 0] + drawn[:, 1], minlength=6)
    assert scipy.stats.chisquare(counts, 10_000 * p).pvalue > 1e-4
