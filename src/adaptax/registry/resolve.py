"""From a name to what it stands for: ours, what a user registers, what installed packages bring, and MODULE:NAME.

Whatever was found once under a name is in the registry's tables from then on: who asks them afterwards asks for what
this process was told by its user. A file that merely has a name in it cannot have a module imported: see `runs.recipe`.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from adaptax.core.entry import Entry
from adaptax.core.errors import ConfigError, kind_in_words, short_repr
from adaptax.core.settings import Settings, suggestion
from adaptax.registry import registry
from adaptax.registry.registry import ALGORITHMS, PROBLEMS
from adaptax.registry.user_code import (
    FORM,
    called,
    described,
    expect_defaults,
    expect_module,
    is_reference,
    load_reference,
)
from adaptax.registry.user_settings import algorithm_settings, problem_maker, problem_settings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PROBLEM_GROUP, ALGORITHM_GROUP = "adaptax.problems", "adaptax.algorithms"
"""Groups of entry points in which installed packages bring theirs."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def resolve_problem(name: str, what: str = "problem") -> Entry:
    """The problem of a name, or of MODULE:NAME: a problem, or a function with keyword arguments that returns one.

    Ours need no JAX. For others a module is imported, which may import it: see `needs_import`.

    Args:
        name: The name.
        what: What messages call it.

    Raises:
        ConfigError: if there is none, or what is there is no problem; says which names there are.
    """
    if name not in PROBLEMS:
        registry.enter_problem(name, _problem_entry(name, _found(name, PROBLEMS, PROBLEM_GROUP, what)))
    return PROBLEMS[name]


def resolve_algorithm(name: str, among: Mapping[str, Entry] = ALGORITHMS, what: str = "algorithm") -> Entry:
    """The algorithm of a name, or of MODULE:NAME, the class of an algorithm.

    Ours need no JAX. For others a module is imported, which may import it: see `needs_import`.

    Args:
        name: The name.
        among: Those that will do: one of the registry's tables.
        what: What messages call it.

    Raises:
        ConfigError: if there is none, what is there is no algorithm, or it is not among those that will do.
    """
    if name in among:
        return among[name]
    if name not in ALGORITHMS:
        target = _found(name, among, ALGORITHM_GROUP, what)
        registry.enter_algorithm(name, _algorithm_entry(name, target), from_scratch=_starts_from_nothing(target))
    if name not in among:
        raise _unknown(name, among, what)
    return among[name]


def needs_import(name: str) -> bool:
    """Whether resolving a name imports somebody else's module, which may import JAX; nothing is imported here.

    Raises:
        ConfigError: if it is MODULE:NAME, and there is no such module.
    """
    if name in PROBLEMS or name in ALGORITHMS:
        return False
    if is_reference(name):
        expect_module(name)
        return True
    return name in installed(PROBLEM_GROUP) or name in installed(ALGORITHM_GROUP)


def unchecked_problem(name: str) -> Any:
    """What MODULE:NAME is or makes, whatever it is.

    Raises:
        ConfigError: if it cannot be imported or made.
    """
    target = load_reference(name)
    if _is_problem(target):
        return target
    expect_defaults(name, target)
    return called(name, target, {})


def register_problem(
    name: str,
    target: str | Callable[..., Any],
    *,
    settings: type | None = None,
    summary: str = "",
    baselines: tuple[str, ...] = ("random",),
    traits: tuple[str, ...] = (),
) -> None:
    """Give a problem a name that the command line and the functions of this package know from now on.

    Args:
        name: Small letters, digits and hyphens.
        target: A function with keyword arguments that returns a problem, or "module:name" of one.
        settings: A frozen dataclass of these arguments. By default they are the function's, with their defaults.
        summary: One line.
        baselines: Agents that it is compared with by default, best known last.
        traits: What agents may count on: "bernoulli" and "gaussian" (bandits), "countable" (states and actions).

    Raises:
        ConfigError: if the name is taken or no name, or the target is not what it must be.
    """
    _expect_free(name, PROBLEMS, "problem")
    made = load_reference(target) if isinstance(target, str) else target
    if not _is_problem(made) and not callable(made):
        raise ConfigError(f"{name}: expected a function that returns a problem; found {short_repr(made)}")
    registry.enter_problem(name, _problem_entry(name, made, settings, summary, baselines, traits))


def register_algorithm(name: str, target: str | type, *, summary: str = "", suits: str | None = None) -> None:
    """Give an algorithm a name that the command line and the functions of this package know from now on.

    Args:
        name: Small letters, digits and hyphens.
        target: The class of an algorithm, a frozen dataclass of hyper-parameters; or "module:name" of one.
        summary: One line.
        suits: The trait of problems that it is for; None: any.

    Raises:
        ConfigError: if the name is taken or no name, or the target is not what it must be.
    """
    _expect_free(name, ALGORITHMS, "algorithm")
    made = load_reference(target) if isinstance(target, str) else target
    entry = _algorithm_entry(name, made, summary, suits)
    registry.enter_algorithm(name, entry, from_scratch=_starts_from_nothing(made))


def installed(group: str) -> "dict[str, EntryPoint]":
    """What installed packages bring in a group of entry points, by name; nothing of it is imported."""
    import importlib.metadata  # takes a tenth of the time in which a configuration error is answered

    return {point.name: point for point in importlib.metadata.entry_points(group=group)}


def _expect_free(name: str, known: Mapping[str, Entry], what: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 50:
        raise ConfigError(
            f"{what}: expected a name of small letters, digits and hyphens, as my-{what}; found {short_repr(name)}"
        )
    if name in known:
        raise ConfigError(f"{what} '{name}': that name is taken ({known[name].summary}). Choose another")


def _found(name: str, known: Mapping[str, Entry], group: str, what: str) -> Any:
    """What a name of somebody else's stands for."""
    if is_reference(name):
        return load_reference(name)
    points = installed(group)
    if name not in points:
        raise _unknown(name, {**known, **points}, what)
    try:
        return points[name].load()
    except (Exception, SystemExit) as error:
        package = points[name].dist
        whose = f"of the installed package {package.name}" if package else "of an installed package"
        raise ConfigError(
            f"{name}: the entry point {points[name].value} {whose} cannot be loaded: {described(error)}"
        ) from error


def _unknown(name: str, known: Mapping[str, Any], what: str) -> ConfigError:
    return ConfigError(
        f"{what}: expected one of {', '.join(known)}, or {FORM}; found {short_repr(name)}{suggestion(name, known)}"
    )


def _is_problem(target: Any) -> bool:
    from adaptax.core.problem import Problem

    return isinstance(target, Problem)


def _problem_entry(
    name: str,
    target: Any,
    settings: type | None = None,
    summary: str = "",
    baselines: tuple[str, ...] = ("random",),
    traits: tuple[str, ...] = (),
) -> Entry:
    make = problem_maker(name, target)
    if _is_problem(target):
        kind: type[Settings] = problem_settings(name, make, make)
    else:
        kind = problem_settings(name, target, make, settings)
    return Entry(make, summary or _first_line(target), kind, baselines, traits)


def _algorithm_entry(name: str, target: Any, summary: str = "", suits: str | None = None) -> Entry:
    from adaptax.core.algorithm import Algorithm

    if not (isinstance(target, type) and issubclass(target, Algorithm)):
        raise ConfigError(
            f"{name}: expected a class that derives from adaptax.Algorithm; found {kind_in_words(target)}"
        )
    missing = sorted(getattr(target, "__abstractmethods__", ()))
    if missing:
        raise ConfigError(f"{name}: expected an algorithm with all its functions; found none of {', '.join(missing)}")

    def make(**arguments: Any) -> Any:
        return called(name, target, arguments)

    return Entry(make, summary or _first_line(target), algorithm_settings(name, target), suits=suits)


def _starts_from_nothing(target: Any) -> bool:
    """Whether there is nothing to meta-train: an algorithm without updates."""
    return not getattr(target, "num_updates", 0)


def _first_line(target: Any) -> str:
    lines = (getattr(target, "__doc__", None) or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else "a user's own"
