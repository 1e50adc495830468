"""All that decides the future of some sessions of one agent, as a value: replaced as a whole or not at all."""

from typing import Any, NamedTuple

import numpy as np

from adaptax.deployment.programs import Leaves
from adaptax.deployment.windows import Notes


class Known(NamedTuple):
    """What one session knew before it last adapted, and what it had heard last.

    Attributes:
        adapted: Its row of φ.
        memory: Its row of h; None: adapting has not changed it.
        action: The last action, as it was done.
        reward: What that brought.
        first: Whether the next step was the first of an episode.
    """

    adapted: Leaves
    memory: Leaves | None
    action: np.ndarray
    reward: np.float32
    first: bool


class State(NamedTuple):
    """Sessions side by side; arrays `[session, ...]` on the host are replaced, never changed.

    Attributes:
        root: Data of each session's root key.
        tasks: Number of its task.
        steps: Steps in this task.
        adaptations: Windows that it has learned from in this task.
        action: Its last action, as it was done.
        reward: What that brought.
        first: Whether the next step is the first of an episode.
        waiting: Whether nobody has told yet what the last action brought.
        excused: Whether the last action was the safe one and not its own.
        frozen: Whether it has stopped adapting.
        taken_back: How many adaptations were undone in this task.
        adapted: Leaves of φ, a list for each tile.
        memory: Leaves of h, likewise.
        notes: What each session that learns from windows has written down; empty for agents with a memory only.
        undo: What each session knew before its last adaptation; None: nothing can be undone.
    """

    root: np.ndarray
    tasks: np.ndarray
    steps: np.ndarray
    adaptations: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    first: np.ndarray
    waiting: np.ndarray
    excused: np.ndarray
    frozen: np.ndarray
    taken_back: np.ndarray
    adapted: tuple[Leaves, ...]
    memory: tuple[Leaves, ...]
    notes: tuple[Notes, ...]
    undo: tuple[Known | None, ...]

    def with_rows(self, rows: np.ndarray, **values: Any) -> "State":
        """The state with other values of some sessions."""
        changed = {}
        for name, value in values.items():
            array = getattr(self, name).copy()
            array[rows] = value
            changed[name] = array
        return self._replace(**changed)


ARRAYS = State._fields[: State._fields.index("adapted")]
"""Names of those that are arrays `[session, ...]`."""


def replaced(entries: tuple[Any, ...], others: dict[int, Any]) -> tuple[Any, ...]:
    """A tuple with other entries at some places."""
    return tuple(others.get(index, entry) for index, entry in enumerate(entries)) if others else entries
