"""What sessions of one agent do: the machine within `Agent` (one session) and `Sessions` (many)."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from adaptax.core.errors import AdaptaxError, DivergenceError, UseError
from adaptax.core.types import Transition, is_key, key_data
from adaptax.deployment import bounds, checks
from adaptax.deployment.programs import ADAPTING, LIVE, Leaves, choose, outcomes, packed
from adaptax.deployment.state import Known, replaced
from adaptax.deployment.tiles import Tiles
from adaptax.deployment.windows import Notes, timestep_of, windows

Errors = Mapping[int, AdaptaxError]
"""What is wrong with a session's argument, by its place among those that are meant."""


class Batch(Tiles):
    """Sessions that act, hear what that has brought, and learn from it."""

    def act(self, rows: np.ndarray, seen: np.ndarray, errors: Errors, explore: bool | None) -> np.ndarray:
        """Actions `[row, ...]` for what is seen; where there are errors, the safe one, or the first is raised."""
        programs, state = self.programs, self.state
        errors = {**self._out_of_turn(rows), **self._without_choice(seen), **errors}
        self._excuse(errors)
        sound = np.array([place not in errors for place in range(len(rows))])
        if not sound.any():
            return self._excused(rows, np.zeros((len(rows), *programs.env.action_space.shape)), ~sound)
        if state.notes:
            due = {}
            for row, shown in zip(rows[sound].tolist(), seen[sound], strict=True):
                if not state.notes[row].arrived:
                    due[row] = shown, False
            self.arrive("act()", due)
            state = self.state
        learns = bool(state.notes)
        explores = np.full(len(rows), explore) if explore is not None else learns & ~state.frozen[rows]
        actions = np.zeros((len(rows), *programs.env.action_space.shape), np.asarray(state.action).dtype)
        for exploring in (False, True):  # it decides what is compiled, and few ask for both at once
            group = sound & (explores == exploring)
            if group.any():
                actions[group], unsound = self._act(rows[group], seen[group], exploring)
                self._excuse(unsound)
                sound[np.flatnonzero(group)[list(unsound)]] = False
        return self._excused(rows, actions, ~sound) if not sound.all() else actions

    def _act(self, rows: np.ndarray, seen: np.ndarray, explore: bool) -> tuple[np.ndarray, Errors]:
        """What the policy does, and why some of it is nothing to do; those sessions have not acted."""
        programs, state = self.programs, self.state
        space, live = programs.env.action_space, self._mask(rows)
        shown = np.zeros((self._size, *seen.shape[1:]), seen.dtype)
        shown[rows] = seen
        first = state.first + LIVE * (live & ~state.frozen)
        new = packed(shown, state.reward, first, state.tasks, state.steps)
        memory, chosen, finite, noted = list(state.memory), state.action.copy(), ~live, {}
        called = {}
        for tile in self._tiles(rows):  # all are under way before the first is waited for
            lanes = self._lanes_of(tile)
            known = programs.theta, state.adapted[tile], state.memory[tile], state.action[lanes], state.root[lanes]
            called[tile] = programs.act(*known, new[lanes], explore=explore)
        for tile, (found, remembered, aux) in called.items():
            lanes = self._lanes_of(tile)
            chosen[lanes], finite[lanes] = outcomes(space, found)
            # Row by row, JAX would take a hundred times as long; keys exist in JAX only.
            memory[tile], noted[tile] = remembered, jax.tree.map(lambda x: x if is_key(x) else np.asarray(x), aux)
        done, none = checks.actions(programs.who, space, chosen[rows])
        infinite = {int(k): checks.became_infinite("act()", programs.who) for k in np.flatnonzero(~finite[rows])}
        errors = {**infinite, **none}
        acted = np.array([place not in errors for place in range(len(rows))])
        if errors:
            stay = self._mask(rows[~acted])
            for tile in self._tiles(rows[~acted]):
                memory[tile] = choose(stay[self._lanes_of(tile)], state.memory[tile], memory[tile])
        self._keep_for_undo(rows[acted])
        new_notes = {}
        for place in np.flatnonzero(acted).tolist() if state.notes else ():
            row = int(rows[place])
            tile, lane = divmod(row, self.lanes)
            timestep = timestep_of(seen[place], state.action[row], state.reward[row], state.first[row])
            aux = jax.tree.map(lambda x, lane=lane: x[lane], noted[tile])
            new_notes[row] = state.notes[row]._replace(acted=(timestep, chosen[row], aux))
        melts = acted & ~state.frozen[rows]
        state = self.state.with_rows(rows[acted], steps=state.steps[rows[acted]] + 1, waiting=True)
        state = state.with_rows(rows[melts], action=done[melts])
        self.state = state._replace(memory=tuple(memory), notes=replaced(state.notes, new_notes))
        return done, errors

    def _keep_for_undo(self, rows: np.ndarray) -> None:
        """An agent with a memory adapts as it acts; of one session, what it knew is kept."""
        state = self.state
        if self.num > 1 or state.notes or not rows.size or state.frozen[0]:
            return
        known = Known(state.adapted[0], state.memory[0], state.action[0].copy(), state.reward[0], bool(state.first[0]))
        self.state = state._replace(undo=(known,))

    def observe(
        self,
        rows: np.ndarray,
        reward: np.ndarray,
        over: np.ndarray,
        terminated: np.ndarray | None,
        seen: np.ndarray | None,
    ) -> None:
        """Book what the last actions brought, and where they led if that is known; learn from what is full."""
        state = self.state
        if (untold := rows[~state.waiting[rows] & ~state.excused[rows]]).size:
            raise UseError(
                f"observe(): expected an act() that has brought this, found none since the last observe() or begin()"
                f"{self._named(untold)}. {checks.UNCHANGED}; call act() before each observe()"
            )
        heard = state.waiting[rows] & ~state.frozen[rows]
        if state.notes:
            self._write_down(rows, reward, over, terminated, seen, heard)
        self.state = self.state.with_rows(rows[heard], reward=reward[heard])
        self.state = self.state.with_rows(rows, first=over, waiting=False, excused=False)

    def _write_down(self, rows: Any, reward: Any, over: Any, terminated: Any, seen: Any, heard: Any) -> None:
        """Book steps of sessions that learn from windows; learn at once if it is known where they led."""
        state, window, horizon = self.state, self.programs.window, self.programs.env.horizon
        assert window is not None
        notes, due = {}, {}
        for place, row in enumerate(rows.tolist()):
            before, ends = state.notes[row], bool(over[place])
            if not heard[place]:  # a step that was not its own, or that it is not to learn from, leaves a gap
                length = 0 if ends else before.length + 1
                notes[row] = Notes(length=length, episodes=before.episodes, unadapted=before.unadapted)
                continue
            length = before.length + 1
            if length > horizon:
                raise UseError(
                    f"observe(): this episode has {length} steps, but the agent was trained for at most {horizon}"
                    f"{self._named([row])}; say episode_over=True by then. This step was not recorded"
                )
            ended = ends and (length < horizon if terminated is None else bool(terminated[place]))
            if ends and not ended and seen is None and self.programs.trained.algorithm.needs_last_observation:
                raise UseError(
                    f"observe(): a time limit has ended this episode after {length} steps, and {self.programs.who} "
                    f"estimates what would have come after it{self._named([row])}; pass observation=, what is seen "
                    "after the last step, or terminated=True if nothing comes after it. This step was not recorded"
                )
            notes[row] = before.booked(reward[place], ended=ended, over=ends)
            if seen is not None or ends:
                due[row] = (notes[row].last_seen if seen is None else seen[place]), ends
        self.state = state._replace(notes=replaced(state.notes, notes))
        self.arrive("observe()", due)

    def arrive(self, where: str, due: Mapping[int, tuple[Any, bool]]) -> None:
        """Book where last steps led, and whether episodes are over then; learn from windows that are full."""
        window, horizon = self.programs.window, self.programs.env.horizon
        assert window is not None
        led = {row: self.state.notes[row].led_to(seen, window, horizon, over=over) for row, (seen, over) in due.items()}
        notes = {row: notes for row, (notes, _) in led.items()}
        self.state = self.state._replace(notes=replaced(self.state.notes, notes))
        for row, (_, envs) in led.items():
            if envs:
                self._learn(where, row, envs)

    def _learn(self, where: str, row: int, envs: list[Transition]) -> None:
        """Adapt to consecutive windows of some environments' experience, each with leaves `[time, ...]`."""
        assert self.programs.window is not None
        for window in windows(envs, self.programs.window.steps):
            if self.margin is None:
                self._adapt(where, row, window)
            elif not self.state.frozen[row]:
                self._adapt_in_bounds(where, row, bounds.cut(window), self.margin)

    def _adapt(self, where: str, row: int, window: Transition) -> None:
        """Adapt to one window."""
        programs, (tile, lane), state = self.programs, divmod(row, self.lanes), self.state
        adapted, memory = self._row(tile, lane)
        numbers = state.root[row], state.tasks[row], np.uint32(ADAPTING + int(state.adaptations[row]))
        learned = programs.adapt(programs.theta, adapted, memory, window, *numbers)
        checks.learned(where, programs.who, [*learned[0], *learned[1]])
        kept = None if _same(memory, learned[1]) else memory
        known = Known(adapted, kept, state.action[row].copy(), state.reward[row], bool(state.first[row]))
        state = state.with_rows(np.array([row]), adaptations=state.adaptations[row] + 1)
        self.state = state._replace(undo=replaced(state.undo, {row: known}))
        self._set_row(tile, lane, *learned)

    def _adapt_in_bounds(self, where: str, row: int, window: Transition, margin: float) -> None:
        """Adapt to one window, if that is finite; or take back what was adapted to, and stop."""
        state, values = self.state, bounds.earned(window)
        notes = state.notes[row]
        if not state.adaptations[row]:
            notes = notes._replace(unadapted=bounds.of_unadapted(notes.unadapted, values))
            self.state = state._replace(notes=replaced(state.notes, {row: notes}))
        elif bounds.is_worse(values, notes.unadapted, margin):
            self._take_back(row)
            return
        try:
            self._adapt(where, row, window)
        except DivergenceError:
            self.state = self.state.with_rows(np.array([row]), taken_back=self.state.taken_back[row] + 1)

    def _take_back(self, row: int) -> None:
        """Have a session be as it was before it adapted to this task, and adapt no more."""
        tile, state = row // self.lanes, self.state
        lanes = self._lanes_of(tile)
        known = self.programs.theta, state.adapted[tile], state.memory[tile], state.root[lanes], state.tasks[lanes]
        adapted = self.programs.begin(*known, self._mask(np.array([row]))[lanes])[0]
        self.state = state._replace(adapted=replaced(state.adapted, {tile: adapted}))
        at = np.array([row])
        self.state = self.state.with_rows(at, adaptations=0, taken_back=state.taken_back[row] + 1, frozen=True)

    def rollback(self, row: int) -> None:
        """Undo a session's last adaptation."""
        state, known = self.state, self.state.undo[row]
        if known is None:
            raise UseError(
                f"rollback(): expected an adaptation that can be undone, found none since begin() or the last "
                f"rollback(). {checks.UNCHANGED}; only the last one is kept"
            )
        place = divmod(row, self.lanes)
        self._set_row(*place, known.adapted, self._row(*place)[1] if known.memory is None else known.memory)
        state, at = self.state._replace(undo=replaced(state.undo, {row: None})), np.array([row])
        if state.notes:
            self.state = state.with_rows(
                at, adaptations=state.adaptations[row] - 1, taken_back=state.taken_back[row] + 1
            )
        else:
            heard = {"action": known.action, "reward": known.reward, "first": known.first}
            self.state = state.with_rows(at, waiting=False, **heard)

    def freeze(self, rows: np.ndarray) -> None:
        """Stop adapting: what is known stays, the last action and reward that were heard too."""
        self.state = self.state.with_rows(rows, frozen=True)
        if self.state.notes:
            notes = {row: Notes(length=self.state.notes[row].length) for row in rows.tolist()}
            self.state = self.state._replace(notes=replaced(self.state.notes, notes))

    def _out_of_turn(self, rows: np.ndarray) -> Errors:
        """Of those that have acted and not been told what that brought, what to say."""
        return {
            int(place): UseError(
                f"act(): expected observe() after the last act(), found a second act(){self._named(rows[place:])}. "
                f"{checks.UNCHANGED}; tell what the action has brought, or begin() a new task"
            )
            for place in np.flatnonzero(self.state.waiting[rows])
        }

    def _without_choice(self, seen: np.ndarray) -> Errors:
        env = self.programs.env
        return checks.legal("act(observation)", env.observation_space, env.action_space, seen)

    def _excuse(self, errors: Errors) -> None:
        """Note why a safe action is done, or raise if there is none."""
        for place in sorted(errors):
            if self.safe is None:
                raise errors[place]
            self.refused = str(errors[place])

    def _excused(self, rows: np.ndarray, actions: np.ndarray, which: np.ndarray) -> np.ndarray:
        """The actions, with the safe one where they are none of the agent's own."""
        assert self.safe is not None
        actions = actions.astype(self.safe.dtype)
        actions[which] = self.safe
        self.state = self.state.with_rows(rows[which], excused=~self.state.waiting[rows[which]])
        return actions


def _same(some: Leaves, others: Leaves) -> bool:
    """Whether arrays are bitwise the same."""
    pairs = zip(some, others, strict=True)
    return all(np.array_equal(np.asarray(key_data(x)), np.asarray(key_data(y))) for x, y in pairs)
