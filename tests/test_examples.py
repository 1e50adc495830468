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


@pytest.mark.parametrize("kind", [["--in-jax"], ["--workers", "2"]], ids=lambda kind: kind[0][2:])
def test_the_tutorial_of_simulators_runs(kind, tmp_path):
    printed = example("your_simulator.py", *kind, "--updates", "1", "--tasks", "3", cwd=tmp_path)
    rows = dict(
        re.findall(r"^(with a memory|without|told the task|random).*?(-[\d.]+ +-[\d.]+)", printed, re.MULTILINE)
    )
    assert len(rows) == 4
    assert all(-2000 < float(x) < -500 for row in rows.values() for x in row.split())
    assert (tmp_path / "your_simulator.png").stat().st_size > 10_000


def test_the_pendulum_of_the_tutorial_in_jax_is_gymnasiums():
    import importlib.util

    import jax
    import jax.numpy as jnp
    import numpy as np

    spec = importlib.util.spec_from_file_location("your_simulator", EXAMPLES / "your_simulator.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    env, here, key = module.make(), module.Pendulum(), jax.random.key(0)
    for task in ({"mass": 0.7, "length": 1.3, "motor": -1}, {"mass": 1.9, "length": 0.6, "motor": 1}):
        env.reset(seed=1)
        module.change(env, task)
        state = jnp.asarray(env.unwrapped.state, jnp.float32)
        for action in np.random.default_rng(0).uniform(-2, 2, (20, 1)).astype(np.float32):
            seen, reward, *_ = env.step(action)
            step = here.step(state, jnp.asarray(action), jax.tree.map(jnp.float32, task), key)
            np.testing.assert_allclose(step.observation, seen, atol=1e-4)
            np.testing.assert_allclose(step.reward, reward, rtol=1e-3, atol=1e-4)
            state = step.state


@pytest.mark.parametrize("name", ["sinusoid.py", "learned_rule.py"])
def test_few_shot_examples_say_that_they_can_be_started(name, tmp_path):
    assert "--outer-steps" in example(name, "--help", cwd=tmp_path)


@pytest.mark.nightly
def test_the_sinusoids_are_learned_and_drawn(tmp_path):
    printed = example("sinusoid.py", "--outer-steps", "20", "--out", "a.png", cwd=tmp_path)
    assert len(re.findall(r"inner steps  \d+\.\d+ ±", printed)) == 11
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
