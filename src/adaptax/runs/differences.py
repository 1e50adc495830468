"""Where what a file says of a run differs from what is expected; the file may say anything."""

from collections.abc import Mapping
from typing import Any

from adaptax.core.errors import short_repr


def difference(expected: Any, found: Any, name: str = "") -> tuple[str, str, str] | None:
    """Where what a file says differs from what we expect, what that is, and what is there; None: it does not.

    Goes down only where we expect something, so that a file cannot choose how deep, and how often.
    """
    if not isinstance(expected, dict) or not isinstance(found, dict):
        return None if found == expected else (name or "about", short_repr(expected), short_repr(found))
    for field, value in sorted(expected.items()):
        where = f"{name}.{field}" if name else str(field)
        if field not in found:
            return where, short_repr(value), "nothing"
        differing = difference(value, found[field], where)
        if differing is not None:
            return differing
    return None


def unknown_field(expected: Any, found: Any, name: str = "about") -> str | None:
    """The first field of what a file says for which there is none in what we expect, which it otherwise is."""
    if not isinstance(expected, Mapping) or not isinstance(found, dict):
        return None
    for field in found:
        if field not in expected:
            return f"{name}.{short_repr(field)}"
    parts = (unknown_field(value, found.get(field), f"{name}.{field}") for field, value in expected.items())
    return next((part for part in parts if part is not None), None)
