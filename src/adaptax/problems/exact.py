"""Exact dynamic programs over beliefs: what the best learner that starts from the prior can expect.

A task family with a prior is itself one Markov decision process, whose state is what the learner has seen
(Duff 2002, "Optimal Learning"; Zintgraf et al. 2020, section 2.2, arXiv 1910.08348). Where that state is
small, the Bayes-optimal value can be computed, and no learner can do better on average. The programs here are
plain NumPy in float64: environments state their optimum by them, and the Bayes-optimal agents act by them.
"""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Bool, Float, Int

GRID_MOVES = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1))
"""Row and column steps of the grid's five actions: stay, up, right, down, left."""

GRID_STEP_REWARD = -0.1
"""Reward of a step of grid navigation that does not end on the goal; one that does earns 1."""


@dataclasses.dataclass(frozen=True)
class BernoulliPlan:
    """Bayes-optimal play of two Bernoulli arms with p ~ Beta(1, 1).

    Attributes:
        rewards: Expected reward of each pull, `[num_pulls]`.
        second_arm: Whether to pull the second arm, one array `[t + 1, t + 1, t + 1]` for each number t of
            pulls done, indexed by the first arm's pulls, its successes, and the second arm's successes.
    """

    rewards: tuple[float, ...]
    second_arm: tuple[Bool[np.ndarray, "pulls successes successes"], ...]


def _posterior_means(pulls: int) -> tuple[Float[np.ndarray, "n s 1"], Float[np.ndarray, "n 1 s"]]:
    """Success probability of either arm after `pulls` pulls, by first arm's pulls and the arm's successes."""
    first_pulls = np.arange(pulls + 1)[:, None, None]
    successes = np.arange(pulls + 1)
    # Entries with more successes than pulls are never reached; 1 keeps them finite.
    first = np.minimum((successes[None, :, None] + 1) / (first_pulls + 2), 1.0)
    second = np.minimum((successes[None, None, :] + 1) / (pulls - first_pulls + 2), 1.0)
    return first, second


@functools.lru_cache
def bernoulli_plan(num_pulls: int) -> BernoulliPlan:
    """Solve the two-armed bandit by backward induction over (n₁, s₁, s₂), then follow the solution forward.

    V_t = max_i p̂_i (1 + V_{t+1}(success of i)) + (1 − p̂_i) V_{t+1}(failure of i), with p̂ = (s + 1) / (n +
    2) (Gittins, Glazebrook & Weber 2011, section 1.3). Work and memory grow as `num_pulls`⁴ / 4.

    Args:
        num_pulls: How many pulls there are.

    Returns:
        The expected reward of each pull and the policy.
    """
    value = np.zeros((num_pulls + 1,) * 3)
    second_arm = []
    for t in reversed(range(num_pulls)):
        p, q = _posterior_means(t)
        first = p * (1 + value[1:, 1:, :-1]) + (1 - p) * value[1:, :-1, :-1]
        second = q * (1 + value[:-1, :-1, 1:]) + (1 - q) * value[:-1, :-1, :-1]
        second_arm.append(second > first)
        value = np.maximum(first, second)
    second_arm.reverse()

    rewards, reached = [], np.ones((1, 1, 1))
    for t, choice in enumerate(second_arm):
        p, q = _posterior_means(t)
        pulled_first, pulled_second = np.where(choice, 0, reached), np.where(choice, reached, 0)
        rewards.append(float((pulled_first * p + pulled_second * q).sum()))
        reached = np.zeros((t + 2,) * 3)
        reached[1:, 1:, :-1] += pulled_first * p
        reached[1:, :-1, :-1] += pulled_first * (1 - p)
        reached[:-1, :-1, 1:] += pulled_second * q
        reached[:-1, :-1, :-1] += pulled_second * (1 - q)
    return BernoulliPlan(tuple(rewards), tuple(second_arm))


def bernoulli_bayes_value(num_pulls: int) -> float:
    """Best expected number of successes in `num_pulls` pulls of two Bernoulli arms with p ~ U[0, 1].

    Examples:
        >>> round(bernoulli_bayes_value(2) * 12, 9)
        13.0
    """
    return sum(bernoulli_plan(num_pulls).rewards)


def correlated_rewards(low: float | None, num_pulls: int) -> tuple[float, ...]:
    """Expected reward of each pull of Bayes-optimal play of two arms with p₂ = 1 − p₁.

    A failure of one arm says what a success of the other would: every pull informs alike, exploring is free,
    and pulling the arm with the higher posterior mean is optimal. With s the number of signals for the first
    arm among n, the expected reward of pull n + 1 is Σ_s max(∫ p L(s, p), ∫ (1 − p) L(s, p)), with
    L(s, p) = C(n, s) pˢ (1 − p)ⁿ⁻ˢ under the prior.

    Args:
        low: The prior is half `low`, half 1 − `low`; None for p₁ ~ U[0, 1].
        num_pulls: How many pulls there are.
    """
    rewards = []
    for n in range(num_pulls):
        s = np.arange(n + 1)
        if low is None:
            first = (s + 1) / ((n + 1) * (n + 2))
            second = first[::-1]
        else:
            atoms = np.asarray([[low], [1 - low]])
            log_factorial = np.asarray([math.lgamma(k + 1) for k in s])
            log_binomial = log_factorial[-1] - log_factorial - log_factorial[::-1]
            likelihood = np.exp(log_binomial + s * np.log(atoms) + (n - s) * np.log1p(-atoms))
            first, second = (0.5 * atoms * likelihood).sum(0), (0.5 * (1 - atoms) * likelihood).sum(0)
        rewards.append(float(np.maximum(first, second).sum()))
    return tuple(rewards)


def two_step_bayes_value(
    num_rounds: int,
    *,
    common: float,
    reward_good: float,
    reward_bad: float,
    reversal: float,
    num_points: int = 20001,
) -> float:
    """Best expected return of the two-step task for a learner that knows its rules and tracks the good state.

    A reward in one second-stage state says what no reward in the other says (for this `reward_good` and
    `reward_bad` must add to 1). So what is learnt does not depend on the choice, and it is optimal to head
    for the state that is more likely good. With b its probability, x the signal and b' the updated belief
    after a possible reversal, V_n(b) = r(b) + E_x V_{n−1}(b'). V is convex in b; linear interpolation between
    `num_points` beliefs therefore errs upwards only, by less than 1e-6 in 100 rounds at the default.

    Args:
        num_rounds: Rounds of two steps.
        common: Probability that an action leads to its own second-stage state.
        reward_good: Reward probability of the good state.
        reward_bad: Reward probability of the other.
        reversal: Probability that the good state changes after a round.
        num_points: Size of the grid of beliefs.
    """
    belief = np.linspace(0.0, 1.0, num_points)
    best = np.maximum(belief, 1 - belief)
    reach_good = common * best + (1 - common) * (1 - best)
    reward = reward_bad + (reward_good - reward_bad) * reach_good

    likelihood = np.asarray([[reward_good], [reward_bad]])
    signal = likelihood * belief + (1 - likelihood) * (1 - belief)
    posterior = likelihood * belief / signal
    drifted = posterior * (1 - reversal) + (1 - posterior) * reversal
    value = np.zeros(num_points)
    for _ in range(num_rounds):
        value = reward + (signal * np.interp(drifted, belief, value)).sum(0)
    return float(np.interp(0.5, belief, value))


@dataclasses.dataclass(frozen=True)
class GridPlan:
    """Bayes-optimal search of grid navigation: where to walk for as long as the goal has not been found.

    Attributes:
        returns: Expected return of each episode.
        actions: Action of every step of the trial while the goal is unknown, `[num_episodes × horizon]`.
        cells: Cell on which that step ends, `[num_episodes × horizon]`.
    """

    returns: tuple[float, ...]
    actions: Int[np.ndarray, " time"]
    cells: Int[np.ndarray, " time"]


def grid_goals(size: int) -> tuple[int, ...]:
    """Cells (row × size + column) that may be the goal: not the start, cell 0, nor its three neighbours."""
    return tuple(cell for cell in range(size * size) if max(divmod(cell, size)) > 1)


def grid_return(steps: Int[np.ndarray, "*batch"], horizon: int) -> Float[np.ndarray, "*batch"]:
    """Return of an episode that reaches the goal with step number `steps` (from 1) and stays there."""
    return np.where(
        steps <= horizon, (horizon - steps + 1) + GRID_STEP_REWARD * (steps - 1), GRID_STEP_REWARD * horizon
    )


class _GridSearch:
    """Best-first search over episodes, dynamic programming over (position, visited cells) within each.

    Until the goal is found nothing is learnt but that it is elsewhere, so the policy is one fixed walk per
    episode; once it is found, walking there and staying is optimal and nothing is left to learn. The worth of
    a set of walks is thus a sum over goals g of W(g, e, t): the trial's return if g is first met in episode e
    with step t.
    """

    def __init__(self, size: int, horizon: int, num_episodes: int):
        self.size, self.horizon, self.num_episodes = size, horizon, num_episodes
        rows, columns = np.divmod(np.arange(size * size), size)
        self.neighbours = np.stack(
            [np.clip(rows + dr, 0, size - 1) * size + np.clip(columns + dc, 0, size - 1) for dr, dc in GRID_MOVES],
            1,
        )
        goals = np.asarray(grid_goals(size))
        self.bits = np.zeros(size * size, np.int64)
        self.bits[goals] = 1 << np.arange(len(goals))
        self.known = grid_return((rows + columns)[goals], horizon)
        self.goals = goals
        self.solve = functools.cache(self._solve)

    def worth(self, episode: int, step: int) -> Float[np.ndarray, " cell"]:
        """W(g, episode, step) for every cell g; 0 where g cannot be the goal."""
        worth = np.zeros(self.size * self.size)
        before, after = episode, self.num_episodes - 1 - episode
        worth[self.goals] = (
            before * GRID_STEP_REWARD * self.horizon + grid_return(np.asarray(step), self.horizon) + after * self.known
        )
        return worth

    def bound(self, episode: int, visited: Int[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
        """Bound on the worth of the goals not `visited`, from `episode` on: each met by the shortest way."""
        best = episode * GRID_STEP_REWARD * self.horizon + (self.num_episodes - episode) * self.known
        unvisited = (visited[..., None] >> np.arange(len(self.goals))) & 1 == 0
        return (unvisited * best).sum(-1)

    def _solve(self, episode: int, visited: int) -> tuple[float, tuple[int, ...]]:
        """Return the worth of the goals not `visited` from `episode` on, and the actions that attain it."""
        left = np.asarray(visited)
        if episode == self.num_episodes or visited == (1 << len(self.goals)) - 1:
            return float(self.bound(self.num_episodes, left)), (0,) * (self.horizon * (self.num_episodes - episode))
        layers, value = self.walk(episode, visited)
        masks = layers[-1][1]
        bounds = value + self.bound(episode + 1, masks)
        best = -math.inf
        answer: tuple[int, ...] = ()
        for index in np.argsort(-bounds, kind="stable"):
            if bounds[index] <= best + 1e-9:
                break
            later, actions = self.solve(episode + 1, int(masks[index]))
            if value[index] + later > best + 1e-9:
                best, answer = float(value[index]) + later, self.trace(layers, int(index)) + actions
        return best, answer

    def walk(self, episode: int, visited: int) -> tuple[list[tuple[np.ndarray, ...]], Float[np.ndarray, " state"]]:
        """Enumerate what can be visited: (position, visited, parent, action) by step, and the best worth."""
        position, mask, value = np.zeros(1, np.int64), np.asarray([visited]), np.zeros(1)
        layers: list[tuple[np.ndarray, ...]] = [(position, mask, position, position)]
        for step in range(1, self.horizon + 1):
            parent, action = np.divmod(np.arange(len(position) * len(GRID_MOVES)), len(GRID_MOVES))
            cell = self.neighbours[position[parent], action]
            bit = self.bits[cell]
            gain = np.where(mask[parent] & bit == 0, self.worth(episode, step)[cell], 0.0)
            value, mask = value[parent] + gain, mask[parent] | bit
            # The future depends on where one is and what is left: keep the best way to each such state.
            order = np.lexsort((-value, mask * self.size**2 + cell))
            state = (mask * self.size**2 + cell)[order]
            kept = order[np.flatnonzero(np.diff(state, prepend=-1))]
            position, mask, value = cell[kept], mask[kept], value[kept]
            layers.append((position, mask, parent[kept], action[kept]))
        return layers, value

    def trace(self, layers: list[tuple[np.ndarray, ...]], index: int) -> tuple[int, ...]:
        """Actions that lead to state `index` of the last layer."""
        actions = []
        for _, _, parent, action in reversed(layers[1:]):
            actions.append(int(action[index]))
            index = int(parent[index])
        return tuple(reversed(actions))


@functools.lru_cache
def grid_plan(size: int, horizon: int, num_episodes: int) -> GridPlan:
    """Solve grid navigation (Zintgraf et al. 2020, section 5.1) exactly for a learner with the right prior.

    Takes about a second for a 5 × 5 grid with horizon 15, and less for a smaller one. Larger grids take too
    much memory; shorter horizons make the first episodes compete with the later ones, and the search longer
    (85 s for horizon 8).

    Args:
        size: Cells along one side.
        horizon: Steps of an episode.
        num_episodes: Episodes of a trial.
    """
    search = _GridSearch(size, horizon, num_episodes)
    _, actions = search.solve(0, 0)
    cells: list[int] = []
    met: dict[int, tuple[int, int]] = {}
    for time, action in enumerate(actions):
        here = cells[-1] if time % horizon else 0
        cells.append(int(search.neighbours[here, action]))
        met.setdefault(cells[-1], divmod(time, horizon))
    returns = np.full((num_episodes, len(search.goals)), GRID_STEP_REWARD * horizon)
    for column, goal in enumerate(grid_goals(size)):
        if goal in met:
            episode, step = met[goal]
            returns[episode, column] = grid_return(np.asarray(step + 1), horizon)
            returns[episode + 1 :, column] = search.known[column]
    return GridPlan(tuple(returns.mean(1).tolist()), np.asarray(actions), np.asarray(cells))


def grid_posterior(
    cells: Int[np.ndarray, "time *batch"], rewards: Float[np.ndarray, "time *batch"], size: int
) -> Float[np.ndarray, "moments *batch cells"]:
    """Probability of each cell to be the goal, before the first step and after each of them.

    Until it is found the goal is in one of the cells that it may be in and where no step has ended, all alike.

    Args:
        cells: Where each step ended.
        rewards: What it brought.
        size: Cells along one side of the grid.
    """
    ended = np.eye(size * size, dtype=bool)[cells]
    rewarded = (rewards > 0)[..., None]
    seen = np.concatenate([np.zeros_like(ended[:1]), np.cumsum(ended & ~rewarded, 0) > 0])
    found = np.concatenate([np.zeros_like(ended[:1]), np.cumsum(ended & rewarded, 0) > 0])
    possible = np.isin(np.arange(size * size), grid_goals(size)) & ~seen
    possible = np.where(found.any(-1, keepdims=True), found, possible)
    return possible / np.maximum(possible.sum(-1, keepdims=True), 1)
