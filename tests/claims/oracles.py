"""`python -m tests.claims oracles`: what agents are measured by, against computations that share nothing with it.

Oracles of random MDPs against all policies; values of two-armed bandits against expectimax over all beliefs, and
published ones; Gittins indices against all stopping rules; and no oracle is below what random actions earn.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from adaptax.algorithms import Random
from adaptax.algorithms.classical.gittins import enumerate_indices
from adaptax.core.algorithm import init
from adaptax.core.trained_agent import TrainedAgent
from adaptax.evaluation.encounters import oracle_return, sample_tasks
from adaptax.evaluation.evaluator import evaluate
from adaptax.problems import tabular_mdp
from adaptax.problems.exact import bernoulli_bayes_value
from adaptax.registry.registry import NATIVE_PROBLEMS, build
from tests.claims.checks import Check, at_least, at_most

CHARGES = np.linspace(0.0, 1.0, 4097)
PUBLISHED = {2: 13 / 12, 5: 2.888889, 20: 12.431265}
"""Values of two-armed Bernoulli bandits with uniform priors, by number of pulls."""
TASKS = 256


def best_of_all_policies(task: Any, horizon: int) -> float:
    """Value of state 0, best over all policies that map (time, state) to an action."""
    mean, transitions = np.asarray(task.rewards, float), np.asarray(task.transitions, float)
    states = range(len(mean))
    best = -np.inf
    for choices in itertools.product(range(mean.shape[1]), repeat=horizon * len(mean)):
        value = np.zeros(len(mean))
        for t in range(horizon):
            action = choices[t * len(mean) : (t + 1) * len(mean)]
            value = np.asarray([mean[s, action[s]] + transitions[s, action[s]] @ value for s in states])
        best = max(best, value[0])
    return best


@functools.cache
def expectimax(a: int, b: int, c: int, d: int, left: int) -> float:
    """Value of `left` pulls of two arms with posteriors Beta(a, b) and Beta(c, d)."""
    if left == 0:
        return 0.0
    p, q = a / (a + b), c / (c + d)
    first = p * (1 + expectimax(a + 1, b, c, d, left - 1)) + (1 - p) * expectimax(a, b + 1, c, d, left - 1)
    second = q * (1 + expectimax(a, b, c + 1, d, left - 1)) + (1 - q) * expectimax(a, b, c, d + 1, left - 1)
    return max(first, second)


def best_stopping_rule(s: int, f: int, remaining: int) -> float:
    """Gittins index by definition: best reward per pull over all sets of outcomes after which to go on."""
    nodes = [path for n in range(1, remaining) for path in itertools.product((0, 1), repeat=n)]

    def total_and_time(path: tuple[int, ...], go_on: set[tuple[int, ...]]) -> tuple[float, float]:
        success = (s + sum(path) + 1) / (s + f + len(path) + 2)
        reward, time = success, 1.0
        for outcome, probability in ((1, success), (0, 1 - success)):
            after = (*path, outcome)
            if after in go_on:
                more = total_and_time(after, go_on)
                reward, time = reward + probability * more[0], time + probability * more[1]
        return reward, time

    rules = (set(itertools.compress(nodes, bits)) for bits in itertools.product((0, 1), repeat=len(nodes)))
    return max(reward / time for reward, time in (total_and_time((), rule) for rule in rules))


def check_mdps(seed: int, n: int) -> Iterator[Check]:
    """Random MDPs, ordinary and shifted."""
    problem, worst = tabular_mdp(num_states=2, num_actions=3, horizon=3), 0.0
    for family in (problem.test, problem.shifted):
        assert family is not None
        tasks = sample_tasks(family, -(-n // 2), jax.random.key(seed))
        for index in range(-(-n // 2)):
            task = jax.tree.map(lambda x, i=index: x[i], tasks)
            worst = max(worst, abs(float(family.oracle(task)) - best_of_all_policies(task, 3)))
    yield at_most("random MDPs: oracle against all policies", worst, 1e-5, f"{2 * -(-n // 2)} MDPs, 729 policies each")


def check_bandits() -> Iterator[Check]:
    """Two arms, and indices."""
    gap = max(abs(bernoulli_bayes_value(pulls) - expectimax(1, 1, 1, 1, pulls)) for pulls in range(1, 13))
    yield at_most("two-armed bandits: exact value against expectimax", gap, 1e-12, "1 to 12 pulls")
    gap = max(abs(bernoulli_bayes_value(pulls) - value) for pulls, value in PUBLISHED.items())
    yield at_most("two-armed bandits: exact value against published ones", gap, 5e-7, "2, 5 and 20 pulls")
    worst = 0.0
    for (s, f), remaining in itertools.product([(0, 0), (1, 0), (0, 3), (2, 1), (4, 4)], (1, 2, 3)):
        rows = dict(enumerate_indices(s + f + remaining, CHARGES))
        worst = max(worst, abs(float(rows[s + f][s]) - best_stopping_rule(s, f, remaining)))
    yield at_most("Gittins indices against all stopping rules", worst, 1e-7, "15 states of an arm")


def check_floors(seed: int) -> Iterator[Check]:
    """Random actions in all problems, in all families."""
    for name, entry in NATIVE_PROBLEMS.items():
        assert entry.settings is not None
        problem, agent = build(entry, entry.settings()), Random()
        margins: list[float] = []
        meta = init(agent, problem, seed=seed).meta
        for family in (problem.test, problem.shifted):
            oracle = np.nan if family is None else oracle_return(problem, *_tasks(family, seed), family)
            if np.isfinite(oracle):
                evaluation = evaluate(TrainedAgent(agent, problem, meta), num_tasks=TASKS, seed=seed, family=family)
                margins.append(oracle * problem.episodes + 4 * evaluation.summary.stderr - evaluation.summary.mean)
        if margins:
            yield at_least(f"{name}: oracle above random actions", min(margins), 0, f"4 s.e., {len(margins)} families")


def _tasks(family: Any, seed: int) -> tuple[Any]:
    """The tasks that `evaluate` draws."""
    task_key, _ = jax.random.split(jax.random.key(seed))
    return (sample_tasks(family, TASKS, task_key),)


def run(seed: int, n: int) -> Iterator[Check]:
    """Compute everything twice.

    Args:
        seed: Decides tasks.
        n: Random MDPs.
    """
    yield from check_mdps(seed, n)
    yield from check_bandits()
    yield from check_floors(seed)
