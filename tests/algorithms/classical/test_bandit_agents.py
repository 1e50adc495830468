"""Bandit algorithms: statistics, scores and choices by hand; figures as published."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from adaptax.algorithms.classical import bandit_agents
from adaptax.algorithms.classical.bandit_agents import (
    UCB1,
    ArmStatistics,
    BetaPrior,
    EpsilonGreedy,
    Greedy,
    MostLikelySampling,
    NormalPrior,
    OptimisticThompsonSampling,
    ThompsonSampling,
    count,
    lowest_best,
    no_statistics,
    random_best,
)
from adaptax.core.rollout import collect, evaluate_trial
from adaptax.core.types import TimeStep
from adaptax.problems.bandit import BernoulliArms, bernoulli_bandit
from adaptax.problems.gaussian_bandits import gaussian_bandit
from adaptax.problems.tabular import tabular_mdp
from tests.sample_problems import quick_jit

AGENTS = [
    Greedy(),
    EpsilonGreedy(),
    UCB1(),
    ThompsonSampling(),
    OptimisticThompsonSampling(),
    MostLikelySampling(),
    ThompsonSampling(NormalPrior()),
]


def timestep(action, reward):
    return TimeStep(jnp.zeros((0,)), jnp.asarray(action, jnp.int32), jnp.asarray(reward), jnp.asarray(True))


def statistics(pulls, total):
    return ArmStatistics(jnp.asarray(pulls, jnp.float32), jnp.asarray(total, jnp.float32))


def choices(agent, seen, key, draws=4000):
    """How often each arm is chosen from these statistics."""
    meta = agent.describe(bernoulli_bandit(len(seen.pulls)))
    state = dataclasses.replace(agent.begin(meta, key), memory=seen)
    act = lambda key: agent.act(meta, state, timestep(-1, 0.0), key, explore=True)[0]  # noqa: E731
    actions = quick_jit(jax.vmap(act))(jax.random.split(key, draws))
    return np.bincount(np.asarray(actions), minlength=len(seen.pulls)) / draws


def test_E12_counts_follow_the_script_and_the_start_of_a_trial_counts_nothing():
    seen = no_statistics(3)
    for action, reward in [(-1, 7.0), (2, 1.0), (2, 0.0), (0, 1.0), (2, 1.0)]:
        seen = count(seen, timestep(action, reward))
    np.testing.assert_array_equal(seen.pulls, [1, 0, 3])
    np.testing.assert_array_equal(seen.total, [1, 0, 2])
    np.testing.assert_allclose(BetaPrior().mean(seen), [2 / 3, 1 / 2, 3 / 5], rtol=1e-6)
    np.testing.assert_allclose(BetaPrior(3, 2).mean(seen), [4 / 6, 3 / 5, 5 / 8], rtol=1e-6)


@pytest.mark.compiles
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: type(agent).__name__)
def test_acting_learns_from_the_previous_pull(agent, key):
    meta = agent.describe(bernoulli_bandit(3))
    act = quick_jit(functools.partial(agent.act, explore=True))
    action, memory, aux = act(meta, agent.begin(meta, key), timestep(1, 1.0), key)
    np.testing.assert_array_equal(memory.pulls, [0, 1, 0])
    np.testing.assert_array_equal(memory.total, [0, 1, 0])
    assert aux is None
    assert action.dtype == jnp.int32
    assert 0 <= int(action) < 3


def test_the_normal_posterior_by_hand(key):
    prior, seen = NormalPrior(center=0.5, scale=1.0, noise=2.0), statistics([2, 0], [3.0, 0.0])
    np.testing.assert_allclose(prior.mean(seen), [(3 + 4 * 0.5) / 6, 0.5], rtol=1e-6)
    draws = np.asarray(quick_jit(jax.vmap(lambda key: prior.sample(seen, key)))(jax.random.split(key, 10_000)))
    for column, center, deviation in zip(draws.T, [5 / 6, 0.5], [2 / math.sqrt(6), 1.0], strict=True):
        assert scipy.stats.kstest(column, scipy.stats.norm(center, deviation).cdf).pvalue > 1e-4


def test_beta_posterior_draws_and_densities(key):
    prior, seen = BetaPrior(2, 1), statistics([5, 0], [1, 0])
    draws = np.asarray(quick_jit(jax.vmap(lambda key: prior.sample(seen, key)))(jax.random.split(key, 10_000)))
    posteriors = [scipy.stats.beta(3, 5), scipy.stats.beta(2, 1)]
    for column, posterior in zip(draws.T, posteriors, strict=True):
        assert scipy.stats.kstest(column, posterior.cdf).pvalue > 1e-4
    at, to = (prior.log_density(seen, jnp.full(2, x)) for x in (0.3, 0.6))
    expected = [posterior.logpdf(0.6) - posterior.logpdf(0.3) for posterior in posteriors]
    np.testing.assert_allclose(to - at, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (lambda: BetaPrior(0.5, 1), "at least 1"),
        (lambda: NormalPrior(scale=0.0), "positive"),
        (lambda: NormalPrior(noise=-1.0), "positive"),
    ],
)
def test_impossible_priors_are_refused(prior, message):
    with pytest.raises(ValueError, match=message):
        prior()


def test_only_discrete_actions():
    problem = bernoulli_bandit(3)
    object.__setattr__(problem.env, "action_space", problem.env.observation_space)
    with pytest.raises(ValueError, match=r"Greedy: expected a Discrete action space, got Box"):
        Greedy().describe(problem)


def test_scores_by_hand(key):
    seen = statistics([3, 1, 0], [2, 1, 0])  # posterior means 3/5, 2/3, 1/2 with 5, 3, 2 pseudo-pulls; t = 5
    np.testing.assert_allclose(Greedy().score(seen, key), [3 / 5, 2 / 3, 1 / 2], rtol=1e-6)
    bonus = [0.3 * math.sqrt(2 * math.log(5) / number) for number in (5, 3, 2)]
    np.testing.assert_allclose(UCB1(exploration=0.3).score(seen, key), np.add([3 / 5, 2 / 3, 1 / 2], bonus), rtol=1e-5)
    np.testing.assert_allclose(UCB1().score(no_statistics(2), key), [0.5, 0.5])


def test_ties(key):
    scores = jnp.asarray([0.0, 1.0, 1.0, 0.5, 1.0])
    assert int(lowest_best(scores)) == 1
    drawn = quick_jit(jax.vmap(lambda key: random_best(scores, key)))(jax.random.split(key, 3000))
    counts = np.bincount(np.asarray(drawn), minlength=5)
    assert counts[0] == counts[3] == 0
    assert scipy.stats.chisquare(counts[[1, 2, 4]]).pvalue > 1e-4
    nothing = statistics([0, 0], [0, 0])
    assert choices(Greedy(), nothing, key)[0] == 1
    assert choices(Greedy(random_ties=True), nothing, key)[0] == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)


def test_epsilon_greedy_explores_with_probability_epsilon(key):
    chosen = choices(EpsilonGreedy(epsilon=0.3), statistics([3, 1, 2], [2, 1, 0]), key)
    for frequency, expected in zip(chosen, [0.1, 0.8, 0.1], strict=True):
        assert frequency == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))


@pytest.mark.compiles
def test_thompson_sampling_matches_probabilities_and_optimism_changes_them(key):
    seen = statistics([2, 0], [2, 0])  # X ~ Beta(3, 1), Y ~ U[0, 1]: P(X > Y) = E X
    for agent, expected in [
        (ThompsonSampling(), 3 / 4),
        # P(max(X, 3/4) > Y) = E max(X, 3/4) = (3/4)⁴ + 3/4 (1 − (3/4)⁴)
        (OptimisticThompsonSampling(), 0.75**4 + 0.75 * (1 - 0.75**4)),
        (MostLikelySampling(samples=1), 3 / 4),
    ]:
        bound = 4 * math.sqrt(expected * (1 - expected) / 4000)
        assert choices(agent, seen, key)[0] == pytest.approx(expected, abs=bound)
    normal = choices(ThompsonSampling(NormalPrior()), statistics([1, 0], [1.0, 0.0]), key)
    expected = scipy.stats.norm.cdf(0.5 / math.sqrt(1.5))  # N(1/2, 1/2) against N(0, 1)
    assert normal[0] == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))


def test_the_likeliest_of_two_draws(key):
    # Arm 0 has the density 3x² and arm 1 none, so that the draw with the larger x₀ is trusted: it has the
    # density 6x⁵ and mean 6/7.
    agent, seen = MostLikelySampling(samples=2), statistics([2, 0], [2, 0])
    draws = np.asarray(quick_jit(jax.vmap(lambda key: agent.score(seen, key)))(jax.random.split(key, 10_000)))
    assert scipy.stats.kstest(draws[:, 0], scipy.stats.beta(6, 1).cdf).pvalue > 1e-4
    assert scipy.stats.kstest(draws[:, 1], scipy.stats.uniform.cdf).pvalue > 1e-4


@pytest.mark.compiles
def test_what_happens_in_other_tasks_makes_no_difference(key):
    problem, agent = bernoulli_bandit(3, 30), ThompsonSampling()
    keys = jax.random.split(key, 2)
    run = quick_jit(lambda p: collect(agent, problem, agent.describe(problem), BernoulliArms(p), keys).action)
    mine = run(jnp.asarray([[0.2, 0.5, 0.8], [0.1, 0.1, 0.1]]))
    again = run(jnp.asarray([[0.2, 0.5, 0.8], [0.9, 0.0, 1.0]]))
    np.testing.assert_array_equal(mine[:, 0], again[:, 0])
    assert np.any(np.asarray(mine[:, 1]) != np.asarray(again[:, 1]))


@pytest.mark.compiles
def test_figures_of_duan2016_table_1(key):
    """100 pulls of 5 arms: ours within 4 standard errors (the paper's are 0.5 at most)."""
    problem, tasks = bernoulli_bandit(5, 100), 400
    published = {
        Greedy(): 74.8,
        EpsilonGreedy(): 75.4,
        UCB1(): 78.0,
        ThompsonSampling(): 74.7,
    }
    arms = jax.vmap(problem.test.sample)(jax.random.split(key, tasks))

    @quick_jit
    def run(arms):
        play = lambda agent, arms, key: evaluate_trial(agent, problem, agent.describe(problem), arms, key).returns  # noqa: E731
        one_task = lambda arms, key: jnp.stack([play(agent, arms, key) for agent in published])  # noqa: E731
        return jax.vmap(one_task)(arms, jax.random.split(jax.random.fold_in(key, 1), tasks))

    returns = np.asarray(run(arms))  # [task, agent, pull]
    for column, figure in zip(returns.swapaxes(0, 1), published.values(), strict=True):
        total = column.sum(-1)
        assert total.mean() == pytest.approx(figure, abs=4 * math.hypot(total.std() / tasks**0.5, 0.5))
    regret = np.asarray(arms.probabilities).max(-1)[:, None, None] - returns
    early, late = regret[:, 2:4, :25].mean((0, 2)), regret[:, 2:4, -25:].mean((0, 2))
    assert np.all(late < early / 2)  # UCB1 and Thompson sampling go on to find the best arm


@pytest.mark.compiles
def test_gaussian_bandits_are_learnt_by_all_that_have_a_normal_prior(key):
    problem, tasks = gaussian_bandit(5, 60), 200
    arms = jax.vmap(problem.test.sample)(jax.random.split(key, tasks))
    agents = [ThompsonSampling(NormalPrior())] + [agent(prior=NormalPrior()) for agent in (Greedy, UCB1)]

    @quick_jit
    def run(arms):
        play = lambda agent, arms, key: evaluate_trial(agent, problem, agent.describe(problem), arms, key).returns  # noqa: E731
        one_task = lambda arms, key: jnp.stack([play(agent, arms, key) for agent in agents])  # noqa: E731
        return jax.vmap(one_task)(arms, jax.random.split(jax.random.fold_in(key, 1), tasks))

    late = np.asarray(run(arms))[:, :, -20:].mean(-1)
    best = np.asarray(arms.means).max(-1)
    assert np.all(late.mean(0) > 0.6 * best.mean())  # random arms earn 0
    assert np.all(late.mean(0) < best.mean() + 4 * late.std(0) / tasks**0.5)


def test_every_agent_of_the_module_is_tested_here():
    is_agent = lambda x: isinstance(x, type) and issubclass(x, bandit_agents.BanditAgent)  # noqa: E731
    found = {x for x in vars(bandit_agents).values() if is_agent(x)} - {bandit_agents.BanditAgent}
    assert found == {type(agent) for agent in AGENTS}
    assert Greedy().describe(tabular_mdp()).num_arms == 5
