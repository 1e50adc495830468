"""What an agent in use is told and what it does, checked on the host before anything becomes of it.

A rollout judges observations and rewards after they have happened (`adaptax.core.step_checks`). Here the same rules
hold before: nothing enters memory or parameters that would stay there as NaN. In NumPy, since many small questions to
the device take longer than the agent's step.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from adaptax.core.arguments import in_words
from adaptax.core.errors import DivergenceError, UseError
from adaptax.core.spaces import Box, Discrete, Space
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


def action(who: str, space: Space, found: np.ndarray) -> np.ndarray:
    """The action that leaves: one of the space. Beyond a box's bounds it is clipped, as environments do.

    Raises:
        DivergenceError: if it is not finite, or none of a discrete space.
    """
    if isinstance(space, Discrete):
        if 0 <= found < space.num:
            return found
    elif (np.abs(found) < HUGE).all():
        return np.clip(found, space.low, space.high)
    anything = space if isinstance(space, Discrete) else Box(space.shape)
    raise DivergenceError(
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
    if isinstance(space, Discrete):
        return bool(0 <= x < space.num)
    return not x.size or bool(_inside(space, x).all())


def _inside(space: Box, x: np.ndarray) -> Any:
    """Of each entry, whether it is in the space."""
    inside = (x >= space.low) & (x <= space.high)  # comparisons with NaN are false
    return inside if space.bounded else inside & (np.abs(x) < HUGE)


def _element(where: str, space: Space, found: Any, instead: str) -> np.ndarray:
    shape, kinds, dtype = ((), "iu", np.int32) if isinstance(space, Discrete) else (space.shape, "iufb", np.float32)
    try:
        # To JAX a tuple is several arrays, and it is what `reset` and `step` of Gymnasium return.
        array = None if isinstance(found, tuple) else np.asarray(found)
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
    if isinstance(space, Discrete):
        return f"an integer from 0 to {space.num - 1}"
    what = f"finite numbers of shape {space.shape}" if space.shape else "a finite number"
    between = f" from {space.low:g} to {space.high:g}" if np.isfinite([space.low, space.high]).any() else ""
    return f"{what}{between}" if space.bounded else f"{what}{between} and of magnitude below {HUGE:g}"


def _first_outside(space: Space, x: np.ndarray) -> str:
    """The first entry that is not in the space, and where it stands."""
    if isinstance(space, Discrete):
        return str(int(x))
    index = tuple(int(i) for i in np.argwhere(~np.atleast_1d(_inside(space, x)))[0])
    value = f"{np.atleast_1d(x)[index]:g}"
    return value if not x.shape else f"{value} at index {list(index)}"
