"""Command lines that must be refused: drawn from the settings themselves, each with what the refusal has to name."""

import dataclasses
import functools
import importlib
import itertools
import random
import string
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, kind_of
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import CLASSICAL, FROM_SCRATCH, LEARNERS, NATIVE_PROBLEMS

NO_NUMBERS = (
    "fast", "", " ", "[1]", "1,5", "nan", "inf", "-inf", "1e999", "-1e999", "0x10", "None", "½", "数", "1 2", "--",
    "true", "1e", "9" * 100_000, "-" + "9" * 100_000, "\t", "1__0", "١.٢.٣", "$(id)", "%s", "'; --",
)  # fmt: skip
"""Neither integers nor numbers that can be in any range."""
NO_INTEGERS = ("1.5", "2.", "1e3", "1e-400", ".5")
NO_FLOATS = ("1e-40", "-1e-40", "1e40")
"""Numbers that single precision does not hold."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A command line that must be refused.

    Attributes:
        words: What is typed after `adaptax`.
        named: What the message must contain: each of these, or for a tuple one of its members.
        hint: Whether it must suggest a word.
    """

    words: tuple[str, ...]
    named: tuple[str | tuple[str, ...], ...]
    hint: bool = False


OPTIONS: dict[tuple[str, ...], str] = {
    ("train",): "adaptax.runs.options:TrainOptions",
    ("evaluate", "run"): "adaptax.experiment.options:EvaluateOptions",
    ("inspect", "run"): "adaptax.experiment.options:InspectOptions",
    ("report", "run"): "adaptax.experiment.options:ReportOptions",
    ("compare", "run", "ppo"): "adaptax.experiment.options:CompareOptions",
    ("reproduce", "duan2016-bandits"): "adaptax.experiment.options:ReproduceOptions",
}
"""What each command takes, by what is typed before it. Named only: claims try the command line from outside."""


@functools.lru_cache
def parts_of(words: tuple[str, ...]) -> tuple[Settings, ...]:
    """The settings objects that are read after these words."""
    command = words[:1] if words[0] == "train" else words
    module, name = OPTIONS[command].split(":")
    options = getattr(importlib.import_module(module), name)()
    return (*settings_for(words[1], words[2]), options) if words[0] == "train" else (options,)


def option(name: str) -> str:
    """A field as it is typed."""
    return f"--{name.replace('_', '-')}"


def either(name: str) -> tuple[str, str]:
    """A field as it is typed, or as it is written in Python."""
    return option(name), f".{name}"


def fields_of(rng: random.Random) -> Iterator[tuple[tuple[str, ...], Settings, dataclasses.Field[Any]]]:
    """Every field of every algorithm on every problem and of every command, shuffled, for ever."""
    fields: list[tuple[tuple[str, ...], Settings, dataclasses.Field[Any]]] = []
    for algorithm, problem in itertools.product(LEARNERS, NATIVE_PROBLEMS):
        line = ("train", algorithm, problem)
        fields += [(line, part, field) for part in parts_of(line) for field in dataclasses.fields(part)]
    for words in [words for words in OPTIONS if words[0] != "train"]:
        fields += 50 * [(words, part, field) for part in parts_of(words) for field in dataclasses.fields(part)]
    while True:
        rng.shuffle(fields)
        yield from fields


def outside(field: dataclasses.Field[Any], rng: random.Random) -> str:
    """A number that is none, or is out of the field's range."""
    rule, whole = field.metadata, kind_of(field) is int
    words = [*NO_NUMBERS, *(NO_INTEGERS if whole else NO_FLOATS)]
    words.remove("None") if kind_of(field) is not field.type else None
    low, high, above = rule.get("low"), rule.get("high"), rule.get("above")
    beyond = []
    if low is not None:
        beyond += [str(low - 1), str(low - 10**9), "-1e9" if not whole else str(-(10**30))]
    if above is not None:
        beyond += ["0", "-0", "-0.0", "-1e-3"]
    if high is not None:
        beyond += [str(high + 1), str(1000 * high + 1), "1e29" if not whole else str(10**30), "9" * 4000]
    return rng.choice(rng.choice([words, beyond or words]))


def misspelt(word: str, rng: random.Random) -> str:
    """A word with one or two letters replaced, left out, put in or exchanged; the first one stays."""
    letters = list(word)
    for _ in range(rng.randint(1, 1 + (len(word) > 8))):
        place = rng.randrange(1, len(letters))
        match rng.randrange(4):
            case 0:
                letters[place] = rng.choice(string.ascii_lowercase)
            case 1 if len(letters) > 3:
                del letters[place]
            case 2:
                letters.insert(place, rng.choice(string.ascii_lowercase))
            case _:
                letters[place : place + 2] = reversed(letters[place : place + 2])
    return "".join(letters)


def good_value(field: dataclasses.Field[Any], value: Any) -> str | None:
    """Another value that is in the field's range; None if none is known."""
    if get_origin(field.type) is Literal:
        return next(choice for choice in get_args(field.type) if choice != value)
    if field.type not in (int, float) or value is None:
        return None
    for other in (value + 1, value * 0.5, value - 1) if field.type is float else (value + 1, value - 1):
        rule = field.metadata
        if rule["low"] is not None and other < rule["low"]:
            continue
        if (rule["high"] is None or other <= rule["high"]) and (rule["above"] is None or other > rule["above"]):
            return str(other)
    return None


def bad_value(rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]) -> Case | None:
    """A value of a wrong type or out of range."""
    name, kind = option(field.name), kind_of(field)
    if field.type is bool:
        value = rng.choice(("1", "yes", "True", "no", "0"))
        typed = rng.choice(([f"{name}={value}"], [name, value]))
        if words[0] == "compare" and len(typed) > 1:  # one more agent, and there is none of that name
            return Case(("compare", "ppo", "--problem", "bandit", *typed), (f"found '{value}'",))
        return Case((*words, *typed), (name,))
    if get_origin(kind) is Literal:
        choice = rng.choice(get_args(kind))
        value = rng.choice(("", choice.upper(), f"{choice}!", f"{choice} ", "1", "[]", choice[:-1] + "ü"))
    elif kind in (int, float):
        value = outside(field, rng)
    else:
        return None
    joined = value.startswith("--") or rng.random() < 0.5
    typed = [f"{name}={value}"] if joined else [name, value]
    if rng.random() < 0.5:  # options may stand before names
        return Case((words[0], *typed, *words[1:]), (either(field.name),))
    return Case((*words, *typed), (either(field.name),))


def misspelt_option(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """An option that does not exist, but nearly."""
    if len(field.name) < 4:
        return None
    typed = misspelt(field.name.replace("_", "-"), rng)
    parts = parts_of(words)  # `from_` is typed --from, which `form` may be misspelt as
    everything = {known.name.rstrip("_") for known_part in parts for known in dataclasses.fields(known_part)}
    if typed.replace("-", "_").removeprefix("no_") in everything:
        return None
    return Case((*words, f"--{typed}", "1"), (f"--{typed}",), hint=True)


def unknown_option(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """An option that is near to none."""
    name = rng.choice(("--", "-", "-n", "---", "--q" + "zxj" * rng.randint(1, 5), "--" + "z" * 50_000, "--Ω"))
    return Case((*words, *rng.choice(([name], [name, "1"], [f"{name}=1"]))), (name[:40],))


def missing_value(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """An option that takes a value, without one."""
    if field.type is bool or get_origin(kind_of(field)) is tuple:
        return None
    name = option(field.name)
    return Case((*words, name, *rng.choice(((), ("--json",), (f"{name}=1",)))), (name,))


def repeated_option(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """An option that is given twice, with two values or the same."""
    name, value = option(field.name), good_value(field, field.default)
    if field.type is bool:
        return Case((*words, name, *rng.choice(((name,), (f"--no-{name[2:]}",)))), (field.name.replace("_", "-"),))
    if value is None:
        return None
    again = field.name if rng.random() < 0.5 else name[2:]
    return Case((*words, name, value, f"--{again}={value}"), (either(field.name),))


def surplus_word(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """A word after an option's value."""
    value = good_value(field, field.default)
    if value is None:
        return None
    typed = (option(field.name), value, "more")
    if (
        words[0] == "compare"
    ):  # takes any number of agents, wherever they stand: one more, and there is none of that name
        return Case(("compare", "ppo", "--problem", "bandit", *typed), ("found 'more'",))
    return Case((*words, *typed), (option(field.name), "more"))


def without_effect(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """An option that does nothing beside another."""
    only, value = field.metadata.get("only"), good_value(field, field.default)
    if not only or value is None or words[0] != "train":
        return None
    (other, values) = next(iter(only.items()))
    partner = next((known for known in dataclasses.fields(part) if known.name == other), None)
    if partner is None:
        return None
    elsewhere = [choice for choice in get_args(partner.type) if choice not in values]
    given = [option(other), rng.choice(elsewhere)] if elsewhere else [f"--no-{other.replace('_', '-')}"]
    if not elsewhere and False in values:
        given = [option(other)]
    chosen = given[1] if len(given) > 1 else not given[0].startswith("--no-")
    try:
        dataclasses.replace(part, **{other: chosen})
    except ConfigError:  # the preset's own values do not go with it
        return Case((*words, *given, option(field.name), value), (other,))
    return Case((*words, *given, option(field.name), value), (either(field.name), other))


def indivisible(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """Numbers of which one must divide the other, and does not."""
    if words[0] != "train":
        return None
    known = {name.name for settings in settings_for(words[1], words[2]) for name in dataclasses.fields(settings)}
    if {"num_tasks", "num_minibatches"} <= known:
        tasks = rng.choice((7, 11, 13, 97, 9973))
        outer = ["--outer", "ppo"] if "outer" in known else []
        typed = [*outer, "--num-tasks", str(tasks), "--num-minibatches", str(rng.choice((2, 3, 5, 2 * tasks)))]
        return Case((*words, *typed), ("num_tasks", "num_minibatches"))
    episodes = next((name for name in ("num_pulls", "num_episodes") if name in known), None)
    if episodes is None or "streams" not in known:
        return None
    typed = [option(episodes), str(rng.choice((7, 11, 13))), "--streams", str(rng.choice((2, 3, 5)))]
    return Case((*words, *typed), (episodes, "streams"))


def misspelt_name(
    rng: random.Random, words: tuple[str, ...], part: Settings, field: dataclasses.Field[Any]
) -> Case | None:
    """A command, an algorithm, a problem or another name that does not exist, but nearly."""
    agents = [*CLASSICAL, *FROM_SCRATCH]
    algorithm, problem, agent = rng.choice([*LEARNERS]), rng.choice([*NATIVE_PROBLEMS]), rng.choice(agents)
    kinds: list[tuple[str, Callable[[str], tuple[str, ...]], set[str]]] = [
        (rng.choice(["train", "evaluate", "compare", "inspect", "reproduce"]), lambda w: (w,), set()),
        (algorithm, lambda w: ("train", w, problem), {*LEARNERS}),
        (problem, lambda w: ("train", algorithm, w), {*NATIVE_PROBLEMS}),
        ("default", lambda w: ("train", algorithm, problem, "--preset", w), set()),
        ("duan2016-bandits", lambda w: ("reproduce", w), {"duan2016-bandits", "duan2016-mdps"}),
        (agent, lambda w: ("evaluate", "run", "--against", w), {*agents}),
        (problem, lambda w: ("compare", agent, "--problem", w), {*NATIVE_PROBLEMS}),
    ]
    name, line, existing = rng.choice(kinds)
    typed = misspelt(name, rng)
    if len(name) < 4 or typed == name or typed in existing:
        return None
    return Case(line(typed), (typed,), hint=True)


WAYS = (
    bad_value, bad_value, bad_value, bad_value, misspelt_option, misspelt_option, unknown_option, missing_value,
    repeated_option, surplus_word, without_effect, indivisible, misspelt_name, misspelt_name,
)  # fmt: skip
"""Ways to be wrong, the commoner ones more often."""


def cases(seed: int, n: int) -> list[Case]:
    """Draw n command lines.

    Args:
        seed: Decides them.
        n: How many.
    """
    rng = random.Random(seed)
    fields = fields_of(rng)
    drawn: list[Case] = []
    for way in itertools.cycle(WAYS):
        case = None
        while case is None:
            case = way(rng, *next(fields))
        drawn.append(case)
        if len(drawn) == n:
            return drawn
    raise AssertionError("a cycle does not end")
