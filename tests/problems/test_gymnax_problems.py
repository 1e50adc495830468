"""gymnax's environments as families; where gymnax is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

gymnax = pytest.importorskip("gymnax")

from adaptax.algorithms import RL2, Random  # noqa: E402
from adaptax.core.errors import ConfigError, UseError  # noqa: E402
from adaptax.core.rollout import run_trial  # noqa: E402
from adaptax.core.spaces import Box, Discrete  # noqa: E402
from adaptax.problems import gymnax_problem  # noqa: E402
from adaptax.problems.checks.check import check  # noqa: E402
from tests.sample_problems import quick_jit  # noqa: E402

KEY = jax.random.key(0)
FAMILIES = {
    "CartPole-v1": {"length": (0.25, 1.0, "log"), "force_mag": [5.0, 15.0]},
    "Pendulum-v1": {"g": (5.0, 15.0)},
    "DeepSea-bsuite": {"unscaled_move_cost": (0.005, 0.02)},
    "Reacher-misc": {"torque_scale": (0.5, 2.0)},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_it_does_what_gymnax_does(name):
    problem = gymnax_problem(name, FAMILIES[name], horizon=20)
    env, params = gymnax.make(name)
    task = problem.test.sample(KEY)
    values = dict(task)
    if "force_mag" in values:
        values["force_mag"] = jnp.asarray([5.0, 15.0])[values["force_mag"]]
    params = params.replace(**values)
    state, observation = problem.env.reset(task, KEY)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        seen, theirs = env.reset_env(KEY, params)
        np.testing.assert_array_equal(observation, np.asarray(seen, np.float32))
        for index in range(15):
            key = jax.random.fold_in(KEY, index)
            action = problem.env.action_space.sample(key)
            step = problem.env.step(state, action, task, key)
            seen, theirs, reward, terminated, _ = env.step_env(key, theirs, action, params)
            np.testing.assert_allclose(step.observation, np.asarray(seen, np.float32), rtol=1e-6)
            np.testing.assert_allclose(step.reward, reward, rtol=1e-6)
            assert bool(step.terminated) == bool(terminated)
            state = step.state


@pytest.mark.compiles
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_the_contract_holds(name):
    assert check(gymnax_problem(name, FAMILIES[name], episodes=2, horizon=20)) == []


def test_spaces_and_time_limits_are_gymnaxs_own():
    problem = gymnax_problem("CartPole-v1", {"length": (0.25, 1.0)})
    assert (problem.env.horizon, problem.env.action_space, problem.episodes) == (500, Discrete(2), 5)
    assert gymnax_problem("Pendulum-v1", {"g": (5.0, 15.0)}).env.action_space == Box((1,), -2.0, 2.0)


def test_parameters_may_follow_from_others():
    def set_params(params, task):
        return params.replace(masspole=task["mass"], total_mass=task["mass"] + params.masscart)

    problem = gymnax_problem("CartPole-v1", {"mass": (0.1, 1.0)}, set_params=set_params)
    task = problem.train.sample(KEY)
    assert problem.env.params(task).total_mass == task["mass"] + 1


@pytest.mark.compiles
def test_it_is_learned_in_like_any_other():
    problem = gymnax_problem("CartPole-v1", FAMILIES["CartPole-v1"], episodes=2, horizon=10)
    algorithm = RL2(memory_size=4, critic_size=4, num_tasks=4, num_minibatches=1)
    _, metrics = quick_jit(lambda key: algorithm.update(problem, algorithm.init(problem, key)))(KEY)
    assert all(np.isfinite(x) for x in jax.tree.leaves(metrics))
    random = Random()
    meta = random.describe(problem)
    trial = quick_jit(lambda key: run_trial(random, problem, meta, problem.test.sample(key), key))(KEY)
    assert 2 <= trial.valid.sum() <= 20


def test_what_is_no_parameter_is_refused():
    with pytest.raises(UseError, match=r"lenght: expected one of CartPole-v1's parameters \(gravity"):
        gymnax_problem("CartPole-v1", {"lenght": (0.25, 1.0)})
    with pytest.raises(ConfigError, match="CartPole-v1"):
        gymnax_problem("CartPole-v7", {"length": (0.25, 1.0)})
