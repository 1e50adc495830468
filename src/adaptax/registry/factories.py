"""A problem of the user's own: MODULE:FACTORY, imported from the directory in which the command was typed."""

import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from adaptax.core.errors import ConfigError
from adaptax.core.settings import suggestion


def is_factory(name: str) -> bool:
    """Whether a name is of the form MODULE:FACTORY."""
    return ":" in name


def expect_module(name: str) -> None:
    """Check, without importing anything, that MODULE:FACTORY is one and that there is such a module.

    Raises:
        ConfigError: if not.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise ConfigError(f"{name!r}: expected MODULE:FACTORY, as in my_envs:make_problem; found something else")
    top = module_name.partition(".")[0]
    if not (top in sys.modules or PathFinder.find_spec(top, [str(Path.cwd())]) or importlib.util.find_spec(top)):
        raise _no_module(module_name)


def load_factory(name: str) -> Callable[[], Any]:
    """Import a factory. It may import JAX, so start that first.

    Raises:
        ConfigError: naming the module, and the file and line in which something is wrong.
    """
    expect_module(name)
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _imported(module_name)
    if not hasattr(module, attribute):
        known = [word for word in vars(module) if not word.startswith("_")]
        raise ConfigError(
            f"{name}: expected a function '{attribute}' in {module.__file__}; found none{suggestion(attribute, known)}"
        )
    factory = getattr(module, attribute)
    if not callable(factory):
        raise ConfigError(f"{name}: expected a function; found {type(factory).__name__}")
    needed = _needed(factory)
    if needed:
        raise ConfigError(
            f"{name}: expected a function without arguments; found one that needs {', '.join(needed)}. "
            "Give them defaults"
        )
    return factory


def made(name: str, factory: Callable[[], Any]) -> Any:
    """What the factory makes.

    Raises:
        ConfigError: if it raises.
    """
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{name}: the factory raised {_described(error)}") from error


def _imported(module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise _no_module(module_name) from None
        raise ConfigError(f"{module_name}: imports '{error.name}', which is not installed ({_line(error)})") from error
    except SyntaxError as error:
        raise ConfigError(f"{module_name}: {error.filename}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{module_name}: importing it raised {_described(error)}") from error


def _no_module(module_name: str) -> ConfigError:
    files = [path.stem for path in Path.cwd().glob("*.py")]
    near = difflib.get_close_matches(module_name, files, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"{module_name}: expected a module, here or installed; found none{hint}")


def _described(error: BaseException) -> str:
    message = str(error).splitlines()
    return f"{type(error).__name__}{': ' + message[0] if message else ''} ({_line(error)})"


def _line(error: BaseException) -> str:
    """The last line in the user's directory, or else the last that is not of the import machinery."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    here = Path.cwd().resolve()
    installed = ("site-packages", "dist-packages")
    own = [
        f
        for f in frames
        if Path(f.filename).resolve().is_relative_to(here) and not set(installed) & set(Path(f.filename).parts)
    ]
    return "".join(f"{Path(f.filename).name}, line {f.lineno}" for f in (own or frames)[-1:]) or "no line known"


def _needed(factory: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in free]
