"""One session as bytes: all that decides what it will do, and of which agent it is.

    magic and version | SHA-256 of the rest | safetensors: arrays by name, and the agent's fingerprint

They are data: nothing in them is executed or imported. A changed bit anywhere is found, and what is of another agent,
or of another version of this format, is refused.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as as_bytes

from adaptax.core.arguments import in_words
from adaptax.core.errors import CheckpointError
from adaptax.core.types import Transition, key_data, shape_of_key_data, wrap_key_data
from adaptax.deployment.bounds import Unadapted
from adaptax.deployment.checks import UNCHANGED
from adaptax.deployment.programs import Leaves, Programs
from adaptax.deployment.state import Known
from adaptax.deployment.windows import Notes, transition_of

MAGIC = b"adaptax session "
VERSION = 1
_BEGINNING = MAGIC + VERSION.to_bytes(2, "little")
_BODY = len(_BEGINNING) + hashlib.sha256().digest_size


class Session(NamedTuple):
    """What there is of one session.

    Attributes:
        numbers: Its entry of each array of a `State`, by name.
        adapted: Leaves of φ, `[1, ...]`.
        memory: Leaves of h, likewise.
        notes: What it has written down; None: it learns from no windows.
        undo: What it knew before it last adapted.
    """

    numbers: dict[str, np.ndarray]
    adapted: Leaves
    memory: Leaves
    notes: Notes | None
    undo: Known | None


def to_bytes(programs: Programs, session: Session) -> bytes:
    """The session, sealed."""
    arrays: dict[str, Any] = {f"number.{name}": x for name, x in session.numbers.items()}
    arrays |= _named("adapted", session.adapted) | _named("memory", session.memory)
    if session.undo is not None:
        undo = session.undo
        arrays |= _named("undo.adapted", undo.adapted) | _named("undo.memory", undo.memory or [])
        arrays |= _named("undo", [undo.action, undo.reward, undo.first, undo.memory is not None])
    if session.notes is not None:
        notes = session.notes
        arrays |= _named("notes", [notes.length, notes.arrived, len(notes.episodes), len(notes.episode)])
        arrays["unadapted"] = np.asarray(notes.unadapted)
        arrays |= _named("acted", [] if notes.acted is None else jax.tree.leaves(notes.acted))
        for place, step in enumerate(notes.episode):
            arrays |= _named(f"step.{place}", jax.tree.leaves(step))
        for place, episode in enumerate(notes.episodes):
            arrays |= _named(f"episode.{place}", jax.tree.leaves(episode))
    whole = {name: _plain(x) for name, x in arrays.items()}
    body = as_bytes(whole, {"agent": programs.fingerprint})
    return _BEGINNING + hashlib.sha256(body).digest() + body


def from_bytes(programs: Programs, data: Any, like: Session) -> Session:
    """The session that was saved.

    Args:
        programs: The agent that it is to be of.
        data: What `to_bytes` has made.
        like: Any session of that agent, for names, shapes and types.

    Raises:
        CheckpointError: if that are no bytes of a session, they are damaged, or of another agent or version.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise _refusal(f"expected the bytes of a session, found {in_words(data)}", "Pass what save_state() returned")
    data = bytes(data)
    if not data.startswith(MAGIC):
        raise _refusal(f"expected the bytes of a session, found {len(data)} others", "Pass what save_state() returned")
    if not data.startswith(_BEGINNING):
        version = int.from_bytes(data[len(MAGIC) : len(_BEGINNING)], "little")
        raise _refusal(
            f"expected version {VERSION} of a session, found {version}", "Use the version of adaptax that saved it"
        )
    body = data[_BODY:]
    if hashlib.sha256(body).digest() != data[len(_BEGINNING) : _BODY]:
        raise _refusal("expected what was saved, found other bytes (checksum)", "Use another copy: this is damaged")
    try:
        length = int.from_bytes(body[:8], "little")
        agent = json.loads(body[8 : 8 + length])["__metadata__"]["agent"]
        arrays = tensors_of(body)
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise _refusal(
            "expected arrays of a session, found something else", "Pass what save_state() returned"
        ) from None
    if agent != programs.fingerprint:
        raise _refusal(
            "expected a session of this agent, found one of another: its θ, spaces or settings differ",
            "Load the agent that it was saved from",
        )
    return _Reader(programs, arrays).session(like)


class _Reader:
    """Takes arrays by name, and compares them with what they are to be like."""

    def __init__(self, programs: Programs, arrays: dict[str, np.ndarray]):
        self.programs, self.arrays = programs, dict(arrays)

    def session(self, like: Session) -> Session:
        numbers = {name: self._one(f"number.{name}", x) for name, x in like.numbers.items()}
        adapted, memory = self._leaves("adapted", like.adapted), self._leaves("memory", like.memory)
        undo = self._undo(like) if "undo.0" in self.arrays else None
        notes = None if like.notes is None else self._notes()
        if self.arrays:
            raise self._strange(next(iter(self.arrays)))
        return Session(numbers, adapted, memory, notes, undo)

    def _undo(self, like: Session) -> Known:
        one = np.float32(0), np.bool_(False), np.bool_(False)
        action, reward, first, changed = self._leaves("undo", [like.numbers["action"], *one])
        memory = self._leaves("undo.memory", like.memory) if changed else None
        return Known(self._leaves("undo.adapted", like.adapted), memory, action, reward[()], bool(first))

    def _notes(self) -> Notes:
        acted, no = self.programs.noted, np.asarray(False)
        length, arrived, episodes, steps = self._leaves("notes", [np.asarray(0), no, np.asarray(0), np.asarray(0)])
        step = transition_of(*acted, 0.0, False, False)
        found = None
        if "acted.0" in self.arrays:
            found = jax.tree.unflatten(jax.tree.structure(acted), self._leaves("acted", jax.tree.leaves(acted)))
        taken = tuple(self._tree(f"step.{place}", step) for place in range(int(steps)))
        window = self.programs.window
        assert window is not None
        slots = -(-self.programs.env.horizon // window.steps) * window.steps
        whole: Transition = jax.tree.map(lambda x: jax.ShapeDtypeStruct((slots, *np.shape(x)), x.dtype), step)
        waiting = tuple(self._tree(f"episode.{place}", whole) for place in range(int(episodes)))
        unadapted = Unadapted(*self._one("unadapted", np.zeros(3)).tolist())
        return Notes(found, int(length), bool(arrived), taken, waiting, unadapted)

    def _tree(self, name: str, like: Any) -> Any:
        return jax.tree.unflatten(jax.tree.structure(like), self._leaves(name, jax.tree.leaves(like)))

    def _leaves(self, name: str, like: Sequence[Any]) -> list[Any]:
        return [self._one(f"{name}.{index}", x) for index, x in enumerate(like)]

    def _one(self, name: str, like: Any) -> Any:
        found = self.arrays.pop(name, None)
        saved = shape_of_key_data(like)
        if found is None or (found.shape, found.dtype) != (tuple(np.shape(saved)), np.dtype(saved.dtype)):
            raise self._strange(name)
        if found.dtype.kind in ("f", "V") and not np.isfinite(found).all():
            raise self._strange(name)
        return wrap_key_data(jnp.asarray(found), like) if _is_key(like) else found

    def _strange(self, name: str) -> CheckpointError:
        return _refusal(
            f"expected the arrays of a session, found otherwise at {name}", "Pass what save_state() returned"
        )


def _named(name: str, leaves: Sequence[Any]) -> dict[str, Any]:
    return {f"{name}.{index}": x for index, x in enumerate(leaves)}


def _plain(x: Any) -> np.ndarray:
    return np.array(key_data(x) if _is_key(x) else x, order="C")


def _is_key(x: Any) -> bool:
    return bool(jax.dtypes.issubdtype(getattr(x, "dtype", np.dtype(int)), jax.dtypes.prng_key))


def _refusal(what: str, then: str) -> CheckpointError:
    return CheckpointError(f"load_state(data): {what}. {UNCHANGED}; {then[0].lower()}{then[1:]}")
