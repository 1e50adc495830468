"""Names that a package imports when they are first used, so that what needs no JAX does not wait for it."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def imported_when_used(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package.

    A module in it must not have the name of something else in `modules`: importing the module would hide that.

    Args:
        package: Its `__name__`.
        modules: By name of what is to be found in it, the module that it is in.
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return find, names, sorted(modules)


def by_name(package: str, where: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The module of each name, from the names in each module of a package."""
    return {name: f"{package}.{module}" for module, names in where.items() for name in names}
