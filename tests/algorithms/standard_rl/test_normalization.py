"""Learners of one task and of all at once read observations in deviations from what they have seen (trap E33)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import A2C, DQN, PPO, MetaGradientRL, MultiTaskPPO, Reinforce
from adaptax.algorithms.standard_rl import actor_critic
from adaptax.algorithms.standard_rl.dqn import Paid
from adaptax.algorithms.standard_rl.entries import FROM_SCRATCH, TRAINABLE
from adaptax.algorithms.standard_rl.ppo import with_own_chances
from adaptax.core.rollout import rollout, run_trial, start
from adaptax.core.spaces import Box
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState
from adaptax.evaluation.evaluator import evaluate
from adaptax.optimization.moments import Moments, no_moments
from adaptax.problems import bernoulli_bandit, grid_navigation
from adaptax.registry.presets import settings_for
from adaptax.runs.recipe import Recipe, recipe_of
from tests.sample_problems import clockwork, program, quick_jit, same
from tests.units import VARIANTS, in_units, stacked, units

KEY = jax.random.key(0)
SMALL = {"hidden_size": 8, "num_layers": 1, "streams": 8, "normalize_observations": True}
LEARNERS = {
    "a2c": A2C(**SMALL, num_steps=3, learning_rate=0.02),
    "ppo": PPO(**SMALL, num_minibatches=4),
    "reinforce": Reinforce(**SMALL, learning_rate=0.02),
    "meta-gradient": MetaGradientRL(**SMALL, num_steps=3, learning_rate=0.02, per_state=True),
}
ALL = {**SMALL, "streams": 2, "num_tasks": 8, "num_minibatches": 2, "num_updates": 5, "normalize_rewards": True}


def windows(algorithm, problem, count):
    """What the learner knew before each window, and the windows as they were collected."""
    meta, task = algorithm.describe(problem), problem.train.sample(KEY)
    state = start(algorithm, problem, meta, task, KEY, algorithm.window(problem).num_envs)
    steps = algorithm.window(problem).steps

    def one(state, index):
        key = jax.random.fold_in(KEY, index)
        after, window = rollout(algorithm, problem, meta, task, state, key, clock=index * steps, steps=steps)
        adapted = algorithm.adapt(meta, AgentState(after.adapted, after.memory), window, key).adapted
        return dataclasses.replace(after, adapted=adapted), (state.adapted, window)

    return quick_jit(lambda: jax.lax.scan(one, state, jnp.arange(count)))()


def moments_of(seen):
    seen = np.asarray(seen, np.float64).reshape(-1, seen.shape[-1])
    return len(seen), seen.mean(0), seen.var(0)


@pytest.mark.compiles
@pytest.mark.parametrize("name", LEARNERS)
def test_each_window_is_taken_in_once_and_learned_from_as_it_was_read(name):
    algorithm, count = LEARNERS[name], 4
    problem = in_units(units(1000.0, (1e4, 3.0)), horizon=6, episodes=80)
    last, (before, collected) = windows(algorithm, problem, count)
    learner = getattr(last.adapted, "learner", last.adapted)
    number, mean, variance = moments_of(np.asarray(collected.timestep.observation))
    assert learner.observed.count == number
    np.testing.assert_allclose(learner.observed.mean, mean, rtol=1e-4)
    np.testing.assert_allclose(learner.observed.variance, variance, rtol=1e-2)
    for index in range(count):
        known, window = jax.tree.map(lambda x: x[index], (before, collected))  # noqa: B023
        known = getattr(known, "learner", known)
        now, read, _ = actor_critic.looking(known, window)
        assert (now.observed.count == known.observed.count) == (index > 0)
        seen = np.asarray(read.timestep.observation)
        assert np.abs(seen).max() > 0.5  # whatever their size, observations are told apart
        assert np.abs(seen).max() <= 10
        chances = now.network.policy.log_prob(read.timestep.observation, read.action)
        if index:  # what acted is what learns; before its first window it has read nothing
            np.testing.assert_allclose(chances, window.aux["log_prob"], rtol=1e-4, atol=1e-4)
        # So PPO's ratio is 1 where its first epoch begins, in the first window too.
        old = with_own_chances(now, read).aux["log_prob"]
        np.testing.assert_allclose(jnp.exp(chances - old), 1.0, rtol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("name", LEARNERS)
def test_E33_from_scratch_it_learns_the_same_whatever_the_units(name):
    """Of observations, as long as rounding has not made another trial of it, and of rewards."""
    algorithm = LEARNERS[name]

    def chances(of):
        problem = in_units(of, horizon=6, episodes=96)
        meta, task = algorithm.describe(problem), problem.train.sample(jax.random.key(1))
        return run_trial(algorithm, problem, meta, task, jax.random.key(2)).aux["log_prob"]

    found = np.asarray(quick_jit(jax.vmap(chances))(stacked()))
    steps = algorithm.window(in_units(units(), horizon=6, episodes=96)).steps
    plain, *others = found.reshape(len(VARIANTS), -1, steps, 8)
    assert np.abs(plain[-1] - plain[0]).max() > 0.01
    for variant, other in zip(list(VARIANTS)[1:], others, strict=True):
        np.testing.assert_array_equal(other[0], plain[0])
        np.testing.assert_allclose(other[1:3], plain[1:3], atol=2e-2, err_msg=variant)


def test_bounds_that_promise_nothing_are_none():
    assert in_units(units(), horizon=2, episodes=1).env.observation_space == Box((2,))


@pytest.mark.parametrize("problem", [bernoulli_bandit(2, 8), grid_navigation(num_episodes=8)], ids=["nothing", "cells"])
@pytest.mark.parametrize("kind", [PPO, DQN])
def test_what_is_no_amount_stays_as_it_is(kind, problem):
    agents = [kind(normalize_observations=on) for on in (True, False)]
    one, other = (program(agent.begin)(agent.describe(problem), KEY).adapted for agent in agents)
    assert one.observed is None
    assert same(one, other)


def test_E1d_the_setting_changes_what_the_networks_read():
    problem, x = in_units(units(), horizon=2, episodes=8), jnp.asarray([0.3, -0.2])
    on, off = (PPO(**SMALL | {"normalize_observations": on}) for on in (True, False))
    on, off = (program(agent.begin)(agent.describe(problem), KEY).adapted for agent in (on, off))
    assert off.observed is None
    np.testing.assert_array_equal(off.read(x), x)
    np.testing.assert_array_equal(on.read(x), 0.0)  # nothing was seen yet
    seen = Moments(jnp.asarray(9.0), jnp.asarray([0.1, 0.0]), jnp.asarray([0.04, 1e-8]))
    np.testing.assert_allclose(dataclasses.replace(on, observed=seen).read(x), [1.0, -10.0], rtol=1e-5)


@pytest.mark.compiles
def test_E33_for_all_tasks_the_first_updates_are_the_same_in_any_units():
    algorithm = MultiTaskPPO(**ALL)

    def learned(of):
        problem = in_units(of, horizon=6, episodes=2)
        state = algorithm.init(problem, KEY)
        for _ in range(2):
            state = algorithm.update(problem, state)[0]
        return state.meta

    found = quick_jit(jax.vmap(learned))(stacked())
    assert (found.observed.count == found.observed.count[0]).all()
    assert found.observed.count[0] == (16 + 2 * 8) * 2 * 6  # the first look, and two updates
    for leaf in jax.tree.leaves(found.network):
        for other in leaf[1:]:
            np.testing.assert_allclose(other, leaf[0], atol=2e-2)
    np.testing.assert_allclose(found.center[1], found.center[0] + 5.5, rtol=1e-3)


@pytest.mark.compiles
def test_E26_evaluation_and_fine_tuning_leave_what_training_has_seen():
    algorithm = MultiTaskPPO(**ALL, fine_tuning_rate=0.01)
    problem = in_units(units(5.0, (2.0, 300.0)), horizon=4, episodes=6)
    meta = quick_jit(lambda key: algorithm.init(problem, key))(KEY).meta
    before = jax.tree.map(np.array, meta)
    evaluate(TrainedAgent(algorithm, problem, meta), num_tasks=4)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, before, meta)))
    agent = algorithm.begin(meta, KEY)
    state = start(algorithm, problem, meta, problem.test.sample(KEY), KEY, 2)
    task, steps = problem.test.sample(KEY), problem.env.horizon
    window = quick_jit(lambda: rollout(algorithm, problem, meta, task, state, KEY, clock=0, steps=steps)[1])()
    tuned = quick_jit(lambda: algorithm.adapt(meta, agent, window, KEY))().adapted
    assert same(tuned.observed, meta.observed)
    assert not same(tuned.network, meta.network)


def test_off_nothing_more_is_kept_than_before():
    problem = in_units(units(), horizon=4, episodes=2)
    algorithm = MultiTaskPPO(**ALL | {"normalize_observations": False, "normalize_rewards": False})
    meta = quick_jit(lambda key: algorithm.init(problem, key))(KEY).meta
    assert (meta.observed, meta.center) == (None, None)
    dqn = program(DQN().begin)(DQN().describe(clockwork(2, 2, num_actions=2)), KEY).adapted
    assert (dqn.observed, dqn.paid) == (None, None)


def test_rewards_in_units_of_what_is_paid():
    paid = no_moments().observe(jnp.asarray([1.0, 1.0, 4.0]))
    # Where episodes end early, 0 is 0: in units of the root mean square √6.
    np.testing.assert_allclose(Paid(paid, jnp.zeros(())).units(jnp.asarray([0.0, 6.0**0.5])), [0, 1], rtol=1e-6)
    # Elsewhere as differences from the center; at the mean, in deviations √2.
    np.testing.assert_allclose(Paid(paid, paid.mean).units(jnp.asarray([2.0, 4.0])), [0, 2**0.5], rtol=1e-6)
    same_always = no_moments().observe(jnp.full(7, 3e5))
    np.testing.assert_allclose(Paid(same_always, same_always.mean).units(jnp.full(2, 3e5)), 0, atol=0.1)
    np.testing.assert_allclose(Paid(same_always, jnp.zeros(())).units(jnp.full(2, 3e5)), 1, rtol=1e-6)
    np.testing.assert_array_equal(Paid(no_moments(), jnp.zeros(())).units(jnp.zeros(2)), 0)


@pytest.mark.compiles
def test_E33_dqn_learns_the_same_values_in_any_units():
    """Its actions are by chance here, so that all variants have the same experience."""
    small = {"hidden_size": 8, "learning_starts": 20, "train_every": 2, "batch_size": 8, "buffer_size": 200}
    dqn = DQN(**small, final_epsilon=1.0, normalize_observations=True, normalize_rewards=True)

    def learned(of):
        problem = in_units(of, horizon=10, episodes=20, discrete=True)
        meta, task = dqn.describe(problem), problem.train.sample(KEY)
        state = start(dqn, problem, meta, task, KEY)

        def one(state, index):
            key = jax.random.fold_in(KEY, index)
            after, window = rollout(dqn, problem, meta, task, state, key, clock=2 * index, steps=2)
            adapted = dqn.adapt(meta, AgentState(after.adapted, after.memory), window, key).adapted
            return dataclasses.replace(after, adapted=adapted), None

        return jax.lax.scan(one, state, jnp.arange(100))[0].adapted

    found = quick_jit(jax.vmap(learned))(stacked())
    assert (found.steps == 91).all()
    assert (found.observed.count == 200).all()
    fresh = program(dqn.begin)(dqn.describe(in_units(units(), horizon=10, episodes=20, discrete=True)), KEY)
    moved = [
        np.abs(x[0] - y).max()
        for x, y in zip(*map(jax.tree.leaves, (found.network, fresh.adapted.network)), strict=True)
    ]
    assert max(moved) > 0.05
    for leaf in jax.tree.leaves(found.network):
        for other in leaf[1:]:
            np.testing.assert_allclose(other, leaf[0], atol=5e-3)


SETTINGS_BY_PROBLEM = {"bandit": False, "grid-navigation": False, "cart-pole": True}


@pytest.mark.parametrize("name", [*TRAINABLE, *FROM_SCRATCH])
def test_default_presets_normalise_what_are_numbers(name):
    for problem, expected in {**SETTINGS_BY_PROBLEM, "point-robot": True, "ant-goal": True}.items():
        if name in ("q-learning", "sarsa") or (name == "dqn" and problem in ("point-robot", "ant-goal")):
            continue  # they keep tables, or have a value for each action
        settings, of = settings_for(name, problem)
        assert settings.normalize_observations is expected
        assert getattr(settings, "normalize_rewards", expected) is expected
        # A run from before there were these settings goes on without them.
        new = Recipe(name, problem, settings, of).to_json()
        old = {k: v for k, v in new["algorithm_settings"].items() if not k.startswith("normalize_")}
        found = recipe_of({**new, "algorithm_settings": old}).algorithm_settings
        assert not found.normalize_observations
        assert not getattr(found, "normalize_rewards", False)
        assert recipe_of(new).algorithm_settings == settings
