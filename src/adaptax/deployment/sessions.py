"""Many sessions of one agent side by side: a task each, one compiled program for all."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from adaptax.core.arguments import LARGEST_SEED, counted, flag, in_words, seed_number, whole_number
from adaptax.core.errors import UseError
from adaptax.core.precision import in_single_precision
from adaptax.core.trained_agent import TrainedAgent
from adaptax.deployment import checks
from adaptax.deployment.batch import Batch, Errors
from adaptax.deployment.programs import Programs
from adaptax.deployment.session_bytes import from_bytes, to_bytes

LANES = 256
"""Sessions of a tile: so many that a call's own time is small beside the arithmetic, so few that one is cheap."""


class Sessions:
    """Many sessions of one agent, each in a task of its own with memory, adaptation, steps and randomness of its own.

    Calls are those of `Agent`, for all sessions or for those that `at` names: different numbers, or a boolean for each.
    Arrays have a row for each session that is meant, in that order. A call that is refused has changed nothing in any.

    What one session does is to the last bit the same in any company and however calls are divided: alone
    (`agent.sessions(1, seed=...)`) or among thousands. An `Agent` of the same seed computes the same one session at a
    time, which rounds otherwise in the last digits.

    Made by `Agent.sessions`.
    """

    @in_single_precision
    def __init__(
        self, programs: Programs, num: int, *, seed: int, safe: np.ndarray | None = None, margin: float | None = None
    ):
        """Enter a first task in each.

        Args:
            programs: The agent, compiled.
            num: How many sessions.
            seed: The first one's.
            safe: What is done where the agent cannot act.
            margin: How much each may lose by adapting; None: that is not bounded.

        Raises:
            UseError: if the number or the seed is none.
        """
        num = whole_number("sessions(num)", num, 1)
        seed = seed_number("sessions(seed)", seed)
        if seed + num - 1 > LARGEST_SEED:
            raise UseError(
                f"sessions(seed): expected at most {LARGEST_SEED - num + 1}, as each session has a seed of its own, "
                f"found {seed}; nothing was done"
            )
        self._batch = Batch(programs, num, LANES, seed, safe, margin)

    def __len__(self) -> int:
        return self._batch.num

    def __repr__(self) -> str:
        env = self._batch.programs.env
        return (
            f"Sessions({counted(len(self), 'session')} of {self._batch.programs.trained.title}: sees "
            f"{env.observation_space}, does {env.action_space})"
        )

    @property
    def adaptations(self) -> np.ndarray:
        """How many windows each has learned from in its task, `[session]`."""
        return self._batch.state.adaptations[: len(self)].astype(np.int64)

    @property
    def steps(self) -> np.ndarray:
        """How many steps each has done in its task, `[session]`."""
        return self._batch.state.steps[: len(self)].astype(np.int64)

    @property
    def taken_back(self) -> np.ndarray:
        """How many adaptations of each were undone in its task, `[session]`."""
        return self._batch.state.taken_back[: len(self)].astype(np.int64)

    @property
    def refused(self) -> str:
        """Why the last safe action was done, in a line; empty: none was."""
        return self._batch.refused

    @in_single_precision
    def begin(self, *, at: Any = None) -> None:
        """Enter a new task: fresh memory, no previous action or reward, nothing learned, not frozen.

        Args:
            at: Which sessions; by default all.

        Raises:
            UseError: if these are no sessions.
        """
        with self._batch.turn("begin()"):
            self._batch.begin(checks.places("begin(at)", at, len(self)))

    @in_single_precision
    def act(self, observations: Any, *, at: Any = None, explore: bool | None = None) -> np.ndarray:
        """Return an action for each observation, `[row, ...]`.

        Args:
            observations: What is seen, `[row, ...]`, a sequence of observations, or a dictionary of such arrays.
            at: Which sessions; by default all.
            explore: Whether to act as in training; by default as `Agent.act`.

        Raises:
            UseError: as `Agent.act`, saying which row or session.
            DivergenceError: as `Agent.act`.
        """
        explore = None if explore is None else flag("act(explore)", explore)
        space = self._batch.programs.env.observation_space
        with self._batch.turn("act()"):
            rows = checks.places("act(at)", at, len(self))
            errors: Errors
            try:
                seen, errors = checks.observations("act(observations)", space, observations, len(rows))
            except UseError as error:
                seen = np.zeros((len(rows), *space.shape), np.int32 if space.integers else np.float32)
                errors = dict.fromkeys(range(len(rows)), error)
            return self._batch.act(rows, seen, errors, explore)

    @in_single_precision
    def observe(
        self,
        rewards: Any,
        *,
        at: Any = None,
        episode_over: Any = False,
        terminated: Any = None,
        observations: Any = None,
    ) -> None:
        """Tell what the last actions brought, and whether episodes are over (the tasks go on).

        Args:
            rewards: The rewards, `[row]`.
            at: Which sessions; by default all.
            episode_over: Whether this step was the episode's last, for all or for each.
            terminated: Whether the environment ended it, likewise; as `Agent.observe`.
            observations: What is seen after the step, `[row, ...]`; as `Agent.observe`.

        Raises:
            UseError: as `Agent.observe`, saying which row or session.
            DivergenceError: as `Agent.observe`.
        """
        space = self._batch.programs.env.observation_space
        with self._batch.turn("observe()"):
            rows = checks.places("observe(at)", at, len(self))
            num = len(rows)
            reward = checks.all_of(checks.rewards("observe(rewards)", rewards, num))
            over = checks.flags("observe(episode_over)", episode_over, num)
            ended = None if terminated is None else checks.flags("observe(terminated)", terminated, num)
            checks.ends(ended, over)
            seen = None
            if observations is not None:
                seen = checks.all_of(checks.observations("observe(observations)", space, observations, num))
            self._batch.observe(rows, reward, over, ended, seen)

    def freeze(self, *, at: Any = None) -> None:
        """Stop adapting until the next `begin`, as `Agent.freeze`.

        Args:
            at: Which sessions; by default all.
        """
        with self._batch.turn("freeze()"):
            self._batch.freeze(checks.places("freeze(at)", at, len(self)))

    @in_single_precision
    def save_state(self, *, at: Any = None) -> list[bytes]:
        """Each session as bytes, as `Agent.save_state`.

        Args:
            at: Which sessions; by default all.
        """
        with self._batch.turn("save_state()"):
            rows = checks.places("save_state(at)", at, len(self)).tolist()
            return [to_bytes(self._batch.programs, self._batch.session(row)) for row in rows]

    @in_single_precision
    def load_state(self, data: Sequence[bytes], *, at: Any = None) -> None:
        """Go on where sessions were saved, to the last bit.

        Args:
            data: What `save_state` has made of each, in any batch of this agent, or of `Agent`.
            at: Which sessions are to be those; by default all.

        Raises:
            UseError: if they are not so many.
            CheckpointError: as `Agent.load_state`; no session is changed then.
        """
        with self._batch.turn("load_state()"):
            rows = checks.places("load_state(at)", at, len(self)).tolist()
            if not isinstance(data, Sequence) or isinstance(data, bytes | bytearray | str) or len(data) != len(rows):
                raise UseError(
                    f"load_state(data): expected a list of {len(rows)} saved sessions, found {in_words(data)}. "
                    f"{checks.UNCHANGED}; pass one for each session that is meant"
                )
            like = self._batch.session(rows[0])
            for row, one in zip(rows, data, strict=True):
                self._batch.set_session(row, from_bytes(self._batch.programs, one, like))

    def __deepcopy__(self, memo: Any) -> "Sessions":
        new = object.__new__(type(self))
        new._batch = self._batch.copy()
        return new

    __copy__ = lambda self: self.__deepcopy__(None)  # noqa: E731

    def __reduce__(self) -> Any:
        return _rebuilt, (self._batch.programs.trained, self._batch.safe, self._batch.margin, self.save_state())


def _rebuilt(trained: TrainedAgent, safe: Any, margin: float | None, data: list[bytes]) -> Sessions:
    """Sessions, as Python's own copies begin them."""
    sessions = Sessions(Programs(trained), len(data), seed=0, safe=safe, margin=margin)
    sessions.load_state(data)
    return sessions
