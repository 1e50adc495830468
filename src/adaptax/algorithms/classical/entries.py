"""Classical agents: they have no settings, and need no training."""

from collections.abc import Mapping

from adaptax.core.entry import Entry

_HERE = "adaptax.algorithms.classical"
_BANDITS, _TABULAR = f"{_HERE}.bandit_agents", f"{_HERE}.tabular_agents"
_NORMAL = {"prior": f"{_BANDITS}:NormalPrior"}

CLASSICAL: Mapping[str, Entry] = {
    "random": Entry(f"{_HERE}.random:Random", "uniform actions, on every problem"),
    "greedy": Entry(f"{_BANDITS}:Greedy", "bandits: best posterior mean", suits="bernoulli"),
    "epsilon-greedy": Entry(f"{_BANDITS}:EpsilonGreedy", "bandits: best posterior mean, or random", suits="bernoulli"),
    "ucb1": Entry(f"{_BANDITS}:UCB1", "bandits: upper confidence bounds (Auer et al. 2002)", suits="bernoulli"),
    "thompson": Entry(f"{_BANDITS}:ThompsonSampling", "bandits: posterior sampling (Thompson 1933)", suits="bernoulli"),
    "optimistic-thompson": Entry(
        f"{_BANDITS}:OptimisticThompsonSampling",
        "bandits: samples not below the mean (May et al. 2012)",
        suits="bernoulli",
    ),
    "most-likely-sampling": Entry(
        f"{_BANDITS}:MostLikelySampling",
        "bandits: the likeliest of several posterior samples (Duan et al. 2016)",
        suits="bernoulli",
    ),
    "gaussian-greedy": Entry(
        f"{_BANDITS}:Greedy", "Gaussian bandits: best posterior mean", parts=_NORMAL, suits="gaussian"
    ),
    "gaussian-epsilon-greedy": Entry(
        f"{_BANDITS}:EpsilonGreedy",
        "Gaussian bandits: best posterior mean, or random",
        parts=_NORMAL,
        suits="gaussian",
    ),
    "gaussian-ucb1": Entry(
        f"{_BANDITS}:UCB1", "Gaussian bandits: upper confidence bounds", parts=_NORMAL, suits="gaussian"
    ),
    "gaussian-thompson": Entry(
        f"{_BANDITS}:ThompsonSampling", "Gaussian bandits: posterior sampling", parts=_NORMAL, suits="gaussian"
    ),
    "gittins": Entry(f"{_HERE}.gittins:Gittins", "Bernoulli bandits: finite-horizon Gittins index", suits="bernoulli"),
    "bayes-optimal-bandit": Entry(
        f"{_HERE}.bayes_optimal:BayesOptimalBandit",
        "2-armed bandits: exact, by dynamic programming over beliefs",
        suits="bernoulli",
    ),
    "bayes-optimal-grid": Entry(
        f"{_HERE}.bayes_optimal:BayesOptimalGrid",
        "grid-navigation: exact, by dynamic programming over beliefs",
        suits="grid",
    ),
    "psrl": Entry(f"{_TABULAR}:PSRL", "tabular MDPs: posterior sampling (Strens 2000)", suits="countable"),
    "optimistic-psrl": Entry(f"{_TABULAR}:OptimisticPSRL", "tabular MDPs: best of several samples", suits="countable"),
    "ucrl2": Entry(f"{_TABULAR}:UCRL2", "tabular MDPs: optimism (Jaksch et al. 2010)", suits="countable"),
    "beb": Entry(f"{_TABULAR}:BEB", "tabular MDPs: Bayesian exploration bonus (Kolter & Ng 2009)", suits="countable"),
    "tabular-epsilon-greedy": Entry(
        f"{_TABULAR}:TabularEpsilonGreedy", "tabular MDPs: plan for the mean, or random", suits="countable"
    ),
    "tabular-greedy": Entry(f"{_TABULAR}:TabularGreedy", "tabular MDPs: plan for the mean", suits="countable"),
}
