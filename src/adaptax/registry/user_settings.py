"""Settings made of what a user's own code says: a factory's arguments, or the fields of a dataclass.

They are checked, shown as options and written into recipes like ours. What the settings of our problems say of them
(how long an episode is, whether actions are continuous), those of a user's problem ask of the problem itself.
"""

import dataclasses
import functools
import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, get_args, get_origin

from adaptax.core.errors import ConfigError, kind_in_words
from adaptax.core.settings import Settings
from adaptax.registry.user_code import called, expect_defaults, parameters_of

_SECTION = re.compile(r"^(Args|Arguments|Attributes):\s*$")
_ITEM = re.compile(r"^    (\w+)(?: \([^)]*\))?:\s*(.*)$")


class ProblemFacts(Settings):
    """What settings say of a problem; here, the problem that they make says it."""

    _make: ClassVar[Callable[..., Any]]
    """Makes the problem of the settings' fields, as keyword arguments."""

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return _built(self).env.horizon

    @property
    def episodes(self) -> int:
        """Episodes of a trial."""
        return _built(self).episodes

    @property
    def continuous_actions(self) -> bool:  # type: ignore[override]
        """Whether actions are continuous."""
        from adaptax.core.spaces import Box

        return isinstance(_built(self).env.action_space, Box)

    @property
    def discrete_states(self) -> bool:  # type: ignore[override]
        """Whether states can be counted, as far as observations tell; who observes nothing has one."""
        from adaptax.core.spaces import Discrete

        space = _built(self).env.observation_space
        return isinstance(space, Discrete) or space.encoded_size == 0

    @property
    def on_host(self) -> bool:  # type: ignore[override]
        """Whether simulators on the host make its steps."""
        return bool(_built(self).env.on_host)


@functools.lru_cache(maxsize=8)
def _built(settings: Any) -> Any:
    return type(settings)._make(**dataclasses.asdict(settings))


def problem_settings(
    name: str, factory: Callable[..., Any], make: Callable[..., Any], settings: type | None = None
) -> type[Settings]:
    """Settings of a user's problem.

    Args:
        name: What messages call the problem.
        factory: A function with keyword arguments. Those that are not numbers, words or truth values stay at their
            defaults.
        make: Makes and checks the problem.
        settings: A frozen dataclass of the arguments; by default the factory's attribute `settings`, if it has one.

    Raises:
        ConfigError: if an argument has no default, or `settings` is not what it must be.
    """
    given = settings or getattr(factory, "settings", None)
    if given is not None:
        fields = _fields_of(f"{name}.settings", given)
        bases: tuple[type[Settings], ...] = (given, ProblemFacts) if issubclass(given, Settings) else (ProblemFacts,)
        source: Any = given
    else:
        expect_defaults(name, factory)
        fields = [
            (parameter.name, kind, dataclasses.field(default=parameter.default))
            for parameter in parameters_of(factory).values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY)
            and (kind := _kind(parameter.annotation, parameter.default)) is not None
        ]
        bases, source = (ProblemFacts,), factory
    return _made(name, source, fields, bases, {"_make": staticmethod(make)})


def algorithm_settings(name: str, algorithm: Any) -> type[Settings]:
    """Settings of a user's algorithm, which is a frozen dataclass of its hyper-parameters.

    Raises:
        ConfigError: if it is none, or a hyper-parameter has no default.
    """
    fields = _fields_of(name, algorithm)
    ours = next((base for base in algorithm.__mro__ if _is_plain_settings(base)), None)
    namespace: dict[str, Any] = {}
    if getattr(algorithm, "check_problem", None) not in (None, (ours or Settings).check_problem):

        def check_problem(self: Any, problem: Settings) -> None:
            called(name, algorithm, dataclasses.asdict(self)).check_problem(problem)

        namespace["check_problem"] = check_problem
    return _made(name, algorithm, fields, (Settings,) if ours is None else (ours,), namespace)


def _is_plain_settings(kind: type) -> bool:
    """Whether a base of an algorithm is its settings, and no algorithm itself (those have abstract methods, or had)."""
    from adaptax.core.algorithm import Algorithm

    return issubclass(kind, Settings) and kind is not Settings and not issubclass(kind, Algorithm)


def _made(
    name: str, source: Any, fields: list[Any], bases: tuple[type[Settings], ...], namespace: dict[str, Any]
) -> type[Settings]:
    """A class of settings with these fields, which refuses what `source` refuses and is documented as it is."""

    def check(self: Any) -> None:
        bases[0].__post_init__(self)
        if isinstance(source, type):
            called(name, source, dataclasses.asdict(self))

    documented = "".join(f"\n    {field}: {text}" for field, text in _documentation(source).items())
    documentation = f"{_summary(source)}\n\nAttributes:{documented}"
    namespace = {**namespace, "__post_init__": check, "__doc__": documentation, "__module__": __name__}
    title = re.sub(r"\W", "_", name.rpartition(":")[2])
    return dataclasses.make_dataclass(title, fields, bases=bases, namespace=namespace, frozen=True)


def _fields_of(name: str, kind: Any) -> list[tuple[str, Any, Any]]:
    """The fields of a frozen dataclass that can be options, with their types."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ConfigError(f"{name}: expected a frozen dataclass; found {kind_in_words(kind)}. Decorate it so")
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ConfigError(f"{name}: expected a frozen dataclass; found one that can change. Say frozen=True")
    hints = _hints(kind)
    fields = []
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        if field.default is dataclasses.MISSING:
            if field.default_factory is dataclasses.MISSING:
                raise ConfigError(f"{name}.{field.name}: expected a default, as every setting has; found none")
            continue
        option = _kind(hints.get(field.name, field.type), field.default)
        if option is not None:
            copied = dataclasses.field(default=field.default, metadata=field.metadata)
            fields.append((field.name, option, copied))
    return fields


def _hints(kind: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return {}


def _kind(annotation: Any, default: Any) -> Any:
    """The type of an option, or None if it is nothing that can be typed as one."""
    if get_origin(annotation) is Literal:
        return annotation if all(isinstance(choice, str) for choice in get_args(annotation)) else None
    if get_origin(annotation) in (typing.Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        alone = len(kinds) == 1 and kinds[0] in (int, float)
        return annotation if alone and NoneType in get_args(annotation) else None
    if annotation in (int, float, bool, str):
        return annotation
    unknown = annotation is inspect.Parameter.empty or isinstance(annotation, str)
    return type(default) if unknown and type(default) in (int, float, bool, str) else None


def _summary(source: Any) -> str:
    own = (getattr(source, "__doc__", None) or "").strip()
    made = own.startswith(f"{getattr(source, '__name__', '')}(")  # by `dataclass`, if there was none
    return own.split("\n\n")[0].replace("\n", " ") if own and not made else "A user's own."


def _documentation(source: Any) -> dict[str, str]:
    """What docstrings say of arguments or attributes, those of base classes too."""
    found: dict[str, str] = {}
    for documented in reversed(source.__mro__) if isinstance(source, type) else [source]:
        found |= dict(_items(inspect.cleandoc(documented.__doc__ or "").splitlines()))
    return found


def _items(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    inside, name, text = False, "", ""
    for line in [*lines, "."]:
        item = _ITEM.match(line) if inside else None
        if item or (line.strip() and not line.startswith(" ")):
            if name:
                yield name, text
            name, text = (item[1], item[2]) if item else ("", "")
            inside = bool(item) or bool(_SECTION.match(line))
        elif name and line.strip():
            text += " " + line.strip()


def problem_maker(name: str, target: Any) -> Callable[..., Any]:
    """A function that makes a user's problem of keyword arguments, and refuses what is none.

    Args:
        name: What messages call it.
        target: A problem, or a factory.
    """

    def make(**arguments: Any) -> Any:
        from adaptax.core.problem import Problem

        found = called(name, target, arguments) if callable(target) else target
        if not isinstance(found, Problem):
            raise ConfigError(
                f"{name}: expected a Problem, or a function that returns one (adaptax.make_problem makes one of an "
                f"environment and a family of tasks); found {kind_in_words(found)}. "
                f"`adaptax check-env {name}` says more"
            )
        return found

    return make
