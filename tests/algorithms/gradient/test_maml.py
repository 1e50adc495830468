import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import FOMAML, MAML
from adaptax.core.rollout import run_trial
from adaptax.core.types import replace
from adaptax.problems import bernoulli_bandit, gaussian_bandit
from tests.algorithms.standard_rl import bandit_by_hand as by_hand
from tests.algorithms.standard_rl.bandit_by_hand import BARE, RATE, START
from tests.sample_problems import quick_jit

GRADIENT = {**BARE, "outer": "gradient"}


@pytest.fixture(scope="module")
def case():
    """θ and what was experienced with it, which is the same for all estimators: their first derivatives are."""
    algorithm = MAML(**GRADIENT)
    state = by_hand.begin(algorithm)
    return state.meta, by_hand.gather(algorithm, state)


def test_inner_step_by_hand_and_second_window_is_of_the_adapted_policy(case):
    trajectories = case[1].trajectories
    seen = by_hand.pulls(trajectories)
    logits = np.asarray(trajectories.aux["policy"].logits)
    for task in range(4):
        np.testing.assert_allclose(logits[task, 0], np.broadcast_to(START, (1, 6, 3)), rtol=1e-6)
        after = by_hand.adapted(START, seen.actions[task, 0], seen.rewards[task, 0])
        np.testing.assert_allclose(logits[task, 1], np.broadcast_to(after, (1, 6, 3)), rtol=1e-5)
    assert len(np.unique(logits[:, 1, 0, 0], axis=0)) > 1  # tasks adapt differently


@pytest.mark.parametrize(("estimator", "sampling"), [("lvc", True), ("dice", True), ("policy-gradient", False)])
def test_E1_meta_gradient_by_hand(estimator, sampling, case):
    meta, batch = case
    seen = by_hand.pulls(batch.trajectories)
    expected = np.zeros(3)
    for task, gradient in enumerate(by_hand.first_order_gradients(batch)):
        matrix = by_hand.curvature(START, seen.actions[task, 0], seen.rewards[task, 0], sampling=sampling)
        expected += (np.eye(3) + RATE * matrix) @ gradient / 4
    _, found = by_hand.gain(MAML(**GRADIENT, estimator=estimator), meta, batch)
    np.testing.assert_allclose(by_hand.bias(found), expected, rtol=1e-4, atol=1e-6)
    first_order = by_hand.first_order_gradients(batch).mean(0)
    assert np.linalg.norm(expected - first_order) > 20 * 1e-4 * np.linalg.norm(expected)  # 20 × the tolerance


def test_E2_first_order_is_the_gradient_at_the_adapted_parameters(case):
    meta, batch = case
    _, found = by_hand.gain(FOMAML(**GRADIENT), meta, batch)
    np.testing.assert_allclose(by_hand.bias(found), by_hand.first_order_gradients(batch).mean(0), rtol=1e-4, atol=1e-6)


def test_advantages_are_normalised_over_the_adapted_windows_of_all_tasks(case):
    batch = case[1]
    rewards = by_hand.pulls(batch.trajectories).rewards
    expected = (rewards - rewards[:, 1].mean()) / rewards[:, 1].std()
    np.testing.assert_allclose(batch.advantages[:, :, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.compiles
def test_an_update_ascends_the_gain(case):
    meta, batch = case
    algorithm = MAML(**GRADIENT)
    state, _ = quick_jit(lambda state: algorithm.update(by_hand.PROBLEM, state))(by_hand.begin(algorithm))
    gradient = np.asarray(by_hand.bias(by_hand.gain(algorithm, meta, batch)[1]))
    # Adam's first step is the learning rate in every direction, whatever the gradient's size.
    np.testing.assert_allclose(
        by_hand.bias(state.meta.theta) - START, algorithm.learning_rate * np.sign(gradient), rtol=0.01
    )


@pytest.mark.compiles
def test_E20_every_task_of_every_update_is_another_one():
    problem = gaussian_bandit(num_arms=3, num_pulls=12, noise=0.0)  # a reward is the mean of an arm: it names the task
    algorithm = MAML(**GRADIENT)
    state = by_hand.begin(algorithm, problem)
    rewards_of = quick_jit(jax.vmap(lambda step: by_hand.windows(algorithm, problem, replace(state, step=step)).reward))
    seen = [set(np.ravel(task)) for update in rewards_of(jnp.arange(3)) for task in update]
    assert len(seen) == 3 * 4
    assert len(set.union(*seen)) == sum(map(len, seen))


# ---------------------------------------------------------------- learning to learn

NUM_UPDATES, HELD_OUT = 30, 600


def _gains(rates):
    """What adaptation adds to the mean reward in held-out tasks before and after training, `[2, rate, task]`."""
    problem = bernoulli_bandit(num_arms=2, num_pulls=40)
    base = MAML(
        hidden_size=8, num_layers=1, num_tasks=32, trajectories=20, num_updates=NUM_UPDATES,
        outer="gradient", learning_rate=0.05, baseline="none",
    )  # fmt: skip
    tasks = jax.vmap(problem.test.sample)(jax.random.split(jax.random.key(1), HELD_OUT))
    keys = jax.random.split(jax.random.key(2), HELD_OUT)

    def gains(algorithm, meta):
        rewards = jax.vmap(lambda task, key: run_trial(algorithm, problem, meta, task, key).reward)(tasks, keys)
        before, after = jnp.moveaxis(rewards.mean(-1), 1, 0)
        return after - before

    def one(rate):
        algorithm = dataclasses.replace(base, inner_learning_rate=rate)
        first = algorithm.init(problem, jax.random.key(0))
        step = lambda state, _: (algorithm.update(problem, state)[0], None)  # noqa: E731
        last, _ = jax.lax.scan(step, first, None, length=NUM_UPDATES)
        return jnp.stack([gains(algorithm, first.meta), gains(algorithm, last.meta)])

    return np.moveaxis(np.asarray(quick_jit(jax.vmap(one))(jnp.asarray(rates))), 1, 0)


@pytest.mark.learning
def test_meta_training_makes_adaptation_pay_and_without_adaptation_nothing_pays():
    untrained, trained = _gains([1.0, 0.0])
    error = lambda x: x.std(ddof=1) / np.sqrt(HELD_OUT)  # noqa: E731
    assert trained[0].mean() > 4 * error(trained[0])
    improvement = trained[0] - untrained[0]
    assert improvement.mean() > 4 * error(improvement)
    assert abs(trained[1].mean()) < 4 * error(trained[1])
