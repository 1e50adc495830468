"""Errors that a person can act on. Each class has the exit code that the command line ends with."""

from typing import Any


class AdaptaxError(Exception):
    """What went wrong, where, what was expected and found, and what to do."""

    exit_code = 1


class ConfigError(AdaptaxError):
    """A setting is wrong. Raised before JAX is imported, so before anything was built or written."""

    exit_code = 2


class EnvironmentContractError(AdaptaxError):
    """An environment broke its contract: a wrong shape or type, NaN, or an observation outside of its space.

    Attributes:
        task: Index of the evaluation's task in which it was noticed; None outside of evaluations.
        trained: Index of the training seed whose agent lived there.
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


class LostError(AdaptaxError):
    """A process that trains with others is lost, or did not come: what was saved can be resumed."""

    exit_code = 75


def short_repr(found: Any, at_most: int = 80) -> str:
    """What a file says, for a message: in one line, without control characters, and not too long."""
    try:
        text = repr(found)
    except RecursionError:
        text = f"a deeply nested {type(found).__name__}"
    return text if len(text) <= at_most else text[:at_most] + " …"
