"""All rows of a batch in one vector environment, which steps them together: fast simulators, and those on a GPU.

Whatever its autoreset mode, rows are begun together, from their tasks and seeds; what a row does after the end of its
episode is looked at by nobody.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from adaptax.core.errors import UseError, needs
from adaptax.problems.host.gymnasium_spaces import done, observed, seen
from adaptax.problems.host.simulations import Outcome

with needs("gymnasium", "a Gymnasium environment"):
    import gymnasium
    from gymnasium import spaces
    from gymnasium.vector.utils import iterate

KEPT = 2
"""So many vector environments are kept, each of another size: one for training, one for evaluation."""


class VectorMaker(NamedTuple):
    """How a vector environment comes to be, and how it gets its tasks.

    Attributes:
        make: A function of the number of rows, or a name that `gymnasium.make_vec` knows.
        set_tasks: Puts the rows into their tasks; "options": they are given to `reset(options={"tasks": ...})`.
        success: What it calls it, in what `step` tells besides, that a row's task is done; None: it does not say.
    """

    make: Callable[[int], Any] | str
    set_tasks: Callable[[Any, Sequence[Mapping[str, Any]]], None] | str
    success: str | None = None

    def __call__(self, count: int) -> Any:
        """A vector environment of so many rows."""
        return gymnasium.make_vec(self.make, num_envs=count) if isinstance(self.make, str) else self.make(count)

    def put(self, env: Any, tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Put the rows into their tasks; return the options of the next reset."""
        if callable(self.set_tasks):
            self.set_tasks(env, tasks)
            return None
        return {"tasks": [dict(task) for task in tasks]}

    def succeeded(self, told: Mapping[str, Any], count: int) -> np.ndarray:
        """Which rows say that their task is done, by what `step` tells besides.

        Of a row that has begun anew in the same step, it is what was told of the step before that.
        """
        found, name = np.zeros(count, bool), self.success
        if name is None:
            return found
        places = [where for where in (told, told.get("final_info")) if where and name in where]
        if not places:
            raise KeyError(f"expected {name!r} in what `step` tells besides; found {', '.join(told) or 'nothing'}")
        for where in places:
            of_rows = np.asarray(where.get(f"_{name}", np.ones(count, bool)))
            found = np.where(of_rows, np.asarray(where[name]).astype(bool), found)
        return found


class VectorSimulations:
    """Rows that are stepped together.

    Args:
        maker: What makes them.
    """

    def __init__(self, maker: VectorMaker):
        self._maker = maker
        self._envs: dict[int, Any] = {}
        self._now: Any = None
        self._tasks: Sequence[Mapping[str, Any]] = ()
        self._over = np.zeros(0, bool)

    def reset(self, rows: Sequence[int], tasks: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Outcome:
        """Begin episodes in all rows.

        Raises:
            UseError: if those are only some.
        """
        count = len(rows)
        if list(rows) != list(range(count)):
            raise UseError(
                f"a vector environment begins the episodes of all its rows together; found only {list(rows)[:5]} …"
            )
        self._now = None
        try:
            env = self._of_size(count)
            found, _ = env.reset(seed=[int(seed) for seed in seeds], options=self._maker.put(env, tasks))
            shown, lost = self._shown(env, rows, found, {})
        except Exception as error:  # whatever a user's simulator may raise
            self._close(self._envs.get(count))
            return self._all_lost(count, rows, error)
        self._now, self._tasks, self._over = env, tasks, np.zeros(count, bool)
        ends = np.zeros(count, bool)
        return Outcome(shown, np.zeros(count, np.float32), ends, ends.copy(), ends.copy(), lost)

    def step(self, rows: Sequence[int], actions: np.ndarray) -> Outcome:
        """Do an action in some rows; the others do something."""
        env, some = self._now, np.asarray(rows)
        if env is None:
            return self._all_lost(0, rows, RuntimeError("its vector environment was lost before"))
        everywhere = np.zeros((env.num_envs, *actions.shape[1:]), actions.dtype)
        everywhere[some] = actions
        space = env.single_action_space
        try:
            if self._over.any() and _mode(env) == "Disabled":
                options = None if callable(self._maker.set_tasks) else self._maker.put(env, self._tasks)
                env.reset(options={**(options or {}), "reset_mask": self._over.copy()})
                self._over[:] = False
            given = np.asarray(done(space, everywhere), space.dtype).reshape(env.num_envs, *space.shape)
            found, reward, terminated, truncated, told = env.step(given)
            reward = np.asarray(reward, np.float32).reshape(env.num_envs)[some]
            ends = [np.asarray(x).astype(bool).reshape(env.num_envs) for x in (terminated, truncated)]
            final = {} if "final_obs" not in told else {
                row: told["final_obs"][row] for row in rows if ends[0][row] or ends[1][row]
            }  # fmt: skip
            shown, lost = self._shown(env, rows, found, final)
            success = self._maker.succeeded(told, env.num_envs)
        except Exception as error:
            self._close(env)
            return self._all_lost(env.num_envs, rows, error)
        self._over = ends[0] | ends[1]
        for place in np.flatnonzero(~np.isfinite(reward)).tolist():
            lost.setdefault(rows[place], f"reward is {reward[place]}")
        reward = np.nan_to_num(reward, posinf=0.0, neginf=0.0)
        return Outcome(shown, reward, ends[0][some], ends[1][some], success[some], lost)

    def close(self) -> None:
        """Let go of all of them."""
        for env in list(self._envs.values()):
            self._close(env)

    def _of_size(self, count: int) -> Any:
        """A vector environment of so many rows, made if there is none."""
        env = self._envs.pop(count, None)
        if env is None:
            for oldest in list(self._envs.values())[: 1 - KEPT]:
                self._close(oldest)
            env = self._maker(count)
            if env.num_envs != count:
                raise UseError(f"expected a vector environment of {count} rows; found one of {env.num_envs}")
        self._envs[count] = env
        return env

    def _close(self, env: Any) -> None:
        self._envs = {count: kept for count, kept in self._envs.items() if kept is not env}
        self._now = None if self._now is env else self._now
        with contextlib.suppress(Exception):
            env.close()

    def _shown(
        self, env: Any, rows: Sequence[int], found: Any, final: Mapping[int, Any]
    ) -> tuple[np.ndarray, dict[int, str]]:
        """What rows show, as learners see it, and which show nothing that their space has."""
        space, shown, lost = env.single_observation_space, None, {}
        if isinstance(space, spaces.Box):
            shown = np.array(found, observed(space).dtype)
            if shown.shape != (env.num_envs, *space.shape):
                raise ValueError(f"observations of shape {shown.shape}, expected {(env.num_envs, *space.shape)}")
        else:
            shown = np.stack([seen(space, x) for x in iterate(env.observation_space, found)])
        for row, last in final.items():
            shown[row] = seen(space, last)
        shown = shown[np.asarray(rows)]
        if shown.dtype == np.float32:
            for place in np.unique(np.argwhere(~np.isfinite(shown))[:, 0]).tolist():
                bad = shown[place][~np.isfinite(shown[place])].ravel()[0]
                lost[rows[place]] = f"observation has {bad} in it"
                shown[place] = 0
        return shown, lost

    def _all_lost(self, count: int, rows: Sequence[int], error: Exception) -> Outcome:
        if isinstance(error, UseError):
            raise error
        reason = f"{type(error).__name__}: {error}".strip().removesuffix(":")
        no, reward = np.zeros(len(rows), bool), np.zeros(len(rows), np.float32)
        return Outcome(np.zeros(len(rows)), reward, no, no.copy(), no.copy(), dict.fromkeys(rows, reason))


def _mode(env: Any) -> str:
    """What a vector environment does at the end of an episode: "NextStep", "SameStep", "Disabled"; "" if not said."""
    mode = (env.metadata or {}).get("autoreset_mode", "")
    return str(getattr(mode, "value", mode))
