"""RL² reads observations in deviations from what its training has seen, whatever units they come in (trap E33)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.meta_policy_gradient import MetaPolicyGradient
from adaptax.algorithms.memory.rl2 import RL2
from adaptax.core.composite_spaces import Encoded
from adaptax.core.experience import sample_tasks
from adaptax.core.problem import Step, make_problem
from adaptax.core.rollout import run_trial
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, TimeStep, replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.optimization.moments import no_moments
from adaptax.optimization.observations import BOUND
from adaptax.problems import bernoulli_bandit, cart_pole, grid_navigation, point_robot
from adaptax.problems.point_robots import PointRobot, SquareGoals
from adaptax.registry.presets import settings_for
from tests.sample_problems import quick_jit, train
from tests.units import VARIANTS, in_units, stacked

SMALL = {"memory": "gru", "memory_size": 8, "critic_size": 8, "num_tasks": 8, "num_minibatches": 2, "num_updates": 4}


class Measured(PointRobot):
    """A point robot that is seen in other units, from another origin."""

    offset: float = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __init__(self, horizon, offset, scale):
        super().__init__(horizon)
        self.offset, self.scale = offset, scale

    def reset(self, task, key):
        state, observation = super().reset(task, key)
        return state, self.offset + self.scale * observation

    def step(self, state, action, task, key):
        step = super().step(state, action, task, key)
        return Step(step.state, self.offset + self.scale * step.observation, step.reward, step.terminated)


def measured(offset, scale, horizon=20, episodes=3):
    return make_problem(
        Measured(horizon, offset, scale), lambda split: SquareGoals(horizon=horizon, split=split), episodes
    )


@pytest.mark.compiles
@pytest.mark.parametrize("problem", [cart_pole(num_episodes=2, horizon=30), point_robot(2, 10)], ids=["early", "ring"])
def test_an_update_takes_in_what_was_seen_and_no_idle_step(problem):
    algorithm = RL2(**SMALL, normalize_observations=True)
    state = algorithm.init(problem, jax.random.key(0))
    experience = quick_jit(lambda state: algorithm.collect(problem, state))(state)
    after = quick_jit(lambda state: algorithm.learn(problem, state, experience)[0])(state).meta.observed
    trajectory = experience.trajectory
    seen = np.asarray(trajectory.timestep.observation, np.float64)[np.asarray(trajectory.valid)]
    before = state.meta.observed
    count = float(before.count) + len(seen)
    mean = (float(before.count) * np.asarray(before.mean, np.float64) + seen.sum(0)) / count
    squares = float(before.count) * (np.asarray(before.variance, np.float64) + np.asarray(before.mean) ** 2)
    variance = (squares + (seen**2).sum(0)) / count - mean**2
    assert float(after.count) == count
    np.testing.assert_allclose(after.mean, mean, atol=1e-5)
    np.testing.assert_allclose(after.variance, variance, rtol=1e-3, atol=1e-6)


def test_what_is_read_does_not_depend_on_units():
    rng, problem = np.random.default_rng(0), measured(0.0, 1.0)
    meta = RL2(**SMALL, normalize_observations=True).init(problem, jax.random.key(0)).meta
    x = rng.normal(size=(500, 2)).astype(np.float32)
    plain = replace(meta, observed=no_moments((2,)).observe(jnp.asarray(x)))
    np.testing.assert_allclose(plain.encode(jnp.asarray(x[:9])), (x[:9] - x.mean(0)) / x.std(0), atol=1e-5)
    for offset, scale in ((1000.0, 1.0), (0.0, 1e4), (-7.0, 1e-3)):
        y = offset + scale * x
        other = replace(meta, observed=no_moments((2,)).observe(jnp.asarray(y)))
        one, two = plain.encode(jnp.asarray(x[:9])), other.encode(jnp.asarray(y[:9]))
        np.testing.assert_allclose(two, one, atol=5e-3)  # float32, at 1000
    far = plain.encode(jnp.full(2, 1e6))
    assert far.tolist() == [BOUND] * 2
    assert plain.encode(jnp.full(2, -1e6)).tolist() == [-BOUND] * 2


@pytest.mark.parametrize("problem", [bernoulli_bandit(2, 3), grid_navigation()], ids=["nothing", "cells"])
def test_nothing_and_what_is_counted_stay_as_they_are(problem):
    meta = RL2(**SMALL, normalize_observations=True).init(problem, jax.random.key(0)).meta
    cell = problem.env.reset(problem.train.draw(jax.random.key(0)), jax.random.key(0))[1]
    np.testing.assert_array_equal(meta.encode(cell), problem.env.observation_space.encode(cell))


def test_off_there_are_no_moments_to_keep():
    assert RL2(**SMALL).init(point_robot(2, 5), jax.random.key(0)).meta.observed is None


def test_E1d_the_setting_changes_what_the_policy_reads():
    problem = point_robot(2, 5)
    on, off = (
        RL2(**SMALL, normalize_observations=switch).init(problem, jax.random.key(0)).meta for switch in (True, False)
    )
    x = jnp.full(2, 0.3)
    np.testing.assert_array_equal(off.encode(x), x)
    assert jnp.all(jnp.abs(on.encode(x) - x) > 0.1)


def test_E26_acting_and_evaluating_leave_the_moments_alone():
    problem = point_robot(2, 5)
    algorithm = RL2(**SMALL, normalize_observations=True)
    meta = algorithm.init(problem, jax.random.key(0)).meta
    agent = algorithm.begin(meta, jax.random.key(0))
    far = TimeStep(jnp.full(2, 50.0), problem.env.action_space.null(), jnp.zeros(()), jnp.asarray(True))
    algorithm.act(meta, AgentState(None, agent.memory), far, jax.random.key(1), explore=True)
    before = jax.tree.map(np.array, meta)
    evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=4)
    same = jax.tree.map(np.array_equal, before, meta)
    assert all(jax.tree.leaves(same))


def test_default_presets_normalise_what_are_numbers():
    for problem, expected in {"bandit": False, "grid-navigation": False, "cart-pole": True, "ant-goal": True}.items():
        for name in ("rl2", "meta-policy-gradient"):
            assert settings_for(name, problem)[0].normalize_observations is expected


@pytest.mark.compiles
def test_E33_the_first_update_is_the_same_in_any_units():
    """Up to what single precision makes of 1000.123."""
    algorithm = RL2(**SMALL, normalize_observations=True)

    def after(offset, scale):
        problem = measured(offset, scale)
        state = algorithm.init(problem, jax.random.key(0))
        key = jax.random.key(1)
        seen = offset + scale * 0.3 * jax.random.normal(key, (100, 2))  # the same moments of both, in their units
        state = replace(state, meta=replace(state.meta, observed=no_moments((2,)).observe(seen)))
        tasks = sample_tasks(problem, state, algorithm.num_tasks)[0]
        experience = quick_jit(lambda state: algorithm.collect(problem, state))(state)
        assert jax.tree.leaves(experience.tasks)[0].shape == jax.tree.leaves(tasks)[0].shape
        return quick_jit(lambda state: algorithm.learn(problem, state, experience)[0])(state).meta.network

    one, other = after(0.0, 1.0), after(1000.0, 1e4)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=5e-3)


@pytest.mark.compiles
def test_E33_who_explores_and_who_learns_from_it_read_the_same_in_any_units():
    """Meta-policy gradient: the base learner has no moments of its own, and gets those of training."""
    sizes = {"memory_size": 4, "num_tasks": 4, "replicas": 2, "base_size": 8, "base_steps": 3, "base": "reinforce"}
    base = {"base_baseline": "value", "base_learning_rate": 0.03}  # without a baseline, a constant is not subtracted
    algorithm = MetaPolicyGradient(**sizes, **base, exploration_episodes=1, num_updates=4, normalize_observations=True)

    def learned(of):
        problem = in_units(of, horizon=6, episodes=2)
        state, _ = algorithm.update(problem, algorithm.init(problem, jax.random.key(0)))
        task, key = problem.test.sample(jax.random.key(1)), jax.random.key(2)
        return state.meta, run_trial(algorithm, problem, state.meta, task, key).reward

    meta, reward = quick_jit(jax.vmap(learned))(stacked())
    assert (meta.explorer.observed.count == (64 * 1 + 4 * 2) * 6).all()  # RL2's first look, and the explorations
    assert isinstance(meta.base.observation, Encoded)
    weights = [np.asarray(x).reshape(len(VARIANTS), -1) for x in jax.tree.leaves(meta.explorer.network)]
    weights = np.concatenate(weights, 1)
    assert np.abs(weights - weights[0]).mean() < 2e-3  # Adam makes much of gradients that are near 0
    known = VARIANTS["reward + 5.5"].undone(reward[1], 1)
    np.testing.assert_allclose(known, reward[0], atol=2e-2)
    np.testing.assert_allclose(reward[3:], np.broadcast_to(reward[0], reward[3:].shape), atol=2e-2)


@pytest.mark.learning
def test_E33_it_learns_the_same_in_any_units():
    settings = {"memory_size": 32, "num_tasks": 64, "num_updates": 60, "learning_rate": 5e-3, "gae_lambda": 0.95}
    algorithm = RL2(memory="gru", num_minibatches=4, normalize_observations=True, **settings)
    found = []
    for offset, scale in ((0.0, 1.0), (1000.0, 1e4)):
        problem = measured(offset, scale)
        meta = train(algorithm, problem, algorithm.num_updates, 0)[0].meta
        before = algorithm.init(problem, jax.random.key(0)).meta
        agents = [TrainedAgent(algorithm, problem, m) for m in (before, meta)]
        found.append([evaluate(agent, num_tasks=400, explore=True).scores.mean() for agent in agents])
    (_, plain), (untrained, other) = found
    assert other > untrained + 5  # it learns at all
    assert abs(other - plain) < 0.15 * (plain - untrained)
