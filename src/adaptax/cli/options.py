"""What can be typed after a command, and how it is checked."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from adaptax.cli.parser import read
from adaptax.core.entry import DEFAULT
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings
from adaptax.experiment.options import TrainOptions
from adaptax.registry.resolve import needs_import


def parse(parts: dict[str, Settings], arguments: Sequence[str], *, program: str, description: str) -> dict[str, Any]:
    """Parse options into several settings objects at once.

    Args:
        parts: Defaults of each object, by a name of your choice. Their fields share one name space.
        arguments: What was typed after the command.
        program: What was typed before.
        description: What `--help` says first.

    Raises:
        SystemExit: with 0 after `--help`.
        ConfigError: if an option or a value is not what it must be.
    """
    if not wants_help(arguments):
        trains = any(isinstance(part, TrainOptions) for part in parts.values())
        return read(parts, arguments, program=program, also=("--preset", "--resume") if trains else ())
    import tyro

    together: Any = dataclasses.make_dataclass(
        "Options",
        [
            (name, type(default), dataclasses.field(default_factory=lambda default=default: default))
            for name, default in parts.items()
        ],
        frozen=True,
    )
    tyro.cli(tyro.conf.OmitArgPrefixes[together], args=["--help"], prog=program, description=description)
    raise AssertionError("--help ends the program")


def take_preset(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Split `--preset NAME` off: it decides the other options' defaults, so it must be known first.

    Raises:
        ConfigError: if it is there more than once.
    """
    rest: list[str] = []
    found: list[str] = []
    words = iter(arguments)
    for word in words:
        name, given, value = word.partition("=")
        if name != "--preset":
            rest.append(word)
        else:
            found.append(value if given else next(words, ""))
    if len(found) > 1:
        raise ConfigError(f"--preset: expected once; found {' and '.join(map(short_repr, found))}")
    return found[0] if found else DEFAULT, rest


def names(arguments: Sequence[str], count: int) -> tuple[list[str], list[str]]:
    """Split the leading names (up to `count` words that are no options) from the options."""
    leading = 0
    while leading < min(count, len(arguments)) and not arguments[leading].startswith("-"):
        leading += 1
    return list(arguments[:leading]), list(arguments[leading:])


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether help was asked for."""
    return any(word in ("-h", "--help") for word in arguments)


def start_for(*chosen: str | None) -> None:
    """Start JAX if one of these names stands for code of the user's own, which may import it; else wait.

    Raises:
        ConfigError: if one is MODULE:NAME, and there is no such module.
    """
    if any([needs_import(name) for name in chosen if name is not None]):
        from adaptax.experiment.jax_setup import start_jax

        start_jax()
