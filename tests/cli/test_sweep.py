"""What is typed after `adaptax sweep`, as a plan; what is wrong is one line that says what to do."""

import json
from types import SimpleNamespace

import pytest

from adaptax.cli import sweep
from adaptax.cli.sweep import planned, show, taken
from adaptax.core.errors import ConfigError, MissingPackageError
from adaptax.experiment.sweep_plan import Range
from adaptax.registry.presets import settings_for

RL2 = ["rl2", "bandit"]


def test_several_values_are_swept_and_one_is_set():
    plan = planned([*RL2, "--learning_rate", "1e-3", "3e-3", "--memory", "gru", "--seeds", "3", "--num-arms", "5"])
    assert plan.swept == {"learning_rate": (1e-3, 3e-3)}
    settings = plan.recipe.algorithm_settings
    assert (settings.memory, plan.recipe.problem_settings.num_arms, plan.options.seeds) == ("gru", 5, 3)
    assert [cell.name for cell in plan.cells] == ["learning-rate=0.001", "learning-rate=0.003"]


def test_words_and_whole_numbers_too_in_the_order_in_which_they_are_typed():
    plan = planned([*RL2, "--memory", "gru", "lstm", "--num-updates=7", "--memory-size", "8", "16", "32"])
    assert plan.swept == {"memory": ("gru", "lstm"), "memory_size": (8, 16, 32)}
    assert plan.recipe.algorithm_settings.num_updates == 7
    assert len(plan.cells) == 6


def test_a_preset_says_the_rest():
    plan = planned([*RL2, "--preset", "10x5", "--learning-rate", "1e-3", "3e-3"])
    assert plan.preset == "10x5"
    known = settings_for("rl2", "bandit", "10x5")
    assert (plan.recipe.problem_settings, plan.recipe.algorithm_settings.memory) == (known[1], known[0].memory)


def test_ranges_are_for_optuna():
    words = [
        *RL2,
        "--optuna",
        "9",
        "--learning-rate",
        "1e-4:1e-1:log",
        "--memory-size",
        "16:128",
        "--memory",
        "gru",
        "lstm",
    ]
    plan = planned(words)
    assert plan.swept == {
        "learning_rate": Range(1e-4, 1e-1, log=True), "memory_size": Range(16, 128), "memory": ("gru", "lstm"),
    }  # fmt: skip
    assert plan.options.optuna == 9


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--learning-rat", "1", "2"], "--learning-rat: no such option; did you mean '--learning-rate'"),
        (["--learning-rate", "1e-3", "x"], "--learning-rate: expected a number > 0 and ≤ 1; found 'x'"),
        (["--learning-rate", "1e-3", ".001"], "--learning-rate: expected values that differ; found .001 twice"),
        (["--learning-rate", "1e-3", "7"], "learning_rate 7: .*expected a number > 0 and ≤ 1; found 7"),
        (["--memory", "gru", "gur"], "--memory: expected one of .*found 'gur'; did you mean 'gru'"),
        (["--num-tasks", "16", "17"], "num_tasks 17: .*expected a multiple of num_minibatches=16"),
        (["--num-arms", "3", "4"], "--num-arms: expected one value: it is a setting of the problem"),
        (["--seeds", "1", "2"], "--seeds: expected one value, since it is no setting of the algorithm"),
        (["--learning-rate", "1e-3"], "expected at least one setting of the algorithm with several values"),
        (["--learning-rate", "1", "2", "--learning-rate", "1", "2"], "--learning-rate: expected once"),
        (["--learning-rate", "1e-3:1e-1"], "--learning-rate: a range is for Optuna"),
        (["--learning-rate", "1e-1:1e-3", "--optuna", "2"], "expected a range from a number to a larger one"),
        (["--entropy-cost", "0:1:log", "--optuna", "2"], "expected a range from a number above 0"),
        (["--learning-rate", "1:2:3", "--optuna", "2"], "expected a range LOW:HIGH or LOW:HIGH:log"),
        (["--learning-rate", "1e-3", "1e-2", "--eval-tasks", "9"], "--eval-tasks: no such option here"),
        (["--learning-rate", "1e-3", "1e-2", "--from", "x"], "--from: no such option here"),
        (["--learning-rate", "1e-3", "1e-2", "--part", "1/2"], "--part: expected together with --out"),
    ],
)
def test_what_is_wrong_is_named(words, said):
    with pytest.raises(ConfigError, match=said):
        planned([*RL2, *words])


@pytest.mark.parametrize("words", [["--seeds", "3", *RL2], ["rl2"], ["rl2", "--learning-rate", "1", "2"]])
def test_names_come_first(words):
    with pytest.raises(ConfigError):
        planned(words)


def test_values_stay_with_their_option_whatever_they_look_like():
    swept, rest = taken([*RL2, "--clip", "0.1", "0.2", "--entropy-cost", "0", "--json"], settings_for(*RL2)[0], RL2)
    assert swept == {"clip": (0.1, 0.2)}
    assert rest == [*RL2, "--clip", "0.1", "--entropy-cost", "0", "--json"]


def test_optuna_is_asked_for_before_anything_is_made(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def missing():
        raise MissingPackageError("--optuna needs optuna, which is not installed")

    monkeypatch.setattr(sweep, "expect_optuna", missing)
    with pytest.raises(MissingPackageError, match="needs optuna"):
        sweep.command([*RL2, "--learning-rate", "1e-3:1e-2", "--optuna", "3"])
    assert not list(tmp_path.iterdir())


def test_without_results_it_says_so(capsys):
    found = SimpleNamespace(standings=[], waiting=[], best=None, commands=list, directory="x", to_json=lambda: {"a": 1})
    show(found, as_json=False)
    assert "all choices diverged" in capsys.readouterr().err
    show(found, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": 1}
