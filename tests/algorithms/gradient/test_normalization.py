"""MAML and its family read observations in deviations from what training has seen, whatever units they come in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.gradient.e_maml import EMAML
from adaptax.algorithms.gradient.es_maml import ESMAML
from adaptax.algorithms.gradient.maml import MAML
from adaptax.algorithms.gradient.reptile import Reptile
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.optimization.moments import no_moments
from adaptax.optimization.observations import BOUND
from adaptax.problems import bernoulli_bandit, cart_pole
from adaptax.registry.presets import settings_for
from tests.algorithms.memory.test_normalization import measured
from tests.sample_problems import quick_jit, train

SMALL = {"hidden_size": 8, "num_tasks": 4, "trajectories": 3, "inner_steps": 1, "normalize_observations": True}


def make(offset, scale):
    return measured(offset, scale, horizon=10, episodes=6)


@pytest.mark.compiles
@pytest.mark.parametrize(
    "algorithm",
    [MAML(**SMALL), MAML(**SMALL, baseline="value"), EMAML(**SMALL), Reptile(**SMALL), ESMAML(**SMALL)],
    ids=["maml", "critic", "e-maml", "reptile", "es-maml"],
)
def test_E33_the_first_update_is_the_same_in_any_units(algorithm):
    """Up to what single precision makes of 1000.123."""

    def after(offset, scale):
        problem = make(offset, scale)
        state = quick_jit(lambda key: algorithm.init(problem, key))(jax.random.key(0))
        seen = offset + scale * 0.3 * jax.random.normal(jax.random.key(1), (100, 2))  # the same, in their units
        state = replace(state, meta=replace(state.meta, observed=no_moments((2,)).observe(seen)))
        return quick_jit(lambda state: algorithm.update(problem, state))(state)

    (one, reported), (other, elsewhere) = after(0.0, 1.0), after(1000.0, 1e4)
    np.testing.assert_allclose(reported["return"], elsewhere["return"], rtol=1e-2)
    for a, b in zip(jax.tree.leaves(one.meta.theta), jax.tree.leaves(other.meta.theta), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-2)
    np.testing.assert_allclose(1000 + 1e4 * one.meta.observed.mean, other.meta.observed.mean, rtol=2e-2)


@pytest.mark.compiles
def test_an_update_takes_in_what_was_seen_and_no_idle_step():
    problem = cart_pole(num_episodes=6, horizon=30)
    algorithm = MAML(**SMALL)
    state = algorithm.init(problem, jax.random.key(0))
    experience = quick_jit(lambda state: algorithm.collect(problem, state))(state)
    after = quick_jit(lambda state: algorithm.learn(problem, state, experience)[0])(state).meta.observed
    seen = np.asarray(experience.trajectory.timestep.observation, np.float64)[np.asarray(experience.trajectory.valid)]
    before = state.meta.observed
    count = float(before.count) + len(seen)
    mean = (float(before.count) * np.asarray(before.mean, np.float64) + seen.sum(0)) / count
    assert float(before.count) > 0
    assert float(after.count) == count
    np.testing.assert_allclose(after.mean, mean, atol=1e-5)


@pytest.mark.compiles
def test_what_recomputes_is_what_acted():
    """Else importance weights would not be 1, and the outer gradient that of another policy."""
    problem, algorithm = make(1000.0, 1e4), MAML(**SMALL)
    state = algorithm.init(problem, jax.random.key(0))
    experience = quick_jit(lambda state: algorithm.collect(problem, state))(state)

    def recomputed(state, trajectory):
        windows = jax.tree.map(lambda x: x[:, 0].reshape(2, 10, *x.shape[2:]), trajectory)
        return algorithm.recompute(state.meta, state.meta.read_all(windows), jax.random.key(0)).log_probs

    log_probs = quick_jit(recomputed)(state, experience.trajectory)
    acted = experience.trajectory.aux["log_prob"][:, 0].reshape(log_probs.shape)
    valid = np.asarray(experience.trajectory.valid[:, 0].reshape(log_probs.shape))
    np.testing.assert_allclose(np.asarray(log_probs)[valid], np.asarray(acted)[valid], atol=1e-4)


def test_what_is_no_number_is_read_as_it_is():
    for problem in (bernoulli_bandit(3, 8),):
        meta, _ = MAML(**SMALL).begin_meta(problem, jax.random.key(0))
        assert meta.observed is None
    algorithm = MAML(**SMALL)
    meta, _ = quick_jit(lambda key: algorithm.begin_meta(make(0.0, 1.0), key))(jax.random.key(0))
    far = meta.read(jnp.asarray([1e9, -1e9]))
    assert far.tolist() == [BOUND, -BOUND]


@pytest.mark.compiles
def test_an_evaluation_leaves_it_as_it_is():
    problem, algorithm = make(5.0, 2.0), MAML(**SMALL)
    meta = algorithm.init(problem, jax.random.key(0)).meta
    before = jax.tree.map(np.array, meta)
    evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=4)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, before, meta)))


def test_default_presets_normalise_what_are_numbers_of_unknown_scale():
    expected = {"bandit": False, "grid-navigation": False, "point-robot": False, "cart-pole": True, "ant-goal": True}
    for problem, normalizes in expected.items():
        assert settings_for("cavia", problem)[0].normalize_observations is normalizes


@pytest.mark.learning
def test_E33_it_learns_the_same_in_any_units():
    algorithm = MAML(
        hidden_size=32, num_tasks=20, trajectories=10, inner_steps=1, num_updates=30, initial_std=0.7,
        objective="every-step", normalize_observations=True,
    )  # fmt: skip
    found = []
    for offset, scale in ((0.0, 1.0), (1000.0, 1e4)):
        problem = measured(offset, scale, horizon=20, episodes=20)
        meta = train(algorithm, problem, algorithm.num_updates, 0)[0].meta
        before = algorithm.init(problem, jax.random.key(0)).meta
        agents = [TrainedAgent(algorithm, problem, m) for m in (before, meta)]
        found.append([evaluate(agent, num_tasks=200, seed=1).adapted_returns.mean() for agent in agents])
    (_, plain), (untrained, other) = found
    assert other > untrained + 1  # it learns at all
    assert abs(other - plain) < 0.2 * abs(plain - untrained)
