"""A loop on the host around a simulator, with as few and as small programs in each round as there can be."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import numpy as np

from adaptax.core.host_packing import Packing
from adaptax.core.host_pieces import Options, Piece, called, read, simulate_p

SMALL = 4096
"""Arrays that stay the same in all rounds are packed up to so many words; each round takes them out again."""
MIDDLING = 65536
"""Arrays that change in each round, up to so many."""


class Rounds:
    """A loop of known length, round by round.

    Where a round has one call of a simulator, what comes after it and what comes before that of the next round are
    compiled together, as a bridge from call to call; so is a branch between them, if it is one that does nothing.

    Args:
        block: A round: from an index, and what is known, to what the round changes of that.
        moving: Places of those among its arguments, in the order in which it returns them.
        num_carried: How many of those it reads; what it writes only, one part in each round, comes after them.
    """

    def __init__(self, block: Any, moving: Sequence[int], num_carried: int):
        jaxpr = block.closed.jaxpr
        self._block, self._index = block, jaxpr.invars[0]
        self._moving = [jaxpr.invars[place] for place in moving]
        self._bridges: _Bridges | None = None
        kinds = [type(step) if isinstance(step, Piece) else step.eqn.primitive for step in block.steps]
        if kinds == [Piece, simulate_p, Piece]:
            self._bridges = _Bridges(block, self._moving, num_carried, None)
        elif len(kinds) == 4 and kinds[:3] == [Piece, simulate_p, Piece] and str(kinds[3]) == "cond":
            branch = block.steps[3].eqn
            if branch.invars[0] in block.steps[0].gives:
                self._bridges = _Bridges(block, self._moving, num_carried, branch)

    def __call__(self, indices: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """Do all rounds; return what they have changed."""
        jaxpr, steps = self._block.closed.jaxpr, self._block.steps
        fixed = dict(zip(jaxpr.constvars, self._block.closed.consts, strict=True))
        fixed.update(zip(jaxpr.invars[1:], args, strict=True))
        changed: list[Any] = [fixed.pop(x) for x in self._moving]
        cross = None if self._bridges is None or len(indices) < 2 else self._bridges.within(fixed)
        place = 0
        while place < len(indices):
            known = {**fixed, self._index: indices[place], **dict(zip(self._moving, changed, strict=True))}
            begin = 0
            if cross is not None:
                steps[0](known)
                place, begin = cross(indices, place, known), 2
            for step in steps[begin:]:
                step(known)
            changed = [read(known, x) for x in jaxpr.outvars]
            place += 1
        return changed


class _Bridges:
    """Programs from call to call of a loop with one call in a round.

    Args:
        block: A round: what comes before the call, the call, what comes after it, and a branch.
        moving: What a round changes.
        num_carried: How many of those it reads.
        branch: The branch.
    """

    def __init__(self, block: Any, moving: Sequence[Any], num_carried: int, branch: Any):
        jaxpr, (self._first, call, self._second) = block.closed.jaxpr, block.steps[:3]
        self._outvars, self._index, self._moving, self._call = jaxpr.outvars, jaxpr.invars[0], moving, call.eqn
        self._options: Options = block.options
        self._due = None if branch is None else branch.invars[0]
        here, stay = {*moving, *self._first.gives}, {*jaxpr.constvars, *jaxpr.invars[1:]} - {*moving}
        later = _variables([*self._second.takes, *(() if branch is None else branch.invars), *jaxpr.outvars])
        # What is taken up after one call and laid down before the next. An array that a part is written to in every
        # round is used nowhere else.
        written = {*moving[num_carried:]}
        written |= {x for x, y in zip(jaxpr.outvars, moving, strict=True) if y in written}
        self._written = [x for x in later if x in here and x in written]
        self._kept = [x for x in later if x in here and x not in written]
        self._fixed = [x for x in _variables([*later, *self._first.takes]) if x in stay]
        self._shown = [x for x in _variables([*call.eqn.invars, self._due]) if x in here]
        number = jax.ShapeDtypeStruct((), np.int32)
        self._keeping = Packing([x.aval for x in self._kept], MIDDLING)
        self._fixing = Packing([x.aval for x in self._fixed], SMALL)
        self._showing = Packing([x.aval for x in self._shown])
        self._telling = Packing([*(x.aval for x in call.eqn.outvars), number, number])
        self._keep, self._back, self._fix = map(jax.jit, (self._keeping.pack, self._keeping.unpack, self._fixing.pack))
        self._bridges: dict[int | None, Any] = {None: self._bridge({})} if branch is None else self._around(branch)

    def within(self, fixed: dict[Any, Any]) -> Callable[[Sequence[Any], int, dict[Any, Any]], int]:
        """How to cross, in a loop in which some things are fixed."""
        seen = {x: np.asarray(fixed[x]) for x in _variables(self._call.invars) if x in fixed}
        return functools.partial(self._cross, self._fix([fixed[x] for x in self._fixed]), seen)

    def _cross(
        self, fixed: list[Any], seen: dict[Any, Any], indices: Sequence[Any], place: int, known: dict[Any, Any]
    ) -> int:
        """Call, and go on from call to call as far as there are bridges.

        Args:
            fixed: What stays the same, packed.
            seen: What of that the simulator is told.
            indices: Of all rounds.
            place: Which of them is under way.
            known: What is known before its call; in the end, what is known after the last one.

        Returns:
            Which round is under way in the end.
        """
        shown = {x: np.asarray(known[x]) for x in self._shown}
        written, kept = [known[x] for x in self._written], None
        while True:
            asked = [
                x.val if isinstance(x, jex.Literal) else shown[x] if x in shown else seen[x] for x in self._call.invars
            ]
            told = called(asked, **self._call.params)
            bridge = self._bridges.get(None if self._due is None else int(shown[self._due]))
            if bridge is None or place + 1 == len(indices):
                break
            kept = self._keep([known[x] for x in self._kept]) if kept is None else kept
            news = self._telling.pack_on_host([*told, indices[place], indices[place + 1]])
            written, kept, found = bridge(written, kept, news, fixed)
            shown = dict(zip(self._shown, self._showing.unpack_on_host(found), strict=True))
            place += 1
        if kept is not None:
            known[self._index] = indices[place]
            known.update(zip(self._written, written, strict=True))
            known.update(zip(self._kept, self._back(kept), strict=True))
        known.update(zip(self._call.outvars, told, strict=True))
        return place

    def _around(self, branch: Any) -> dict[int | None, Any]:
        """Bridges around a branch, for each of its ways that does nothing."""
        found: dict[int | None, Any] = {}
        for index, inner in enumerate(branch.params["branches"]):
            if not inner.jaxpr.eqns and not inner.jaxpr.constvars:
                operands = dict(zip(inner.jaxpr.invars, branch.invars[1:], strict=True))
                through = [x if isinstance(x, jex.Literal) else operands[x] for x in inner.jaxpr.outvars]
                found[index] = self._bridge(dict(zip(branch.outvars, through, strict=True)))
        return found

    def _bridge(self, through: dict[Any, Any]) -> Any:
        """The rest of a round after its call, and the beginning of the next; `through`: what a branch passes on."""
        ends = [x if isinstance(x, jex.Literal) else through.get(x, x) for x in self._outvars]

        def run(written: list[Any], kept: list[Any], news: list[Any], fixed: list[Any]) -> tuple[Any, Any, Any]:
            *told, index, following = self._telling.unpack(news)
            stays = dict(zip(self._fixed, self._fixing.unpack(fixed), strict=True))
            known = {**stays, self._index: index, **dict(zip(self._call.outvars, told, strict=True))}
            known.update(zip(self._written, written, strict=True))
            known.update(zip(self._kept, self._keeping.unpack(kept), strict=True))
            self._second.compute(known)
            now = {**stays, self._index: following}
            now.update((x, read(known, end)) for x, end in zip(self._moving, ends, strict=True))
            self._first.compute(now)
            kept, shown = (
                packing.pack([now[x] for x in names])
                for packing, names in ((self._keeping, self._kept), (self._showing, self._shown))
            )
            return [now[x] for x in self._written], kept, shown

        return jax.jit(run, donate_argnums=0, compiler_options=self._options)


def _variables(atoms: Sequence[Any]) -> list[Any]:
    """Those that are no literals, each once."""
    return [*dict.fromkeys(x for x in atoms if x is not None and not isinstance(x, jex.Literal))]
