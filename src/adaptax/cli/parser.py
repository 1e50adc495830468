"""Fields of settings as options of argparse: how a value is typed, what it must be, and what `--help` says of it."""

import argparse
import dataclasses
import inspect
import itertools
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import expectation, in_short, kind_of, suggestion

WIDEST = 110
"""Letters of a line of help, at most: longer ones are hard to read, however wide the terminal is."""
NARROWEST = 40
"""Letters of a line of help, at least: `COLUMNS=1` would make a word of each, and wrapping takes long then."""
_PLACEHOLDERS: dict[Any, str] = {int: "N", float: "X", Path: "DIR", str: "NAME"}


class Option(argparse.Action):
    """An option that sets a field, once."""

    def __init__(self, option_strings: Sequence[str], dest: str, field: dataclasses.Field[Any], value: Any, text: str):
        """Describe it by the field, its value here if it is not given, and what the settings' docstring says of it."""
        self.field, self.kind = field, kind_of(field)
        super().__init__(
            option_strings,
            dest,
            nargs=values_of(field),
            default=argparse.SUPPRESS,
            metavar=_placeholder(self.kind),
            help=f"{text} {_facts(field, value)}".strip().replace("%", "%%"),
        )

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Take the value of the option from its words."""
        value = self._value(values) if self.nargs != 0 else option == self.option_strings[0]
        if hasattr(namespace, self.dest):
            found = " and ".join(map(short_repr, (getattr(namespace, self.dest), value)))
            raise ConfigError(f"{self.option_strings[0]}: expected once; found {found}")
        setattr(namespace, self.dest, value)

    def _value(self, words: str | list[str]) -> Any:
        if isinstance(words, list):
            kinds = get_args(self.kind)
            return tuple(map(self._converted, itertools.cycle(kinds[:1]) if ... in kinds else kinds, words))
        spelled = {**self.field.metadata.get("spelled", {}), **({} if self.kind is self.field.type else {"None": None})}
        return spelled[words] if words in spelled else self._converted(self.kind, words)

    def _converted(self, kind: Any, word: str) -> Any:
        choices = {str(choice): choice for choice in get_args(kind)}
        try:
            if choices or (kind is Path and not word):
                return choices[word]
            return kind(word)
        except (KeyError, ValueError):  # ValueError also of more digits than Python takes for an integer
            raise self.refused(short_repr(word) + suggestion(word, choices)) from None

    def refused(self, found: str) -> ConfigError:
        """What to say instead of a value."""
        return ConfigError(f"{self.option_strings[0]}: expected {self.wanted()}; found {found}")

    def wanted(self) -> str:
        """What is expected after the option, in words."""
        if self.nargs == 0:
            return f"no value ({self.option_strings[0]} is yes, {self.option_strings[1]} is no)"
        if get_origin(self.kind) is Literal:
            return f"one of {', '.join(map(str, in_short(get_args(self.kind))))}"
        if self.nargs is not None:
            choices = get_args(get_args(self.kind)[0])
            some = f"some of {', '.join(map(str, choices))}" if choices else "values"
            return some if self.nargs == "*" else f"{self.nargs} values"
        return (
            expectation(self.field) if self.kind in (int, float) else "a directory" if self.kind is Path else "a name"
        )


def values_of(field: dataclasses.Field[Any]) -> int | str | None:
    """How many values follow the option: argparse's `nargs`."""
    kinds = get_args(kind_of(field))
    if field.type is bool:
        return 0
    return None if get_origin(kind_of(field)) is not tuple else "*" if ... in kinds else len(kinds)


def spellings(field: dataclasses.Field[Any]) -> list[str]:
    """How a field is typed; the second one is no."""
    name = field.name.rstrip("_").replace("_", "-")  # `from_`, as Python keeps `from` for itself
    return [f"--{name}", f"--no-{name}"] if field.type is bool else [f"--{name}"]


def typeable(settings: Any) -> list[dataclasses.Field[Any]]:
    """The fields that a command line can set."""
    return [
        field
        for field in dataclasses.fields(settings)
        if field.init and (kind_of(field) in (*_PLACEHOLDERS, bool) or get_origin(kind_of(field)) in (Literal, tuple))
    ]


def width() -> int:
    """Letters of a line of help."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))


def fill(text: str) -> str:
    """Wrap each line of a text; one that is indented hangs."""
    indents = {True: "    ", False: ""}
    return "\n".join(
        textwrap.fill(line, width(), subsequent_indent=indents[line[:1] == " "]) for line in text.splitlines()
    )


def summary(settings: Any) -> str:
    """The first paragraph of a docstring."""
    return " ".join(inspect.cleandoc(type(settings).__doc__ or "").partition("\n\n")[0].split())


def help_of(settings: Any) -> dict[str, str]:
    """What the docstrings of settings, and of what they are derived from, say of each field."""
    texts: dict[str, str] = {}
    for kind in reversed(type(settings).__mro__):
        _, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        section = re.split(r"\n(?=\S)", attributes)[0]
        texts |= {
            name: " ".join(text.split()) for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {5}.*)*)", section, re.M)
        }
    return texts


def _placeholder(kind: Any) -> str | None:
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, in_short(get_args(kind))))}}}"
    return _placeholder(get_args(kind)[0]) if get_origin(kind) is tuple else _PLACEHOLDERS.get(kind)


def _facts(field: dataclasses.Field[Any], default: Any) -> str:
    """Default, range, and what the option has an effect with, in brackets."""
    facts = [] if default is None else [f"default: {_typed(field, default)}"]
    if kind_of(field) in (int, float):
        facts.append(
            re.sub("between (.*?) and ", r"\1 to ", re.sub("^(an integer|a number) ?", "", expectation(field)))
        )
    for other, values in field.metadata.get("only", {}).items():
        name = other.replace("_", "-")
        switches = {True: f"--{name}", False: f"--no-{name}"}
        shown = values if any(isinstance(v, bool) for v in values) else in_short(values)
        facts.append("with " + " or ".join(switches[v] if isinstance(v, bool) else f"--{name} {v}" for v in shown))
    facts = [fact for fact in facts if fact]
    return f"[{'; '.join(facts)}]" if facts else ""


def _typed(field: dataclasses.Field[Any], value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    words = [word for word, known in field.metadata.get("spelled", {}).items() if known == value]
    return words[0] if words else " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
