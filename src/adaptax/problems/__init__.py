"""Problem families. Every name in `__all__` is a factory whose keyword arguments are the family's options.

`informed` makes a problem of any other: the same one, as seen by a policy that knows the task. All are imported when
they are first used; their names, and the modules that they are in, stand in the table of `problems.settings`.
"""

import importlib
from typing import Any

from adaptax.core.entry import modules_of
from adaptax.problems.settings import PROBLEMS

_MODULE_OF = modules_of(PROBLEMS)

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """A factory, `informed`, or the class of an environment from one of the factories' modules."""
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    elif name in ("Informed", "informed"):
        value = getattr(importlib.import_module(f"{__name__}.task_informed"), name)
    elif name[:1].isupper():
        value = _environment(name)
    else:
        raise _missing(name)
    globals()[name] = value
    return value


def _environment(name: str) -> Any:
    for module in map(importlib.import_module, dict.fromkeys(_MODULE_OF.values())):
        value = getattr(module, name, None)
        if getattr(value, "__module__", None) == module.__name__:
            return value
    raise _missing(name)


def _missing(name: str) -> AttributeError:
    return AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "informed"})
