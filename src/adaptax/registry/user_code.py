"""Code of a user's own: MODULE:NAME, imported from the directory in which the command was typed or as installed."""

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from adaptax.core.errors import AdaptaxError, ConfigError, UseError, kind_in_words, short_repr
from adaptax.core.settings import suggestion

FORM = "MODULE:NAME"
LONGEST = 200
"""Letters that MODULE:NAME may have."""


def is_reference(name: str) -> bool:
    """Whether a name is meant as MODULE:NAME."""
    return ":" in name


def split_reference(name: str) -> tuple[str, str]:
    """Split MODULE:NAME; nothing is imported.

    Raises:
        ConfigError: if it is none.
    """
    module, _, attribute = name.partition(":")
    if len(name) > LONGEST or not all(part.isidentifier() for part in [*module.split("."), attribute]):
        raise ConfigError(f"{short_repr(name)}: expected {FORM}, as in my_envs:make_problem; found something else")
    return module, attribute


def expect_module(name: str) -> None:
    """Check, without importing anything, that MODULE:NAME is one and that there is such a module.

    Raises:
        ConfigError: if not.
    """
    module, _ = split_reference(name)
    top = module.partition(".")[0]
    if not (top in sys.modules or PathFinder.find_spec(top, [_here()]) or importlib.util.find_spec(top)):
        raise _no_module(module)


def load_reference(name: str) -> Any:
    """Import what MODULE:NAME names. It may import JAX, so start that first.

    Raises:
        ConfigError: naming the module, and the file and line in which something is wrong.
    """
    expect_module(name)
    module_name, attribute = split_reference(name)
    module = _imported(module_name)
    if not hasattr(module, attribute):
        known = [word for word in vars(module) if not word.startswith("_")]
        where = getattr(module, "__file__", None) or module_name
        raise ConfigError(f"{name}: expected '{attribute}' in {where}; found none{suggestion(attribute, known)}")
    return getattr(module, attribute)


def called(name: str, factory: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """What a user's factory or class makes of keyword arguments.

    Raises:
        ConfigError: if it raises.
    """
    try:
        with _beside():
            return factory(**arguments)
    except (Exception, SystemExit) as error:
        if isinstance(error, AdaptaxError) and not isinstance(error, UseError):
            raise
        raise ConfigError(f"{name}: making it raised {described(error)}") from error


def expect_defaults(name: str, factory: Callable[..., Any]) -> None:
    """Check that a factory can be called without arguments.

    Raises:
        ConfigError: if it cannot.
    """
    if not callable(factory):
        raise ConfigError(f"{name}: expected a function; found {kind_in_words(factory)}")
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters_of(factory).values() if p.default is p.empty and p.kind not in free]
    if needed:
        raise ConfigError(
            f"{name}: expected a function whose arguments have defaults; found one that needs {', '.join(needed)}. "
            "Give them defaults"
        )


def parameters_of(factory: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a function; none if they are not known. Annotations in quotes are looked up if they can be."""
    try:
        return inspect.signature(factory, eval_str=True).parameters
    except (NameError, SyntaxError, AttributeError):
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return {}


def _here() -> str:
    """The working directory; a name that is no folder's, if it was deleted meanwhile."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "/the working directory was deleted"


@contextlib.contextmanager
def _beside() -> Iterator[None]:
    """While this lasts, modules are also looked for in the working directory."""
    here = _here()
    if here in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)


def _imported(module_name: str) -> Any:
    try:
        with _beside():
            return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise _no_module(module_name) from None
        raise ConfigError(f"{module_name}: imports '{error.name}', which is not installed ({_line(error)})") from error
    except SyntaxError as error:
        raise ConfigError(f"{module_name}: {error.filename}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{module_name}: importing it raised {described(error)}") from error


def _no_module(module_name: str) -> ConfigError:
    files = [path.stem for path in Path(_here()).glob("*.py")]
    near = difflib.get_close_matches(module_name, files, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"{module_name}: expected a module, here or installed; found none{hint}")


def described(error: BaseException) -> str:
    """An error of a user's code in a line: its kind, its message, and where it was raised."""
    message = str(error).splitlines()
    return f"{type(error).__name__}{': ' + message[0] if message else ''} ({_line(error)})"


def _line(error: BaseException) -> str:
    """The last line in the user's directory, or else the last that is not of the import machinery."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    here = Path(_here()).resolve()
    installed = ("site-packages", "dist-packages")
    own = [
        f
        for f in frames
        if Path(f.filename).resolve().is_relative_to(here) and not set(installed) & set(Path(f.filename).parts)
    ]
    return "".join(f"{Path(f.filename).name}, line {f.lineno}" for f in (own or frames)[-1:]) or "no line known"
