"""A row of Gymnasium environments, each in an episode of some task. Without JAX: it runs in worker processes too.

An environment is begun by its task and a seed and by nothing else, so what it does is a function of those and of the
actions since. One that raises, or returns what its spaces do not have, is given up, and said to be lost with the
reason; a new one takes its place when the next episode begins.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from adaptax.core.errors import needs
from adaptax.problems.host.gymnasium_spaces import MaskShown, done, observed, seen

with needs("gymnasium", "a Gymnasium environment"):
    import gymnasium
    from gymnasium import spaces


SUCCESS = "success"
"""What most environments that say so call it."""


class Maker(NamedTuple):
    """How an environment of a task comes to be.

    Attributes:
        make: A function that builds an environment, or a name that `gymnasium.make` knows. It is given the task's
            values by name, or nothing if the task is set later.
        set_task: Puts an environment into a task; "options": the task is given to `reset(options=...)`; None: `make`
            builds an environment for each task.
        masked: Whether it tells beside its observations which actions are legal.
        success: What an environment calls it, in what `step` tells besides, that its task is done; None: it does not
            say.
    """

    make: Callable[..., Any] | str
    set_task: Callable[[Any, Mapping[str, Any]], None] | str | None
    masked: bool = False
    success: str | None = None

    def __call__(self, task: Mapping[str, Any]) -> Any:
        """An environment, in a task unless that is set later."""
        given = {} if self.set_task is not None else task
        env = gymnasium.make(self.make, **given) if isinstance(self.make, str) else self.make(**given)
        return MaskShown(env) if self.masked else env

    def put(self, env: Any, task: Mapping[str, Any]) -> dict[str, Any] | None:
        """Put an environment into a task; return the options of its next reset."""
        if callable(self.set_task):
            self.set_task(env.env if self.masked else env, task)
        return dict(task) if self.set_task == "options" else None


class Outcome(NamedTuple):
    """What came of a step, or of a reset, row by row.

    Attributes:
        observation: What is seen, as learners see it.
        reward: What it earned.
        terminated: Whether the episode is over by the environment's own rules.
        truncated: Whether a time limit of the environment has cut it off.
        success: Whether its task is done; False where the environment does not say.
        lost: Rows that were given up, with the reason.
    """

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    lost: dict[int, str]


class Simulations:
    """A row of environments.

    Args:
        maker: What makes them.
        at: Told which row is simulated, before it is; −1 when none is any more.
    """

    def __init__(self, maker: Maker, at: Callable[[int], None] = lambda row: None):
        self._maker, self._at = maker, at
        self._envs: dict[int, Any] = {}
        self._tasks: dict[int, Mapping[str, Any]] = {}
        self._spaces: tuple[Any, Any] | None = None

    def reset(self, rows: Sequence[int], tasks: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Outcome:
        """Begin episodes in some rows."""
        found, lost = self._each(self._begun, rows, tasks, seeds)
        return self._outcome(rows, found, lost)

    def step(self, rows: Sequence[int], actions: np.ndarray) -> Outcome:
        """Do an action in some rows."""
        given = done(self._spaces[1], actions) if self._spaces else list(actions)
        found, lost = self._each(self._stepped, rows, given)
        return self._outcome(rows, found, lost)

    def close(self) -> None:
        """Let go of all of them."""
        for row in list(self._envs):
            self._give_up(row)

    def _begun(self, row: int, task: Mapping[str, Any], seed: int) -> tuple[Any, ...]:
        if self._maker.set_task is None and self._tasks.get(row) != task:
            self._give_up(row)
        if row not in self._envs:
            self._envs[row] = self._maker(task)
        env = self._envs[row]
        self._tasks[row] = task
        self._spaces = self._spaces or (env.observation_space, env.action_space)
        found, _ = env.reset(seed=seed, options=self._maker.put(env, task))
        return found, 0.0, False, False, False

    def _stepped(self, row: int, action: Any) -> tuple[Any, ...]:
        found, reward, terminated, truncated, told = self._envs[row].step(action)
        success = self._maker.success is not None and self._success(self._maker.success, told)
        return found, float(reward), terminated, truncated, success

    @staticmethod
    def _success(name: str, told: Mapping[str, Any]) -> bool:
        if name not in told:
            raise KeyError(f"expected {name!r} in what `step` tells besides; found {', '.join(told) or 'nothing'}")
        return bool(told[name])

    def _each(self, one: Callable[..., tuple[Any, ...]], rows: Sequence[int], *given: Sequence[Any]) -> Any:
        """What each row returns, None where it is lost, and why those are."""
        found: list[Any] = []
        lost: dict[int, str] = {}
        for arguments in zip(rows, *given, strict=True):
            self._at(arguments[0])
            try:
                found.append(one(*arguments))
            except Exception as error:  # whatever a user's simulator may raise
                found.append(None)
                self._lose(arguments[0], error, lost)
        self._at(-1)
        return found, lost

    def _lose(self, row: int, error: Exception, lost: dict[int, str]) -> None:
        lost[row] = f"{type(error).__name__}: {error}".strip().removesuffix(":")
        self._give_up(row)

    def _outcome(self, rows: Sequence[int], found: list[Any], lost: dict[int, str]) -> Outcome:
        """What rows have returned, as learners see it."""
        space = None if self._spaces is None else self._spaces[0]
        observations: Any = None
        if not lost and isinstance(space, spaces.Box):  # the common case, all at once
            with contextlib.suppress(ValueError, TypeError):
                observations = np.asarray([x[0] for x in found], observed(space).dtype)
        if observations is None or space is None or observations.shape != (len(rows), *space.shape):
            observations = self._one_by_one(rows, found, lost)
        columns = zip(*(x or (None, 0.0, False, False, False) for x in found), strict=True)
        _, reward, *flags = columns
        terminated, truncated, success = (np.asarray(flag, bool) for flag in flags)
        paid = np.asarray(reward, np.float32)
        return self._sound(rows, Outcome(observations, paid, terminated, truncated, success, lost))

    def _one_by_one(self, rows: Sequence[int], found: list[Any], lost: dict[int, str]) -> np.ndarray:
        """What each row shows, as learners see it; rows that show something else are lost."""
        shown: list[Any] = [None] * len(rows)
        for place, row in enumerate(rows):
            if found[place] is not None:
                try:
                    assert self._spaces is not None
                    shown[place] = seen(self._spaces[0], found[place][0])
                except Exception as error:
                    found[place] = None
                    self._lose(row, error, lost)
        blank = next((np.zeros_like(x) for x in shown if x is not None), np.zeros(()))
        return np.stack([blank if x is None else x for x in shown])

    def _sound(self, rows: Sequence[int], outcome: Outcome) -> Outcome:
        """The same without rows in which a number is not finite: those are lost."""
        for name, numbers in (("reward", outcome.reward), ("observation", outcome.observation)):
            if np.isfinite(numbers).all():
                continue
            for place in np.unique(np.argwhere(~np.isfinite(numbers))[:, 0]).tolist():
                bad = numbers[place][~np.isfinite(numbers[place])].ravel()[0]
                reason = f"{name} is {bad}" if numbers.ndim == 1 else f"{name} has {bad} in it"
                outcome.lost.setdefault(rows[place], reason)
                numbers[place] = 0
                self._give_up(rows[place])
        return outcome

    def _give_up(self, row: int) -> None:
        env = self._envs.pop(row, None)
        self._tasks.pop(row, None)
        if env is not None:
            with contextlib.suppress(Exception):
                env.close()
