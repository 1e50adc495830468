"""Problems as seen by a policy that knows the task."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import problems
from adaptax.core.algorithm import FromScratch
from adaptax.core.problem import task_features
from adaptax.core.rollout import evaluate_trial
from adaptax.core.types import AgentState, replace
from adaptax.problems import cart_pole, grid_navigation, informed, point_robot
from tests.sample_problems import clockwork, quick_jit, same

OPTIONS = {"cart_pole": functools.partial(cart_pole, variation=0.5)}
"""Where the defaults make a family of one task."""


def features_of(tasks):
    """Features of a batch of tasks, made with NumPy."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tasks)]
    return np.concatenate([leaf.reshape(len(leaf), -1).astype(np.float32) for leaf in leaves], 1)


@pytest.mark.compiles
@pytest.mark.parametrize("name", problems.__all__)
def test_all_but_the_observation_is_bitwise_that_of_the_inner_problem(name):
    inner = OPTIONS.get(name, getattr(problems, name))()
    outer = informed(inner)

    def walk(env, task, key):
        """Reset, and 20 steps of random actions."""
        state, observation = env.reset(task, key)

        def one_step(state, key):
            action_key, key = jax.random.split(key)
            step = env.step(state, env.action_space.sample(action_key), task, key)
            return step.state, step

        return (state, observation), jax.lax.scan(one_step, state, jax.random.split(key, 20))[1]

    @quick_jit
    def walks(key):
        tasks = jax.vmap(inner.test.sample)(jax.random.split(key, 8))
        keys = jax.random.split(jax.random.fold_in(key, 1), 8)
        return tasks, *(jax.vmap(functools.partial(walk, env))(tasks, keys) for env in (inner.env, outer.env))

    tasks, ((state, first), steps), ((state_too, first_shown), steps_too) = walks(jax.random.key(0))
    assert same(state, state_too)
    hidden = functools.partial(replace, observation=None)
    assert same(hidden(steps), hidden(steps_too))

    space = inner.env.observation_space
    size, features = space.encoded_size, features_of(tasks)
    assert outer.env.observation_space.shape == (size + features.shape[1],)
    expected = (features - np.asarray(outer.env.mean, np.float32)) / np.asarray(outer.env.std, np.float32)
    for plain, shown, told in (
        (first, first_shown, expected),
        (steps.observation, steps_too.observation, np.repeat(expected[:, None], 20, 1)),
    ):
        assert same(space.encode(plain), shown[..., :size])
        # XLA may multiply by the inverse of a constant.
        np.testing.assert_allclose(shown[..., size:], told, rtol=1e-6, atol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("name", problems.__all__)
def test_families_and_lengths_are_those_of_the_inner_problem(name):
    inner = OPTIONS.get(name, getattr(problems, name))()
    outer = informed(inner)
    for field in ("train", "validation", "test", "shifted", "shift", "episodes"):
        assert getattr(outer, field) == getattr(inner, field)
    for field in ("action_space", "horizon", "ends_early"):
        assert getattr(outer.env, field) == getattr(inner.env, field)
    assert outer.optimum is None


def test_features_are_standardised_over_training_tasks():
    outer = informed(cart_pole(variation=0.5))
    keys = jax.random.split(jax.random.key(7), 4096)  # others than those that the moments come from
    features = features_of(jax.jit(jax.vmap(outer.train.sample))(keys))
    shown = (features - outer.env.mean) / outer.env.std
    # Both estimates err: 1 / 1024 + 1 / 4096. No feature's kurtosis is above 3 here (log-uniform on ±.5: 2.1).
    assert np.all(np.abs(shown.mean(0)) < 4 * (1 / 1024 + 1 / 4096) ** 0.5)
    assert np.all(np.abs(shown.var(0) - 1) < 4 * (2 * (1 / 1024 + 1 / 4096)) ** 0.5)


def test_a_constant_feature_has_deviation_1_and_is_shown_as_0():
    outer = informed(cart_pole())
    assert outer.env.std == (1.0,) * 4
    observation = outer.env.reset(outer.test.sample(jax.random.key(0)), jax.random.key(1))[1]
    np.testing.assert_allclose(observation[4:], 0, atol=1e-6)
    # The marks of the splits make no constant vary.
    cases = problems.cart_pole(variation=1e-12)
    assert cases.train.finite is None
    assert informed(cases).env.std == (1.0,) * 4


def test_integers_are_cast():
    outer = informed(grid_navigation())
    goals = np.asarray(outer.train.goals)
    assert outer.env.mean[0] == pytest.approx(goals.mean(), abs=4 * goals.std() / 1024**0.5)
    features = task_features(outer.train.sample(jax.random.key(0)))
    assert features.dtype == jnp.float32
    assert int(features[0]) in goals


@dataclasses.dataclass(frozen=True)
class WalkToTheGoalShown(FromScratch):
    """Reads the goal in the observation and walks there."""

    def describe(self, problem):
        return jnp.asarray(problem.env.mean), jnp.asarray(problem.env.std)

    def begin(self, meta, key):
        return AgentState(None, None)

    def act(self, meta, agent, timestep, key, *, explore):
        mean, std = meta
        return mean + std * timestep.observation[2:] - timestep.observation[:2], None, None


def test_a_policy_without_memory_attains_the_oracle():
    problem, agent = informed(point_robot(num_episodes=2)), WalkToTheGoalShown()

    @jax.jit  # the problem is an argument, and not a constant
    def run(problem, key):
        task = problem.test.sample(key)
        return evaluate_trial(agent, problem, agent.describe(problem), task, key).returns, problem.test.oracle(task)

    for seed in range(3):
        returns, oracle = run(problem, jax.random.key(seed))
        np.testing.assert_allclose(returns, oracle, atol=2e-5)


def test_an_informed_problem_is_a_leafless_pytree_that_can_be_hashed():
    problem = informed(clockwork(3, 2))
    assert jax.tree.leaves(problem) == []
    assert problem == informed(clockwork(3, 2))
    assert hash(problem) == hash(informed(clockwork(3, 2)))
    assert problem != informed(clockwork(4, 2))
    assert jax.jit(lambda problem: problem.trial_steps * jnp.ones(()))(problem) == 6
