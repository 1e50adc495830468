"""What agents are measured by where no optimum is known: trained, found again, or left out with a line."""

import json
import shutil

import numpy as np
import pytest

from adaptax.problems.settings import BanditSettings
from adaptax.runs.references import place
from tests.cli.conftest import SMALL_BANDIT, TINY, run

SIZES = {"num-updates": 2, "num-tasks": 4, "num-minibatches": 2, "hidden-size": 4, "num-layers": 1, "streams": 2}
POLICY = [word for name, value in SIZES.items() for word in (f"--{name}", str(value))]
FEW = ["--tasks", "60"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """References of bandits with 3 arms: where they are kept, and what was printed."""
    cwd = tmp_path_factory.mktemp("references")
    words = ["bandit", *SMALL_BANDIT, "--references", "kept", *POLICY, "--eval-tasks", "60"]
    done = run("reference", *words, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "kept", json.loads(done.stdout)


@pytest.fixture
def references(kept, tmp_path):
    """A copy of them, to be damaged."""
    shutil.copytree(kept[0], tmp_path / "kept")
    return tmp_path / "kept"


def of_bandits(references):
    return place(references, "bandit", BanditSettings(num_arms=3))


def evaluated(directory, references, *words, cwd):
    done = run("evaluate", str(directory), *FEW, "--json", "--references", str(references), *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.compiles
def test_what_was_trained_is_told(kept):
    references, told = kept
    assert sorted(path.name for path in of_bandits(references).iterdir()) == [
        ".lock", "informed", "memoryless", "reference.json",
    ]  # fmt: skip
    for part, algorithm in {"informed": "oracle-ppo", "memoryless": "multitask-ppo"}.items():
        config = json.loads((of_bandits(references) / part / "config.json").read_text())
        assert config["algorithm"] == algorithm
        assert config["algorithm_settings"]["num_updates"] == 2
    assert list(told["policies"]) == ["random", "memory-less policy", "informed policy"]
    assert told["policies"]["informed policy"]["updates"] == 2
    assert told["oracle"]["return"] == pytest.approx(0.75, abs=0.1)  # the best of 3 arms


@pytest.mark.compiles
def test_scores_are_those_of_the_returns_in_the_same_tasks(finished_run, kept, tmp_path):
    """By another way: both policies are evaluated as the runs that they are."""
    found, said = evaluated(finished_run.directory, kept[0], "--out", "of-all", "--against", "random", cwd=tmp_path)
    apart = {}
    for part in ("informed", "memoryless"):
        directory = of_bandits(kept[0]) / part
        content, _ = evaluated(directory, "nowhere", "--against", "random", "--out", part, cwd=tmp_path)
        apart[part] = np.mean(next(iter(content["agents"].values()))["episode_returns"])
        assert content["reference"] is None
    floor = np.mean(found["agents"]["random"]["episode_returns"])
    policies = found["reference"]["policies"]
    assert policies["random"]["return"] == pytest.approx(floor, abs=1e-6)
    assert policies["memory-less policy"]["return"] == pytest.approx(apart["memoryless"], abs=1e-6)
    assert policies["informed policy"]["return"] == pytest.approx(apart["informed"], abs=1e-6)
    assert policies["informed policy"]["return"] > floor  # or else there are no scores, and this tests nothing
    target, without = policies["informed policy"]["return"], policies["memory-less policy"]["return"]
    points = found["reference"]["agents"]["rl2"]
    assert [point["episode"] for point in points] == [1, 2, 3, 4, 5]
    for point, earned in zip(points, found["agents"]["rl2"]["episode_returns"], strict=True):
        assert point["score"]["value"] == pytest.approx((earned - floor) / (target - floor), rel=1e-5)
        assert point["beyond_memoryless"]["value"] == pytest.approx((earned - without) / (target - floor), rel=1e-5)
    assert "evaluating 2 more agents, the reference policies in" in said
    assert json.loads((tmp_path / "of-all/evaluation.json").read_text())["reference"] == found["reference"]


@pytest.mark.compiles
def test_agents_figures_are_the_same_with_and_without_them(finished_run, kept, tmp_path):
    few = ["--against", "ucb1", "random"]
    beside, _ = evaluated(finished_run.directory, kept[0], *few, "--out", "with", cwd=tmp_path)
    left_out, said = evaluated(
        finished_run.directory, kept[0], *few, "--no-reference", "--out", "without", cwd=tmp_path
    )
    assert left_out["reference"] is None
    assert "more agents" not in said
    assert beside["agents"] == left_out["agents"]
    returns = [np.load(tmp_path / name / "returns.npz") for name in ("with", "without")]
    assert returns[0].files == returns[1].files
    for name in returns[0].files:
        np.testing.assert_array_equal(returns[0][name], returns[1][name])


@pytest.mark.compiles
def test_random_actions_are_evaluated_where_nobody_asks_for_them(finished_run, kept, tmp_path):
    found, said = evaluated(finished_run.directory, kept[0], "--against", "gittins", "--out", "of-two", cwd=tmp_path)
    assert list(found["agents"]) == ["rl2", "gittins"]
    assert found["reference"]["policies"]["random"]["return"] == pytest.approx(0.5, abs=0.15)
    assert "evaluating 3 more agents" in said


@pytest.mark.compiles
def test_a_table_for_people(finished_run, kept, tmp_path):
    words = ["--references", str(kept[0]), "--against", "random", "--out", "shown"]
    done = run("evaluate", str(finished_run.directory), *FEW, *words, cwd=tmp_path, COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert "from random (0 %) to the trained informed policy (100 %)" in done.stdout
    assert "oracle-ppo, 2 updates" in done.stdout


@pytest.mark.compiles
def test_other_settings_are_another_problem(kept, tmp_path):
    options = ["--num-arms", "4", "--num-pulls", "5", *TINY, "--eval-tasks", "0", "--out", "other"]
    assert run("train", "rl2", "bandit", *options, cwd=tmp_path).returncode == 0
    content, said = evaluated("other", kept[0], "--against", "random", cwd=tmp_path)
    assert content["reference"] is None
    assert "reference" not in said  # an optimum is known, and nobody misses them


@pytest.mark.compiles
def test_a_longer_trial_is_not_and_training_finds_them_for_its_own_table(kept, tmp_path):
    options = ["--num-arms", "3", "--num-pulls", "7", *TINY, "--eval-tasks", "20", "--out", "longer", "--json"]
    done = run("train", "rl2", "bandit", *options, "--references", str(kept[0]), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["reference"]
    assert len(found["agents"]["rl2"]) == 7
    again = run("train", "--resume", "longer", "--references", str(kept[0]), "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["reference"] == found


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


LAST = "checkpoints/update-00000002.safetensors"


@pytest.mark.compiles
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda d: damaged(d / "informed" / LAST), "its last checkpoint is damaged"),
        (
            lambda d: [x.unlink() for x in (d / "memoryless/checkpoints").glob("*2*")],
            "memoryless: is not finished: 0 of 2",
        ),
        (lambda d: shutil.rmtree(d / "memoryless"), "no run there"),
        (lambda d: (d / "informed/config.json").write_text("{"), "unreadable"),
        (lambda d: (d / "reference.json").write_text("{"), "unreadable"),
        (lambda d: (d / "reference.json").unlink(), "is not finished"),
        (
            lambda d: (d / "reference.json").write_text(
                json.dumps({"format": 1, "tasks": {"horizon": 2, "mean": [0.5] * 3, "std": [0.3] * 3}})
            ),
            "is of other tasks",
        ),
    ],
)
def test_what_is_damaged_is_one_warning_and_the_evaluation_goes_on(finished_run, references, tmp_path, damage, says):
    damage(of_bandits(references))
    found, said = evaluated(finished_run.directory, references, "--against", "random", "--out", "found", cwd=tmp_path)
    assert found["reference"] is None
    (line,) = [line for line in said.splitlines() if line.startswith("warning: the reference policies of bandit")]
    assert says in line
    assert "adaptax reference bandit --num-arms 3 --references" in line
    assert list(found["agents"]) == ["rl2", "random"]


@pytest.mark.compiles
def test_they_are_agents_of_a_comparison(finished_run, kept, tmp_path):
    few = ["--tasks", "12", "--family-tasks", "6", "--references", str(kept[0]), "--json"]
    beside = run("compare", str(finished_run.directory), "ucb1", *few, "--out", "a", cwd=tmp_path)
    assert beside.returncode == 0, beside.stderr
    without = run("compare", str(finished_run.directory), "ucb1", *few, "--out", "b", "--no-reference", cwd=tmp_path)
    found, left_out = json.loads(beside.stdout), json.loads(without.stdout)
    assert list(found["agents"]) == ["rl2", "ucb1", "random", "informed policy", "memory-less policy"]
    assert found["agents"]["informed policy"]["kind"] == "reference"
    for name, agent in left_out["agents"].items():  # an exact oracle is known, so nothing is measured otherwise
        assert found["agents"][name] == agent
    assert found["reference"] == left_out["reference"]
    assert str(kept[0]) not in json.dumps(found["options"])


@pytest.mark.compiles
def test_what_was_trained_otherwise_is_not_gone_on_with(references, tmp_path):
    words = ["bandit", "--num-arms", "3", "--references", "kept", *POLICY, "--eval-tasks", "20"]
    done = run("reference", *words, "--seed", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert "--seed: expected 0, as kept/bandit-" in done.stderr
    done = run("reference", *[word if word != "4" else "8" for word in words], cwd=tmp_path)
    assert done.returncode == 2
    assert "found 8" in done.stderr
    again = run("reference", *words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "trained already" in again.stderr
    assert "train 1/2" not in again.stderr


@pytest.mark.compiles
def test_more_updates_are_gone_on_to_and_fewer_change_nothing(references, tmp_path):
    words = ["bandit", "--num-arms", "3", "--references", "kept", *POLICY, "--eval-tasks", "20", "--json"]
    for number, updates in ((3, 3), (1, 3)):
        words[words.index("--num-updates") + 1] = str(number)
        done = run("reference", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        policies = json.loads(done.stdout)["policies"]
        assert [policies[name]["updates"] for name in ("memory-less policy", "informed policy")] == [updates] * 2
    assert "has had 3 updates, more than 1, and is kept" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], None),
        (["nonsense"], "found 'nonsense'"),
        (["bandit", "--fine-tuning-rate", "0.1"], "--fine-tuning-rate: expected 0"),
        (["bandit", "--num-pulls", "0"], "num_pulls"),
        (["bandit", "more"], "found 'more' too"),
        (["--num-arms", "3"], "expected PROBLEM; found '--num-arms 3'"),
        (["bandit", "--eval-every", "3"], "no such option"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(words, says, tmp_path):
    done = run("reference", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert says is None or says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help(tmp_path):
    done = run("reference", "bandit", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--references DIR" in done.stdout
    assert "--num-arms" in done.stdout
