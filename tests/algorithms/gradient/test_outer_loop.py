"""The shared outer loop: which data θ is judged on, and with what weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import FOMAML, MAML
from adaptax.algorithms.gradient.inner_loop import GradientParams
from adaptax.algorithms.gradient.outer_loop import fit_critic, report
from adaptax.core.types import TrainState, replace
from tests.algorithms.gradient.test_inner_loop import KEY, MDP, collected
from tests.sample_problems import quick_jit, train

pytestmark = pytest.mark.compiles

ALGORITHM = MAML(hidden_size=4, num_layers=1, num_tasks=3, trajectories=4, inner_steps=2, inner_learning_rate=0.5)


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def program(algorithm):
    """A program for the gradient of what θ is to maximise, on experience that is given."""

    def gradient(theta, trajectories, rate):
        adjusted = dataclasses.replace(algorithm, inner_learning_rate=rate)
        batch = adjusted.batch(GradientParams(theta), trajectories)

        def gain(theta):
            recomputed = jax.vmap(lambda trajectories: adjusted.recompute(GradientParams(theta), trajectories, KEY))(
                trajectories
            )
            return jnp.mean(jax.vmap(adjusted.gain)(recomputed, batch))

        return jax.grad(gain)(theta)

    compiled = quick_jit(gradient)
    return lambda theta, trajectories, rate=0.5: flat(compiled(theta, trajectories, jnp.asarray(rate)))


def with_rewards(trajectories, window):
    """Another reward in one window."""
    bonus = (
        jnp.zeros_like(trajectories.reward).at[:, window].set(3.0 * trajectories.action[:, window].astype(jnp.float32))
    )
    return replace(trajectories, reward=trajectories.reward + bonus)


@pytest.fixture(scope="module")
def gradient():
    return program(ALGORITHM)


def test_E1b_theta_is_judged_on_what_came_after_adaptation(gradient):
    meta, trajectories = collected(ALGORITHM)
    base = gradient(meta.theta, trajectories)
    moved = [
        np.linalg.norm(gradient(meta.theta, with_rewards(trajectories, k)) - base) / np.linalg.norm(base)
        for k in range(3)
    ]
    assert min(moved) > 1e-2  # every window counts: the last as the aim, the others through learning
    still = gradient(meta.theta, trajectories, 0.0)
    for window in (0, 1):
        np.testing.assert_array_equal(gradient(meta.theta, with_rewards(trajectories, window), 0.0), still)
    last = gradient(meta.theta, with_rewards(trajectories, 2), 0.0)
    assert np.linalg.norm(last - still) / np.linalg.norm(still) > 1e-2


def test_E2_the_second_order_is_there(gradient):
    meta, trajectories = collected(ALGORITHM)
    settings = {f.name: getattr(ALGORITHM, f.name) for f in dataclasses.fields(FOMAML)}
    first = program(FOMAML(**settings))(meta.theta, trajectories)
    second = gradient(meta.theta, trajectories)
    assert np.linalg.norm(first - second) / np.linalg.norm(second) > 0.05


def test_E3_the_order_of_tasks_does_not_matter(gradient):
    meta, trajectories = collected(ALGORITHM)
    turned = jax.tree.map(lambda x: x[jnp.asarray([2, 0, 1])], trajectories)
    one, other = gradient(meta.theta, trajectories), gradient(meta.theta, turned)
    np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(one).max())


def test_E6_the_scale_of_rewards_does_not_matter(gradient):
    meta, trajectories = collected(ALGORITHM)
    larger = replace(trajectories, reward=100 * trajectories.reward)
    one, other = gradient(meta.theta, trajectories), gradient(meta.theta, larger)
    np.testing.assert_allclose(one, other, atol=5e-3 * np.abs(one).max())  # a linear system in 32 bits


@pytest.mark.parametrize(("objective", "first"), [("last", 2), ("every-step", 1)])
def test_E6_advantages_are_normalised_over_all_tasks_where_theta_is_judged(objective, first):
    algorithm = dataclasses.replace(ALGORITHM, objective=objective)
    meta, trajectories = collected(ALGORITHM)
    batch = algorithm.batch(meta, trajectories)
    judged = np.asarray(batch.advantages[:, first:])
    np.testing.assert_allclose(judged.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(judged.std(), 1, rtol=1e-3)
    raw = np.asarray(
        [algorithm.advantages(meta, jax.tree.map(lambda x, i=i: x[i, 2], trajectories), 2) for i in range(3)]
    )
    spread = np.asarray(raw.std()) if first == 2 else None
    assert np.corrcoef(raw.ravel(), judged[:, -1].ravel())[0, 1] > 0.9999  # one shift and scale for all tasks
    if first == 2:
        outcomes = np.asarray(trajectories.reward[:, -1].mean((1, 2)))
        others = [np.delete(outcomes, i).mean() for i in range(3)]
        expected = np.outer((outcomes - others) / spread, [1, 1, 0])  # nothing comes after the last window
        np.testing.assert_allclose(batch.outcome_advantage, expected, rtol=1e-3, atol=1e-5)


def test_every_step_objective_is_the_mean_over_the_windows_after_a_step():
    algorithm = dataclasses.replace(ALGORITHM, objective="every-step")
    meta, trajectories = collected(ALGORITHM)
    batch = algorithm.batch(meta, trajectories)
    one = jax.tree.map(lambda x: x[0], batch)
    recomputed = algorithm.recompute(meta, one.trajectories, KEY)
    np.testing.assert_allclose(algorithm.gain(recomputed, one), one.advantages[1:].mean(), atol=1e-5)
    last = jax.tree.map(lambda x: x[0], ALGORITHM.batch(meta, trajectories))
    np.testing.assert_allclose(ALGORITHM.gain(recomputed, last), last.advantages[2].mean(), atol=1e-5)


def test_reports_are_returns_of_episodes_by_window():
    _, trajectories = collected(ALGORITHM)
    metrics = report(trajectories)
    episodes = np.asarray(trajectories.reward).sum(2).mean((0, 2))
    np.testing.assert_allclose([metrics["return_0"], metrics["return_1"], metrics["return"]], episodes, rtol=1e-5)


def test_E6_the_learned_baseline_is_fitted_after_it_was_used():
    algorithm = dataclasses.replace(ALGORITHM, baseline="value", critic_learning_rate=1e-2)
    meta, trajectories = collected(algorithm)
    fresh, critic_state = quick_jit(lambda key: algorithm.begin_meta(MDP, key))(jax.random.key(0))
    one = jax.tree.map(lambda x: x[0, 0], trajectories)
    # Before the first fit it predicts 0, so advantages are rewards to go.
    to_go = np.cumsum(np.asarray(one.reward)[::-1] * 1.0, 0)[::-1]
    undiscounted = dataclasses.replace(algorithm, discount=1.0)
    np.testing.assert_allclose(undiscounted.advantages(fresh, one, jnp.asarray(0)), to_go, rtol=1e-5)
    fit = quick_jit(lambda meta, state, trajectories: fit_critic(undiscounted, meta, state, trajectories))
    losses = []
    fitted = fresh
    for _ in range(5):
        fitted, critic_state, metrics = fit(fitted, critic_state, trajectories)
        losses.append(float(metrics["critic_loss"]))
    assert np.all(np.diff(losses) < 0)
    assert fit_critic(ALGORITHM, GradientParams(meta.theta), None, trajectories)[1:] == (None, {})


def test_an_update_changes_theta_and_nothing_that_it_was_given():
    algorithm = dataclasses.replace(ALGORITHM, num_tasks=2, inner_steps=1)
    state, metrics = train(algorithm, MDP, 2)
    assert isinstance(state, TrainState)
    assert state.step == 2
    assert metrics["accepted"].shape == (2,)
    assert {"return", "return_0", "kl", "gain", "gradient_norm", "improvement"} <= set(metrics)
    assert (metrics["kl"] <= 0.01).all()
    np.testing.assert_allclose(metrics["gain"], 0, atol=1e-4)  # normalised advantages at ratio 1
