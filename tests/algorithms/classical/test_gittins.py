"""Indices against exhaustive enumeration; the policy's exact value; the table's packing."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.classical.bandit_agents import ArmStatistics
from adaptax.algorithms.classical.gittins import Gittins, enumerate_indices, index_table
from adaptax.core.types import TimeStep
from adaptax.problems.bandit import bernoulli_bandit
from adaptax.problems.exact import bernoulli_plan
from tests.claims.oracles import best_stopping_rule

FINE = np.linspace(0.0, 1.0, 4097)


def indices(num_pulls, charges=FINE):
    """ν by (s, f, r), for all s + f + r ≤ num_pulls."""
    return {
        (s, m - s, deadline - m): float(row[s])
        for deadline in range(1, num_pulls + 1)
        for m, row in enumerate_indices(deadline, charges)
        for s in range(m + 1)
    }


@pytest.mark.parametrize("start", [(0, 0), (1, 0), (0, 3), (2, 1)])
@pytest.mark.parametrize("remaining", [1, 2, 3])
def test_indices_equal_the_best_of_all_stopping_rules(start, remaining):
    s, f = start
    exact = best_stopping_rule(s, f, remaining)
    rows = dict(enumerate_indices(s + f + remaining, FINE))
    assert rows[s + f][s] == pytest.approx(exact, abs=1e-7)


def test_indices_known_by_hand():
    table = indices(3)
    assert table[0, 0, 1] == pytest.approx(1 / 2)
    assert table[0, 0, 2] == pytest.approx(5 / 9)  # pull again after a success: (1/2 + 1/2 · 2/3) / (3/2)
    assert table[1, 0, 1] == pytest.approx(2 / 3)


def test_indices_grow_with_time_left_and_with_success():
    table = indices(12, np.linspace(0, 1, 513))
    for (s, f, remaining), index in table.items():
        assert (s + 1) / (s + f + 2) - 1e-6 <= index < 1
        if (s, f, remaining + 1) in table:
            assert table[s, f, remaining + 1] >= index - 1e-4
        if f and (s + 1, f - 1, remaining) in table:
            assert table[s + 1, f - 1, remaining] > index


def test_the_packed_table_holds_every_state_where_it_is_looked_up():
    num_pulls, expected = 7, indices(7, np.linspace(0, 1, Gittins().resolution + 1))
    meta = Gittins().describe(bernoulli_bandit(2, num_pulls))
    assert meta.indices.shape == (7 * 8 * 9 // 6,)
    assert meta.indices.dtype == np.float32
    for (s, f, remaining), index in expected.items():
        others = num_pulls - remaining - s - f  # pulls of the other arm
        seen = ArmStatistics(jnp.asarray([s + f, others], jnp.float32), jnp.asarray([s, 0], jnp.float32))
        assert float(meta.lookup(seen)[0]) == pytest.approx(index, abs=1e-6)


def test_the_default_grid_is_as_accurate_as_documented():
    exact, ours = indices(10), indices(10, np.linspace(0, 1, Gittins().resolution + 1))
    assert max(abs(ours[state] - index) for state, index in exact.items()) < 1e-3
    *_, (m, row) = enumerate_indices(120, np.linspace(0, 1, Gittins().resolution + 1, dtype=np.float32))
    *_, (_, fine) = enumerate_indices(120, FINE)
    assert m == 0
    assert row[0] == pytest.approx(fine[0], abs=3e-3)


def policy_value(num_pulls):
    """Exact value of the index policy for two arms, by recursion over what has been seen."""
    starts, table = index_table(num_pulls, 512)

    def index(n, s, remaining):
        return table[starts[n] + (remaining - 1) * (n + 1) + s]

    value = {}
    for t in reversed(range(num_pulls)):
        for n in range(t + 1):
            for s, z in itertools.product(range(n + 1), range(t - n + 1)):
                left = num_pulls - t
                if index(n, s, left) >= index(t - n, z, left):
                    p, good, bad = (s + 1) / (n + 2), (t + 1, n + 1, s + 1, z), (t + 1, n + 1, s, z)
                else:
                    p, good, bad = (z + 1) / (t - n + 2), (t + 1, n, s, z + 1), (t + 1, n, s, z)
                value[t, n, s, z] = p * (1 + value.get(good, 0.0)) + (1 - p) * value.get(bad, 0.0)
    return value[0, 0, 0, 0]


@pytest.mark.parametrize(("num_pulls", "optimum"), [(2, 13 / 12), (5, 2.888889), (20, 12.431265)])
def test_E24_the_index_policy_is_nearly_optimal_and_never_better(num_pulls, optimum):
    value = policy_value(num_pulls)
    assert optimum == pytest.approx(sum(bernoulli_plan(num_pulls).rewards), abs=1e-6)
    assert value <= optimum + 1e-6
    assert value == pytest.approx(optimum, rel=2e-4)
    if num_pulls <= 5:
        assert value == pytest.approx(optimum, abs=1e-6)


def test_E12_acting_learns_from_the_previous_pull_and_prefers_the_higher_index(key):
    agent, problem = Gittins(resolution=32), bernoulli_bandit(3, 4)
    state = agent.begin(agent.describe(problem), key)
    seen = []
    for previous, reward in [(-1, 0.0), (0, 0.0), (1, 1.0), (1, 1.0)]:
        timestep = TimeStep(jnp.zeros((0,)), jnp.asarray(previous, jnp.int32), jnp.asarray(reward), jnp.asarray(True))
        action, memory, _ = agent.act(agent.describe(problem), state, timestep, key, explore=True)
        state = type(state)(None, memory)
        seen.append(int(action))
    assert seen == [0, 1, 1, 1]
    np.testing.assert_array_equal(memory.pulls, [1, 2, 0])
    np.testing.assert_array_equal(memory.total, [0, 2, 0])
