"""The enumeration itself, against backward induction and against sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import CAVIA, MAML, MetaSGD
from adaptax.algorithms.gradient.inner_loop import GradientParams
from tests.claims import enumeration as en
from tests.claims.exactness import EXACT

ALGORITHM = MAML(**{**EXACT, "inner_steps": 2})


@pytest.fixture(scope="module")
def case():
    """θ and one task, in 64 bits."""
    with jax.enable_x64(True):
        theta, tasks = en.jit(lambda key: en.random_instance(ALGORITHM, 1, key))(jax.random.key(3))
        yield theta, jax.tree.map(lambda x: x[0], tasks)


def test_all_paths_are_there_once():
    paths = en.all_paths()
    assert paths.states.shape == paths.actions.shape == (3, 72)  # 2³ actions, 3² states after the first
    rows = np.concatenate([paths.states, paths.actions]).T
    assert len(np.unique(rows, axis=0)) == 72
    assert (paths.states[0] == 0).all()
    assert set(np.unique(paths.states[1:])) == {0, 1, 2}


@pytest.mark.compiles
def test_probabilities_add_to_one_and_give_the_exact_return(case):
    theta, task = case
    paths = en.all_paths()
    chances = en.chances(ALGORITHM, theta, theta.policy, task, paths)
    np.testing.assert_allclose(chances.sum(), 1, rtol=1e-13)
    returns = task.rewards[paths.states, paths.actions].sum(0)
    exact = en.exact_return(ALGORITHM, theta, theta.policy, task)
    np.testing.assert_allclose(chances @ returns, exact, rtol=1e-12)


@pytest.mark.compiles
def test_certain_transitions_leave_one_path_for_each_sequence_of_actions(case):
    theta, task = case
    task = en.certain(task)
    paths = en.certain_paths(task)
    assert paths.number == 8
    for path in range(8):
        state = 0
        for time in range(3):
            assert paths.states[time, path] == state
            state = int(np.argmax(task.transitions[state, int(paths.actions[time, path])]))
    chances = en.chances(ALGORITHM, theta, theta.policy, task, paths)
    np.testing.assert_allclose(chances.sum(), 1, rtol=1e-13)
    everything = en.chances(ALGORITHM, theta, theta.policy, task, en.all_paths())
    np.testing.assert_allclose(np.sort(everything)[-8:], np.sort(chances), rtol=1e-12)


def test_a_mean_over_the_expected_window_is_an_expectation(case):
    theta, task = case
    experience = en.expected_window(ALGORITHM, theta, theta.policy, task, en.all_paths())
    mean = experience.reward.sum(0).mean()
    np.testing.assert_allclose(mean, en.exact_return(ALGORITHM, theta, theta.policy, task), rtol=1e-12)
    assert experience.timestep.first[0].all()
    assert not experience.timestep.first[1:].any()
    assert experience.truncated[-1].all()
    assert not experience.truncated[:-1].any()


@pytest.mark.compiles
def test_E1d_adapt_on_the_expected_window_is_the_exact_gradient_step(case):
    theta, task = case
    agent = ALGORITHM.begin(GradientParams(theta), jax.random.key(0))
    experience = en.expected_window(ALGORITHM, theta, theta.policy, task, en.all_paths())
    adapted = ALGORITHM.adapt(GradientParams(theta), agent, experience, jax.random.key(0)).adapted.parameters
    slope = jax.grad(lambda policy: en.exact_return(ALGORITHM, theta, policy, task))(theta.policy)
    by_hand = jax.tree.map(lambda p, g: p + ALGORITHM.inner_learning_rate / 3 * g, theta.policy, slope)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13), adapted, by_hand)


@pytest.mark.compiles
def test_an_expected_trial_is_that_of_the_adapted_policies(case):
    theta, task = case
    paths = en.all_paths()
    trajectories = en.expected_trial(ALGORITHM, GradientParams(theta), task, paths)
    returns = trajectories.reward.sum(1).mean(-1)
    np.testing.assert_allclose(returns, 3 * en.exact_returns(ALGORITHM, theta, task), rtol=1e-10)
    assert returns[0] < returns[1] < returns[2]  # ascent


@pytest.mark.compiles
@pytest.mark.parametrize("algorithm_class", [MetaSGD, CAVIA])
def test_random_instances_vary_everything(algorithm_class):
    algorithm = algorithm_class(**EXACT)
    one, tasks = en.jit(lambda key: en.random_instance(algorithm, 2, key))(jax.random.key(0))
    assert all(len(np.unique(x)) == x.size for x in jax.tree.leaves(one))
    np.testing.assert_allclose(tasks.transitions.sum(-1), 1, rtol=1e-5)
    assert (one.learned is not None) == (algorithm_class is MetaSGD)
    if algorithm_class is MetaSGD:
        mean = np.mean([x.mean() for x in jax.tree.leaves(one.learned)])
        assert abs(mean - algorithm.inner_learning_rate) < 4 * 0.5 / 20**0.5  # 20 rates, deviation 0.5


def test_noise_has_its_scale():
    noise = en.noise_like({"a": jnp.zeros(2000), "b": jnp.zeros((2, 1000))}, 0.5, jax.random.key(0))
    for x in noise.values():
        assert abs(x.std() - 0.5) < 4 * 0.5 / (2 * 2000) ** 0.5
    assert not (noise["a"] == noise["b"].ravel()).any()
