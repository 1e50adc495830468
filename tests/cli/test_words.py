import dataclasses
import random
from pathlib import Path
from typing import Any, Literal

import pytest
import tyro

from adaptax.cli.options import CompareOptions, EvaluateOptions, ReproduceOptions
from adaptax.cli.words import read
from adaptax.errors import ConfigError
from adaptax.presets import settings_for
from adaptax.registry import LEARNERS, PROBLEMS
from adaptax.run_options import TrainOptions
from adaptax.selftests.fuzzing import good_value, option
from adaptax.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Sample(Settings):
    num_tasks: int = setting(3, low=1, high=10)
    rate: float = setting(0.5, above=0, high=1)
    kind: Literal["lstm", "gru"] = "lstm"
    informed: bool = True
    against: tuple[str, ...] | None = None
    out: Path | None = None
    problem: str | None = None
    episodes: int | None = setting(None, low=1)


def parsed(*words):
    return read({"sample": Sample()}, words, program="adaptax sample", also=["--preset"])["sample"]


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ([], {}),
        (["--num-tasks", "5"], {"num_tasks": 5}),
        (["--num_tasks=5"], {"num_tasks": 5}),
        (["--rate", "1e-3", "--kind", "gru"], {"rate": 1e-3, "kind": "gru"}),
        (["--informed"], {"informed": True}),
        (["--no-informed"], {"informed": False}),
        (["--against", "a", "-b", "--rate=1"], {"against": ("a", "-b"), "rate": 1.0}),
        (["--against"], {"against": ()}),
        (["--out", "a b/c", "--problem="], {"out": Path("a b/c"), "problem": ""}),
        (["--out=a=b"], {"out": Path("a=b")}),
        (["--episodes", "7"], {"episodes": 7}),
        (["--episodes", "None"], {"episodes": None}),
    ],
)
def test_what_is_meant_is_read(words, changes):
    assert parsed(*words) == Sample(**changes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-tasks", "fast"], "--num-tasks: expected an integer between 1 and 10; found 'fast'"),
        (["--num-tasks=1.5"], "--num-tasks: expected an integer between 1 and 10; found '1.5'"),
        (["--num-tasks"], "--num-tasks: expected an integer between 1 and 10; found nothing"),
        (["--num-tasks", "--rate", "1"], "--num-tasks: expected an integer between 1 and 10; found nothing"),
        (["--num-tasks", "-5"], "Sample.num_tasks: expected an integer between 1 and 10; found -5"),
        (["--rate", "½"], "--rate: expected a number > 0 and ≤ 1; found '½'"),
        (["--rate", "nan"], "Sample.rate: expected a number > 0 and ≤ 1; found nan"),
        (["--kind", "gur"], "--kind: expected one of lstm, gru; found 'gur'; did you mean 'gru'?"),
        (["--informed", "yes"], "--informed: expected no value (--informed is yes, --no-informed is no); found 'yes'"),
        (["--no-informed=1"], "--informed: expected no value (--informed is yes, --no-informed is no); found '1'"),
        (["--rate", "1", "2"], "--rate: expected one value; found '2'"),
        (["--rate", "1", "--rate=0.5"], "--rate: expected once; found 1.0 and 0.5"),
        (["--informed", "--no-informed"], "--informed: expected once; found True and False"),
        (["--out="], "--out: expected a directory; found ''"),
        (
            ["--num-tsks", "5"],
            "--num-tsks: no such option; did you mean '--num-tasks'? (adaptax sample --help lists them)",
        ),
        (["--perset", "x"], "--perset: no such option; did you mean '--preset'? (adaptax sample --help lists them)"),
        (["--xyzzy"], "--xyzzy: no such option (adaptax sample --help lists them)"),
        (["extra"], "extra: no such option (adaptax sample --help lists them)"),
        (["--num-tasks=" + "9" * 5000], f"--num-tasks: expected an integer between 1 and 10; found '{'9' * 79} …"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, message):
    with pytest.raises(ConfigError) as error:
        parsed(*words)
    assert str(error.value) == message


def by_tyro(parts, words):
    """The same, read by tyro."""
    fields = [
        (name, type(part), dataclasses.field(default_factory=lambda part=part: part)) for name, part in parts.items()
    ]
    together: Any = dataclasses.make_dataclass("Options", fields, frozen=True)
    found = tyro.cli(tyro.conf.OmitArgPrefixes[together], args=words)
    return {name: getattr(found, name) for name in parts}


def typed(rng, parts):
    """A valid command line: some options, each in one of its spellings."""
    words = []
    for part in parts.values():
        for field in dataclasses.fields(part):
            if (
                rng.random() < 0.2
                and not field.metadata.get("only")
                and field.name not in ("num_tasks", "num_minibatches")
            ):
                name = rng.choice((option(field.name), f"--{field.name}"))
                value = good_value(field, getattr(part, field.name))
                if field.type is bool:
                    words.append(rng.choice((name, f"--no-{name[2:]}")))
                elif value is not None:
                    words += rng.choice(([name, value], [f"{name}={value}"]))
    return words


OTHERS = [
    (EvaluateOptions(), ["--against", "gittins", "ucb1", "--seed", "3"]),
    (EvaluateOptions(), ["--against", "--json"]),
    (CompareOptions(), ["--problem", "bandit", "--out", "x y", "--episodes", "None", "--no-json"]),
    (ReproduceOptions(), ["--cells", "10x5,10x10", "--out=z"]),
]


@pytest.mark.parametrize(("options", "words"), OTHERS)
def test_options_of_commands_mean_what_they_mean_to_tyro(options, words):
    parts = {"options": options}
    assert read(parts, words, program="x") == by_tyro(parts, words)


def test_valid_command_lines_mean_what_they_mean_to_tyro():
    rng, compared = random.Random(0), 0
    pairs = [(algorithm, problem) for algorithm in LEARNERS for problem in PROBLEMS]
    for algorithm, problem in rng.sample(pairs, 24):
        parts = {**dict(zip("ab", settings_for(algorithm, problem), strict=True)), "run": TrainOptions()}
        words = typed(rng, parts)
        try:
            found = read(parts, words, program="x")
        except ConfigError:  # values that do not go together
            continue
        assert found == by_tyro(parts, words), words
        compared += 1
    assert compared > 12
