"""Meta-gradient RL: the gradient of the next window's objective, against finite differences, and what it changes."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from adaptax import problems
from adaptax.algorithms import A2C, MetaGradientRL
from adaptax.algorithms.standard_rl import actor_critic
from adaptax.core.rollout import rollout, run_trial, start
from adaptax.core.types import AgentState
from tests.sample_problems import program, quick_jit, same

SMALL = {"hidden_size": 4, "num_layers": 1, "streams": 2, "num_steps": 3, "learning_rate": 0.05}


def windows(algorithm, problem, meta, count, seed=0):
    """The agent before, and `count` windows that it has collected and learned from, with the agent after each."""
    task_key, start_key, key = jax.random.split(jax.random.key(seed), 3)
    task = problem.test.sample(task_key)
    trial = program(start)(algorithm, problem, meta, task, start_key, algorithm.streams)
    go_on, adapt = program(rollout), program(algorithm.adapt)
    agents, collected = [AgentState(trial.adapted, trial.memory)], []
    for index in range(count):
        steps = algorithm.num_steps
        clock = jnp.asarray(index * steps)
        trial, window = go_on(
            algorithm, problem, meta, task, trial, jax.random.fold_in(key, index), clock=clock, steps=steps
        )
        agents.append(adapt(meta, AgentState(trial.adapted, trial.memory), window, key))
        trial = dataclasses.replace(trial, adapted=agents[-1].adapted)
        collected.append(window)
    return agents, collected


def in_float64(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


PAIRS = [(per_state, seed) for per_state in (False, True) for seed in (1, 2)]


def with_constants_of(algorithm, known, window, following):
    """The outer objective with what counts as constant held where it is at the present η, and no gradient cut."""
    observation = known.before.network.policy.observation_space.encode(window.timestep.observation)

    def step(eta, returns):
        discount, gae_lambda = eta.at(observation)
        value_cost, entropy_cost = jnp.exp(eta.weights)
        batch = actor_critic.make_batch(algorithm, known.before, window, discount=discount, gae_lambda=gae_lambda)
        returns = actor_critic.observe(known.before, batch) if returns is None else returns
        optimizer, costs = algorithm._inner_adam(), {"entropy_cost": entropy_cost, "value_cost": value_cost}
        return actor_critic.descend(optimizer, known.before, returns, batch, **costs)

    now = step(known.eta, None)
    judged = actor_critic.make_batch(
        algorithm, now, following, discount=algorithm.outer_discount, gae_lambda=algorithm.outer_gae_lambda
    )
    weights = judged.advantage / now.returns.std

    def objective(eta):
        network = step(eta, now.returns).network
        return jnp.mean(network.policy(judged.observation).log_prob(judged.action) * weights)

    return objective


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("per_state", "seed"), [(True, 0), *(pytest.param(*case, marks=pytest.mark.compiles) for case in PAIRS)]
)
def test_the_meta_gradient_is_that_of_finite_differences(per_state, seed):
    algorithm = MetaGradientRL(**SMALL, per_state=per_state)
    problem = problems.tabular_mdp(num_states=3, num_actions=2, horizon=6, num_episodes=4)
    meta = algorithm.describe(problem)
    agents, collected = windows(algorithm, problem, meta, 3, seed)
    with jax.enable_x64(True):
        known = in_float64(agents[2].adapted)
        window, following = in_float64(collected[1]), in_float64(collected[2])
        if per_state:  # away from the start, where the network puts out 0
            weight = 0.1 * jax.random.normal(jax.random.key(seed), known.eta.head.weight.shape, jnp.float64)
            known = eqx.tree_at(lambda known: known.eta.head.weight, known, weight)
        flat, restore = ravel_pytree(known.eta)
        gradient = quick_jit(jax.grad(algorithm.outer_objective))(known.eta, known.before, window, following)
        found = np.asarray(ravel_pytree(gradient)[0])
        step = 1e-5
        moved = jnp.concatenate([flat[None] + step * jnp.eye(flat.size), flat[None] - step * jnp.eye(flat.size)])

        @quick_jit
        def objectives(moved, known, window, following):
            objective = with_constants_of(algorithm, known, window, following)
            return jax.vmap(lambda eta: objective(restore(eta)))(moved)

        values = np.asarray(objectives(moved, known, window, following))
        expected = (values[: flat.size] - values[flat.size :]) / (2 * step)
    assert np.abs(expected[:2]).min() > 1e-6
    assert np.abs(found - expected).max() <= 1e-7 * max(1.0, np.abs(expected).max())


@pytest.mark.compiles
def test_at_the_present_hyper_parameters_the_step_is_the_one_that_was_taken():
    algorithm = MetaGradientRL(**SMALL)
    problem = problems.tabular_mdp(num_states=3, num_actions=2, horizon=6, num_episodes=4)
    agents, collected = windows(algorithm, problem, algorithm.describe(problem), 2)
    known = agents[2].adapted
    again = program(algorithm.step)(known.before, known.window, known.eta)
    assert same(again, known.learner)
    assert same(known.window.reward, collected[1].reward)
    assert same(known.before, agents[1].adapted.learner)


@pytest.mark.compiles
def test_E29_without_learning_its_hyper_parameters_it_is_a2c():
    changes = {**SMALL, "discount": 0.9, "gae_lambda": 0.8, "entropy_cost": 0.02}
    learned, fixed = MetaGradientRL(**changes, meta_learning_rate=0.0), A2C(**changes)
    problem = problems.tabular_mdp(num_states=3, num_actions=2, horizon=6, num_episodes=4)
    key, task = jax.random.key(0), problem.test.sample(jax.random.key(1))
    one = program(run_trial)(learned, problem, learned.describe(problem), task, key)
    assert one.reward.shape == (12, 2)
    # Networks are drawn from other keys, so compare a step: the same learner, the same window.
    meta = learned.describe(problem)
    agents, collected = windows(learned, problem, meta, 1)
    before = AgentState(agents[0].adapted.learner, None)
    expected = program(fixed.adapt)(fixed.describe(problem), before, collected[0], key).adapted
    found = agents[1].adapted.learner
    for a, b in zip(*map(jax.tree.leaves, (expected, found)), strict=True):
        # Adam divides by |g| + 1e-5: of a gradient that cancels to 0, rounding of 1e-7 makes a hundredth of the rate.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-2 * learned.learning_rate)


@pytest.mark.compiles
@pytest.mark.parametrize(("learns", "returns", "weights"), [("all", 1, 1), ("returns", 1, 0), ("weights", 0, 1)])
def test_it_learns_what_it_is_asked_to_from_the_second_window_on(learns, returns, weights):
    algorithm = MetaGradientRL(**SMALL, learns=learns)
    problem = problems.tabular_mdp(num_states=3, num_actions=2, horizon=6, num_episodes=4)
    agents, _ = windows(algorithm, problem, algorithm.describe(problem), 2)
    etas = [agent.adapted.eta for agent in agents]
    assert same(etas[0], etas[1])
    assert same(etas[1].returns, etas[2].returns) == (not returns)
    assert same(etas[1].weights, etas[2].weights) == (not weights)


@pytest.mark.learning
def test_a_discount_that_misleads_is_raised():
    """A step of A2C towards what a larger γ shows: reward comes late, and γ starts so small that it is not seen."""
    problem = problems.chain(length=4, horizon=8, num_episodes=1600)
    algorithm = MetaGradientRL(streams=8, num_steps=8, discount=0.5, learning_rate=0.01, meta_learning_rate=0.03)
    meta = algorithm.describe(problem)
    task = problem.test.sample(jax.random.key(0))

    def run(key):
        trial = start(algorithm, problem, meta, task, key, algorithm.streams)

        def window(trial, index):
            trial, collected = rollout(
                algorithm, problem, meta, task, trial, jax.random.fold_in(key, index), clock=index * 8, steps=8
            )
            agent = algorithm.adapt(meta, AgentState(trial.adapted, trial.memory), collected, key)
            return dataclasses.replace(trial, adapted=agent.adapted), None

        trial, _ = jax.lax.scan(window, trial, jnp.arange(200))
        return jax.nn.sigmoid(trial.adapted.eta.returns[0])

    discounts = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), 64)))
    assert discounts.mean() - 3 * discounts.std(ddof=1) / 8 > 0.5


@pytest.mark.compiles
def test_a_window_that_teaches_nothing_leaves_a_finite_meta_gradient():
    """Uniform policy, no reward, value 0: the gradient is exactly 0, where its norm has no derivative."""
    agent = MetaGradientRL(hidden_size=1, num_layers=0, streams=1, num_steps=2)
    problem = problems.bernoulli_bandit(num_arms=2, num_pulls=6)
    meta = agent.init(problem, jax.random.key(0)).meta
    state = agent.begin(meta, jax.random.key(1))
    task = eqx.tree_at(lambda t: t.probabilities, problem.test.sample(jax.random.key(2)), jnp.zeros(2))
    window = quick_jit(lambda: run_trial(agent, problem, meta, task, jax.random.key(3)))()
    for _ in range(3):
        first = jax.tree.map(lambda x: x[:2], window)
        state = quick_jit(lambda state, first=first: agent.adapt(meta, state, first, jax.random.key(4)))(state)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.adapted) if jnp.issubdtype(x.dtype, jnp.floating))
