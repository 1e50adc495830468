"""Sessions of many users in one batch, each change in SQLite before it is answered. Nothing of the web is here.

A session is what it was given: its seed and its steps (what was seen, the action, what that brought). Those are the
rows of the database; now and then a session's state is kept beside them, and older rows go. Whoever is killed begins
again with the states and lives the rows after them once more, all sessions side by side: they come to bitwise the same,
and it is checked that the actions are those that were answered.
"""

import contextlib
import copy
import json
import sqlite3
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adaptax import Agent
from adaptax.core.errors import AdaptaxError, CheckpointError, UseError

BLOCK = 256
"""New sessions are made so many at a time."""
BACKLOG = 20
"""Steps after which a session's state is kept."""
AT_ONCE = 1
"""States that are kept after a batch of calls, at most: others wait for half a millisecond meanwhile."""
TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS sessions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, used REAL NOT NULL,
    state BLOB, state_step INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS steps (
    number INTEGER, step INTEGER, seen TEXT NOT NULL, action TEXT NOT NULL,
    reward REAL, over INTEGER, terminated INTEGER, after TEXT,
    PRIMARY KEY (number, step)) WITHOUT ROWID;
"""


class Refusal(Exception):
    """A call that cannot be followed; nothing was changed.

    Attributes:
        status: As HTTP has it.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass
class Call:
    """One call of a user: "begin", "act", "observe", "state" or "delete", with what it is given."""

    kind: str
    id: str
    given: dict[str, Any] = field(default_factory=dict)


@dataclass
class Live:
    """A session that is in the batch.

    Attributes:
        number: Its number, which its seed follows from.
        row: Its place in the batch.
        step: Steps that are complete.
        action: The action of the next one, if nobody has told yet what it brought; else None.
        kept: Steps that are in the state that is kept.
    """

    number: int
    row: int
    step: int = 0
    action: Any = None
    kept: int = 0


class Engine:
    """All sessions of one agent. Its methods are called from one thread."""

    def __init__(self, agent: Agent, path: Path, *, capacity: int = BLOCK, seed: int = 0, durable: bool = False):
        """Open the database, and go on where it ends.

        Args:
            agent: Who acts.
            path: The database's file; it is made if there is none.
            capacity: Sessions in the batch; those that were not used for longest wait in the database.
            seed: Of the first session; each has another.
            durable: Whether what was answered survives a loss of power too, and not only of the process.

        Raises:
            CheckpointError: if it is of another agent or seed, or does not live again as it was.
        """
        self._agent, self._seed = agent, seed
        self._live: OrderedDict[str, Live] = OrderedDict()
        self._block: tuple[int, Any] = (-1, None)
        self._data = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._data.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous={'FULL' if durable else 'NORMAL'};")
        self._data.executescript(TABLES)
        self._check_agent()
        last = self._data.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0] or 0
        # Rows are new sessions, of the numbers to come, until they are taken for others.
        self._sessions = agent.sessions(capacity, seed=seed + last + 1)
        self._fresh, self._free = {last + 1 + row: row for row in range(capacity)}, list[int]()
        self._compile()
        recent = self._data.execute("SELECT id FROM sessions ORDER BY used DESC LIMIT ?", (capacity,)).fetchall()
        self._bring_in([session for (session,) in recent][::-1])

    def __len__(self) -> int:
        return int(self._data.execute("SELECT count(*) FROM sessions").fetchone()[0])

    def process(self, calls: Sequence[Call]) -> list[dict[str, Any] | Refusal]:
        """Follow calls, as many together as there are; what is answered is in the database."""
        answers: dict[int, dict[str, Any] | Refusal] = {}
        left = list(enumerate(calls))
        while left:
            seen: set[str] = set()
            now = [(place, call) for place, call in left if not (call.id in seen or seen.add(call.id))]
            taken = {place for place, _ in now}
            left = [(place, call) for place, call in left if place not in taken]  # a second one of the same session
            answers |= self._together(now)
        return [answers[place] for place in range(len(calls))]

    def _together(self, calls: list[tuple[int, Call]]) -> dict[int, dict[str, Any] | Refusal]:
        """Follow calls of different sessions in one transaction."""
        answers: dict[int, dict[str, Any] | Refusal] = {}
        acts: list[Any] = []
        observes: dict[tuple[bool, bool], list[Any]] = {}
        self._data.execute("BEGIN IMMEDIATE")
        try:
            self._bring_in([call.id for _, call in calls if call.kind in ("act", "observe", "state")])
            for place, call in calls:
                try:
                    known = self._begin(call.id) if call.kind == "begin" else self._known(call.id, call.kind)
                    if call.kind == "delete":
                        answers[place] = self._delete(call.id)
                    elif call.kind == "act" and not self._is_answered(known, call):
                        acts.append((place, call, known))
                    elif call.kind == "observe" and not self._is_told(known, call):
                        says = call.given["terminated"] is None, call.given["observation"] is None
                        observes.setdefault(says, []).append((place, call, known))
                    else:
                        answers[place] = self._said(call.id, known)
                except Refusal as refusal:
                    answers[place] = refusal
            answers |= self._each(self._act, acts)
            for alike in observes.values():
                answers |= self._each(self._observe, alike)
            self._keep_some(call.id for _, call in calls)
            self._data.execute("COMMIT")
        except sqlite3.Error as error:
            if self._data.in_transaction:
                self._data.execute("ROLLBACK")
            for (
                _,
                call,
            ) in calls:  # they are ahead of the database: they are what that says, when they are next asked for
                self._forget(call.id)
            return {place: Refusal(503, f"cannot be written down: {error}; nothing was done") for place, _ in calls}
        return answers

    def _each(self, does: Any, found: list[Any]) -> dict[int, dict[str, Any] | Refusal]:
        """Do it for all at once, or, if something is wrong with one, one by one."""
        if not found:
            return {}
        try:
            does([call for _, call, _ in found], [known for _, _, known in found])
            return {place: self._said(call.id, known) for place, call, known in found}
        except AdaptaxError as error:
            if len(found) > 1:
                return {place: said for one in found for place, said in self._each(does, [one]).items()}
            return {found[0][0]: Refusal(422 if isinstance(error, UseError) else 500, str(error))}

    def _act(self, calls: list[Call], sessions: list[Live]) -> None:
        seen = [call.given["observation"] for call in calls]
        actions = self._sessions.act(seen, at=[known.row for known in sessions]).tolist()
        rows, used = [], time.time()
        for known, shown, action in zip(sessions, seen, actions, strict=True):
            known.action = action
            rows.append((known.number, known.step, json.dumps(shown), json.dumps(action)))
        self._data.executemany("INSERT INTO steps (number, step, seen, action) VALUES (?, ?, ?, ?)", rows)
        numbers = [(used, known.number) for known in sessions]
        self._data.executemany("UPDATE sessions SET used = ? WHERE number = ?", numbers)

    def _observe(self, calls: list[Call], sessions: list[Live]) -> None:
        given = [call.given for call in calls]
        self._tell(given, [known.row for known in sessions])
        rows = []
        for known, told in zip(sessions, given, strict=True):
            after = None if told["observation"] is None else json.dumps(told["observation"])
            rows.append((told["reward"], told["episode_over"], told["terminated"], after, known.number, known.step))
            known.step, known.action = known.step + 1, None
        self._data.executemany(
            "UPDATE steps SET reward = ?, over = ?, terminated = ?, after = ? WHERE number = ? AND step = ?", rows
        )

    def _tell(self, given: Sequence[dict[str, Any]], rows: list[int]) -> None:
        """Tell sessions what their actions brought; all say the same things."""
        self._sessions.observe(
            [told["reward"] for told in given],
            at=rows,
            episode_over=np.array([told["episode_over"] for told in given], bool),
            terminated=None
            if given[0]["terminated"] is None
            else np.array([told["terminated"] for told in given], bool),
            observations=None if given[0]["observation"] is None else [told["observation"] for told in given],
        )

    def _begin(self, session: str) -> Live:
        """A new session; or that one, if whoever asks was not told that it had begun."""
        if self._data.execute("SELECT 1 FROM sessions WHERE id = ?", (session,)).fetchone():
            self._bring_in([session])
            return self._live[session]
        row = (session, time.time())
        number = self._data.execute("INSERT INTO sessions (id, used) VALUES (?, ?)", row).lastrowid or 0
        if number in self._fresh:
            self._live[session] = Live(number, self._fresh.pop(number))
        else:
            self._bring_in([session])
        return self._live[session]

    def _known(self, session: str, kind: str) -> Any:
        if session in self._live:
            self._live.move_to_end(session)
            return self._live[session]
        if kind == "delete":
            return None
        raise Refusal(404, f"session: expected one that has begun; found {session!r}. Nothing was done")

    def _delete(self, session: str) -> dict[str, Any]:
        (number,) = self._data.execute("SELECT number FROM sessions WHERE id = ?", (session,)).fetchone() or (None,)
        if number is not None:
            self._data.execute("DELETE FROM steps WHERE number = ?", (number,))
            self._data.execute("DELETE FROM sessions WHERE number = ?", (number,))
        self._forget(session)
        return {"id": session, "deleted": True}

    def _forget(self, session: str) -> None:
        """Make room in the batch."""
        if (known := self._live.pop(session, None)) is not None:
            self._free.append(known.row)

    @staticmethod
    def _is_answered(known: Live, call: Call) -> bool:
        """Whether the action of this step was answered before; then it is answered again."""
        step = call.given["step"]
        if step != known.step:
            raise Refusal(409, f"step: expected {known.step}; found {step}. Nothing was done")
        return known.action is not None

    @staticmethod
    def _is_told(known: Live, call: Call) -> bool:
        """Whether it was told before what this step brought."""
        step = call.given["step"]
        if step == known.step - 1 and known.action is None:
            return True
        if step != known.step or known.action is None:
            waits = f"what step {known.step} brought" if known.action is not None else f"an act of step {known.step}"
            raise Refusal(409, f"step: expected {waits}; found an observe of step {step}. Nothing was done")
        return False

    def _said(self, session: str, known: Live) -> dict[str, Any]:
        return {"id": session, "seed": self._seed + known.number, "step": known.step, "action": known.action}

    def _keep_some(self, sessions: Iterable[str]) -> None:
        """Keep the states of some sessions that have come far since that was done."""
        due = [known for x in dict.fromkeys(sessions) if (known := self._live.get(x)) is not None]
        for known in [x for x in due if x.action is None and x.step - x.kept >= BACKLOG][:AT_ONCE]:
            self._keep(known)

    def _keep(self, known: Live) -> None:
        (state,) = self._sessions.save_state(at=[known.row])
        kept = (state, known.step, known.number)
        self._data.execute("UPDATE sessions SET state = ?, state_step = ? WHERE number = ?", kept)
        self._data.execute("DELETE FROM steps WHERE number = ? AND step < ?", (known.number, known.step))
        known.kept = known.step

    def _bring_in(self, sessions: Iterable[str]) -> None:
        """Have sessions in the batch that are in the database only; others, not used for longest, go."""
        wanted = dict.fromkeys(sessions)
        for session in wanted.keys() & self._live.keys():
            self._live.move_to_end(session)
        new = []
        for session in wanted.keys() - self._live.keys():
            query = "SELECT number, state, state_step FROM sessions WHERE id = ?"
            if (found := self._data.execute(query, (session,)).fetchone()) is None:
                continue
            number, state, step = found
            known = Live(number, self._room(wanted), step, kept=step)
            self._sessions.load_state([state or self._new(number)], at=[known.row])
            self._live[session] = known
            new.append(known)
        self._live_again(new)

    def _room(self, wanted: Iterable[str]) -> int:
        if not self._free and self._fresh:
            self._free.append(self._fresh.pop(max(self._fresh)))
        if not self._free:
            session = next((x for x in self._live if x not in wanted), None)
            if session is None:
                raise Refusal(503, f"expected at most {len(self._live)} sessions at once. Nothing was done")
            known = self._live[session]
            if known.action is None and known.step > known.kept:
                self._keep(known)
            self._forget(session)
        return self._free.pop()

    def _new(self, number: int) -> bytes:
        """The state of a session before its first step."""
        block, place = divmod(number, BLOCK)
        if self._block[0] != block:
            self._block = block, self._agent.sessions(BLOCK, seed=self._seed + block * BLOCK)
        (state,) = self._block[1].save_state(at=[place])
        return bytes(state)

    def _live_again(self, sessions: list[Live]) -> None:
        """Take the steps that came after the states that were kept, all sessions side by side."""
        columns = "seen, action, reward, over, terminated, after"
        query = f"SELECT {columns} FROM steps WHERE number = ? AND step >= ? ORDER BY step"
        waiting = {x.row: (x, self._data.execute(query, (x.number, x.step)).fetchall()[::-1]) for x in sessions}
        while waiting := {row: one for row, one in waiting.items() if one[1]}:
            steps = {row: (known, rows.pop()) for row, (known, rows) in waiting.items()}
            at = [*steps]
            actions = self._sessions.act([json.loads(step[0]) for _, step in steps.values()], at=at).tolist()
            kinds: dict[tuple[bool, bool], list[tuple[int, dict[str, Any]]]] = {}
            for (row, (known, step)), action in zip(steps.items(), actions, strict=True):
                known.action = json.loads(step[1])
                if action != known.action:
                    raise CheckpointError(
                        f"session {known.number}: expected the action {known.action} of step {known.step} once more, "
                        f"found {action}. Serve it with the agent and the version that began it"
                    )
                if step[2] is not None:
                    told = _told(step)
                    says = told["terminated"] is None, told["observation"] is None
                    kinds.setdefault(says, []).append((row, told))
                    known.step, known.action = known.step + 1, None
            for alike in kinds.values():
                self._tell([told for _, told in alike], [row for row, _ in alike])

    def _compile(self) -> None:
        """Do once, in copies, what users would wait for the first time."""
        scratch = copy.copy(self._sessions)
        scratch.load_state([self._new(1)], at=[0])
        with contextlib.suppress(AdaptaxError):  # where nothing is seen there may be nothing to do
            scratch.act([np.asarray(self._agent.observation_space.null()).tolist()], at=[0])
            scratch.observe([0.0], at=[0], episode_over=True)

    def _check_agent(self) -> None:
        """Compare with what the database says of its agent, or note it."""
        about = dict(self._data.execute("SELECT name, value FROM about").fetchall())
        if not about:
            (state,) = self._agent.sessions(1, seed=self._seed).save_state()
            rows = [("agent", state), ("seed", self._seed), ("made", str(uuid.uuid4()))]
            self._data.executemany("INSERT INTO about VALUES (?, ?)", rows)
            return
        if about["seed"] != self._seed:
            raise CheckpointError(f"--seed: expected {about['seed']}, as in the database; found {self._seed}")
        self._agent.sessions(1).load_state([about["agent"]])  # refuses what is of another agent


def _told(step: Sequence[Any]) -> dict[str, Any]:
    """What was told of a step, from its row."""
    _, _, reward, over, terminated, after = step
    return {
        "reward": reward,
        "episode_over": bool(over),
        "terminated": None if terminated is None else bool(terminated),
        "observation": None if after is None else json.loads(after),
    }
