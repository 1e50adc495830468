import dataclasses
import random
from pathlib import Path
from typing import Any, Literal

import pytest

from adaptax.cli import train
from adaptax.cli.options import parse, scan
from adaptax.cli.parser import help_of, typeable, values_of
from adaptax.core.errors import ConfigError
from adaptax.core.settings import Settings, setting
from adaptax.experiment.options import EvaluateOptions, HostOptions, ResumeOptions, TrainOptions
from adaptax.registry.presets import settings_for
from adaptax.registry.registry import LEARNERS, PROBLEMS
from tests.claims.fuzzing import good_value, option


@dataclasses.dataclass(frozen=True)
class Base(Settings):
    """Not shown.

    Attributes:
        rate: Overwritten below.
        kind: Kind of memory.
    """

    kind: Literal["lstm", "gru"] = "lstm"


@dataclasses.dataclass(frozen=True)
class Sample(Base):
    """One paragraph,
    over two lines.

    Attributes:
        num_tasks: Tasks
            in each update; 5 % more: later.
        rate: α.

    Not an attribute:
        out: Never shown.
    """

    num_tasks: int = setting(3, low=1, high=10)
    rate: float = setting(0.5, above=0, high=1, only={"kind": ("lstm", "gru"), "informed": (True,)})
    informed: bool = True
    against: tuple[str, ...] | None = None
    out: Path | None = None
    problem: str | None = None
    episodes: int | None = setting(None, low=1)
    sizes: tuple[int, ...] = (8,)
    box: tuple[float, float] = (0.0, 1.0)
    level: Literal[1, 2] = 1
    devices: int = setting(0, low=0, high=8, spelled={"auto": 0})
    worked_out: int = dataclasses.field(default=3, init=False)


def parsed(*words):
    return parse({"sample": Sample()}, words, program="adaptax sample", description="", also=["--preset"])["sample"]


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
        (["--problem", "-x -y", "--out", "-"], {"problem": "-x -y", "out": Path("-")}),
        (["--problem=--json"], {"problem": "--json"}),
        (["--sizes", "1", "-2", "--box", "-1e-3", ".5"], {"sizes": (1, -2), "box": (-0.001, 0.5)}),
        (["--level", "2", "--devices=auto"], {"level": 2}),
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
        (["extra"], "sample: expected only options; found 'extra' too"),
        (["-n", "1"], "-n: no such option (adaptax sample --help lists them)"),
        (["--"], "--: no such option (adaptax sample --help lists them)"),
        (
            ["--num-task", "1"],
            "--num-task: no such option; did you mean '--num-tasks'? (adaptax sample --help lists them)",
        ),
        (["--worked-out", "1"], "--worked-out: no such option (adaptax sample --help lists them)"),
        (["--num-tasks=--"], "--num-tasks: expected an integer between 1 and 10; found '--'"),
        (["--num-tasks="], "--num-tasks: expected an integer between 1 and 10; found ''"),
        (["--problem=--"], "--problem: expected a name; found '--'"),
        (["--num-tasks=5", "6"], "--num-tasks: expected one value; found '6'"),
        (["--sizes", "1", "x"], "--sizes: expected values; found 'x'"),
        (["--box", "1"], "--box: expected 2 values; found nothing"),
        (["--level", "3"], "--level: expected one of 1, 2; found '3'"),
        (["--devices", "all"], "--devices: expected an integer between 0 and 8, or auto; found 'all'"),
        (["--num-tasks=" + "9" * 5000], f"--num-tasks: expected an integer between 1 and 10; found '{'9' * 79} …"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, message):
    with pytest.raises(ConfigError) as error:
        parsed(*words)
    assert str(error.value) == message


@dataclasses.dataclass(frozen=True)
class Output(Settings):
    json: bool = False


NAMES = {"DIR": "a directory", "AGENT ...": "agents"}


@pytest.mark.parametrize(
    "words", ["x y z --rate 1 --json", "--rate=1 x --json y z", "--json x --rate 1 y z", "--rate 1 --json x y z"]
)
def test_names_may_stand_before_between_and_after_options(words):
    parts = {"sample": Sample(), "output": Output()}
    found = parse(parts, words.split(), program="adaptax sample", description="", names=NAMES)
    assert found == {"names": ["x", "y", "z"], "sample": Sample(rate=1.0), "output": Output(json=True)}


@pytest.mark.parametrize(
    ("names", "words", "message"),
    [
        (NAMES, ["--rate", "1"], "sample: expected a directory; found nothing"),
        (NAMES, ["x"], "sample: expected agents; found 'x'"),
        ({"DIR": "a directory"}, ["x", "y"], "sample: expected only DIR; found 'y' too"),
        ({"DIR": "a directory"}, ["--rate", "1", "x", "y"], "sample: expected only DIR; found 'y' too"),
        ({"DIR": "a directory"}, ["x", "--rate", "1", "1"], "--rate: expected one value; found '1'"),
        ({"DIR": "a directory"}, ["--kid", "1", "x"], "--kid: no such option; did you mean '--kind'? "),
    ],
)
def test_names_that_are_missing_or_too_many_are_told(names, words, message):
    with pytest.raises(ConfigError) as error:
        parse({"sample": Sample()}, words, program="adaptax sample", description="", names=names)
    assert str(error.value).removesuffix("(adaptax sample --help lists them)") == message


def test_two_parts_with_the_same_option_are_refused():
    with pytest.raises(ConfigError, match=r"TrainOptions\.seed: expected a name that no other option has; found"):
        parse({"a": EvaluateOptions(), "b": TrainOptions()}, [], program="x", description="")


def test_what_the_docstrings_say_is_found():
    assert help_of(Sample()) == {
        "kind": "Kind of memory.",
        "num_tasks": "Tasks in each update; 5 % more: later.",
        "rate": "α.",
    }


@pytest.mark.parametrize("words", [["--help"], ["x", "--num-tasks", "x", "-h"]])
def test_help_says_what_can_be_typed(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    with pytest.raises(SystemExit) as stop:
        parse({"sample": Sample(rate=0.25)}, words, program="adaptax sample", description="Says\nso.", names=NAMES)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "usage: adaptax sample DIR AGENT ... [options]\n\nSays\nso.\n\nsample:\n  One paragraph, over two lines."
    )
    assert max(map(len, out.splitlines())) <= 72
    flat = " ".join(out.split())
    assert "--num-tasks N Tasks in each update; 5 % more: later. [default: 3; 1 to 10]" in flat
    assert "--rate X α. [default: 0.25; > 0 and ≤ 1; with --kind lstm or --kind gru; with --informed]" in flat
    assert "--kind {lstm,gru} Kind of memory. [default: lstm]" in flat
    assert "--informed, --no-informed [default: yes]" in flat
    assert "--out DIR --problem NAME" in flat
    assert "--devices N [default: auto; 0 to 8, or auto]" in flat
    assert "--sizes [N ...] [default: 8]" in flat
    assert "worked" not in out


@pytest.mark.parametrize("name", [*LEARNERS, *PROBLEMS])
def test_every_setting_has_its_help(name):
    kind = {**LEARNERS, **PROBLEMS}[name].settings
    assert {field.name for field in dataclasses.fields(kind)} <= set(help_of(kind()))


def typed(rng, parts):
    """A valid command line, and the changes that it asks for: some options, each in one of its spellings."""
    groups, changes = [], {name: {} for name in parts}
    for part, settings in parts.items():
        for field in dataclasses.fields(settings):
            if rng.random() < 0.8 or field.metadata.get("only") or field.name in ("num_tasks", "num_minibatches"):
                continue
            name, value = (
                rng.choice((option(field.name), f"--{field.name}")),
                good_value(field, getattr(settings, field.name)),
            )
            if field.type is bool:
                yes = rng.random() < 0.5
                groups.append([name if yes else f"--no-{name[2:]}"])
                changes[part][field.name] = yes
            elif value is not None:
                groups.append(rng.choice(([name, value], [f"{name}={value}"])))
                changes[part][field.name] = field.type(value) if field.type in (int, float) else value
    return groups, changes


def test_valid_command_lines_mean_what_was_asked_for_wherever_the_names_stand():
    rng, compared = random.Random(0), 0
    for algorithm, problem in [(algorithm, problem) for algorithm in LEARNERS for problem in PROBLEMS]:
        parts: dict[str, Any] = {
            **dict(zip("ab", settings_for(algorithm, problem), strict=True)),
            "run": TrainOptions(),
        }
        groups, changes = typed(rng, parts)
        try:
            wanted = {name: dataclasses.replace(part, **changes[name]) for name, part in parts.items()}
        except ConfigError:  # values that do not go together
            continue
        places = sorted(rng.choices(range(len(groups) + 1), k=2))
        for place, name in reversed(list(zip(places, (algorithm, problem), strict=True))):
            groups.insert(place, [name])
        words = [word for group in groups for word in group]
        assert scan(KINDS, words, 2, program="x")[0] == [algorithm, problem], words
        names = {"ALGORITHM": "one", "PROBLEM": "one"}
        found = parse(parts, words, program="x", description="", names=names)
        assert found == {"names": [algorithm, problem], **wanted}, words
        compared += 1
    assert compared > 150


KINDS = [*(entry.settings for entry in (*LEARNERS.values(), *PROBLEMS.values())), TrainOptions]


@pytest.mark.parametrize(
    ("words", "names", "given"),
    [
        (["--num-tasks", "5", "rl2", "bandit"], ["rl2", "bandit"], {"num_tasks": "5"}),
        (["--json", "rl2", "--out", "bandit", "chain"], ["rl2", "chain"], {"json": True, "out": "bandit"}),
        (["rl2", "bandit", "more"], ["rl2", "bandit", "more"], {}),
        (["--my-size", "3", "my:Algorithm", "bandit"], ["my:Algorithm", "bandit"], {}),
        (["my:Algorithm", "--my-size=3", "bandit"], ["my:Algorithm", "bandit"], {}),
        (["my:Algorithm", "bandit", "--my-switch"], ["my:Algorithm", "bandit"], {}),
        (
            ["--num_tasks", "-5", "--json=1", "rl2", "bandit", "--"],
            ["rl2", "bandit"],
            {"num_tasks": "-5", "json": True},
        ),
        (["rl2", "--help"], ["rl2"], {}),
    ],
)
def test_names_are_found_before_their_options_are_known(words, names, given):
    assert scan(KINDS, words, 2, program="x") == (names, given)


def test_an_unknown_option_that_may_have_taken_a_name_is_told():
    with pytest.raises(ConfigError, match=r"^--num-tsks: no such option; did you mean '--num-tasks'\?"):
        scan(KINDS, ["--num-tsks", "rl2", "bandit"], 2, program="x")


def test_no_option_is_a_switch_for_one_algorithm_and_takes_a_value_for_another():
    takes: dict[str, set[Any]] = {}
    for kind in (*KINDS, HostOptions, ResumeOptions):
        for field in typeable(kind):
            takes.setdefault(field.name, set()).add(values_of(field))
    assert [name for name, found in takes.items() if len(found) > 1] == []


def test_an_unknown_option_is_listed_by_the_help_for_the_names_that_were_typed():
    with pytest.raises(ConfigError, match=r"\(adaptax train rl2 bandit --help lists them\)"):
        train.command(["rl2", "--num-tsks", "3", "bandit"])
