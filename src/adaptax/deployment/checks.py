"""What an agent in use is told and what it does, checked on the host before anything becomes of it.

A rollout judges observations and rewards after they have happened (`adaptax.core.step_checks`). Here the same rules
hold before: nothing enters memory or parameters that would stay there as NaN. In NumPy, since many small questions to
the device take longer than the agent's step.
"""

import contextlib
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from adaptax.core.arguments import in_words
from adaptax.core.composite_spaces import ActionMask, Dict
from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.spaces import Box, Space
from adaptax.core.step_checks import HUGE

UNCHANGED = "The agent is as it was"
_REWARD = Box(())
_FLOATS = ("f", "V")
"""Kinds of NumPy's floats and of JAX's shorter ones."""


def observation(where: str, space: Space, found: Any) -> np.ndarray:
    """An observation as an array of int32 or float32, as the space has it.

    Args:
        where: The call and its argument, "act(observation)".
        space: The environment's observation space.
        found: An array, a number, or a nested list of them.

    Raises:
        UseError: if it is no array of the space's shape and kind, or lies outside of the space.
    """
    return _element(where, space, found, "pass what the environment that the agent was trained in would show")


def reward(where: str, found: Any) -> float:
    """A reward as a number.

    Raises:
        UseError: if it is no single number, or it or its square is infinite in float32.
    """
    if type(found) is float and abs(found) < HUGE / 2:  # by far the most, and arrays take longer
        return found
    return float(_element(where, _REWARD, found, "pass one number"))


def observations(where: str, space: Space, found: Any, num: int) -> tuple[np.ndarray, dict[int, UseError]]:
    """Observations of several sessions, `[session, ...]` in the types of `observation`, and why some are none.

    Args:
        where: The call and its argument, "act(observations)".
        space: The environment's observation space.
        found: An array `[session, ...]`, a sequence of observations, or a dictionary of such arrays.
        num: How many sessions.

    Raises:
        UseError: if they are not so many.
    """
    return _each(where, space, found, num, f"{num} of them, each {_in_words(space)}", observation)


def rewards(where: str, found: Any, num: int) -> tuple[np.ndarray, dict[int, UseError]]:
    """Rewards of several sessions `[session]` in float32, and why some are none.

    Raises:
        UseError: if they are not so many.
    """
    return _each(where, _REWARD, found, num, f"{num} finite numbers", lambda where, _, x: np.float32(reward(where, x)))


def all_of(found: tuple[np.ndarray, Mapping[int, UseError]]) -> np.ndarray:
    """What `observations` or `rewards` has found.

    Raises:
        UseError: the first one.
    """
    for error in found[1].values():
        raise error
    return found[0]


def ends(terminated: np.ndarray | None, over: np.ndarray) -> None:
    """Check that what has terminated is over, `[session]`.

    Raises:
        UseError: if it is not.
    """
    if terminated is not None and (terminated & ~over).any():
        raise UseError(
            "observe(terminated): expected episode_over=True beside terminated=True, found False. "
            f"{UNCHANGED}; pass episode_over=True whenever an episode ends"
        )


def safe_action(where: str, space: Space, found: Any) -> np.ndarray:
    """An action that is chosen beforehand, as an array of int32 or float32.

    Raises:
        UseError: if it is none of the space's.
    """
    return _element(where, space, found, "pass an action of the space that the agent was trained in")


def fraction(where: str, found: Any) -> float:
    """A number from 0 on.

    Raises:
        UseError: if it is none.
    """
    return float(_element(where, Box((), 0.0), found, "pass a part, such as 0.05, or None for no bound"))


def flags(where: str, found: Any, num: int) -> np.ndarray:
    """A bool for all sessions, or one for each, as `[session]`.

    Raises:
        UseError: if they are none, or not so many.
    """
    if isinstance(found, bool | np.bool_):
        return np.full(num, bool(found))
    try:
        array = np.asarray(found)
    except Exception:  # whatever an object of somebody else's raises
        array = None
    if array is None or array.dtype != np.bool_ or array.shape != (num,):
        said = in_words(found if array is None else array)
        raise UseError(
            f"{where}: expected True or False, or {num} of them, found {said}. {UNCHANGED}; nothing was done"
        )
    return array.copy()


def places(where: str, found: Any, num: int) -> np.ndarray:
    """Which of `num` sessions are meant, as their numbers in the order given: all of them if `found` is None.

    Raises:
        UseError: if these are no numbers of sessions, one comes twice, or there is none.
    """
    if found is None:
        return np.arange(num)
    try:
        array = np.asarray(found)
    except Exception:  # whatever an object of somebody else's raises
        array = np.zeros(())
    if array.dtype == np.bool_ and array.shape == (num,):
        array = np.flatnonzero(array)
    if array.ndim == 1 and array.size and array.dtype.kind in "iu" and array.min() >= 0 and array.max() < num:
        found_once = np.unique(array).size == array.size
        if found_once:
            return array.astype(np.int64)
    said = in_words(found) if isinstance(found, str | bytes) or not np.size(array) else in_words(array)
    raise UseError(
        f"{where}: expected different numbers from 0 to {num - 1}, or {num} booleans, one True, found {said}. "
        f"{UNCHANGED}; say which sessions are meant"
    )


def _each(where: str, space: Space, found: Any, num: int, expected: str, check: Any) -> Any:
    """An array `[session, ...]` of what was found for each session; where it was none, why."""
    dtype = np.int32 if space.integers else np.float32
    if isinstance(space, Dict) and isinstance(found, Mapping):
        with contextlib.suppress(Exception):  # then they are no parts of the space, which is said below
            found = np.asarray(space.flatten(found))
    try:
        array = np.asarray(found)
    except Exception:  # ragged lists, and whatever an object of somebody else's raises
        array = np.asarray(None)
    if array.shape == (num, *space.shape) and array.dtype.kind in ("iu" if space.integers else "iufb"):
        with np.errstate(over="ignore"):
            array = array if space.integers else array.astype(np.float32)
        if is_in(space, array):  # by far the most
            return array.astype(dtype), {}
    items = array if array.ndim and array.shape[:1] == (num,) else found
    if isinstance(items, str | bytes | Mapping) or not hasattr(items, "__len__") or len(items) != num:
        said = in_words(array if array.ndim and array.dtype != object else found)
        raise UseError(
            f"{where}: expected {expected}, found {said}. {UNCHANGED}; pass one for each session that is meant"
        )
    result, refused = np.zeros((num, *space.shape), dtype), {}
    for place, item in enumerate(items):
        try:
            result[place] = check(f"{where} {place}", space, item)
        except UseError as error:
            refused[place] = error
    return result, refused


def legal(where: str, space: Space, does: Space, seen: np.ndarray) -> dict[int, UseError]:
    """Of observations `[session, ...]`, those whose mask leaves nothing to choose, with what to say of it."""
    place = _mask_in(space)
    if place is None:
        return {}
    mask = seen.reshape(len(seen), -1)[:, place] > 0.5
    ends = np.cumsum(getattr(does, "nums", (mask.shape[1],)))[:-1]
    nothing = ~np.all([part.any(1) for part in np.split(mask, ends, axis=1)], axis=0)
    return {
        int(index): UseError(
            f"{where}: expected a mask that allows an action, found one that allows none. {UNCHANGED}; where an "
            "episode is over, say so by observe(episode_over=True) and act in the next"
        )
        for index in np.flatnonzero(nothing)
    }


@functools.lru_cache(maxsize=64)
def _mask_in(space: Space) -> slice | None:
    """Where in an element, as one vector, the mask of actions stands; None: there is none."""
    if isinstance(space, ActionMask):
        return slice(0, space.num)
    for part, place in space.raw_parts() if isinstance(space, Dict) else ():
        if (inner := _mask_in(part)) is not None:
            return slice(place.start + inner.start, place.start + inner.stop)
    return None


def action(who: str, space: Space, found: np.ndarray) -> np.ndarray:
    """The action that leaves: one of the space. Beyond a box's bounds it is clipped, as environments do.

    Raises:
        DivergenceError: if it is not finite, or none of a discrete space.
    """
    done, refused = actions(who, space, found[None])
    for error in refused.values():
        raise error
    return done[0]


def actions(who: str, space: Space, found: np.ndarray) -> tuple[np.ndarray, dict[int, DivergenceError]]:
    """The same of several sessions `[session, ...]`, and why some are none."""
    if space.integers:
        if is_in(space, found):
            return found, {}
    elif (np.abs(found) < HUGE).all():
        return np.clip(found, *_limits(space)[:2]), {}
    done, refused = found.copy(), {}
    for place, one in enumerate(found):
        if not (is_in(space, one) if space.integers else (np.abs(one) < HUGE).all()):
            refused[place] = _no_action(who, space, one)
        elif not space.integers:
            done[place] = np.clip(one, *_limits(space)[:2])
    return done, refused


def _no_action(who: str, space: Space, found: np.ndarray) -> DivergenceError:
    anything = space if space.integers else Box(space.shape)
    return DivergenceError(
        f"act(): {who} put out {_first_outside(anything, found)}, expected {_in_words(space)}. {UNCHANGED}; use "
        "another checkpoint, or begin() a new task"
    )


def learned(where: str, who: str, leaves: Iterable[Any]) -> None:
    """Check that what the agent knows has stayed finite.

    Raises:
        DivergenceError: if a leaf of it is NaN or infinite.
    """
    for leaf in leaves:
        # Of random keys, which NumPy cannot hold, the type has no kind.
        if getattr(leaf.dtype, "kind", "") in _FLOATS and not np.isfinite(np.asarray(leaf)).all():
            raise became_infinite(where, who)


def became_infinite(where: str, who: str) -> DivergenceError:
    """What is said of knowledge that has not stayed finite."""
    return DivergenceError(
        f"{where}: what {who} learned from this became NaN or infinite, expected finite numbers. {UNCHANGED}; "
        "are rewards and observations as large as in training? Otherwise begin() a new task"
    )


def is_in(space: Space, x: np.ndarray) -> bool:
    """`adaptax.core.step_checks.is_in` in NumPy; floats are float32, integers are of any size."""
    return not x.size or bool(np.all(_inside(space, x)))


@functools.lru_cache(maxsize=64)
def _limits(space: Space) -> tuple[np.ndarray, np.ndarray, bool]:
    """Least and greatest values in the type that is compared with them, and whether they are all: every step asks."""
    low, high = space.limits()
    if space.integers:
        return low, high, True
    return low.astype(np.float32), high.astype(np.float32), space.bounded


def _inside(space: Space, x: np.ndarray) -> Any:
    """Of each entry, whether it is in the space."""
    low, high, bounded = _limits(space)
    inside = (x >= low) & (x <= high)  # comparisons with NaN are false
    return inside if bounded else inside & (np.abs(x) < HUGE)


def _element(where: str, space: Space, found: Any, instead: str) -> np.ndarray:
    shape, kinds, dtype = (space.shape, "iu", np.int32) if space.integers else (space.shape, "iufb", np.float32)
    try:
        if isinstance(space, Dict) and isinstance(found, Mapping):
            found = np.asarray(space.flatten(found))
        # To JAX a tuple is several arrays, and it is what `reset` and `step` of Gymnasium return.
        array: Any = None if isinstance(found, tuple) else np.asarray(found)
    except Exception:  # ragged lists, and whatever an object of somebody else's raises
        array = None
    if array is None or array.dtype.kind not in kinds or array.shape != shape:
        said = in_words(found if array is None or array.dtype.kind not in "biufc" else array)
        raise UseError(f"{where}: expected {_in_words(space)}, found {said}. {UNCHANGED}; {instead}")
    if dtype is np.float32 and array.dtype != dtype:
        with np.errstate(over="ignore"):  # what is finite in float64 alone is refused below
            array = array.astype(dtype)
    if not is_in(space, array):
        said = _first_outside(space, array)
        raise UseError(f"{where}: expected {_in_words(space)}, found {said}. {UNCHANGED}; {instead}")
    return array.astype(dtype)  # a copy: many environments write the next observation into the same array


def _in_words(space: Space) -> str:
    if space.integers:
        most = space.limits()[1]
        if not space.shape:
            return f"an integer from 0 to {most}"
        alike = (most == most.flat[0]).all()
        return f"integers of shape {space.shape} from 0 to {most.flat[0] if alike else most.tolist()}"
    low, high = (limit.flat[0] if limit.size and (limit == limit.flat[0]).all() else None for limit in space.limits())
    what = f"finite numbers of shape {space.shape}" if space.shape else "a finite number"
    between = " within their bounds" if space.bounded else ""
    if low is not None and high is not None:
        between = f" from {low:g} to {high:g}" if np.isfinite([low, high]).any() else ""
    return f"{what}{between}" if space.bounded else f"{what}{between} and of magnitude below {HUGE:g}"


def _first_outside(space: Space, x: np.ndarray) -> str:
    """The first entry that is not in the space, and where it stands."""
    if space.integers and not x.shape:
        return str(int(x))
    index = tuple(int(i) for i in np.argwhere(~np.atleast_1d(_inside(space, x)))[0])
    value = f"{np.atleast_1d(x)[index]:g}"
    return value if not x.shape else f"{value} at index {list(index)}"
