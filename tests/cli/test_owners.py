import pytest

from adaptax.cli.main import COMMANDS as ALL
from adaptax.cli.owners import COMMANDS, MOST, owners
from adaptax.registry.registry import LEARNERS, PROBLEMS
from tests.cli.conftest import run


@pytest.mark.parametrize(
    ("option", "program", "said"),
    [
        ("--tasks", "adaptax train", "it is an option of adaptax evaluate, adaptax compare, adaptax inspect"),
        ("--chunk-timeout", "adaptax compare", "it is an option of adaptax train"),
        ("--no-json", "adaptax check-env", "it is an option of adaptax train, adaptax plan, adaptax evaluate, …"),
        ("--inner-learning-rate", "adaptax train", "it is an option of training with maml, "),
        ("--num-arms", "adaptax evaluate", "it is an option of training with bandit, gaussian-bandit"),
        ("--buffer-size", "adaptax compare", "it is an option of training with off-policy-rl2, varibad, pearl, …"),
        ("--num-updates", "adaptax train --resume", "it is an option of training with rl2, "),
        ("--eval-tasks", "adaptax train", "a run knows what it was started with"),
    ],
)
def test_E46_whose_an_option_is(option, program, said):
    assert owners(option, program).startswith(said)


@pytest.mark.parametrize("option", ["--nothing", "--num-arm", "--", "--num_arms", ""])
def test_E46_an_option_of_nobody_or_almost_of_somebody_has_no_owner(option):
    assert owners(option, "adaptax train") == ""


def test_not_more_are_named_than_one_reads():
    named = owners("--learning-rate", "adaptax evaluate").removeprefix("it is an option of training with ")
    assert named.endswith(", …")
    assert len(named.split(", ")) == MOST + 1
    assert set(named.removesuffix(", …").split(", ")) <= {*LEARNERS, *PROBLEMS}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_are_named_are_in_the_command_s_help(name, tmp_path):
    assert name in ALL
    words = (
        (name, "rl2", "bandit") if name in ("train", "plan", "sweep") else (name, *["bandit"] * (name == "reference"))
    )
    helped = run(*words, "--help", cwd=tmp_path).stdout
    others = {
        "evaluate": "--against",
        "compare": "--out",
        "inspect": "--out",
        "report": "--trials",
        "export": "--format",
        "watch": "--once",
        "reproduce": "--cells",
    }
    option = others.get(name, "--seed")
    assert option in helped
    assert f"adaptax {name}" in owners(option, "adaptax other") or "…" in owners(option, "adaptax other")
