"""Learners for tabular MDPs: counts, posteriors, bonuses and plans by hand; figures as published."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.algorithms.classical.tabular_agents import (
    BEB,
    PSRL,
    UCRL2,
    OptimisticPSRL,
    TabularEpsilonGreedy,
    TabularGreedy,
    TabularPrior,
)
from adaptax.algorithms.classical.tabular_planning import plan
from adaptax.core.rollout import collect, evaluate_trial
from adaptax.core.types import AgentState, TimeStep
from adaptax.problems.bandit import bernoulli_bandit
from adaptax.problems.tabular import tabular_mdp
from tests.sample_problems import quick_jit

SMALL = tabular_mdp(num_states=3, num_actions=2, horizon=2, num_episodes=2)
AGENTS = [TabularGreedy(), TabularEpsilonGreedy(), PSRL(), OptimisticPSRL(samples=2), UCRL2(), BEB()]


def play(agent, script, key):
    """Show `agent` a script of (observation, previous action, previous reward, first); return its memories."""
    meta = agent.describe(SMALL)
    act = quick_jit(functools.partial(agent.act, explore=True))
    state, memories = agent.begin(meta, key), []
    for index, (observation, action, reward, first) in enumerate(script):
        whole = lambda x: jnp.asarray(x, jnp.int32)  # noqa: E731
        timestep = TimeStep(whole(observation), whole(action), jnp.asarray(reward), jnp.asarray(first))
        chosen, memory, aux = act(meta, state, timestep, jax.random.fold_in(key, index))
        assert aux is None
        assert 0 <= int(chosen) < 2
        state = AgentState(None, memory)
        memories.append(memory)
    return memories


SCRIPT = [(0, -1, 9.0, True), (2, 1, 1.5, False), (0, 0, 2.0, True), (1, 1, 0.5, False), (0, 1, 1.0, True)]
"""Two episodes of two steps and the start of a third."""


@pytest.fixture(scope="module")
def seen():
    """Counts after the script: s a r s' are 0 1 1.5 2, then 2 0 2.0 ?, then 0 1 0.5 1, then 1 1 1.0 ?."""
    return play(BEB(), SCRIPT, jax.random.key(1))[-1].counts


def test_E12_counts_follow_the_script_and_the_start_of_a_trial_counts_nothing(seen):
    np.testing.assert_array_equal(seen.visits, [[0, 2], [0, 1], [1, 0]])
    np.testing.assert_array_equal(seen.total, [[0, 2], [0, 1], [2, 0]])
    successors = np.zeros((3, 2, 3))
    successors[0, 1] = [0, 1, 1]  # what the last steps of the episodes led to was not seen
    np.testing.assert_array_equal(seen.successors, successors)


@pytest.mark.compiles
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: type(agent).__name__)
def test_plans_are_made_when_episodes_begin_and_kept_until_they_end(agent, key):
    memories = play(agent, SCRIPT, key)
    assert [int(memory.clock) for memory in memories] == [0, 1, 0, 1, 0]
    plans = [np.asarray(memory.quality) for memory in memories]
    np.testing.assert_array_equal(plans[0], plans[1])
    np.testing.assert_array_equal(plans[2], plans[3])
    assert np.any(plans[1] != plans[2])
    assert np.any(plans[3] != plans[4])


def test_posterior_by_hand(seen, key):
    prior = TabularPrior(center=1.0, scale=0.5, noise=1.0, concentration=2.0)  # worth four rewards of 1
    mean, deviation = prior.rewards(seen)
    np.testing.assert_allclose(mean, [[1, 6 / 6], [1, 5 / 5], [6 / 5, 1]], rtol=1e-6)
    np.testing.assert_allclose(deviation, 1 / np.sqrt([[4, 6], [4, 5], [5, 4]]), rtol=1e-6)
    np.testing.assert_allclose(prior.transitions(seen)[0], [[1 / 3] * 3, [2 / 8, 3 / 8, 3 / 8]], rtol=1e-6)
    draw = quick_jit(jax.vmap(lambda key: prior.sample(seen, key)))
    rewards, transitions = map(np.asarray, draw(jax.random.split(key, 5000)))
    assert scipy.stats.kstest(rewards[:, 2, 0], scipy.stats.norm(6 / 5, 1 / 5**0.5).cdf).pvalue > 1e-4
    assert scipy.stats.kstest(transitions[:, 0, 1, 2], scipy.stats.beta(3, 5).cdf).pvalue > 1e-4


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"noise": 0.0}, {"concentration": 0.5}])
def test_impossible_priors_are_refused(wrong):
    with pytest.raises(ValueError, match="TabularPrior"):
        TabularPrior(**wrong)


def test_only_discrete_observations():
    with pytest.raises(ValueError, match="PSRL: expected Discrete spaces of observations"):
        PSRL().describe(bernoulli_bandit(3))


def test_bonuses_by_hand(seen, key):
    mean = np.asarray(TabularPrior().rewards(seen)[0])
    np.testing.assert_allclose(mean, [[0, 2 / 3], [0, 1 / 2], [1, 0]], rtol=1e-6)
    bonus = [[3, 3 / 3], [3, 3 / 2], [3 / 2, 3]]
    np.testing.assert_allclose(BEB(bonus=3.0).make_plan(seen, 1, key)[0], mean + bonus, rtol=1e-6)
    # S = 3, A = 2, t = 5: √(7 ln(2·3·2·5 / δ) / (2 max(1, N)))
    slack = 0.5 * np.sqrt(7 * math.log(60 / 0.1) / (2 * np.array([[1, 2], [1, 1], [1, 1]])))
    optimistic = UCRL2(delta=0.1, scale=0.5)
    np.testing.assert_allclose(optimistic.make_plan(seen, 1, key)[0], mean + slack, rtol=1e-5)
    # √(14·3 ln(2·2·5 / 0.1) / N) · 0.5 > 2: any transition is plausible, so that the best state follows.
    wish = mean + slack + np.max(mean + slack)
    np.testing.assert_allclose(optimistic.make_plan(seen, 2, key)[0], wish, rtol=1e-5)
    certain = UCRL2(scale=0.0).make_plan(seen, 2, key)
    np.testing.assert_allclose(certain, TabularGreedy().make_plan(seen, 2, key), rtol=1e-5)


def test_greedy_plans_in_the_posterior_mean(seen, key):
    expected = plan(TabularPrior().rewards(seen)[0], TabularPrior().transitions(seen), 4)
    np.testing.assert_array_equal(TabularGreedy().make_plan(seen, 4, key), expected)
    np.testing.assert_array_equal(TabularEpsilonGreedy(epsilon=0.0).make_plan(seen, 4, key), expected)


def test_epsilon_greedy_explores_with_probability_epsilon(seen, key):
    agent, greedy = TabularEpsilonGreedy(epsilon=0.4), TabularGreedy().make_plan(seen, 2, key)
    plans = quick_jit(jax.vmap(lambda key: agent.make_plan(seen, 2, key)))(jax.random.split(key, 2000))
    other = np.mean(np.asarray(plans).argmax(-1) != np.asarray(greedy).argmax(-1), axis=0)
    np.testing.assert_allclose(other, 0.2, atol=4 * math.sqrt(0.2 * 0.8 / 2000))


@pytest.mark.compiles
def test_posterior_samplers_draw_values_from_the_posterior_or_from_its_upper_end(seen, key):
    mean, deviation = TabularPrior().rewards(seen)
    z = {}
    for agent in (PSRL(), OptimisticPSRL(samples=1), OptimisticPSRL(samples=4)):
        draw = quick_jit(jax.vmap(lambda key, agent=agent: agent.make_plan(seen, 1, key)[0]))
        z[agent] = np.asarray((draw(jax.random.split(key, 4000)) - mean[None]) / deviation[None])
    one, also_one, four = (x[:, 0, 1] for x in z.values())
    assert scipy.stats.kstest(one, scipy.stats.norm.cdf).pvalue > 1e-4
    assert scipy.stats.kstest(also_one, scipy.stats.norm.cdf).pvalue > 1e-4
    assert scipy.stats.kstest(four, lambda x: scipy.stats.norm.cdf(x) ** 4).pvalue > 1e-4


@pytest.mark.compiles
def test_what_happens_in_other_tasks_makes_no_difference(key):
    agent, keys = PSRL(), jax.random.split(key, 2)
    run = quick_jit(lambda tasks: collect(agent, SMALL, agent.describe(SMALL), tasks, keys).action)
    tasks = jax.vmap(SMALL.test.sample)(jax.random.split(key, 2))
    others = jax.tree.map(lambda x: x.at[1].set(x[1][::-1]), tasks)
    np.testing.assert_array_equal(run(tasks)[:, 0], run(others)[:, 0])


@pytest.mark.compiles
def test_figures_of_duan2016_table_2(key):
    """10 episodes: ours within 4 standard errors (the paper's is about 0.9), and never above the oracle."""
    problem, tasks = tabular_mdp(num_episodes=10), 150
    published = {TabularGreedy(): 134.8, PSRL(): 138.1, UCRL2(): 146.6, BEB(): 150.2}
    mdps = jax.vmap(problem.test.sample)(jax.random.split(key, tasks))

    @quick_jit
    def run(mdps):
        one_life = lambda agent, mdp, key: evaluate_trial(agent, problem, agent.describe(problem), mdp, key).returns  # noqa: E731
        one_task = lambda mdp, key: jnp.stack([one_life(agent, mdp, key).sum() for agent in published])  # noqa: E731
        return jax.vmap(one_task)(mdps, jax.random.split(jax.random.fold_in(key, 1), tasks))

    for total, figure in zip(np.asarray(run(mdps)).T, published.values(), strict=True):
        error = total.std() / tasks**0.5
        assert total.mean() == pytest.approx(figure, abs=float(4 * math.hypot(error, 0.9)))
        assert total.mean() < 10 * np.mean(jax.vmap(problem.test.oracle)(mdps)) + 3 * error
