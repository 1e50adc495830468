"""What public functions are given from Python, checked before anything is done with it."""

import operator
from typing import Any

import numpy as np

from adaptax.core.errors import UseError, kind_in_words, short_repr

LARGEST_SEED = 2**32 - 1
"""JAX forgets what a seed has beyond 32 bits: larger ones would repeat smaller ones."""


def whole_number(where: str, found: Any, low: int, high: int | None = None) -> int:
    """An integer of Python or NumPy, as Python's; a bool is none.

    Args:
        where: The call and its argument, "evaluate(num_tasks)".
        found: What was given.
        low: The smallest one.
        high: The largest one; None: there is none.

    Raises:
        UseError: if it is no integer, or none of these.
    """
    try:
        number = None if isinstance(found, bool) else operator.index(found)
    except Exception:  # whatever an object of somebody else's raises
        number = None
    if number is None or number < low or (high is not None and number > high):
        most = "or more" if high is None else f"to {high}"
        raise UseError(f"{where}: expected an integer, {low} {most}, found {in_words(found)}; nothing was done")
    return number


def seed_number(where: str, found: Any) -> int:
    """A seed of randomness, from 0 to `LARGEST_SEED`.

    Raises:
        UseError: if it is none.
    """
    return whole_number(where, found, 0, LARGEST_SEED)


def flag(where: str, found: Any) -> bool:
    """A bool of Python or NumPy, as Python's.

    Raises:
        UseError: if it is none: of other things it is not clear what counts as yes.
    """
    if not isinstance(found, bool | np.bool_):
        raise UseError(f"{where}: expected True or False, found {in_words(found)}; nothing was done")
    return bool(found)


def instance(where: str, found: Any, kind: type, instead: str = "") -> None:
    """Check that an argument is of a class.

    Args:
        where: The call and its argument.
        found: What was given.
        kind: Which class.
        instead: What to do.

    Raises:
        UseError: if it is not.
    """
    if not isinstance(found, kind):
        raise UseError(
            f"{where}: expected {kind_in_words_of_class(kind)}, found {in_words(found)}; nothing was done"
            + (f". {instead}" if instead else "")
        )


def kind_in_words_of_class(kind: type) -> str:
    """A class's instance: "a TrainedAgent"."""
    return f"{'an' if kind.__name__[0] in 'aeioAEIO' else 'a'} {kind.__name__}"


def in_words(found: Any) -> str:
    """What was found, for a message of one line: a number or a word as it is, of all else what it is."""
    if isinstance(found, np.ndarray | np.generic) or hasattr(found, "aval"):
        return f"{found.dtype} of shape {tuple(found.shape)}"
    if isinstance(found, bool | int | float | complex | str | bytes):
        try:
            return " ".join(short_repr(found).split())
        except ValueError:  # Python does not print integers of thousands of digits
            return "an integer of very many digits"
    return kind_in_words(found)


def counted(number: int, noun: str) -> str:
    """How many: "1 step", "2 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
