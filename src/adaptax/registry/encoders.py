"""Encoders of a user's own: MODULE:NAME as a setting of an algorithm, imported only if the user has given that name."""

from collections.abc import Callable
from typing import Any

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings
from adaptax.registry.user_code import FORM, called, expect_module, is_reference, load_reference

BUILT_IN = ("auto", "none")
_accepted: dict[str, Callable[..., Any] | None] = {}


def register_encoder(name: str, make: Callable[..., Any] | None = None) -> None:
    """Let algorithms use an encoder of one's own, `encoder=name` or `--encoder name`.

    Args:
        name: MODULE:NAME; a run that was trained with it has it imported from there. With `make` any name will do.
        make: A function of an observation space and a key that returns an `equinox.Module`, which maps one observation
            to a vector; None: MODULE:NAME is imported once it is needed.

    Raises:
        ConfigError: if there is no such module, or the name is one of ours.
    """
    if name in BUILT_IN or (make is not None and not callable(make)):
        raise ConfigError(f"register_encoder: expected a name of your own and a function; found {short_repr(name)}")
    if make is None:
        expect_module(name)
    _accepted[name] = make or _accepted.get(name)


def accept_encoder(settings: Settings) -> None:
    """Take note of the encoder that a user has given in settings or options; it is imported once an agent is built.

    Raises:
        ConfigError: if there is none of that name.
    """
    name = getattr(settings, "encoder", BUILT_IN[0])
    if name is None or name in BUILT_IN or name in _accepted:
        return
    if not is_reference(name):
        known = ", ".join([*BUILT_IN, *_accepted])
        raise ConfigError(f"--encoder: expected one of {known}, or {FORM}; found {short_repr(name)}")
    register_encoder(name)


def expect_encoder(settings: Settings) -> None:
    """Check that the user has given the name of an encoder that a file asks for.

    Raises:
        ConfigError: if not.
    """
    name = getattr(settings, "encoder", BUILT_IN[0])
    if name not in BUILT_IN and name not in _accepted:
        if not is_reference(name):
            how = f"adaptax.register_encoder({name!r}, make)"
            raise ConfigError(f"encoder: is {short_repr(name)}, which this process does not know: {how} first")
        raise ConfigError(
            f"encoder: is {short_repr(name)}, code of somebody's own, which is imported only if you name it: "
            f"--encoder {short_repr(name)} (in Python adaptax.register_encoder({name!r}) first). Do so if you trust it"
        )


def enter_encoder(settings: Settings | None) -> None:
    """Import the encoder that settings name, for `adaptax.networks.encoders` (which imports JAX).

    Raises:
        ConfigError: if the user has not given that name, or it cannot be imported.
    """
    name = getattr(settings, "encoder", BUILT_IN[0])
    if settings is None or name in BUILT_IN:
        return
    from adaptax.networks import encoders

    expect_encoder(settings)
    make = _accepted[name]
    target = load_reference(name) if make is None else make
    encoders.ENCODERS[name] = lambda space, key: called(name, lambda: target(space, key), {})
