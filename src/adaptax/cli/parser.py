"""From the words of a command line to settings; what is wrong is one line: which option, what it expects, what it got.

Words mean what they mean to tyro, which writes `--help`: `--num-tasks 5`, `--num-tasks=5` and `--num_tasks 5`; `--json`
and `--no-json`; `--against A B`. But an option that is given twice is refused, as only one of the two can be meant.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import Settings, expectation, kind_of, suggestion


@dataclasses.dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: As it is typed, after `--`.
        part: The settings that it belongs to.
        field: Its field there.
        switched: What a switch is set to; None: it takes a value.
    """

    name: str
    part: str
    field: dataclasses.Field[Any]
    switched: bool | None = None


def read(
    parts: dict[str, Settings], arguments: Sequence[str], *, program: str, also: Sequence[str] = ()
) -> dict[str, Any]:
    """Read options into several settings objects at once.

    Args:
        parts: Defaults of each object, by a name of your choice. Their fields share one name space.
        arguments: What was typed after the command.
        program: What was typed before.
        also: Options of the program that are read elsewhere, to be suggested.

    Raises:
        ConfigError: naming the option, what was expected and what was found.
    """
    options = _options_of(parts)
    changes: dict[str, dict[str, Any]] = {name: {} for name in parts}
    words = list(arguments)
    while words:
        typed, given, rest = words.pop(0).partition("=")
        option = options.get(typed.replace("_", "-")) if typed.startswith("--") else None
        if option is None:
            hint = suggestion(typed, [*options, *also])
            raise ConfigError(f"{short_repr(typed)[1:-1]}: no such option{hint} ({program} --help lists them)")
        values = [rest] if given else _taken(option, words)
        found = _value(option, values, given)
        mine, name = changes[option.part], option.field.name
        if name in mine:
            raise ConfigError(f"--{option.name}: expected once; found {short_repr(mine[name])} and {short_repr(found)}")
        mine[name] = found
        if words and not _is_option(words[0]):
            raise ConfigError(f"--{option.name}: {_surplus(option, values)}; found {short_repr(words[0])}")
    return {name: dataclasses.replace(default, **changes[name]) for name, default in parts.items()}


def _options_of(parts: dict[str, Settings]) -> dict[str, Option]:
    """By what is typed."""
    options: dict[str, Option] = {}
    for part, default in parts.items():
        for field in dataclasses.fields(default):
            name = field.name.replace("_", "-")
            switch = field.type is bool
            options[f"--{name}"] = Option(name, part, field, True if switch else None)
            if switch:
                options[f"--no-{name}"] = Option(name, part, field, False)
    return options


def _is_option(word: str) -> bool:
    return word.startswith("--")


def _taken(option: Option, words: list[str]) -> list[str]:
    """Take the values of an option from the words after it."""
    count = 0
    if option.switched is None:
        most = len(words) if get_origin(kind_of(option.field)) is tuple else 1
        while count < min(most, len(words)) and not _is_option(words[count]):
            count += 1
    taken = words[:count]
    del words[:count]
    return taken


def _surplus(option: Option, values: list[str]) -> str:
    """What is expected of an option that is followed by a word too many."""
    if option.switched is None:
        return f"expected {'one value' if values else 'a value'}"
    return f"expected no value (--{option.name} is yes, --no-{option.name} is no)"


def _value(option: Option, values: list[str], given: str) -> Any:
    """The value of an option from its words.

    Raises:
        ConfigError: naming the option, what was expected and what was found.
    """
    if option.switched is not None:
        if given:
            raise ConfigError(f"--{option.name}: {_surplus(option, values)}; found {short_repr(values[0])}")
        return option.switched
    kind = kind_of(option.field)
    if get_origin(kind) is tuple:
        return tuple(values)
    if not values:
        raise ConfigError(f"--{option.name}: expected {_wanted(option.field)}; found nothing")
    (word,) = values
    spelled = {**option.field.metadata.get("spelled", {}), **({} if kind is option.field.type else {"None": None})}
    if word in spelled:
        return spelled[word]
    try:
        if kind in (int, float):
            return kind(word)
        if kind is Path and word:
            return Path(word)
    except ValueError:  # also of more digits than Python takes for an integer
        pass
    if kind is str or (get_origin(kind) is Literal and word in get_args(kind)):
        return word
    hint = suggestion(word, get_args(kind)) if get_origin(kind) is Literal else ""
    raise ConfigError(f"--{option.name}: expected {_wanted(option.field)}; found {short_repr(word)}{hint}")


def _wanted(field: dataclasses.Field[Any]) -> str:
    """What a value must be, in words."""
    kind = kind_of(field)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    return expectation(field) if kind in (int, float) else "a directory" if kind is Path else "a name"
