"""Errors that a person can act on. Each class has the exit code that the command line ends with."""


class AdaptaxError(Exception):
    """What went wrong, where, what was expected and found, and what to do."""

    exit_code = 1


class ConfigError(AdaptaxError):
    """A setting is wrong. Raised before JAX is imported, so before anything was built or written."""

    exit_code = 2


class CheckpointError(AdaptaxError):
    """A saved run cannot be used."""

    exit_code = 5


class OutputError(AdaptaxError):
    """The output directory cannot be written to."""

    exit_code = 6
