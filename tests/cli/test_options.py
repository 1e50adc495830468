import subprocess
import sys

import pytest

from adaptax.cli.options import parse
from adaptax.core.errors import ConfigError
from adaptax.experiment.options import EvaluateOptions, TrainOptions
from adaptax.registry.presets import named_presets, settings_for
from adaptax.registry.registry import PROBLEMS, TRAINABLE

TOGETHER = ["train", "rl2", "bandit", "--distributed", "--num-processes", "2"]
WRONG = [
    (["train", "rl2", "bandit", "--learning-rate", "-1"], ["learning_rate", "> 0", "-1.0"]),
    (["train", "rl2", "bandit", "--learning-rate", "fast"], ["--learning-rate", "fast"]),
    (["train", "rl2", "bandit", "--learning-rat", "1"], ["--learning-rat", "--learning-rate"]),
    (["train", "rl2", "bandit", "--num-arms", "0"], ["num_arms", "between 2 and", "0"]),
    (
        ["train", "rl2", "bandit", "--num-tasks", "10", "--num-minibatches", "4"],
        ["num_tasks", "multiple of", "10"],
    ),
    (["train", "rl2", "bandit", "--memory", "lsm"], ["--memory", "lsm", "lstm"]),
    (["train", "rl2", "bandit", "--preset", "nope"], ["--preset", "default", "nope"]),
    (["train", "rl2", "bandit", "--preset", "10x5", "--preset=10x10"], ["--preset", "once", "10x5", "10x10"]),
    (["train", "--num-tasks", "5", "--memory", "lsm", "rl2", "bandit"], ["--memory", "lsm", "did you mean 'lstm'"]),
    (["train", "--bogus", "5", "rl2", "bandit"], ["--bogus", "no such option"]),
    (["train", "--bogus", "rl2", "bandit"], ["--bogus", "no such option"]),
    (["train", "--max-kl", "0.1", "rl2", "bandit"], ["--max-kl", "no such option"]),
    (["train", "rl2", "bandit", "--seed", "1", "more"], ["--seed", "one value", "more"]),
    (["train", "rl2", "bandit", "more"], ["only ALGORITHM PROBLEM", "more"]),
    (["train", "--resume", "x", "rl2", "bandit"], ["--resume", "rl2"]),
    (["train", "--resume"], ["--resume", "a directory", "nothing"]),
    (["compare", "--tasks", "5"], ["compare", "directories of runs", "nothing"]),
    (["evaluate", "x", "y"], ["only DIR", "y"]),
    (["train", "rl3", "bandit"], ["ALGORITHM", "rl3", "did you mean 'rl2'"]),
    (["train", "rl2", "bandits"], ["PROBLEM", "bandits", "did you mean"]),
    (["train", "rl2"], ["PROBLEM", "rl2"]),
    (["evaluate"], ["directory", "nothing"]),
    (["evaluate", "x", "--against", "gitins"], ["--against", "gitins", "did you mean 'gittins'"]),
    (["evaluate", "x", "--tasks", "0"], ["tasks", "between 1 and", "0"]),
    (["reproduce", "duan2016-bandit"], ["NAME", "did you mean 'duan2016-bandits'"]),
    (["reproduce", "duan2016-bandits", "--cells", "7x7"], ["--cells", "10x5", "7x7"]),
    (["list", "everything"], ["list", "everything"]),
    (["train", "rl2", "bandit", "--coordinator", "a:1"], ["coordinator", "distributed", "a:1"]),
    (["train", "rl2", "bandit", "--distributed", "--process-id", "0"], ["--coordinator", "--process-id", "nothing"]),
    ([*TOGETHER, "--coordinator", "a:1", "--process-id", "2"], ["--process-id", "less than --num-processes, 2"]),
    ([*TOGETHER, "--coordinator", "a", "--process-id", "0"], ["--coordinator", "HOST:PORT", "'a'"]),
    ([*TOGETHER, "--coordinator", "a:70000", "--process-id", "0"], ["--coordinator", "65535", "a:70000"]),
    (["train", "ppo", "bandit", "--distributed"], ["--distributed", "ppo", "nothing to train"]),
    (["train", "rl2", "bandit", "--heartbeat", "9"], ["heartbeat", "distributed", "9"]),
    (["train", "--resume", "x", "--num-processes", "2"], ["num_processes", "distributed"]),
    (["plan", "rl2", "bandit", "--distributed"], ["--distributed", "no such option"]),
]


def test_configuration_errors_name_field_expectation_and_finding_without_importing_jax():
    # One process for all: that JAX stays out of it is part of the claim.
    code = (
        "import sys, json, io, contextlib\n"
        "from adaptax.cli import main\n"
        "out = []\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    text = io.StringIO()\n"
        "    try:\n"
        "        with contextlib.redirect_stderr(text), contextlib.redirect_stdout(text): main(words)\n"
        "    except SystemExit as stop: out.append([stop.code, text.getvalue()])\n"
        "print(json.dumps([out, [m for m in ('jax', 'equinox', 'matplotlib') if m in sys.modules]]))\n"
    )
    import json

    words = json.dumps([arguments for arguments, _ in WRONG])
    done = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, check=True)
    answers, imported = json.loads(done.stdout)
    assert imported == []
    for (arguments, expected), (exit_code, message) in zip(WRONG, answers, strict=True):
        assert exit_code == 2, (arguments, message)
        flat = " ".join(message.replace("│", " ").split())
        for part in expected:
            assert part in flat, (arguments, part, flat)
        assert "Traceback" not in message


@pytest.mark.parametrize("algorithm", TRAINABLE)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_pair_and_preset_parses_without_name_clashes(algorithm, problem):
    for preset in ("default", *named_presets().get((algorithm, problem), ())):
        settings = settings_for(algorithm, problem, preset)
        parts = {"algorithm": settings[0], "problem": settings[1], "run": TrainOptions()}
        assert parse(parts, [], program="x", description="") == parts


def test_options_override_presets_and_reach_the_right_object():
    parts = {"run": TrainOptions(), "evaluate": EvaluateOptions(tasks=5)}
    parsed = parse({"run": parts["run"]}, ["--seeds", "3", "--json"], program="x", description="")
    assert parsed["run"] == TrainOptions(seeds=3, json=True)
    parsed = parse({"evaluate": parts["evaluate"]}, ["--against", "gittins", "ucb1"], program="x", description="")
    assert parsed["evaluate"] == EvaluateOptions(tasks=5, against=("gittins", "ucb1"))


def test_a_word_may_stand_for_a_number():
    parts = {"run": TrainOptions(devices=3)}
    assert parse(parts, ["--devices", "auto"], program="x", description="")["run"].devices == 0
    with pytest.raises(ConfigError, match="--devices: expected an integer between 0 and 4096, or auto; found 'all'"):
        parse(parts, ["--devices", "all"], program="x", description="")


def test_unknown_agents_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'ucb1'"):
        EvaluateOptions(against=("ucb",))
