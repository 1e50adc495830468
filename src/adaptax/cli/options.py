"""What is typed after a command: names and options, in any order, to settings; what is wrong is one line.

The words are read by argparse, more strictly than it does by itself: an option that is given twice is refused, as only
one of the two can be meant, and so are abbreviations. A value may begin with one dash, and `--num_tasks` is fine too.
"""

import argparse
import dataclasses
import functools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adaptax.cli.parser import Option, fill, help_of, spellings, summary, typeable, values_of, width
from adaptax.core.errors import ConfigError, short_repr
from adaptax.core.settings import suggestion
from adaptax.experiment import jax_setup
from adaptax.registry.resolve import needs_import

Options = dict[str, Option]
"""By what is typed."""


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether help was asked for."""
    return any(word in ("-h", "--help") for word in arguments)


def parse(
    parts: Mapping[str, Any],
    arguments: Sequence[str],
    *,
    program: str,
    description: str,
    names: Mapping[str, str] | None = None,
    also: Sequence[str] = (),
    chosen: Sequence[str] = (),
) -> dict[str, Any]:
    """Parse names and options into several settings objects at once.

    Args:
        parts: Defaults of each object, by a name of your choice. Their fields share one name space.
        arguments: What was typed after the command.
        program: What was typed before.
        description: What `--help` says first.
        names: The names that are expected, each with what it is, in words. One that ends with `...` takes all others;
            one in square brackets may be missing.
        also: Options of the program that are read elsewhere, to be suggested.
        chosen: The names that the options depend on, for the line that lists them.

    Returns:
        The parts, changed; and under "names" what was typed for these, if any are expected.

    Raises:
        SystemExit: with 0 after `--help`.
        ConfigError: if a name is missing, or if an option or a value is not what it must be.
    """
    expected = names or {}
    parser = _parser(usage=" ".join((program, *expected, "[options]")), description=fill(description))
    options = {
        name: option for part, default in parts.items() for name, option in _added(parser, part, default).items()
    }
    if wants_help(arguments):
        print(parser.format_help(), end="")
        raise SystemExit(0)
    words, command = [_dashed(word) for word in arguments], program.removeprefix("adaptax ")
    given, found = _read(parser, words, options)
    for word in found:
        if word.startswith("-"):
            raise _unknown(word, [*options, *also], " ".join((program, *map(shlex.quote, chosen))))
    if len(found) < sum(not name.startswith("[") for name in expected):
        what = list(expected.values())[len(found)]
        raise ConfigError(f"{command}: expected {what}; found {short_repr(' '.join(found)) if found else 'nothing'}")
    if len(found) > len(expected) and not any(name.rstrip("]").endswith("...") for name in expected):
        raise _surplus(
            found[len(expected)], words, options, f"{command}: expected only {' '.join(expected) or 'options'}"
        )
    changes: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for name, value in given.items():
        changes[name.rpartition(".")[0]][name.rpartition(".")[2]] = value
    changed = {part: dataclasses.replace(default, **changes[part]) for part, default in parts.items()}
    return changed if names is None else {"names": found, **changed}


def scan(
    kinds: Iterable[Any], arguments: Sequence[str], count: int, *, program: str
) -> tuple[list[str], dict[str, str | None]]:
    """Find the names among options that depend on them, so that only `parse` can say whether they are right.

    Args:
        kinds: Settings that may be meant: they say which options take a value. One that is unknown is taken to do so.
        arguments: What was typed after the command.
        count: How many names are needed.
        program: What was typed before.

    Returns:
        The names (fewer than `count`, if no more were typed), and what was typed for each option, by its field.

    Raises:
        ConfigError: if names are missing and an unknown option may be to blame.
    """
    parser = _parser()
    switches: dict[str, bool] = {}
    fields = {field.name: field for kind in kinds for field in typeable(kind)}
    for name, field in fields.items():
        switch = values_of(field) == 0
        shape: dict[str, Any] = {"action": "store_true"} if switch else {"nargs": "*" if values_of(field) else "?"}
        parser.add_argument(*spellings(field), dest=name, default=argparse.SUPPRESS, **shape)
        switches |= dict.fromkeys(spellings(field), switch)
    typed = [
        _dashed(word) for word in arguments if not wants_help([word]) and word != "--" and not word.endswith("=--")
    ]
    # What a switch is given is for `parse` to refuse.
    given, found = parser.parse_known_args(
        [w.partition("=")[0] if switches.get(w.partition("=")[0]) else w for w in typed]
    )
    names, unknown, words = [], [], iter(found)
    for word in words:
        if not word.startswith("-"):
            names.append(word)
            continue
        unknown.append(word)
        if word.startswith("--") and "=" not in word:
            next(words, None)
    if len(names) < count and unknown and not wants_help(arguments):
        raise _unknown(unknown[0], switches, program)
    return names, vars(given)


def _parser(usage: str | None = None, description: str | None = None) -> argparse.ArgumentParser:
    """A parser that knows options only: what it leaves over are names, or unknown."""
    lines = functools.partial(argparse.RawDescriptionHelpFormatter, width=width(), max_help_position=30)
    parser = argparse.ArgumentParser(
        usage=usage,
        description=description,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
        formatter_class=lines,
    )
    # To argparse, a word that begins with a dash is a value only if it looks like a number; here all but `--…` are.
    parser._negative_number_matcher = re.compile("-(?!-)")
    return parser


def _read(parser: argparse.ArgumentParser, words: list[str], options: Options) -> tuple[dict[str, Any], list[str]]:
    """What is given, by destination; and what is neither an option nor its value.

    Raises:
        ConfigError: if an option has no value, or a switch has one.
    """
    for word in words:
        name, _, value = word.partition("=")
        if value == "--" and name in options:  # argparse would lose it
            raise options[name].refused(short_repr(value))
    try:
        given, rest = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        option = options[str(error.argument_name).partition("/")[0]]
        joined = [
            word.partition("=")[2] for word in words if "=" in word and word.partition("=")[0] in option.option_strings
        ]
        raise option.refused(short_repr(joined[0]) if joined and option.nargs == 0 else "nothing") from None
    return vars(given), rest


def _added(parser: argparse.ArgumentParser, part: str, default: Any) -> Options:
    """Add the options of a part.

    Raises:
        ConfigError: if another part has one of the same name.
    """
    group = parser.add_argument_group(part, fill(summary(default)))
    texts, options = help_of(default), Options()
    for field in typeable(default):
        names = spellings(field)
        details = {"field": field, "value": getattr(default, field.name), "text": texts.get(field.name, "")}
        try:
            option = group.add_argument(*names, dest=f"{part}.{field.name}", action=Option, **details)
        except argparse.ArgumentError:
            if field.metadata.get("yields"):
                continue
            raise ConfigError(
                f"{type(default).__name__}.{field.name}: expected a name that no other option has; found {names[0]} "
                "twice. Rename the field"
            ) from None
        assert isinstance(option, Option)
        options |= dict.fromkeys(names, option)
    return options


def _dashed(word: str) -> str:
    """An option with dashes for underscores."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _unknown(word: str, known: Iterable[str], program: str) -> ConfigError:
    from adaptax.cli.owners import owners  # to ask all commands takes a moment, and only a mistake is worth it

    name = word.partition("=")[0]
    if elsewhere := owners(name, program):
        parts = set(name.split("-"))
        known = [option for option in known if parts <= set(option.split("-"))]  # the same, with another word
        elsewhere = f" here; {elsewhere}"
    return ConfigError(
        f"{short_repr(name)[1:-1]}: no such option{elsewhere}{suggestion(name, known)} ({program} --help lists them)"
    )


def _surplus(word: str, words: Sequence[str], options: Options, otherwise: str) -> ConfigError:
    """One name too many: likely a second value, if it follows an option."""
    place = len(words) - 1 - words[::-1].index(word)
    for start in (place - 1, place - 2):
        name, joined, _ = words[start].partition("=") if start >= 0 else ("", "", "")
        if name not in options:
            continue
        option = options[name]
        if start == place - 1 and option.nargs == 0:
            return option.refused(short_repr(word))
        if option.nargs != 0 and bool(joined) == (start == place - 1):
            return ConfigError(f"{name}: expected one value; found {short_repr(word)}")
    return ConfigError(f"{otherwise}; found {short_repr(word)} too")


def start_for(*chosen: str | None) -> None:
    """Start JAX if one of these names stands for code of the user's own, which may import it; else wait.

    Raises:
        ConfigError: if one is MODULE:NAME, and there is no such module.
    """
    if any([needs_import(name) for name in chosen if name is not None]):
        jax_setup.start_jax()
