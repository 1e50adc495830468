"""Exact dynamic program of the treasure mountain: what the best learner that starts from the prior can expect.

All that is hidden is in which cell of the marsh the treasure is, and nothing is left to chance. So a learner that has
not found it knows which cells it has ruled out, and one that has found it, or has looked from the top, knows all: the
belief is a set of cells, and Bellman's equation over time, place and sets is solved as it stands. NumPy, float64.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int

from adaptax.problems.exact import GRID_MOVES

MOST_ENTRIES = 4_000_000
"""Cells × sets × steps that are gone through, at most: a second or two."""


@dataclasses.dataclass(frozen=True)
class MountainPlan:
    """What can be earned.

    Attributes:
        returns: Expected return of each episode of the Bayes-optimal learner.
        blind: The same of the best learner that never looks: it searches the marsh, or stays away from it.
    """

    returns: tuple[float, ...]
    blind: tuple[float, ...]


def marsh_cells(size: int) -> tuple[int, ...]:
    """Cells (row × size + column) of the two sides that are far from the start, cell 0, without their corners."""
    far, along = size - 1, range(1, size - 1)
    return tuple(sorted([row * size + far for row in along] + [far * size + column for column in along]))


def from_the_top(size: int) -> Int[np.ndarray, " cell"]:
    """Moves from the top, the middle cell, to each cell, diagonal ones among them: 0 the top, 1 the slopes."""
    rows, columns = np.divmod(np.arange(size * size), size)
    return np.maximum(np.abs(rows - size // 2), np.abs(columns - size // 2))


def solvable(size: int, steps: int) -> bool:
    """Whether the plan of so many steps takes no more than a second or two."""
    return size**2 * 2 ** len(marsh_cells(size)) * steps <= MOST_ENTRIES


def _neighbours(size: int) -> Int[np.ndarray, "cell move"]:
    rows, columns = np.divmod(np.arange(size * size), size)
    moved = [np.clip(rows + r, 0, size - 1) * size + np.clip(columns + c, 0, size - 1) for r, c in GRID_MOVES]
    return np.stack(moved, 1)


def _best(after: Float[np.ndarray, "cell belief episode"], size: int) -> Float[np.ndarray, "cell belief episode"]:
    """The best move from each cell, if ending on a cell is worth `after`, by episode; what counts is the sum."""
    worth = after[_neighbours(size)]
    chosen = worth.sum(-1).argmax(1)[:, None, :, None]
    return np.take_along_axis(worth, chosen, 1).squeeze(1)


@functools.lru_cache
def known_returns(size: int, horizon: int, climb_cost: float, marsh_cost: float) -> tuple[float, ...]:
    """Return of an episode of whoever knows where the treasure is, for each cell of the marsh."""
    worth = np.zeros((size * size, len(marsh_cells(size)), 1))
    for _ in range(horizon):
        worth = _best(_rewards(size, climb_cost, marsh_cost)[..., None] + worth, size)
    return tuple(worth[0, :, 0].tolist())


def _rewards(size: int, climb_cost: float, marsh_cost: float) -> Float[np.ndarray, "cell place"]:
    """What a step that ends on a cell brings, for each place of the treasure."""
    places = np.asarray(marsh_cells(size))
    rewards = np.repeat(np.where(from_the_top(size) <= 1, -climb_cost, 0.0)[:, None], len(places), 1)
    rewards[places] = -marsh_cost
    rewards[places, np.arange(len(places))] = 1.0
    return rewards


@functools.lru_cache
def mountain_plan(size: int, horizon: int, num_episodes: int, climb_cost: float, marsh_cost: float) -> MountainPlan:
    """Solve the treasure mountain exactly for a learner with the right prior.

    Takes a tenth of a second for a 5 × 5 grid. Of larger ones see `solvable`.

    Args:
        size: Cells along one side.
        horizon: Steps of an episode.
        num_episodes: Episodes of a trial.
        climb_cost: What each step that ends on the mountain costs.
        marsh_cost: What each step costs that ends in the marsh without the treasure.
    """
    rewards = _rewards(size, climb_cost, marsh_cost)
    returns, blind = (_solve(size, horizon, num_episodes, rewards, looks=looks) for looks in (True, False))
    return MountainPlan(returns, blind)


def _solve(
    size: int, horizon: int, num_episodes: int, rewards: Float[np.ndarray, "cell place"], *, looks: bool
) -> tuple[float, ...]:
    """Backward induction over two tables: of those who know the place, and of those who know a set without it."""
    places = np.asarray(marsh_cells(size))
    count, top = len(places), (size // 2) * (size + 1)
    sets = np.arange(1 << count)
    possible = ((sets[:, None] >> np.arange(count)) & 1 == 0).astype(np.float64)  # not ruled out, `[set, place]`
    chance = possible / np.maximum(possible.sum(1, keepdims=True), 1)
    known = np.zeros((size * size, count, num_episodes))
    searching = np.zeros((size * size, 1 << count, num_episodes))
    for time in reversed(range(num_episodes * horizon)):
        if (time + 1) % horizon == 0:  # the next step begins in the corner, and with what is known
            known, searching = (np.broadcast_to(table[:1], table.shape) for table in (known, searching))
        paid = np.eye(num_episodes)[time // horizon]
        told = rewards[..., None] * paid + known
        ended = np.where(np.isin(np.arange(size * size), places), 0.0, rewards[:, 0])[:, None, None] * paid + searching
        for place, cell in enumerate(places):
            # A place that is ruled out has chance 0, and what it pays if empty is what it pays for any other treasure.
            empty = rewards[cell, place - 1] * paid + searching[cell, sets | (1 << place)]
            found = chance[:, place, None]
            ended[cell] = found * told[cell, place] + (1 - found) * empty
        if looks:
            ended[top] = chance @ told[top]
        known, searching = _best(told, size), _best(ended, size)
    return tuple(searching[0, 0].tolist())
