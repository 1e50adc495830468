"""Examples run: tiny, in processes of their own, as a reader would start them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import PATIENCE, SMALL_BANDIT, TINY, environment, run

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.process


def example(name, *arguments, cwd):
    """Run an example; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_own_problem_is_sound_and_rl2_learns_it(tmp_path):
    import importlib.util

    from adaptax.problems.checks.check import require

    spec = importlib.util.spec_from_file_location("own_problem", EXAMPLES / "own_problem.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    require(module.make_problem(), seed=0)
    printed = example("own_problem.py", "--updates", "60", "--tasks", "200", cwd=tmp_path)
    rows = {line[:16].strip(): [float(x) for x in line[16:].split()] for line in printed.splitlines()[1:]}
    assert set(rows) == {"random", "RL²", "knows the place"}
    # To walk at random is worth 12 / 9 or so; whoever searches well has three times that in each episode.
    assert max(rows["random"]) < 2
    assert min(rows["RL²"]) > 3
    assert rows["RL²"][-1] > rows["RL²"][0] + 1
    assert max(rows["RL²"]) < rows["knows the place"][0]


def test_an_agent_is_deployed(tmp_path):
    trained = run("train", "rl2", "bandit", *SMALL_BANDIT, *TINY, "--eval-tasks", "0", "--out", "run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    printed = example("deploy.py", "run", "--items", "3", "--rounds", "5", "--visitors", "3", cwd=tmp_path)
    shares = [float(x) for x in re.findall(r"(\d\.\d\d)$", printed, re.MULTILINE)]
    assert len(shares) == 3
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize("name", ["sinusoid.py", "learned_rule.py"])
def test_few_shot_examples_say_that_they_can_be_started(name, tmp_path):
    assert "--outer-steps" in example(name, "--help", cwd=tmp_path)


@pytest.mark.nightly
def test_the_sinusoids_are_learned_and_drawn(tmp_path):
    printed = example("sinusoid.py", "--outer-steps", "20", "--out", "a.png", cwd=tmp_path)
    assert len(re.findall(r"inner steps  \d+\.\d+ ±", printed)) == 11
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
