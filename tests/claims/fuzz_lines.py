"""Command lines of any words, right and wrong: whatever is typed ends with a code of the table and at most one error.

Half of a line is right by the settings' own rules, so that many get past the parser; then words change places, are
repeated, cut, or replaced by what no one would type.
"""

import dataclasses
import random
from collections.abc import Callable

from adaptax.core.settings import kind_of
from adaptax.experiment.tables import tables
from adaptax.registry.registry import CLASSICAL, FROM_SCRATCH, LEARNERS, PROBLEMS
from tests.claims.fuzzing import NO_INTEGERS, NO_NUMBERS, OPTIONS, good_value, misspelt, option, parts_of

RUN, NO_RUN = "run", "folder"
"""Directories that are there: a run, and one that is none."""
ODD = (
    "", " ", "-", "--", "---", "--=", "=", "--json=", "--no-", "--no-json", "-h", "--help", "--version", "\t", "\n",
    "a\nb", "\x1b[2J", "\x07", "ü", "数", "\u202e", "\udc80", "\ud800x", "🙂" * 9, "x" * 300, "x" * 70_000,
    "%s", "{}", "{0!r}", "*", "~", "$HOME", "`id`", "';--", "nowhere:thing", "json:loads", "math:pi", "json:", ":json",
    ":", "a:b:c", "bandit:", "None", "null", "true", "NaN", "0", "-1", "1e999", "run/", "./run", "folder/below",
    "--" + "y" * 9_000, "config.json", "random", "run@best", "bandit,bandit", ",", "10x5", "all", "[1]", "--seed=",
    "--out", "--resume", "--from",
)  # fmt: skip
"""Nothing absolute and nothing above: what is typed after --out is made."""
COMMANDS = ("train", "plan", "evaluate", "compare", "inspect", "report", "check-env", "reproduce", "list")


def lines(seed: int) -> Callable[[int], list[str]]:
    """The command line of a number, as a function of the seed and that number alone."""
    return lambda number: _line(random.Random(f"{seed} {number}"))


def _line(rng: random.Random) -> list[str]:
    words = _right(rng)
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 4))):
        words = _spoilt(rng, words)
    return words[:60]


def _right(rng: random.Random) -> list[str]:
    """A command with names and options that it has, with values that mostly can be."""
    command = rng.choice(COMMANDS)
    names, known = _names(rng, command)
    options = []
    for field in rng.sample(known, min(len(known), rng.choice((0, 1, 1, 2, 3, 6)))):
        options += _typed(rng, field)
    parts = [names, options]
    if rng.random() < 0.2:
        parts.reverse()
    return [command, *parts[0], *parts[1]]


def _names(rng: random.Random, command: str) -> tuple[list[str], list[dataclasses.Field]]:
    run = rng.choice((RUN, RUN, RUN, NO_RUN, "nothing"))
    if command in ("train", "plan"):
        if command == "train" and rng.random() < 0.2:
            return ["--resume", run], []
        algorithm, problem = rng.choice([*LEARNERS]), rng.choice([*PROBLEMS])
        settings = [part for part in parts_of(("train", algorithm, problem))]
        return [algorithm, problem], [field for part in settings for field in dataclasses.fields(part)]
    if command in ("evaluate", "inspect", "report"):
        return [run], _fields((command, "run"))
    if command == "compare":
        agents = rng.choices([RUN, *CLASSICAL, *FROM_SCRATCH], k=rng.randint(0, 3))
        return agents, _fields(("compare", "run", "ppo"))
    if command == "reproduce":
        return [rng.choice([*tables(), "maml-bandit"])], _fields(("reproduce", "duan2016-bandits"))
    return ([rng.choice([*PROBLEMS])] if command == "check-env" else []), []


def _fields(words: tuple[str, ...]) -> list[dataclasses.Field]:
    assert words in OPTIONS
    return [field for part in parts_of(words) for field in dataclasses.fields(part)]


def _typed(rng: random.Random, field: dataclasses.Field) -> list[str]:
    if field.type is bool:
        return [rng.choice(("--", "--no-")) + option(field.name)[2:]]
    if rng.random() < 0.85 and (value := good_value(field, field.default)) is not None:
        pass
    elif kind_of(field) in (int, float):
        value = rng.choice((*NO_NUMBERS, *NO_INTEGERS, "0", "1", "2", "3", "7", "1000000", "1e-9", "0.5", "-3"))
    else:
        value = rng.choice((*ODD, RUN, *CLASSICAL, *PROBLEMS))
    return [f"{option(field.name)}={value}"] if rng.random() < 0.4 else [option(field.name), value]


def _spoilt(rng: random.Random, words: list[str]) -> list[str]:
    """The same with something done to it."""
    words, at = [*words], rng.randrange(len(words) + 1)
    match rng.randrange(7):
        case 0:
            words.insert(at, rng.choice(ODD))
        case 1 if words:
            words[at % len(words)] = rng.choice(ODD)
        case 2 if words:
            del words[at % len(words)]
        case 3 if words:
            words.insert(at, rng.choice(words))
        case 4:
            rng.shuffle(words)
        case 5 if words and len(words[at % len(words)]) > 1:
            words[at % len(words)] = misspelt(words[at % len(words)], rng)
        case _:
            words.insert(at, rng.choice((*LEARNERS, *PROBLEMS, *CLASSICAL, *COMMANDS)))
    return words
