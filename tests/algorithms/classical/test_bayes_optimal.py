"""Bayes-optimal agents attain the optimum that the dynamic programs give, through the ordinary rollout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.classical.bayes_optimal import BayesOptimalBandit, BayesOptimalGrid
from adaptax.core.rollout import evaluate_trial
from adaptax.core.types import AgentState, TimeStep
from adaptax.problems import bernoulli_bandit, grid_navigation, two_step
from adaptax.problems.bandit import BernoulliArms
from adaptax.problems.grid_worlds import GridGoal


@pytest.mark.compiles
@pytest.mark.parametrize(("size", "horizon", "num_episodes"), [(5, 15, 4), (4, 6, 3)])
def test_the_grid_agent_attains_the_optimum_over_all_goals_exactly(size, horizon, num_episodes):
    problem = grid_navigation(num_episodes=num_episodes, size=size, horizon=horizon)
    agent = BayesOptimalGrid()
    plan = agent.describe(problem)
    run = jax.jit(
        jax.vmap(lambda cell: evaluate_trial(agent, problem, plan, GridGoal(cell), jax.random.key(0)).returns)
    )
    returns = np.asarray(run(jnp.asarray(problem.test.goals, jnp.int32)), float)
    np.testing.assert_allclose(returns.mean(0), problem.optimum, rtol=1e-5)
    if size == 5:
        np.testing.assert_allclose(returns.mean(0), [4.0, 11.0714, 11.0714, 11.0714], atol=1e-4)
        assert returns.mean(0).sum() == pytest.approx(37.21, abs=0.005)


def exact_value(agent, policy, num_pulls):
    """Expected return of a deterministic agent by enumerating every sequence of outcomes."""

    def value(memory, action, reward, alpha, left):
        timestep = TimeStep(jnp.zeros((0,)), jnp.asarray(action, jnp.int32), jnp.asarray(reward), jnp.asarray(True))
        arm, memory, _ = act(policy, memory, timestep)
        arm = int(arm)
        p = alpha[arm][0] / sum(alpha[arm])
        if left == 1:
            return p
        total = p
        for outcome, chance in ((0, 1 - p), (1, p)):
            after = [list(counts) for counts in alpha]
            after[arm][1 - outcome] += 1
            total += chance * value(memory, arm, float(outcome), after, left - 1)
        return total

    @jax.jit
    def act(policy, memory, timestep):
        return agent.act(policy, AgentState(None, memory), timestep, jax.random.key(0), explore=True)

    memory = agent.begin(policy, jax.random.key(0)).memory
    return value(memory, -1, 0.0, [[1, 1], [1, 1]], num_pulls)


@pytest.mark.parametrize(("num_pulls", "published"), [(2, 13 / 12), (5, 2.888889)])
def test_the_bandit_agent_attains_the_optimum_by_enumeration(num_pulls, published):
    agent = BayesOptimalBandit()
    policy = agent.describe(bernoulli_bandit(2, num_pulls))
    assert exact_value(agent, policy, num_pulls) == pytest.approx(published, abs=5e-7)


def test_E24_the_bandit_agent_attains_12_43_in_20_pulls_and_not_more():
    problem, agent = bernoulli_bandit(2, 20), BayesOptimalBandit()
    policy = agent.describe(problem)

    def one_task(key):
        task = problem.test.sample(key)
        return evaluate_trial(agent, problem, policy, task, jax.random.fold_in(key, 1)).returns

    returns = np.asarray(jax.jit(jax.vmap(one_task))(jax.random.split(jax.random.key(0), 8192)))
    total = returns.sum(1)
    assert abs(total.mean() - 12.431265) < 4 * total.std() / 8192**0.5
    errors = np.abs(returns.mean(0) - np.asarray(problem.optimum))
    assert np.all(errors < 4 * returns.std(0) / 8192**0.5)


def test_E8_the_belief_is_fresh_in_each_trial():
    problem, agent = bernoulli_bandit(2, 6), BayesOptimalBandit()
    policy = agent.describe(problem)
    sure = BernoulliArms(jnp.asarray([0.0, 1.0]))
    run = jax.jit(lambda key: evaluate_trial(agent, problem, policy, sure, key).returns)
    for seed in (0, 1):
        assert run(jax.random.key(seed)).tolist() == [0, 1, 1, 1, 1, 1]


def test_problems_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 arms and at most 100 pulls"):
        BayesOptimalBandit().describe(bernoulli_bandit(3, 5))
    with pytest.raises(ValueError, match="2 arms and at most 100 pulls"):
        BayesOptimalBandit().describe(bernoulli_bandit(2, 101))
    with pytest.raises(ValueError, match="expected grid navigation, got TwoStep"):
        BayesOptimalGrid().describe(two_step(2))
