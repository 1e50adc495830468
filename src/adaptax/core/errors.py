"""Errors that a person can act on. Each class has the exit code that the command line ends with."""

import contextlib
import errno
from collections.abc import Callable, Iterator
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room."""


class AdaptaxError(Exception):
    """What went wrong, where, what was expected and found, and what to do.

    Attributes:
        result: What had been computed when it could not be written down; None if that is not what went wrong.
    """

    exit_code = 1
    result: Any = None


class ConfigError(AdaptaxError):
    """A setting is wrong, or an algorithm of one's own does not say what training needs of it.

    Of settings it is raised before JAX is imported, so before anything was built or written.
    """

    exit_code = 2


class EnvironmentContractError(AdaptaxError):
    """An environment broke its contract: a wrong shape or type, NaN, or an observation outside of its space.

    Attributes:
        task: Index of the evaluation's task in which it was noticed; None outside of evaluations.
        trained: Index of the training seed whose agent it was.
    """

    exit_code = 3
    task: int | None = None
    trained: int = 0


class DivergenceError(AdaptaxError):
    """Numbers became NaN or infinite.

    Attributes:
        update: The update in which it happened, counted from 1.
        state: The state before it, which is sound.
    """

    exit_code = 4
    update: int = 0
    state: Any = None


class CheckpointError(AdaptaxError):
    """A saved run cannot be used."""

    exit_code = 5


class OutputError(AdaptaxError):
    """The output directory cannot be written to."""

    exit_code = 6


class ResourceError(AdaptaxError):
    """Memory or disk is not enough."""

    exit_code = 7


class UseError(AdaptaxError, ValueError):
    """A call from Python that cannot be followed: an argument is nothing that it takes, or it comes out of order.

    What was called is as it was before.
    """

    exit_code = 64


class LostError(AdaptaxError):
    """A process that trains with others is lost, or did not come: what was saved can be resumed."""

    exit_code = 75


class MissingPackageError(AdaptaxError, ImportError):
    """Something needs a package that is not installed; all else works without it. What to install is said."""

    exit_code = 2


def unwritten(where: object, error: OSError, then: str) -> AdaptaxError:
    """What to raise if something cannot be written: memory or disk is not enough, or the place is wrong.

    Args:
        where: What could not be written.
        error: What the system said.
        then: What is safe and what to do, in sentences.
    """
    kind = ResourceError if error.errno in FULL else OutputError
    return kind(f"{where}: cannot write there ({error.strerror or error}). {then}")


@contextlib.contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Around imports of optional packages: say how to install the one that is missing.

    Args:
        extra: The group of packages (`pip install "adaptax[extra]"`) that it belongs to.
        what: What needs it, "a picture".

    Raises:
        MissingPackageError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "a package").partition(".")[0]
        raise MissingPackageError(
            f'{what} needs {package}, which is not installed; install it with: pip install "adaptax[{extra}]"'
        ) from error


@contextlib.contextmanager
def if_installed(name: str, on_message: Callable[[str], None]) -> Iterator[None]:
    """Around what is made for convenience: leave it out, and say so, where it needs a package that is not installed.

    Args:
        name: What is left out then, such as a file's name.
        on_message: Called with a line for a person.
    """
    try:
        yield
    except MissingPackageError as error:
        on_message(f"note: {name} is left out: {error}")


def short_repr(found: Any, at_most: int = 80) -> str:
    """What a file says, for a message: in one line, without control characters, and not too long."""
    try:
        text = repr(found)
    except RecursionError:
        text = f"a deeply nested {type(found).__name__}"
    return text if len(text) <= at_most else text[:at_most] + " …"


def one_line(message: object) -> str:
    """A message as it may reach a terminal: what is not printable, a line's end too, is shown as Python writes it.

    Names of folders, and what other people's code says, may hold what moves the cursor, rings, or turns text around.
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(message))


def kind_in_words(found: Any) -> str:
    """What something is, for a message: "nothing (None)", "the class Bandit", "an int"."""
    if found is None:
        return "nothing (None)"
    if isinstance(found, type):
        return f"the class {found.__name__}"
    name = type(found).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"
