"""The finite-horizon Gittins index policy for Bernoulli arms.

The index of an arm with s successes and f failures and r pulls to come is the highest charge λ per pull at which
it is still worth paying for one pull or more (Gittins 1979, with stopping times of at most r):

    ν(s, f, r) = sup_{1 ≤ τ ≤ r} E[R₁ + … + R_τ] / E[τ],        p | s, f ~ Beta(1 + s, 1 + f)

Calibration (Gittins, Glazebrook & Weber 2011): with

    W(s, f, r) = p̂·(1 + W⁺(s+1, f, r−1)) + (1 − p̂)·W⁺(s, f+1, r−1) − λ,    p̂ = (s+1)/(s+f+2),  W⁺ = max(W, 0)

the value of a first pull followed by optimal stopping, ν is the root of W in λ. W is found by backward induction
for every λ of a grid. Used at pull t of n with r = n − t + 1, this is the index policy of Duan et al. 2016 (RL²,
section 3.1).

Accuracy: on the default grid the indices are within 0.001 for n = 10, and for n = 500 within 0.0006 on average
and 0.006 at worst (measured for a deadline of 500). It hardly matters: grids of 64 and of 1024 charges earn the
same to within 0.01 on 100 pulls of 10 or 50 arms.

Differences from the papers: the index is computed, not approximated by a formula. With a finite
horizon an index policy need not be optimal, but is close: with two arms it loses nothing of 2.888889 for 5 pulls,
and 0.0019 of 12.431265 for 20.
"""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from adaptax.algorithms.classical.bandit_agents import ArmStatistics, count, lowest_best, no_statistics, number_of_arms
from adaptax.core.algorithm import FromScratch
from adaptax.core.problem import Problem
from adaptax.core.types import AgentState, TimeStep


class IndexTable(eqx.Module):
    """ν for all states of an arm that can occur in a trial, in one packed array.

    Attributes:
        num_arms: k.
        num_pulls: n.
        starts: Where the block of states with m = s + f pulls starts, for m = 0, …, n − 1.
        indices: ν, in blocks of m; within a block by r = 1, …, n − m; within that by s = 0, …, m. 84 MB for
            n = 500.
    """

    num_arms: int = eqx.field(static=True)
    num_pulls: int = eqx.field(static=True)
    starts: Int[Array, " pulls"]
    indices: Float[Array, " states"]

    def lookup(self, statistics: ArmStatistics) -> Float[Array, " num_arms"]:
        """Return the index of each arm at this point of the trial."""
        pulls, successes = statistics.pulls.astype(jnp.int32), statistics.total.astype(jnp.int32)
        remaining = jnp.maximum(self.num_pulls - jnp.sum(pulls), 1)
        return self.indices[self.starts[pulls] + (remaining - 1) * (pulls + 1) + successes]


@dataclasses.dataclass(frozen=True)
class Gittins(FromScratch):
    """Pull the arm with the highest finite-horizon Gittins index. For Bernoulli rewards only.

    Attributes:
        resolution: Number of intervals of the grid of charges λ between 0 and 1. The time that it takes to build
            the table grows in proportion.
    """

    resolution: int = 128

    def describe(self, problem: Problem) -> IndexTable:
        """Compute the index table for the trial's number of pulls n."""
        num_arms = number_of_arms(self, problem)
        starts, indices = index_table(problem.trial_steps, self.resolution)
        return IndexTable(num_arms, problem.trial_steps, jnp.asarray(starts), jnp.asarray(indices))

    def begin(self, meta: IndexTable, key: Key[Array, ""]) -> AgentState:
        """Know nothing but the prior."""
        return AgentState(None, no_statistics(meta.num_arms))

    def act(
        self, meta: IndexTable, agent: AgentState, timestep: TimeStep, key: Key[Array, ""], *, explore: bool
    ) -> tuple[Int[Array, ""], ArmStatistics, None]:
        """Learn from the previous pull, then pull the arm with the highest index (of several, the lowest-numbered)."""
        statistics = count(agent.memory, timestep)
        return lowest_best(meta.lookup(statistics)), statistics, None


def index_table(num_pulls: int, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Compute ν(s, f, r) for all s + f + r ≤ `num_pulls`.

    A pull leaves the deadline s + f + r as it is, so each deadline is a recursion of its own, and all are done
    in parallel.

    Args:
        num_pulls: n; the table has n(n+1)(n+2)/6 entries.
        resolution: Number of intervals of the grid of charges.

    Returns:
        `starts` and `indices` as in `IndexTable`, int32 and float32.
    """
    pulls = np.arange(num_pulls)
    sizes = (num_pulls - pulls) * (pulls + 1)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
    indices = np.empty(sizes.sum(), np.float32)
    charges = np.linspace(0.0, 1.0, resolution + 1, dtype=np.float32 if num_pulls > 100 else np.float64)

    def one_deadline(deadline: int) -> None:
        for m, index in enumerate_indices(deadline, charges):
            at = starts[m] + (deadline - m - 1) * (m + 1)
            indices[at : at + m + 1] = index

    with ThreadPoolExecutor() as pool:
        list(pool.map(one_deadline, range(num_pulls, 0, -1)))
    return starts, indices


def enumerate_indices(deadline: int, charges: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield m and ν(s, m − s, `deadline` − m) for s = 0, …, m, for m from `deadline` − 1 down to 0."""
    future = np.zeros((deadline + 1, len(charges)), charges.dtype)  # W⁺ after the pull, by s and λ
    for m in range(deadline - 1, -1, -1):
        success = (np.arange(1, m + 2, dtype=charges.dtype) / (m + 2))[:, None]
        after_failure = future[: m + 1]
        value = future[1 : m + 2] - after_failure
        value += 1
        value *= success
        value += after_failure
        value -= charges
        np.maximum(value, 0, out=after_failure)
        yield m, root(value, charges)


def root(value: np.ndarray, charges: np.ndarray) -> np.ndarray:
    """Return where each row of `value`, decreasing along the even grid `charges`, changes its sign.

    A parabola through the last two values that are not negative and the first that is.
    """
    rows = np.arange(len(value))
    right = np.maximum(np.argmax(value < 0, axis=1), 1)
    left_value, right_value = value[rows, right - 1], value[rows, right]
    before = np.where(right == 1, 2 * left_value - right_value, value[rows, right - 2])
    curvature, slope = (before - 2 * left_value + right_value) / 2, (right_value - before) / 2
    discriminant = np.maximum(slope**2 - 4 * curvature * left_value, 0)
    fraction = 2 * left_value / (np.sqrt(discriminant) - slope)
    return charges[right - 1] + (charges[1] - charges[0]) * np.clip(fraction, 0, 1)
