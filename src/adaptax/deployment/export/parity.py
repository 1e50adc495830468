"""Whether what was written down does what the agent does: a thousand steps with resets, and a step of adaptation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from adaptax.core.errors import DivergenceError
from adaptax.core.spaces import Space
from adaptax.deployment.export.traced import Exported

STEPS = 1000
TOLERANCE = 1e-5
"""Of a number, as a part of it where it is larger than 1."""
ROUNDINGS = 10
"""An array of an adaptation may differ by so many times what any number of it does if the last digits of its window are
others: a learned rule that reads logarithms of gradients makes much of little."""
EPISODE, TRIAL = 0.05, 0.01
"""How often an episode is over, and a trial."""


class Record(NamedTuple):
    """What an agent was told, and what came of it.

    Attributes:
        steps: Of each step its observation, previous action, reward, and whether an episode begins, or a trial.
        actions: Of each step the best action.
        drawn: Of each step the action as in training, with the step's number as key.
        kept: Of each step what is remembered after that, in one row.
        window: Inputs of the step of adaptation; None: there is none.
        learned: Its outputs.
        rounded: By how much those differ where the window was rounded otherwise.
    """

    steps: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]]
    actions: list[np.ndarray]
    drawn: list[np.ndarray]
    kept: list[np.ndarray]
    window: list[np.ndarray] | None
    learned: list[np.ndarray]
    rounded: list[np.ndarray]


class Found(NamedTuple):
    """What the written program made of a record: as there."""

    actions: Sequence[np.ndarray]
    drawn: Sequence[np.ndarray]
    kept: Sequence[np.ndarray]
    learned: Sequence[np.ndarray]


def recorded(agent: Exported, seen: Space, *, steps: int = STEPS, seed: int = 0) -> Record:
    """Let the agent itself go through steps of random observations and rewards."""
    rng = np.random.default_rng(seed)
    act, explore = agent.programs["act"], agent.programs["explore"]
    told, actions, drawn, kept = [], [], [], []
    state, begins = list(agent.initial), True
    memory = len(agent.state) - agent.adapted
    first, aux = True, []
    previous, reward = agent.null, np.float32(0)
    for number in range(steps):
        if begins:
            state, first = list(agent.initial), True
            previous, reward = agent.null, np.float32(0)
        step = (_observation(seen, rng), previous, np.asarray(reward), np.asarray(first))
        told.append((*step, begins))
        key = np.asarray([0, number], np.uint32)
        chosen, *rest = (np.asarray(x) for x in explore.call(*step, *state, key))
        best, *_ = (np.asarray(x) for x in act.call(*step, *state))
        drawn.append(chosen)
        actions.append(best)
        kept.append(in_one_row(rest[:memory]))
        aux.append(rest[memory:])
        state = [*state[: agent.adapted], *rest[:memory]]
        previous = np.clip(chosen, agent.low, agent.high).astype(chosen.dtype)
        reward = np.float32(rng.normal())
        first, begins = rng.random() < EPISODE, rng.random() < TRIAL
    if "adapt" not in agent.programs:
        return Record(told, actions, drawn, kept, None, [], [])
    window = _window(agent, told, drawn, aux, rng)
    learned = [np.asarray(x) for x in agent.programs["adapt"].call(*window)]
    other = [np.asarray(x) for x in agent.programs["adapt"].call(*(_rounded(x, rng) for x in window))]
    rounded = [np.abs(x - y) for x, y in zip(learned, other, strict=True)]
    return Record(told, actions, drawn, kept, window, learned, rounded)


def in_one_row(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers of some arrays."""
    return np.concatenate([np.zeros(0), *(np.asarray(x, np.float64).reshape(-1) for x in arrays)])


def _rounded(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each number one of its neighbours, or itself."""
    if x.dtype != np.float32:
        return x
    return np.nextafter(x, np.where(rng.random(x.shape) < 0.5, np.inf, -np.inf).astype(np.float32))


def _observation(space: Space, rng: np.random.Generator) -> np.ndarray:
    """Anything that the space has, legal actions all."""
    low, high = (np.broadcast_to(x, space.shape) for x in space.limits())
    if space.integers:
        return np.asarray(rng.integers(low, np.asarray(high) + 1), np.dtype(space.dtype))
    found = np.clip(rng.normal(size=space.shape), low, high)
    if (legal := space.mask_place) is not None:
        found[legal] = 1
    return np.asarray(found, np.float32)


def _window(agent: Exported, told: Any, drawn: Any, aux: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """A window of what was told, in the order of the program's inputs: state, time steps, and what came of them."""
    assert agent.window is not None
    envs, steps = agent.window
    take = rng.integers(0, len(told) - 1, (steps, envs))

    def stacked(rows: list[Any]) -> np.ndarray:
        return np.asarray(rows)[take]

    seen = [stacked([step[i] for step in told]) for i in range(4)]
    later = stacked([step[0] for step in (*told[1:], told[0])])
    ends = np.zeros((steps, envs), bool)
    last = ends.copy()
    last[-1] = True
    rest = [stacked(drawn), rng.normal(size=(steps, envs)).astype(np.float32), ends, last, later]
    kept = [stacked([row[i] for row in aux]) for i in range(len(aux[0]))]
    inputs = [*agent.initial, *seen, *rest, *kept, np.ones((steps, envs), bool), np.asarray([0, 1], np.uint32)]
    ports = agent.programs["adapt"].inputs
    return [np.asarray(x).astype(p.dtype).reshape(p.shape) for x, p in zip(inputs, ports, strict=True)]


def check(agent: Exported, record: Record, found: Found, target: str) -> float:
    """The largest difference, as a part of what is larger than 1.

    Raises:
        DivergenceError: if it is above `TOLERANCE`, or a discrete action is another.
    """
    worst = 0.0
    for number, (best, got) in enumerate(zip(record.actions, found.actions, strict=True), 1):
        worst = max(worst, _away(f"step {number}, the best action", best, got, target))
    for number, (drawn, got) in enumerate(zip(record.drawn, found.drawn, strict=True), 1):
        worst = max(worst, _away(f"step {number}, the drawn action", drawn, got, target))
    for number, (kept, got) in enumerate(zip(record.kept, found.kept, strict=True), 1):
        worst = max(worst, _away(f"step {number}, what is remembered", kept, got, target))
    if record.window is not None:
        outputs = agent.programs["adapt"].outputs
        for port, wanted, got, by in zip(outputs, record.learned, found.learned, record.rounded, strict=True):
            worst = max(
                worst, _away(f"adaptation, {port.name}", wanted, got, target, ROUNDINGS * float(np.max(by, initial=0)))
            )
    return worst


def _away(where: str, wanted: np.ndarray, found: np.ndarray, target: str, besides: float = 0.0) -> float:
    """The largest difference beyond `besides`."""
    got = np.asarray(found, np.float64).reshape(wanted.shape)
    away = np.maximum(np.abs(got - wanted) - besides, 0) / np.maximum(1, np.abs(wanted))
    most = float(np.max(away, initial=0))
    if not most <= (0 if wanted.dtype.kind in "iub" else TOLERANCE):
        place = np.unravel_index(int(np.argmax(np.where(np.isnan(away), np.inf, away))), away.shape)
        raise DivergenceError(
            f"export: {target} and the agent part at {where}: expected {wanted[place]:g}, found {got[place]:g}. "
            "Nothing was written"
        )
    return most
