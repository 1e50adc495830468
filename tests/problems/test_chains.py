"""The chain with a treasure."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.algorithm import FromScratch
from adaptax.core.rollout import evaluate_trial
from adaptax.core.types import AgentState
from adaptax.problems import chain
from adaptax.problems.chains import Treasure
from tests.sample_problems import quick_jit

BACK, FORWARD, STAY = range(3)


def treasure(depth, value, failure):
    return Treasure(jnp.asarray(depth, jnp.int32), jnp.asarray(value), jnp.asarray(failure))


def oracle(depth, value, failure, length, horizon):
    return float(chain(length, horizon).test.oracle(treasure(depth, value, failure)))


def transitions(length, failure):
    """P[action, state, next state], written out."""
    p = np.zeros((3, length + 1, length + 1))
    for s in range(length + 1):
        p[BACK, s, 0] += 1
        p[FORWARD, s, min(s + 1, length)] += 1 - failure
        p[FORWARD, s, s] += failure
        p[STAY, s, s] += 1
    return p


def rewards(depth, value, length):
    r = np.zeros(length + 1)
    r[0], r[depth] = 0.01, value
    return r


def brute_force(depth, value, failure, length, horizon):
    """Best value of state 0 over all policies that map (time, state) to an action."""
    p, r = transitions(length, failure), rewards(depth, value, length)
    states, best = np.arange(length + 1), -np.inf
    for choices in itertools.product(range(3), repeat=horizon * len(states)):
        worth = np.zeros(len(states))
        for t in range(horizon):
            worth = p[choices[t * len(states) : (t + 1) * len(states)], states] @ (r + worth)
        best = max(best, worth[0])
    return best


@pytest.mark.parametrize(
    ("depth", "value", "failure", "horizon"),
    [(2, 1.2, 0.3, 3), (1, 0.7, 0.1, 3), (2, 0.5, 0.0, 2), (2, 0.5, 0.99, 3)],
)
def test_the_oracle_is_the_best_of_all_policies(depth, value, failure, horizon):
    expected = brute_force(depth, value, failure, 2, horizon)
    assert oracle(depth, value, failure, 2, horizon) == pytest.approx(expected, rel=1e-5)


def test_the_oracle_by_hand():
    # Three sure steps, and then five rewards in eight steps, the first with the third step: 6 × 0.5.
    assert oracle(3, 0.5, 0.0, 4, 8) == pytest.approx(3.0, rel=1e-6)
    # Out of reach: staying at the start.
    assert oracle(4, 1.5, 0.0, 4, 3) == pytest.approx(0.03, rel=1e-6)
    # One step, which succeeds with .9 each time: after t steps one is there with 1 − .1ᵗ, and else at the start.
    assert oracle(1, 1.0, 0.1, 2, 3) == pytest.approx(0.9 + 0.99 + 0.999 + 0.01 * (0.1 + 0.01 + 0.001), rel=1e-6)


def value_of_going_forward(depth, value, failure, length, horizon):
    """Expected return of an episode of going forward until paid, then staying."""
    p, r = transitions(length, failure), rewards(depth, value, length)
    walk = p[FORWARD].copy()
    walk[depth] = p[STAY, depth]
    worth = np.zeros(length + 1)
    for _ in range(horizon):
        worth = walk @ (r + worth)
    return worth[0]


def optimal(depth, value, failure, length, horizon):
    """The oracle in float64."""
    p, r = transitions(length, failure), rewards(depth, value, length)
    worth = np.zeros(length + 1)
    for _ in range(horizon):
        worth = (p @ (r + worth)).max(0)
    return worth[0]


def test_knowing_the_depth_is_worth_next_to_nothing_once_the_way_is_known():
    tasks = list(itertools.product(range(8, 17), (0.5, 1.0, 1.5), (0.0, 0.05, 0.1)))
    best = np.asarray([optimal(*task, 16, 32) for task in tasks])
    walk = np.asarray([value_of_going_forward(*task, 16, 32) for task in tasks])
    assert np.all(best - walk < 1e-10)
    depth, value, failure = np.asarray(tasks, np.float32).T
    batch = treasure(depth, value, failure)
    np.testing.assert_allclose(jax.jit(jax.vmap(chain(16, 32).test.oracle))(batch), best, rtol=1e-5)
    # Simpson's rule in p. In v the value is linear, up to the 1e-10 above.
    means = best.reshape(9, 3, 3) @ np.asarray([1, 4, 1]) / 6
    assert means.mean() == pytest.approx(20.36, abs=0.005)


def reach(depth, failure, length, horizon):
    """Probability that uniform actions lead to the treasure in one episode."""
    walk = transitions(length, failure).mean(0)
    walk[depth] = 0
    walk[depth, depth] = 1
    return (np.linalg.matrix_power(walk, horizon))[0, depth]


def mean_reach(depths, length, horizon):
    points, weights = np.polynomial.legendre.leggauss(20)
    failures = 0.05 + 0.05 * points
    return np.mean([(weights / 2) @ [reach(depth, p, length, horizon) for p in failures] for depth in depths])


def test_uniform_actions_hardly_ever_find_the_treasure():
    assert mean_reach(range(8, 17), 16, 32) == pytest.approx(0.0049, abs=5e-5)
    assert mean_reach([8], 16, 32) == pytest.approx(0.024, abs=5e-4)
    assert mean_reach([16], 16, 32) == pytest.approx(3.6e-5, abs=5e-7)
    assert mean_reach(range(16, 33), 32, 64) == pytest.approx(1.6e-5, abs=5e-7)


@dataclasses.dataclass(frozen=True)
class GoForward(FromScratch):
    """Goes forward until it is paid more than the start pays, then stays; knows nothing of the task."""

    def describe(self, problem):
        return None

    def begin(self, meta, key):
        return AgentState(None, None)

    def act(self, meta, agent, timestep, key, *, explore):
        found = ~timestep.first & (timestep.reward > 0.1)
        return jnp.where(found, STAY, FORWARD).astype(jnp.int32), None, None


@pytest.mark.compiles
@pytest.mark.parametrize("split", ["test", "shifted"])
def test_going_forward_until_paid_attains_the_oracle(split):
    problem = chain(num_episodes=2)
    family = getattr(problem, split)

    @quick_jit
    def play(key):
        tasks = jax.vmap(family.sample)(jax.random.split(key, 4096))
        run = lambda task, key: evaluate_trial(GoForward(), problem, None, task, key).returns  # noqa: E731
        returns = jax.vmap(run)(tasks, jax.random.split(jax.random.fold_in(key, 1), 4096))
        return returns.mean(1) - jax.vmap(family.oracle)(tasks)

    gap = np.asarray(play(jax.random.key(0)), float)
    # In shifted tasks it may be too late to go on, which is worth less than .0024 at most.
    assert abs(gap.mean()) < 4 * gap.std() / 4096**0.5 + (0.0024 if split == "shifted" else 0)


@pytest.mark.parametrize(
    ("state", "after"), [(0, {0: 0, 1: 1, 2: 0}), (3, {0: 0, 1: 4, 2: 3}), (4, {0: 0, 1: 4, 2: 4})]
)
def test_actions_go_back_forward_or_nowhere(state, after):
    env = chain(4, 8).env
    for action, expected in after.items():
        for failure in (0.0, 1.0):
            task = treasure(3, 0.75, failure)
            step = env.step(jnp.asarray(state, jnp.int32), jnp.asarray(action, jnp.int32), task, jax.random.key(0))
            reached = state if action == FORWARD and failure else expected
            assert (int(step.state), int(step.observation)) == (reached, reached)
            assert float(step.reward) == pytest.approx({0: 0.01, 3: 0.75}.get(reached, 0.0))
            assert not bool(step.terminated)


def test_a_step_forward_fails_with_probability_p():
    env, task = chain(4, 8).env, treasure(4, 1.0, 0.3)
    go = lambda key: env.step(jnp.asarray(1, jnp.int32), jnp.asarray(FORWARD, jnp.int32), task, key).state  # noqa: E731
    states = np.asarray(jax.jit(jax.vmap(go))(jax.random.split(jax.random.key(0), 4096)))
    assert set(states) == {1, 2}
    assert abs((states == 1).mean() - 0.3) < 4 * (0.21 / 4096) ** 0.5


@pytest.mark.compiles
@pytest.mark.parametrize(("length", "depths"), [(16, range(8, 17)), (3, range(1, 4)), (2, range(1, 3))])
def test_tasks_are_uniform_on_their_ranges(length, depths):
    keys = jax.random.split(jax.random.key(0), 4096)
    tasks = jax.jit(jax.vmap(chain(length).train.sample))(keys)
    assert tasks.depth.dtype == jnp.int32
    counts = np.bincount(np.asarray(tasks.depth), minlength=length + 1)
    assert set(np.flatnonzero(counts)) == set(depths)
    expected, freedom = 4096 / len(depths), len(depths) - 1
    # Chi-square: mean and half of its variance are the degrees of freedom.
    assert ((counts[list(depths)] - expected) ** 2 / expected).sum() < freedom + 4 * (2 * freedom) ** 0.5
    for leaf, low, width in ((tasks.value, 0.5, 1.0), (tasks.failure, 0.0, 0.1)):
        scaled = (np.asarray(leaf, float) - low) / width
        assert -1e-6 < scaled.min() < scaled.max() < 1 + 1e-6
        assert abs(scaled.mean() - 0.5) < 4 * (1 / 12 / 4096) ** 0.5
        assert abs(scaled.var() - 1 / 12) < 4 * (1 / 180 / 4096) ** 0.5


def test_a_chain_needs_room_for_a_treasure():
    with pytest.raises(ValueError, match=r"Chain\(length\): expected at least 2.*got 1"):
        chain(1)
