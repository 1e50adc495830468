"""A problem of the user's own: MODULE:FACTORY, imported from the directory in which the command was typed."""

import difflib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adaptax.errors import ConfigError
from adaptax.settings import suggestion


def is_factory(name: str) -> bool:
    """Whether a name is of the form MODULE:FACTORY."""
    return ":" in name


def load_factory(name: str) -> Callable[[], Any]:
    """Import a factory.

    Raises:
        ConfigError: naming the module, and the file and line in which something is wrong.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise ConfigError(f"{name!r}: expected MODULE:FACTORY, as in my_envs:make_problem; found something else")
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
    except Exception as error:
        raise ConfigError(f"{name}: the factory raised {_described(error)}") from error


def _imported(module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            files = [path.stem for path in Path.cwd().glob("*.py")]
            near = difflib.get_close_matches(module_name, files, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{module_name}: expected a module, here or installed; found none{hint}") from None
        raise ConfigError(f"{module_name}: imports '{error.name}', which is not installed ({_line(error)})") from error
    except SyntaxError as error:
        raise ConfigError(f"{module_name}: {error.filename}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ConfigError(f"{module_name}: importing it raised {_described(error)}") from error


def _described(error: Exception) -> str:
    message = str(error).splitlines()
    return f"{type(error).__name__}{': ' + message[0] if message else ''} ({_line(error)})"


def _line(error: BaseException) -> str:
    """Where it happened: the last line that is not of the import machinery."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "no line known"


def _needed(factory: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in free]
