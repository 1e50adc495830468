"""Sessions of one agent side by side, in tiles of a fixed size.

A tile acts as a whole, by one compiled program for all tiles, whoever of it is asked; what the others would have done
is dropped. So nothing is compiled twice, however many act together, and a session computes to the last bit the same in
any company: products of another number of rows would be rounded otherwise.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Self

import jax
import numpy as np
from jaxtyping import Array

from adaptax.core.errors import UseError
from adaptax.deployment import checks
from adaptax.deployment.programs import Leaves, Programs, row_of, with_row
from adaptax.deployment.session_bytes import Session
from adaptax.deployment.state import ARRAYS, State, replaced
from adaptax.deployment.windows import Notes


class Tiles:
    """What some sessions know; a call changes all that it is to, or raises and changes nothing.

    Attributes:
        programs: The agent, compiled.
        num: How many sessions.
        lanes: Sessions of a tile.
        state: All that decides what they will do.
        safe: What is done where an agent cannot act; None: that is an error.
        margin: How much of its reward an agent may lose by adapting; None: adaptation is not bounded.
        refused: Why the last safe action was done, in a line; empty: none was.
    """

    def __init__(
        self,
        programs: Programs,
        num: int,
        lanes: int,
        seed: int,
        safe: np.ndarray | None = None,
        margin: float | None = None,
        *,
        learns: bool = True,
    ):
        """Enter a first task in each session; the k-th has the seed `seed` + k. Not if it is only to act: `learns`."""
        self.programs, self.num, self.lanes, self.safe, self.refused = programs, num, lanes, safe, ""
        self.margin = margin
        self._lock = threading.Lock()
        self._size = -(-num // lanes) * lanes
        root = np.asarray(_roots(np.uint32(seed) + np.arange(self._size, dtype=np.uint32)))
        does = programs.env.action_space
        nothing, no = np.zeros(self._size, np.uint32), np.zeros(self._size, bool)
        action = np.broadcast_to(np.asarray(does.null()), (self._size, *does.shape)).copy()
        tiles = self._size // lanes
        adapted, memory = programs.nothing_known(lanes)
        notes = (Notes(),) * num if programs.window is not None and learns else ()
        rest: dict[str, Any] = {
            "notes": notes,
            "undo": (None,) * num,
            "adapted": (adapted,) * tiles,
            "memory": (memory,) * tiles,
        }
        numbers: dict[str, Any] = {"tasks": nothing, "steps": nothing, "adaptations": nothing, "taken_back": nothing}
        told: dict[str, Any] = {"waiting": no, "excused": no, "frozen": no, "first": ~no}
        self.state = State(root=root, action=action, reward=np.zeros(self._size, np.float32), **numbers, **told, **rest)
        if learns:
            self.begin(np.arange(num))

    @contextlib.contextmanager
    def turn(self, where: str) -> Iterator[None]:
        """One call at a time; what is raised in here leaves all sessions as they were."""
        if not self._lock.acquire(blocking=False):
            raise UseError(
                f"{where}: expected one call at a time, found another that has not returned. {checks.UNCHANGED}; give "
                "each thread an agent of its own, by copy.deepcopy(agent) or agent.sessions(n), or put a lock around it"
            )
        before = self.state, self.refused
        try:
            yield
        except BaseException:
            self.state, self.refused = before
            raise
        finally:
            self._lock.release()

    def begin(self, rows: np.ndarray) -> None:
        """Enter a new task: fresh memory, no previous action or reward, nothing learned."""
        state, null = self.state, np.asarray(self.programs.env.action_space.null())
        fresh = dict.fromkeys(("steps", "adaptations", "taken_back", "reward", "waiting", "excused", "frozen"), 0)
        state = state.with_rows(rows, tasks=state.tasks[rows] + 1, action=null, first=True, **fresh)
        begins = self._mask(rows)
        adapted, memory = list(state.adapted), list(state.memory)
        for tile in self._tiles(rows):
            lanes = self._lanes_of(tile)
            adapted[tile], memory[tile] = self.programs.begin(
                self.programs.theta, adapted[tile], memory[tile], state.root[lanes], state.tasks[lanes], begins[lanes]
            )
        meant = rows.tolist()
        notes = replaced(state.notes, dict.fromkeys(meant, Notes())) if state.notes else ()
        undo = replaced(state.undo, dict.fromkeys(meant))
        self.state = state._replace(adapted=tuple(adapted), memory=tuple(memory), notes=notes, undo=undo)

    def session(self, row: int) -> Session:
        """All that there is of one session."""
        state = self.state
        numbers = {name: np.asarray(getattr(state, name)[row]) for name in ARRAYS}
        notes = state.notes[row] if state.notes else None
        return Session(numbers, *self._row(*divmod(row, self.lanes)), notes, state.undo[row])

    def set_session(self, row: int, session: Session) -> None:
        """Have a session be another."""
        self.state = self.state.with_rows(np.array([row]), **session.numbers)
        self._set_row(*divmod(row, self.lanes), session.adapted, session.memory)
        notes = replaced(self.state.notes, {row: session.notes}) if self.state.notes else ()
        self.state = self.state._replace(notes=notes, undo=replaced(self.state.undo, {row: session.undo}))

    def copy(self) -> Self:
        """The same sessions, which go on by themselves from now on."""
        new = object.__new__(type(self))
        vars(new).update(vars(self), _lock=threading.Lock())
        return new

    def _row(self, tile: int, lane: int) -> tuple[Leaves, Leaves]:
        """What one session knows, with its axis."""
        known = self.state.adapted[tile], self.state.memory[tile]
        return known if self.lanes == 1 else (row_of(known[0], lane), row_of(known[1], lane))

    def _set_row(self, tile: int, lane: int, adapted: Leaves, memory: Leaves) -> None:
        state = self.state
        if self.lanes > 1:
            adapted, memory = with_row(state.adapted[tile], lane, adapted), with_row(state.memory[tile], lane, memory)
        changed: dict[str, Any] = {
            "adapted": replaced(state.adapted, {tile: adapted}),
            "memory": replaced(state.memory, {tile: memory}),
        }
        self.state = state._replace(**changed)

    def _tiles(self, rows: np.ndarray) -> list[int]:
        """Those that some sessions are in."""
        return np.unique(rows // self.lanes).tolist()

    def _lanes_of(self, tile: int) -> slice:
        return slice(tile * self.lanes, (tile + 1) * self.lanes)

    def _mask(self, rows: np.ndarray) -> np.ndarray:
        mask = np.zeros(self._size, bool)
        mask[rows] = True
        return mask

    def _named(self, rows: Any) -> str:
        """Which session it is, where there are several."""
        return f" (session {int(rows[0])})" if self.num > 1 else ""


@jax.jit
def _roots(seeds: Array) -> Array:
    """Data of the root keys of some seeds."""
    return jax.vmap(lambda seed: jax.random.key_data(jax.random.key(seed)))(seeds)
