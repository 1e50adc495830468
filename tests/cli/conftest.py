"""Running the command line as a user does: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest


class FinishedRun(NamedTuple):
    """A run that tests may look at and must not change."""

    cwd: Path
    directory: Path
    stdout: str
    evaluation: str


TINY = [
    "--num-updates",
    "4",
    "--num-tasks",
    "8",
    "--memory-size",
    "4",
    "--critic-size",
    "4",
    "--num-minibatches",
    "2",
]
QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""Tiny programs take longer to compile than to run."""

SMALL_BANDIT = ["--num-arms", "3", "--num-pulls", "5"]


def run(*arguments: str, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `adaptax ARGUMENTS` in `cwd`, with the tests' cache of compiled programs."""
    env = {**os.environ, "XDG_CACHE_HOME": os.environ["ADAPTAX_TEST_CACHE"], **QUICK, **environment}
    code = "from adaptax.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A tiny finished run: where it was started, its directory, what it printed, and its evaluation.json."""
    cwd = tmp_path_factory.mktemp("run")
    options = [*SMALL_BANDIT, *TINY, "--eval-tasks", "50", "--out", "out dir", "--json"]
    done = run("train", "rl2", "bandit", *options, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return FinishedRun(cwd, cwd / "out dir", done.stdout, (cwd / "out dir/evaluation.json").read_text())
