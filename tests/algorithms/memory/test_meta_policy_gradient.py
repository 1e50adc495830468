"""Learning to explore: who acts when, what is learned from, and what the meta-policy is paid for."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from adaptax import problems
from adaptax.algorithms import MetaPolicyGradient, QLearning
from adaptax.algorithms.memory.settings import MetaPolicyGradientSettings
from adaptax.core.algorithm import init
from adaptax.core.errors import ConfigError
from adaptax.core.rollout import rollout, run_trial, start
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import AgentState, replace
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems.settings import ChainSettings, PointRobotSettings
from adaptax.training.loop import train
from tests.sample_problems import program, quick_jit, same

SMALL = {"memory_size": 4, "num_tasks": 4, "replicas": 2, "exploration_episodes": 2, "base_steps": 3}


def small_chain(episodes=4):
    return problems.chain(length=4, horizon=6, num_episodes=episodes)


@functools.cache
def case(**changes):
    algorithm, problem = MetaPolicyGradient(**{**SMALL, **changes}), small_chain()
    return algorithm, problem, init(algorithm, problem, seed=0)


def _explored(algorithm, problem, state):
    """Explorations `[time, exploration, ...]` of all tasks, and the base learners' returns before and after."""
    experience = algorithm.collect(problem, state)
    trajectory = jax.tree.map(lambda x: jax.lax.collapse(x, 1, 3), experience.trajectory)
    return trajectory, experience.extra["before"], experience.extra["after"]


@pytest.mark.compiles
def test_the_meta_policy_explores_and_then_the_base_learner_acts():
    algorithm, problem, state = case()
    task = problem.test.sample(jax.random.key(1))
    trajectory = program(run_trial)(algorithm, problem, state.meta, task, jax.random.key(2))
    explored = problem.trial_steps // 2
    first, last = (
        jax.tree.map(lambda x, part=part: x[part], trajectory) for part in (slice(0, explored), slice(explored, None))
    )
    assert len(np.unique(np.asarray(first.action))) > 1
    # What it exploits is a function of the state alone: the best known action of a table.
    for state_ in np.unique(np.asarray(last.timestep.observation)):
        actions = np.asarray(last.action)[np.asarray(last.timestep.observation) == state_]
        assert len(np.unique(actions)) == 1


@pytest.mark.compiles
def test_the_base_learner_learns_from_the_exploration_as_by_itself():
    algorithm, problem, state = case()
    task = problem.test.sample(jax.random.key(1))
    trial = program(start)(algorithm, problem, state.meta, task, jax.random.key(2))
    trial, explored = program(rollout)(
        algorithm, problem, state.meta, task, trial, jax.random.key(3), clock=0, steps=12
    )
    agent = AgentState(trial.adapted, trial.memory)
    adapted = program(algorithm.adapt)(state.meta, agent, explored, jax.random.key(4)).adapted
    learner = QLearning(learning_rate=algorithm.base_learning_rate, discount=algorithm.base_discount)
    alone = learner.begin(state.meta.base, jax.random.key(0))
    for _ in range(algorithm.base_steps):
        alone = program(learner.adapt)(state.meta.base, alone, explored, jax.random.key(4))
    assert same(adapted.base.quality, alone.adapted.quality)
    assert bool(adapted.explored)


def test_nothing_is_learned_from_exploiting():
    algorithm, problem, state = case()
    task = problem.test.sample(jax.random.key(1))
    trial = program(start)(algorithm, problem, state.meta, task, jax.random.key(2))
    agent = AgentState(trial.adapted, trial.memory)
    go_on, adapt = program(rollout), program(algorithm.adapt)
    for window in range(3):
        trial, trajectory = go_on(
            algorithm, problem, state.meta, task, trial, jax.random.key(window), clock=0, steps=12
        )
        known = agent.adapted.base
        agent = adapt(state.meta, AgentState(agent.adapted, trial.memory), trajectory, jax.random.key(9))
        assert same(known.visits, agent.adapted.base.visits) == (window > 0)


@pytest.mark.compiles
def test_the_meta_policy_is_frozen_at_test_time():
    algorithm, problem, state = case()
    before = jax.tree.map(np.asarray, jax.tree.leaves(state.meta))
    evaluate(TrainedAgent(algorithm, problem, state.meta), num_tasks=8, seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, jax.tree.leaves(state.meta), strict=True))


def test_the_exploration_does_not_depend_on_the_base_learner():
    algorithm, problem, state = case()
    task = problem.test.sample(jax.random.key(1))
    trial = program(start)(algorithm, problem, state.meta, task, jax.random.key(2))
    other = replace(
        trial,
        adapted=replace(
            trial.adapted,
            base=replace(trial.adapted.base, quality=trial.adapted.base.quality + jnp.arange(3.0)[None, None]),
        ),
    )
    steps = {"clock": 0, "steps": 12}
    one, another = (
        program(rollout)(algorithm, problem, state.meta, task, x, jax.random.key(3), **steps)[1] for x in (trial, other)
    )
    assert same(one.action, another.action)


@pytest.mark.nightly
def test_the_ablation_explores_as_the_base_learner_does_and_trains_nothing():
    algorithm, problem, state = case(explorer="base", memory_size=MetaPolicyGradient().memory_size)
    after, metrics = quick_jit(lambda state: algorithm.update(problem, state))(state)
    assert same(after.meta, state.meta)
    assert int(after.step) == 1
    assert set(metrics) == {"return", "return_0", "return_explored"}
    explore = jax.vmap(
        lambda key: run_trial(algorithm, problem, state.meta, problem.test.sample(key), key).action[:12, 0]
    )
    actions = np.asarray(explore(jax.random.split(jax.random.key(0), 400)))
    shares = np.bincount(actions.ravel(), minlength=3) / actions.size
    assert np.allclose(shares, 1 / 3, atol=0.03)  # ε = 1 before anything was learned


@pytest.mark.compiles
def test_one_epoch_is_reinforce():
    """With one pass the ratio is 1, so the step is along mean(A ∇ log π), by definition of the score function."""
    algorithm, problem, state = case(num_epochs=1, entropy_cost=0.0)
    trajectory, before, after = program(_explored)(algorithm, problem, state)
    gain = np.asarray(after - before).reshape(4, 2)
    advantage = jnp.asarray((gain - gain[:, ::-1]).ravel())
    old = trajectory.aux["log_prob"]
    trajectory = replace(trajectory, aux=None, next_observation=None)
    network = state.meta.explorer.network

    def score(network):
        meta = replace(state.meta.explorer, network=network)
        policy = algorithm.explorer_network.recompute(meta, trajectory)[1]
        return -jnp.mean(advantage[None] * policy.log_prob(trajectory.action))

    def loss(network):
        return algorithm._loss(state.meta, jnp.zeros(()), network, (trajectory, old, advantage))[0]

    expected, found = (jax.tree.leaves(quick_jit(jax.grad(f))(network)) for f in (score, loss))
    assert max(float(jnp.max(jnp.abs(x))) for x in expected) > 1e-4
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(expected, found, strict=True))


@pytest.mark.compiles
def test_E6_an_update_ascends_what_an_exploration_has_taught_more_than_others_of_its_task():
    algorithm, problem, state = case(num_epochs=1, entropy_cost=0.0)
    trajectory, before, after = program(_explored)(algorithm, problem, state)
    gain = np.asarray(after - before, np.float64).reshape(4, 2)
    advantage = (gain - gain[:, ::-1]).ravel()
    assert np.ptp(gain.mean(1)) > 0  # tasks differ in what there is to gain, and that is no merit
    advantage = jnp.asarray(advantage / np.sqrt(np.mean(advantage**2)), jnp.float32)
    trajectory = replace(trajectory, aux=None, next_observation=None)

    def score(network):
        meta = replace(state.meta.explorer, network=network)
        policy = algorithm.explorer_network.recompute(meta, trajectory)[1]
        return jnp.mean(advantage[None] * policy.log_prob(trajectory.action))

    network = state.meta.explorer.network
    slope = ravel_pytree(quick_jit(jax.grad(score))(network))[0]
    slope = slope * min(1.0, algorithm.max_gradient_norm / float(jnp.linalg.norm(slope)))
    learned = quick_jit(lambda state: algorithm.update(problem, state)[0])(state).meta.explorer.network
    step = ravel_pytree(learned)[0] - ravel_pytree(network)[0]
    # Adam's first step is g / (|g| + ε) learning rates.
    expected = algorithm.learning_rate * slope / (jnp.abs(slope) + 1e-5)
    np.testing.assert_allclose(step, expected, atol=0.02 * algorithm.learning_rate)


@pytest.mark.compiles
def test_it_is_paid_for_what_it_teaches_and_not_for_what_it_earns():
    """R compares what is known after the exploration with what was known before it."""
    algorithm, problem, state = case()
    trajectory, before, after = program(_explored)(algorithm, problem, state)
    assert trajectory.reward.shape == (12, 8)
    # A base learner that knows nothing takes action 0 everywhere, and so stays at the start for 0.01 a step.
    assert np.allclose(before, 6 * 0.01, atol=1e-6)
    assert (np.asarray(after) >= 0).all()


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.nightly)])
def test_it_learns_to_explore_where_undirected_exploring_fails(seed):
    """At least twice what the base learner reaches by itself; `benchmarks/exploration.py` measures it at full size."""
    problem = problems.chain(length=8, horizon=16, num_episodes=4)
    algorithm = MetaPolicyGradient(num_updates=60)
    state = train(algorithm, problem, init(algorithm, problem, seed=seed), num_updates=60)
    taught = evaluate(TrainedAgent(algorithm, problem, state.meta), num_tasks=200, seed=seed).evaluation_episodes[
        ..., 1
    ]
    alone = evaluate(
        TrainedAgent(dataclasses.replace(algorithm, explorer="base"), problem, state.meta), num_tasks=200, seed=seed
    )
    assert taught.mean() > 2 * alone.evaluation_episodes[..., 1].mean()


def test_settings_say_what_does_not_go_together():
    with pytest.raises(ConfigError, match="discrete states and actions"):
        MetaPolicyGradientSettings().check_problem(PointRobotSettings(num_episodes=4))
    with pytest.raises(ConfigError, match="exploration_episodes"):
        MetaPolicyGradientSettings(exploration_episodes=3).check_problem(ChainSettings(num_episodes=4))
    with pytest.raises(ConfigError, match="base_std"):
        MetaPolicyGradientSettings(base_std=2.0)


@pytest.mark.compiles
def test_it_learns_from_problems_that_show_nothing():
    problem = problems.bernoulli_bandit(num_arms=3, num_pulls=4)
    algorithm = MetaPolicyGradient(**{**SMALL, "base_steps": 1})
    state = init(algorithm, problem, seed=0)
    experience = jax.jit(lambda state: algorithm.collect(problem, state))(state)
    assert experience.trajectory.timestep.observation.shape == (2, SMALL["num_tasks"], SMALL["replicas"], 0)
    after, _ = jax.jit(lambda: algorithm.learn(problem, state, experience))()
    assert not same(after.meta, state.meta)
