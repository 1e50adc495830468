import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.optimization.baselines import RIDGE, linear_baseline, returns_to_go, solve_positive, time_features
from tests.cli.conftest import run_alone


def test_returns_to_go_by_hand():
    rewards = jnp.asarray([[1.0, 0.0], [2.0, 4.0], [4.0, 0.0]])
    np.testing.assert_array_equal(returns_to_go(rewards, 0.5), [[3.0, 2.0], [4.0, 4.0], [4.0, 0.0]])


def test_features_by_hand():
    observations = jnp.asarray([[[2.0]], [[-30.0]]])  # two steps of one stream; bounded at 10
    expected = [[[2, 4, 1, 0, 0, 0]], [[-10, 100, 1, 0.5, 0.25, 0.125]]]
    np.testing.assert_array_equal(time_features(observations), np.asarray(expected, np.float32))


def _data(streams, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    features = jax.random.normal(keys[0], (6, streams, 3))
    targets = jax.random.normal(keys[1], (6, streams))
    lengths = jax.random.randint(keys[2], (streams,), 3, 7)
    valid = jnp.arange(6)[:, None] < lengths[None]
    return features, jnp.where(valid, targets, 0.0), valid


@pytest.mark.compiles
def test_it_is_ridge_regression_on_the_other_streams():
    features, targets, valid = _data(4)
    found = np.asarray(linear_baseline(features, targets, valid))
    for stream in range(4):
        others = [s for s in range(4) if s != stream]
        mask = np.asarray(valid[:, others]).ravel()
        rows = np.asarray(features[:, others], np.float64).reshape(-1, 3)[mask]
        squares = rows.T @ rows
        ridge = RIDGE * np.diag(np.diag(squares))
        weights = np.linalg.solve(squares + ridge, rows.T @ np.asarray(targets[:, others]).ravel()[mask])
        expected = np.where(valid[:, stream], np.asarray(features[:, stream]) @ weights, 0)
        np.testing.assert_allclose(found[:, stream], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.compiles
def test_E6_a_prediction_does_not_know_its_own_episodes_return():
    features, targets, valid = _data(4)
    slopes = jax.jacrev(lambda targets: linear_baseline(features, targets, valid))(targets)
    own = np.einsum("tsus->tsu", slopes)
    np.testing.assert_allclose(own, 0, atol=1e-6)
    assert np.abs(slopes).max() > 1e-2


@pytest.mark.parametrize("offset", [-20.0, 1000.0])
def test_E32_a_constant_that_every_step_pays_is_predicted_and_not_shrunk(offset):
    features, rewards, valid = _data(6)
    every, worth = jnp.ones_like(valid), returns_to_go(jnp.ones((6, 6)), 0.9)

    def left(rewards):
        returns = returns_to_go(rewards, 0.9)
        return np.asarray(returns - linear_baseline(time_features(features), returns, every, worth))

    plain = left(rewards)
    np.testing.assert_allclose(left(rewards + offset), plain, atol=2e-5 * abs(offset))
    assert np.abs(plain).std() > 0.1
    # Nor does it know its own episode's return with it.
    slopes = jax.jacrev(lambda targets: linear_baseline(features, targets, valid, jnp.where(valid, worth, 0.0)))(
        rewards
    )
    np.testing.assert_allclose(np.einsum("tsus->tsu", slopes), 0, atol=1e-5)
    # Alone, it has nothing to compare with.
    np.testing.assert_array_equal(linear_baseline(features[:, :1], rewards[:, :1], every[:, :1], worth[:, :1]), 0)


def test_what_did_not_happen_is_not_learned_from():
    features, targets, valid = _data(3)
    junk = jnp.where(valid[..., None], features, 1e3)
    np.testing.assert_array_equal(linear_baseline(junk, targets, valid), linear_baseline(features, targets, valid))


@pytest.mark.compiles
def test_a_linear_return_is_predicted_and_a_single_stream_gets_0():
    features, _, valid = _data(5)
    targets = jnp.where(valid, features @ jnp.asarray([1.0, -2.0, 0.5]), 0.0)
    np.testing.assert_allclose(linear_baseline(features, targets, valid), targets, atol=0.01)
    alone = [x[:, :1] for x in (features, targets, valid)]
    np.testing.assert_array_equal(linear_baseline(*alone), np.zeros((6, 1)))


@pytest.mark.parametrize("scale", [0.1, 1e3, [1e-6, 1.0, 1e6]], ids=str)
def test_the_scale_of_features_does_not_matter(scale):
    features, targets, valid = _data(4)
    scaled = linear_baseline(jnp.broadcast_to(jnp.asarray(scale), features.shape) * features, targets, valid)
    np.testing.assert_allclose(scaled, linear_baseline(features, targets, valid), rtol=1e-3, atol=1e-4)


def test_a_feature_that_is_always_0_does_no_harm():
    features, targets, valid = _data(4)
    with_nothing = jnp.concatenate([features, jnp.zeros((6, 4, 1))], -1)
    found = linear_baseline(with_nothing, targets, valid)
    np.testing.assert_allclose(found, linear_baseline(features, targets, valid), atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 24])
def test_many_systems_are_solved_as_by_lapack(size):
    chance = np.random.default_rng(size)
    factors = chance.normal(size=(50, size, size)).astype(np.float32)
    matrices = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(size, dtype=np.float32)
    targets = chance.normal(size=(50, size)).astype(np.float32)
    found = np.asarray(solve_positive(jnp.asarray(matrices), jnp.asarray(targets)), np.float64)
    exact = np.linalg.solve(matrices.astype(np.float64), targets.astype(np.float64)[..., None])[..., 0]
    left = np.abs(np.einsum("sij,sj->si", matrices, found) - targets).max()
    assert left < 1e-3
    np.testing.assert_allclose(found, exact, rtol=2e-3, atol=2e-3)


@pytest.mark.nightly
@pytest.mark.process
def test_many_tasks_with_many_episodes_do_not_wait_for_each_other_for_ever(tmp_path):
    # LAPACK in threads of XLA's pool did so at this size, as soon as a program had two updates.
    size = ["--num-episodes", "40", "--num-tasks", "40", "--trajectories", "20", "--hidden-size", "32"]
    words = ["--outer", "gradient", "--num-updates", "4", "--eval-tasks", "0", "--out", "out"]
    done = run_alone("train", "maml", "tabular-mdp", *size, *words, cwd=tmp_path, JAX_DISABLE_MOST_OPTIMIZATIONS="0")
    assert done.returncode == 0, done.stderr
