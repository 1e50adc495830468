import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.networks.distributions import Categorical, Normal, kl_divergence

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
